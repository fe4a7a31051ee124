// The gradient of attention, one task for each (tree, kv head), with nothing of size [T x T].
//
// Keys are taken in tiles of up to kKeyBlock rows of one segment; each tile meets the queries that read it:
// the segment's own rows from there on, then the rows of its descendants. Probabilities come again from the
// scores and the saved log-sum-exp, so no rescaling and no absolute blocks are needed here. A key's gradient
// sums over query tiles in packed order, a query's over key tiles in packed order, both decided by the tree
// alone. Under a window a tile meets the queries that still see its last key.
#include "cpu/attention_scratch.h"
#include "cpu/cpu_backend.h"
#include "cpu/dealer.h"
#include "cpu/gemm.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

struct Gradients {
  const Tensor& dq;
  const Tensor& dk;
  const Tensor& dv;
  const Tensor& dout;
  const float* lse;
  const float* delta;
  const Tensor& q;
  const Tensor& k;
  const Tensor& v;
};

COPPICE_INLINE float* element(const Tensor& tensor, int64_t row, int64_t column) {
  return tensor.f32() + row * tensor.stride + column;
}

static_assert(kTileQueries == kKeyBlock, "the first query tile of a key tile is its own rows");

class KeyTile {
 public:
  // Keys of rows [first, first + count), count <= kKeyBlock, at positions from `position` on. `opens_path`:
  // nothing was added to the dq of any of their readers yet.
  KeyTile(const Gradients& gradients, const AttentionShape& shape, const BackwardScratch& scratch,
          int64_t kv_head, int64_t first, int64_t count, int64_t position, bool opens_path)
      : g_(gradients),
        shape_(shape),
        scratch_(scratch),
        kv_head_(kv_head),
        first_(first),
        count_(count),
        position_(position),
        opens_path_(opens_path) {
    const int64_t column = kv_head * shape.head_dim;
    transpose_keys(scratch.keys, 0, element(g_.k, first, column), g_.k.stride, count, shape.head_dim);
    transpose_keys(scratch.values, 0, element(g_.v, first, column), g_.v.stride, count, shape.head_dim);
  }

  // Query rows [begin, end) of the packed batch, all of which read the tile: those inside the tile up to
  // their own key. `position`: of the first; under a window, rows behind each other must stand at positions
  // behind each other, and those that see none of the tile are passed over.
  void meet(int64_t begin, int64_t end, int64_t position) {
    if (shape_.window > 0) end = smaller(end, begin + position_ + count_ - 1 + shape_.window - position);
    for (int64_t row = begin; row < end; row += kTileQueries) {
      const int64_t rows = smaller(kTileQueries, end - row), group = shape_.num_heads / shape_.num_kv_heads;
      for (int64_t head = kv_head_ * group; head < (kv_head_ + 1) * group; ++head) {
        meet_head(row, rows, position + row - begin, head, row < first_ + count_);
        has_gradient_ = true;
      }
    }
  }

