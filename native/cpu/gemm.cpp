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
      : count(ceil_div(rows, kTileRows)), height(rows / count), taller(rows % count) {}
  int64_t rows_of(int64_t tile) const { return height + (tile < taller ? 1 : 0); }
  int64_t tallest() const { return height + (taller > 0 ? 1 : 0); }
};

// A rows x depth corner of A as [depth][rows].
void pack_left(float* out, const Left& a, int64_t rows, int64_t depth) {
  const int height = static_cast<int>(rows);
  if (a.row_stride == 1) {
    for (int64_t k = 0; k < depth; ++k)
      store(out + k * rows, load_first(a.data + k * a.depth_stride, height));
    return;
  }
  if (a.depth_stride != 1) {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t i = 0; i < rows; ++i) out[k * rows + i] = a.data[i * a.row_stride + k * a.depth_stride];
    }
    return;
  }
  for (int64_t k = 0; k < depth; k += kLanes) {
    const int n = static_cast<int>(smaller(kLanes, depth - k));
    Vec block[16];
    for (int i = 0; i < 16; ++i) {
      block[i] = i < height ? load_lanes(a.data + i * a.row_stride + k, n) : zero();
    }
    transpose16(block);
    // Each store is 16 wide and the next one overwrites what was too much.
    for (int i = 0; i < n; ++i) store(out + (k + i) * rows, block[i]);
  }
}

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

// All columns for the rows of `tiles`, over one block of k. `a` is where the block of A begins: packed, tile
// after tile, or in place.
void block_product(const Product& p, const RowTiles& tiles, int64_t row_begin, const Left& a, bool packed,
                   int64_t k_begin, int64_t depth) {
  const bool first = k_begin == 0, last = k_begin + depth >= p.depth;
  const bool scattered = p.partial != nullptr;
  float* partial = scattered ? p.partial : p.out;
  const int64_t partial_stride = scattered ? p.partial_stride : p.out_stride;
  const int widest = tile_vectors(static_cast<int>(tiles.tallest()));

  for (int64_t j = 0; j < p.cols;) {
    const ColumnSpan span = span_at(p, j, widest);
    Tile tile;
    tile.a_depth_stride = a.depth_stride;
    tile.a_row_stride = a.row_stride;
    tile.b = p.b.data + (j / kPanel) * p.b.panel_stride + j % kPanel + k_begin * p.b.row_stride;
    tile.b_panel_stride = p.b.panel_stride;
    tile.b_row_stride = p.b.row_stride;
    tile.depth = depth;
    tile.cols = span.cols;
    tile.start = nullptr;
    tile.start_stride = 0;
    int64_t row = 0;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t rows = tiles.rows_of(t), i = row_begin + row;
      if (packed) {
        tile.a = a.data + row * depth;
        tile.a_depth_stride = rows;
      } else {
        tile.a = a.data + row * a.row_stride;
      }
      float* sums = partial + i * partial_stride + j;
      float* out = p.out + i * p.out_stride + j;
      tile.previous = first ? (p.into_out ? out : nullptr) : sums;
      tile.previous_stride = first ? p.out_stride : partial_stride;
      tile.addend = last && p.addend != nullptr ? p.addend + i * p.addend_stride + j : nullptr;
      tile.addend_stride = p.addend_stride;
      tile.out = last ? out : sums;
      tile.out_stride = last ? p.out_stride : partial_stride;
      const bool unit_rows = packed || a.row_stride == 1;
      tile_function(static_cast<int>(rows), span.vectors, unit_rows, span.masked_b)(tile);
      row += rows;
    }
    j += span.cols;
  }
}

}  // namespace

void product(const Product& p) {
  if (p.rows <= 0 || p.cols <= 0) return;
  // Packing pays where a packed tile is used for several spans of columns and is not too flat.
  const bool pack = p.pack != nullptr && p.cols > 2 * kPanel && 2 * p.rows > kTileRows;
  const int64_t rows_at_once = pack ? kPackRows : p.rows;
  for (int64_t row = 0; row < p.rows; row += rows_at_once) {
    const int64_t rows = smaller(rows_at_once, p.rows - row);
    const RowTiles tiles(rows);
    int64_t k = 0;
    do {
      const int64_t depth = smaller(kProductDepth, p.depth - k);
      Left a = {p.a.data + row * p.a.row_stride + k * p.a.depth_stride, p.a.row_stride, p.a.depth_stride};
      if (pack) {
        int64_t packed_row = 0;
        for (int64_t t = 0; t < tiles.count; ++t) {
          const Left corner = {a.data + packed_row * a.row_stride, a.row_stride, a.depth_stride};
          pack_left(p.pack + packed_row * depth, corner, tiles.rows_of(t), depth);
          packed_row += tiles.rows_of(t);
        }
        a = {p.pack, 1, 0};
      }
      block_product(p, tiles, row, a, pack, k, depth);
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
      const Tile tile = {.a = a.data + row * a.row_stride,
                         .a_row_stride = a.row_stride,
                         .a_depth_stride = a.depth_stride,
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
      tile_function(static_cast<int>(height), span.vectors, a.row_stride == 1, span.masked_b)(tile);
      row += height;
    }
    j += span.cols;
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
