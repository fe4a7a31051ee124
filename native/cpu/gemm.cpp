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

// Where no instruction takes words (simd.h), a product of several tiles takes them apart into floats first:
// each word becomes two steps of k, its second number before its first, in the order of dot_pairs, so that
// the tiles are those of floats and their bits those of words.
#if defined(COPPICE_NATIVE_DOT_PAIRS)
constexpr bool kWordsApart = false;
#else
constexpr bool kWordsApart = true;
#endif
constexpr int64_t kApartDepth = 2 * kProductDepth;
constexpr int64_t kApartCols = 128;

// A thread's own, since a product has no memory: it stays in the second-level cache while tiles go by. Empty
// where words are never taken apart.
struct ApartScratch {
  static constexpr int64_t kDepth = kWordsApart ? kApartDepth : 0;
  alignas(64) float right[kApartCols * kDepth + 1];  // panels [2 depth][kPanel]
  alignas(64) float left[kTileRows * kDepth + 1];    // rows of a tile, each [2 depth]
};
thread_local ApartScratch apart_scratch;

// `panels` panels of words [depth][kPanel], panel_stride apart, as panels of floats.
void take_apart_panels(float* out, const float* words, int64_t panel_stride, int64_t panels, int64_t depth) {
  for (int64_t p = 0; p < panels; ++p) {
    const float* from = words + p * panel_stride;
    float* to = out + p * 2 * depth * kPanel;
    for (int64_t k = 0; k < depth; ++k, from += kPanel, to += 2 * kPanel) {
      for (int64_t half = 0; half < kPanel; half += kLanes) {
        const Vec word = load(from + half);
        store(to + half, second_of_pair(word));
        store(to + kPanel + half, first_of_pair(word));
      }
    }
  }
}

void take_apart_rows(float* out, const Left& words, int64_t rows, int64_t depth) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* from = words.row(i);
    float* to = out + i * kApartDepth;
    for_lanes(depth, [&](int64_t k, int n) {
      const Vec word = load_lanes(from + k, n);
      Vec front = second_of_pair(word), back = first_of_pair(word);
      interleave(front, back);
      store(to + 2 * k, front);
      store(to + 2 * k + kLanes, back);
    });
  }
}

// Where a packed tile begins: the line more than it has spreads the tiles' lines over the sets of the cache,
// and takes what store_over writes behind the last k.
int64_t packed_tile_at(int64_t tile, int64_t row, int64_t depth) {
  return row * depth + tile * kLanes;
}

// Copies a block of a transposed A, [depth][rows] with wide steps from k to k, into tiles of [depth][rows of
// the tile]. A few k at a time for all tiles: neighbours share cache lines that would be gone after a whole
// column, and the next few k's are fetched meanwhile. Where `apart`, two floats for each word.
void pack_block(float* out, const Left& a, const RowTiles& tiles, int64_t depth, bool apart) {
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
      if (apart) {
        float* to = out + packed_tile_at(t, row, 2 * depth);
        for (int64_t k = first; k < last; ++k) {
          const Vec words = load_first(from + k * a.stride, height);
          store_over(to + 2 * k * height, second_of_pair(words), height);
          store_over(to + (2 * k + 1) * height, first_of_pair(words), height);
        }
      } else {
        float* to = out + packed_tile_at(t, row, depth);
        for (int64_t k = first; k < last; ++k)
          store_over(to + k * height, load_first(from + k * a.stride, height), height);
      }
      row += height;
    }
  }
}

// Fetches a block of panels into the second-level cache, some lines with each tile of the block before it.
// The first tile of a block waits for the panels otherwise, which counts where few tiles follow it.
class BlockAhead {
 public:
  BlockAhead() = default;
  // `depth` rows of each of `panels` panels; a tile of `tile_depth` takes lines_ahead of it.
  BlockAhead(const float* first, int64_t panels, int64_t panel_stride, int64_t depth, int64_t tile_depth)
      : panel_(first),
        panels_(panels),
        panel_stride_(panel_stride),
        panel_floats_(depth * kPanel),
        step_(lines_ahead(tile_depth) * kLineFloats) {}

  const float* next() {
    if (panels_ == 0) return nullptr;
    const float* const lines = panel_ + at_;
    at_ += step_;
    if (at_ >= panel_floats_) {
      at_ = 0;
      panel_ += panel_stride_;
      --panels_;
    }
    return lines;
  }

 private:
  const float* panel_ = nullptr;
  int64_t panels_ = 0, panel_stride_ = 0, panel_floats_ = 0, step_ = 0, at_ = 0;
};
// Of fewer tiles than this the first one's wait is most of the block.
constexpr int64_t kTilesWorthFetching = 4;

// One block of k of a product's rows from row_begin on.
struct BlockOfRows {
  const RowTiles& tiles;
  int64_t row_begin;
  const Left& a;
  bool packed;  // A stands in p.pack
  int64_t k_begin;
  int64_t depth;
  bool apart;  // words are taken apart; where packed, they are already
};