 private:
  // A tile on the diagonal has the key tile's own rows, so query i there sees keys 0 .. i. It is worked off
  // in bands of queries, and of keys, so that what the mask removes is mostly not computed.
  void meet_head(int64_t row, int64_t rows, int64_t position, int64_t head, bool diagonal) {
    const int64_t head_dim = shape_.head_dim, column = head * head_dim, key_column = kv_head_ * head_dim;
    const bool banded = diagonal && rows > kSmallestBanded;
    const int64_t band = banded ? kDiagonalBand : rows;
    const float* q = element(g_.q, row, column);
    const float* dout = element(g_.dout, row, column);
    for (int64_t i = 0; i < rows; i += band) {
      const int64_t n = smaller(band, rows - i), keys_seen = diagonal ? smaller(i + n, count_) : count_;
      float* p = scratch_.p + i * kKeyBlock;
      float* dscores = scratch_.dscores + i * kKeyBlock;
      chain_product(p, kKeyBlock, {q + i * g_.q.stride, g_.q.stride}, scratch_.keys, kKeyBlock, n,
                    score_cols(keys_seen), head_dim, false);
      chain_product(dscores, kKeyBlock, {dout + i * g_.dout.stride, g_.dout.stride}, scratch_.values,
                    kKeyBlock, n, score_cols(keys_seen), head_dim, false);
      for_vector_count(keys_seen, [&](auto vectors) {
        differentiate<decltype(vectors)::kCount>(row, i, n, position, head, diagonal);
      });
      chain_product(element(g_.dq, row + i, column), g_.dq.stride, {dscores, kKeyBlock},
                    element(g_.k, first_, key_column), g_.k.stride, n, head_dim, keys_seen, !opens_path_);
    }
    const int64_t key_band = banded ? kDiagonalBand : count_;
    for (int64_t j = 0; j < count_; j += key_band) {
      const int64_t n = smaller(key_band, count_ - j), skip = diagonal ? j : 0;
      const int64_t at = skip * kKeyBlock + j, depth = rows - skip;
      chain_product(element(g_.dk, first_ + j, key_column), g_.dk.stride,
                    {scratch_.dscores + at, kKeyBlock, true}, q + skip * g_.q.stride, g_.q.stride, n,
                    head_dim, depth, has_gradient_);
      chain_product(element(g_.dv, first_ + j, key_column), g_.dv.stride, {scratch_.p + at, kKeyBlock, true},
                    dout + skip * g_.dout.stride, g_.dout.stride, n, head_dim, depth, has_gradient_);
    }
  }

  // `position`: of query `row`. Scores q k become p = exp(scale q k - lse), and dout v^T becomes scale p
  // (dout v^T - delta); 0 where masked.
  template <int kVectors>
  void differentiate(int64_t row, int64_t i, int64_t rows, int64_t position, int64_t head,
                     bool diagonal) const {
    const Vec scale = splat(shape_.scale);
    for (int64_t r = i; r < i + rows; ++r) {
      const int64_t at = (row + r) * shape_.num_heads + head, own = diagonal ? r + 1 : count_;
      const int64_t behind = keys_behind_window(shape_, position + r, position_);
      const Vec minus_lse = splat(-g_.lse[at]), delta = splat(g_.delta[at]);
      float* p_row = scratch_.p + r * kKeyBlock;
      float* dscores_row = scratch_.dscores + r * kKeyBlock;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const Mask seen = lanes_below(own - v * kLanes);
        Vec p = select(seen, exp(fma(load(p_row + v * kLanes), scale, minus_lse)), zero());
        if (behind > 0) p = select(lanes_below(behind - v * kLanes), zero(), p);
        const Vec slope = (load(dscores_row + v * kLanes) - delta) * scale;
        store(p_row + v * kLanes, p);
        store(dscores_row + v * kLanes, select(seen, p * slope, zero()));
      }
    }
  }

  const Gradients& g_;
  const AttentionShape& shape_;
  const BackwardScratch& scratch_;
  int64_t kv_head_;
  int64_t first_;
  int64_t count_;
  int64_t position_;
  bool opens_path_;
  bool has_gradient_ = false;
};

bool descends_from(const AttentionBatch& batch, int32_t segment, int32_t ancestor) {
  while (segment > ancestor) segment = batch.segments[segment].parent;
  return segment == ancestor;
}

// Segments of the tree that starts at `root`: up to the next one without a parent.
int32_t tree_end(const AttentionBatch& batch, int32_t root) {
  int32_t s = root + 1;
  while (s < batch.segment_count && batch.segments[s].parent >= 0) ++s;
  return s;
}

// The rows of `ancestor`'s descendants among segments (ancestor, end), as maximal runs of neighbours, or
// segment by segment: body(begin, end, position of the first).
template <typename Body>
COPPICE_INLINE void for_descendant_rows(const AttentionBatch& batch, int32_t ancestor, int32_t end,
                                        bool segment_by_segment, const Body& body) {
  int64_t run_begin = 0, run_end = 0, position = 0;
  for (int32_t s = ancestor + 1; s < end; ++s) {
    if (!descends_from(batch, s, ancestor)) continue;
    const Segment& segment = batch.segments[s];
    if (segment.token_begin != run_end || segment_by_segment) {
      if (run_end > run_begin) body(run_begin, run_end, position);
      run_begin = segment.token_begin;
      position = segment.position_begin;
    }
    run_end = segment.token_begin + segment.length;
  }
  if (run_end > run_begin) body(run_begin, run_end, position);
}

