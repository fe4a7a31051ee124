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

// A tile of A, row after row or, where A is transposed, k after k.
void pack_left(float* out, const Left& a, int64_t rows, int64_t depth) {
  if (a.row_stride == 1) {
    const int height = static_cast<int>(rows);
    // Each store is 16 wide and the next one overwrites what was too much; the last one may not.
    for (int64_t k = 0; k + 1 < depth; ++k)
      store(out + k * rows, load_first(a.data + k * a.depth_stride, height));
    store_first(out + (depth - 1) * rows, load_first(a.data + (depth - 1) * a.depth_stride, height), height);
    return;
  }
  for (int64_t i = 0; i < rows; ++i) {
    const float* row = a.data + i * a.row_stride;
    float* to = out + i * kPackedStride;
    if (a.depth_stride == 1) {
      for_lanes(depth, [&](int64_t k, int n) { store_lanes(to + k, load_lanes(row + k, n), n); });
    } else {
      for (int64_t k = 0; k < depth; ++k) to[k] = row[k * a.depth_stride];
    }
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

// A block of A as its tiles read it.
struct LeftBlock {
  const float* data;
  int64_t row_stride;
  int64_t depth_stride;
  int64_t tile_stride;  // floats from one row to the next where a tile begins
  Rows rows;
};

Rows rows_in_place(const Left& a) {
  return a.row_stride == 1 ? Rows::kUnit : Rows::kStrided;
}

// All columns for the rows of `tiles`, which begin at `row_begin`, over one block of k.
void block_product(const Product& p, const RowTiles& tiles, int64_t row_begin, const LeftBlock& a,
                   int64_t k_begin, int64_t depth) {
  const bool first = k_begin == 0, last = k_begin + depth >= p.depth;
  const bool apart = p.partial != nullptr;
  float* partial = apart ? p.partial : p.out;
  const int64_t partial_stride = apart ? p.partial_stride : p.out_stride;
  const int widest = tile_vectors(static_cast<int>(tiles.tallest()));

  for (int64_t j = 0; j < p.cols;) {
    const ColumnSpan span = span_at(p, j, widest);
    Tile tile = {};
    tile.a_row_stride = a.row_stride;
    tile.a_depth_stride = a.depth_stride;
    tile.b = p.b.data + (j / kPanel) * p.b.panel_stride + j % kPanel + k_begin * p.b.row_stride;
    tile.b_panel_stride = p.b.panel_stride;
    tile.b_row_stride = p.b.row_stride;
    tile.depth = depth;
    tile.cols = span.cols;
    int64_t row = 0;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t rows = tiles.rows_of(t), i = row_begin + row;
      tile.a = a.data + row * a.tile_stride;
      // A packed transposed tile is as wide as it has rows.
      if (a.depth_stride == 0) tile.a_depth_stride = rows;
      float* sums = partial + i * partial_stride + j;
      float* out = p.out + i * p.out_stride + j;
      tile.previous = first ? (p.into_out ? out : nullptr) : sums;
      tile.previous_stride = first ? p.out_stride : partial_stride;
      tile.addend = last && p.addend != nullptr ? p.addend + i * p.addend_stride + j : nullptr;
      tile.addend_stride = p.addend_stride;
      tile.out = last ? out : sums;
      tile.out_stride = last ? p.out_stride : partial_stride;
      tile_function(static_cast<int>(rows), span.vectors, a.rows, span.masked_b)(tile);
      row += rows;
    }
    j += span.cols;
  }
}

// Packs the tiles of one block of A, each at its row's place in p.pack.
LeftBlock pack_block(const Product& p, const RowTiles& tiles, const Left& a, int64_t depth) {
  const bool transposed = a.row_stride == 1;
  const int64_t tile_stride = transposed ? depth : kPackedStride;
  int64_t row = 0;
  for (int64_t t = 0; t < tiles.count; ++t) {
    const int64_t rows = tiles.rows_of(t);
    pack_left(p.pack + row * tile_stride, {a.data + row * a.row_stride, a.row_stride, a.depth_stride}, rows,
              depth);
    row += rows;
  }
  if (transposed) return {p.pack, 1, 0, tile_stride, Rows::kUnit};
  return {p.pack, kPackedStride, 1, tile_stride, Rows::kPacked};
}

// Where a tile's lines lie far apart they fall into few sets of the cache: the rows of a wide matrix, and
// every row of a transposed one. The copy pays when several spans of columns use it and its tiles are not too
// flat.
bool worth_packing(const Product& p) {
  constexpr int64_t kFarApart = 512;
  const bool scattered = p.a.row_stride == 1 ? p.a.depth_stride > kLanes : p.a.row_stride >= kFarApart;
  return scattered && p.cols > kPanel && 2 * p.rows > kTileRows;
}

}  // namespace

void product(const Product& p) {
  if (p.rows <= 0 || p.cols <= 0) return;
  const bool pack = p.pack != nullptr && worth_packing(p);
  for (int64_t row = 0; row < p.rows; row += kPackRows) {
    const RowTiles tiles(smaller(kPackRows, p.rows - row));
    int64_t k = 0;
    do {
      const int64_t depth = smaller(kProductDepth, p.depth - k);
      const Left a = {p.a.data + row * p.a.row_stride + k * p.a.depth_stride, p.a.row_stride,
                      p.a.depth_stride};
      const LeftBlock in_place = {a.data, a.row_stride, a.depth_stride, a.row_stride, rows_in_place(a)};
      block_product(p, tiles, row, pack && depth > 0 ? pack_block(p, tiles, a, depth) : in_place, k, depth);
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
      tile_function(static_cast<int>(height), span.vectors, rows_in_place(a), span.masked_b)(tile);
      row += height;
    }
    j += span.cols;
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