// What follows a block of columns: the next columns over the same k or, where `col` is 0 again, the first
// ones over the next.
BlockAhead block_behind(const Product& p, const BlockOfRows& block, int64_t col, int64_t block_cols,
                        int64_t tile_depth) {
  const int64_t k = col > 0 ? block.k_begin : block.k_begin + block.depth;
  if (k >= p.depth) return {};
  return {p.b.data + (col / kPanel) * p.b.panel_stride + k * kPanel,
          ceil_div(smaller(block_cols, p.cols - col), kPanel), p.b.panel_stride,
          smaller(kProductDepth, p.depth - k), tile_depth};
}

// All columns over one block of k. A tile meets all panels of a block of columns before the next tile does:
// its rows stay in the first-level cache and the panels, which the processor fetches ahead as they are read
// in order, in the second.
void block_product(const Product& p, const BlockOfRows& block) {
  const RowTiles& tiles = block.tiles;
  const bool first = block.k_begin == 0, last = block.k_begin + block.depth >= p.depth;
  const bool separate = p.partial != nullptr;
  float* partial = separate ? p.partial : p.out;
  const int64_t partial_stride = separate ? p.partial_stride : p.out_stride;
  const int widest = tile_vectors(static_cast<int>(tiles.tallest()));
  const TileOperands operands = {block.packed || block.a.transposed,
                                 p.dtype == DType::kBF16 && !block.apart ? TileRight::kWordPanels
                                 : p.b.row_stride == kPanel              ? TileRight::kPanels
                                                                         : TileRight::kRows};
  const int64_t depth = block.apart ? 2 * block.depth : block.depth;

  const int64_t block_cols = block.apart ? kApartCols : kBlockCols;
  for (int64_t col = 0; col < p.cols; col += block_cols) {
    const int64_t col_end = smaller(col + block_cols, p.cols);
    Right b = p.b;
    b.data += (col / kPanel) * b.panel_stride + block.k_begin * b.row_stride;
    if (block.apart) {
      take_apart_panels(apart_scratch.right, b.data, b.panel_stride, ceil_div(col_end - col, kPanel),
                        block.depth);
      b = packed_right(apart_scratch.right, depth);
    }
    BlockAhead ahead;
    if (tiles.count >= kTilesWorthFetching && p.b.row_stride == kPanel)
      ahead = block_behind(p, block, col_end < p.cols ? col_end : 0, block_cols, depth);
    int64_t row = 0;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t rows = tiles.rows_of(t), i = block.row_begin + row;
      Tile tile = {};
      if (block.packed) {
        tile.a = p.pack + packed_tile_at(t, row, depth);
        tile.a_stride = rows;
      } else if (block.apart) {
        take_apart_rows(apart_scratch.left, block.a.from(row, 0), rows, block.depth);
        tile.a = apart_scratch.left;
        tile.a_stride = kApartDepth;
      } else {
        tile.a = block.a.row(row);
        tile.a_stride = block.a.stride;
      }
      tile.b_panel_stride = b.panel_stride;
      tile.b_row_stride = b.row_stride;
      tile.depth = depth;
      for (int64_t j = col; j < col_end;) {
        const ColumnSpan span = span_at(p, j, widest);
        tile.b = b.data + (j - col) / kPanel * b.panel_stride + (j - col) % kPanel;
        tile.cols = span.cols;
        float* sums = partial + i * partial_stride + j;
        float* out = p.out + i * p.out_stride + j;
        tile.previous = first ? (p.into_out ? out : nullptr) : sums;
        tile.previous_stride = first ? p.out_stride : partial_stride;
        tile.addend = last && p.addend != nullptr ? p.addend + i * p.addend_stride + j : nullptr;
        tile.addend_stride = p.addend_stride;
        tile.out = last ? out : sums;
        tile.out_stride = last ? p.out_stride : partial_stride;
        tile.ahead = t == 0 ? nullptr : ahead.next();
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
  const bool packed = p.a.transposed && p.pack != nullptr;
  const bool words = kWordsApart && p.dtype == DType::kBF16;
  // A pack of words taken apart holds half as many rows.
  const int64_t at_once = words && packed ? kPackRows / 2 : kPackRows;
  for (int64_t row = 0; row < p.rows; row += at_once) {
    const RowTiles tiles(smaller(at_once, p.rows - row));
    const bool apart = words && tiles.count > 1 && (packed || !p.a.transposed);
    int64_t k = 0;
    do {
      const int64_t depth = smaller(kProductDepth, p.depth - k);
      const Left a = p.a.from(row, k);
      if (packed && depth > 0) pack_block(p.pack, a, tiles, depth, apart);
      block_product(p, {tiles, row, a, packed && depth > 0, k, depth, apart});
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