// Under a window the first key tile of a path is not the first that its late queries meet.
void clear_query_gradients(const Gradients& gradients, const AttentionBatch& batch,
                           const AttentionShape& shape, int32_t root, int32_t end, int64_t kv_head) {
  const int64_t cols = shape.num_heads / shape.num_kv_heads * shape.head_dim;
  for (int32_t s = root; s < end; ++s) {
    const Segment& segment = batch.segments[s];
    for (int64_t row = segment.token_begin; row < segment.token_begin + segment.length; ++row) {
      float* dq = element(gradients.dq, row, kv_head * cols);
      for_lanes(cols, [&](int64_t i, int n) { store_lanes(dq + i, zero(), n); });
    }
  }
}

void tree_backward(const Gradients& gradients, const AttentionBatch& batch, const AttentionShape& shape,
                   const BackwardScratch& scratch, int32_t root, int32_t end, int64_t kv_head) {
  const bool windowed = shape.window > 0;
  if (windowed) clear_query_gradients(gradients, batch, shape, root, end, kv_head);
  for (int32_t s = root; s < end; ++s) {
    const Segment& segment = batch.segments[s];
    const int64_t segment_end = segment.token_begin + segment.length;
    for (int64_t first = segment.token_begin; first < segment_end; first += kKeyBlock) {
      const bool opens_path = !windowed && s == root && first == segment.token_begin;
      const int64_t position = segment.position_begin + first - segment.token_begin;
      KeyTile tile(gradients, shape, scratch, kv_head, first, smaller(kKeyBlock, segment_end - first),
                   position, opens_path);
      tile.meet(first, segment_end, position);
      for_descendant_rows(batch, s, end, windowed,
                          [&](int64_t run_begin, int64_t run_end, int64_t run_position) {
                            tile.meet(run_begin, run_end, run_position);
                          });
    }
  }
}

// delta[t * num_heads + h] = sum_d dout * out.
void head_dot_products(float* delta, const Tensor& dout, const Tensor& out, const AttentionShape& shape,
                       int64_t row) {
  for (int64_t head = 0; head < shape.num_heads; ++head) {
    const float* a = element(dout, row, head * shape.head_dim);
    const float* b = element(out, row, head * shape.head_dim);
    Vec total = zero();
    for_lanes(shape.head_dim,
              [&](int64_t d, int n) { total = fma(load_lanes(a + d, n), load_lanes(b + d, n), total); });
    delta[row * shape.num_heads + head] = sum(total);
  }
}

}  // namespace

void CpuBackend::attention_backward(Context& context, const Tensor& dq, const Tensor& dk, const Tensor& dv,
                                    const Tensor& dout, const Tensor& out, const float* lse, const Tensor& q,
                                    const Tensor& k, const Tensor& v, const AttentionBatch& batch,
                                    const AttentionShape& shape) {
  const AttentionScratch scratch = attention_scratch(context.scratch.data, shape, q.rows, threads());
  team().parallel_for(q.rows,
                      [&](int64_t row, int) { head_dot_products(scratch.delta, dout, out, shape, row); });
  const Gradients gradients{dq, dk, dv, dout, lse, scratch.delta, q, k, v};
  const int64_t lanes = dealt_lanes(threads());
  team().parallel_for(lanes, [&](int64_t lane, int thread) {
    const BackwardScratch arrays = backward_scratch(scratch, shape, thread);
    Dealer dealer(lane, lanes);
    for (int32_t root = 0; root < batch.segment_count;) {
      const int32_t end = tree_end(batch, root);
      for (int64_t kv_head = 0; kv_head < shape.num_kv_heads; ++kv_head) {
        if (dealer.mine()) tree_backward(gradients, batch, shape, arrays, root, end, kv_head);
      }
      root = end;
    }
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
