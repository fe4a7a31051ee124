#include "cpu/gemm.h"

#include "cpu/gemm_tile.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// Rows [0, rows) in tiles of nearly equal height: a tile of 2 rows would cost as much as one of 8.
struct RowTiles {
  int64_t count;
  int64_t height;  // of the last ones; the first `taller` have one more
  int64_t taller;

  explicit RowTiles(int64_t rows)
      : count(rows <= kTallestTile ? 1 : ceil_div(rows, kTileRows)),
        height(rows / count),
        taller(rows % count) {}
  int64_t rows_of(int64_t tile) const { return height + (tile < taller ? 1 : 0); }
  int64_t rows() const { return count * height + taller; }
  int64_t tallest() const { return height + (taller > 0 ? 1 : 0); }
};

struct ColumnSpan {
  int vectors;
  int cols;
  bool masked_b;
};

// The widest span of columns that begins at j.
ColumnSpan span_at(const Product& p, int64_t j, int widest) {
  const int64_t left = p.cols - j;
  if (!p.b.padded && left < kLanes) return {1, static_cast<int>(left), true};
  const int64_t vectors_left = p.b.padded ? ceil_div(left, kLanes) : left / kLanes;
  int vectors = widest;
  while (vectors > vectors_left) vectors /= 2;
  return {vectors, static_cast<int>(smaller(left, vectors * kLanes)), false};
}

// Where a packed tile begins: the line more than it has spreads the tiles' lines over the sets of the cache.
int64_t packed_tile_at(int64_t tile, int64_t row, int64_t depth) {
  return row * depth + tile * kLanes;
}

// Copies a block of a transposed A, [depth][rows] with wide steps from k to k, into tiles of [depth][rows of
// the tile]. A few k at a time for all tiles: neighbours share cache lines that would be gone after a whole
// column, and the next few k's are fetched meanwhile.
void pack_block(float* out, const Left& a, const RowTiles& tiles, int64_t depth) {
  constexpr int64_t kAtOnce = 8;
  const int64_t lines = ceil_div(tiles.rows(), kLanes),
                fetched_a_tile = ceil_div(kAtOnce * lines, tiles.count);
  for (int64_t first = 0; first < depth; first += kAtOnce) {
    const int64_t last = smaller(first + kAtOnce, depth);
    int64_t row = 0;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t to_fetch =
          smaller((t + 1) * fetched_a_tile, (smaller(last + kAtOnce, depth) - last) * lines);
      for (int64_t i = t * fetched_a_tile; i < to_fetch; ++i)
        __builtin_prefetch(a.data + (last + i / lines) * a.stride + i % lines * kLanes);
      const int height = static_cast<int>(tiles.rows_of(t));
      const float* from = a.data + row;
      float* to = out + packed_tile_at(t, row, depth);
      for (int64_t k = first; k < last; ++k)
        store_first(to + k * height, load_first(from + k * a.stride, height), height);
      row += height;
    }
  }
}

// All columns for the rows of `tiles`, which begin at `row_begin`, over one block of k, of which `a` is A. A
// tile meets all panels of a block of columns before the next tile does: its rows stay in the first-level
// cache and the panels, which the processor fetches ahead as they are read in order, in the second.
void block_product(const Product& p, const RowTiles& tiles, int64_t row_begin, const Left& a, bool packed,
                   int64_t k_begin, int64_t depth) {
  const bool first = k_begin == 0, last = k_begin + depth >= p.depth;
  const bool apart = p.partial != nullptr;
  float* partial = apart ? p.partial : p.out;
  const int64_t partial_stride = apart ? p.partial_stride : p.out_stride;
  const int widest = tile_vectors(static_cast<int>(tiles.tallest()));
  const TileOperands operands = {packed || a.transposed, p.dtype == DType::kBF16    ? TileRight::kWordPanels
                                                         : p.b.row_stride == kPanel ? TileRight::kPanels
                                                                                    : TileRight::kRows};

  for (int64_t block = 0; block < p.cols; block += kBlockCols) {
    const int64_t block_end = smaller(block + kBlockCols, p.cols);
    int64_t row = 0;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t rows = tiles.rows_of(t), i = row_begin + row;
      Tile tile = {};
      tile.a = packed ? p.pack + packed_tile_at(t, row, depth) : a.row(row);
      tile.a_stride = packed ? rows : a.stride;
      tile.b_panel_stride = p.b.panel_stride;
      tile.b_row_stride = p.b.row_stride;
      tile.depth = depth;
      for (int64_t j = block; j < block_end;) {
        const ColumnSpan span = span_at(p, j, widest);
        tile.b = p.b.data + (j / kPanel) * p.b.panel_stride + j % kPanel + k_begin * p.b.row_stride;
        tile.cols = span.cols;
        float* sums = partial + i * partial_stride + j;
        float* out = p.out + i * p.out_stride + j;
        tile.previous = first ? (p.into_out ? out : nullptr) : sums;
        tile.previous_stride = first ? p.out_stride : partial_stride;
        tile.addend = last && p.addend != nullptr ? p.addend + i * p.addend_stride + j : nullptr;
        tile.addend_stride = p.addend_stride;
        tile.out = last ? out : sums;
        tile.out_stride = last ? p.out_stride : partial_stride;
        tile_function(static_cast<int>(rows), span.vectors, operands, span.masked_b)(tile);
        j += span.cols;
      }
      row += rows;
    }
  }
}

}  // namespace

void product(const Product& p) {
  if (p.rows <= 0 || p.cols <= 0) return;
  for (int64_t row = 0; row < p.rows; row += kPackRows) {
    const RowTiles tiles(smaller(kPackRows, p.rows - row));
    int64_t k = 0;
    do {
      const int64_t depth = smaller(kProductDepth, p.depth - k);
      const Left a = p.a.from(row, k);
      const bool packed = a.transposed && p.pack != nullptr && depth > 0;
      if (packed) pack_block(p.pack, a, tiles, depth);
      block_product(p, tiles, row, a, packed, k, depth);
      k += depth;
    } while (k < p.depth);
  }
}

void chain_product(float* c, int64_t c_stride, Left a, const float* b, int64_t b_stride, int64_t rows,
                   int64_t cols, int64_t depth, bool from_c) {
  if (rows <= 0 || cols <= 0) return;
  const RowTiles tiles(rows);
  const int widest = tile_vectors(static_cast<int>(tiles.tallest()));
  Product shape;
  shape.b = row_major_right(b, b_stride);
  shape.cols = cols;
  for (int64_t j = 0; j < cols;) {
    const ColumnSpan span = span_at(shape, j, widest);
    int64_t row = 0;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t height = tiles.rows_of(t);
      float* corner = c + row * c_stride + j;
      const Tile tile = {.a = a.row(row),
                         .a_stride = a.stride,
                         .b = b + j,
                         .b_panel_stride = kPanel,
                         .b_row_stride = b_stride,
                         .depth = depth,
                         .cols = span.cols,
                         .start = from_c ? corner : nullptr,
                         .start_stride = c_stride,
                         .previous = nullptr,
                         .previous_stride = 0,
                         .addend = nullptr,
                         .addend_stride = 0,
                         .out = corner,
                         .out_stride = c_stride};
      tile_function(static_cast<int>(height), span.vectors, {a.transposed, TileRight::kRows},
                    span.masked_b)(tile);
      row += height;
    }
    j += span.cols;
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
