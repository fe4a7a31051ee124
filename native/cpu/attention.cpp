// Attention over pages of keys and values, and the scratch of both directions. The backward pass is
// attention_backward.cpp.
//
// A tile is a run of query tokens of one segment inside one block of absolute positions, times the query
// heads that read one kv head. It goes through the key blocks 0, 1, ... up to its own, and only in that last
// one do its rows see different numbers of keys. Every row of a tile therefore takes the same steps that it
// would take alone: what a row computes beyond its own last key is p = 0, which adds nothing. (It may turn -0
// into +0 or not; the last line of a row, which adds +0, settles that.)
//
// Under a window a row begins with the block of its first key, so the earlier blocks are met by the tile's
// first rows alone.
#include "cpu/attention_keys.h"
#include "cpu/attention_scratch.h"
#include "cpu/copy_rows.h"
#include "cpu/cpu_backend.h"
#include "cpu/dealer.h"
#include "cpu/gemm.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

struct QueryTile {
  const Segment* segment;
  int64_t first_token;  // inside the segment
  int64_t tokens;
  int64_t kv_head;
  int64_t first_head;  // inside the kv head's group
  int64_t heads;

  int64_t rows() const { return tokens * heads; }
  // Row r of the tile is head r % heads of token r / heads.
  int64_t position(int64_t r) const { return segment->position_begin + first_token + r / heads; }
  int64_t token_row(int64_t r) const { return segment->token_begin + first_token + r / heads; }
};

class ForwardTile {
 public:
  ForwardTile(const Tensor& out, float* lse, const Tensor& q, const KvPages& pages,
              const AttentionBatch& batch, const AttentionShape& shape, const ForwardScratch& scratch)
      : out_(out), lse_(lse), q_(q), pages_(pages), batch_(batch), shape_(shape), scratch_(scratch) {}

  void run(const QueryTile& tile) const {
    const int64_t head_dim = shape_.head_dim;
    for (int64_t r = 0; r < tile.rows(); ++r) {
      copy_rows(scratch_.q + r * head_dim, 0, q_.f32() + tile.token_row(r) * q_.stride + column(tile, r), 0,
                1, head_dim);
      scratch_.maximum[r] = -__builtin_inff();
      scratch_.sum[r] = 0.0f;
    }
    const int64_t position = tile.position(0), last_block = position / kKeyBlock;
    const int64_t first_block = keys_behind_window(shape_, position, 0) / kKeyBlock;
    // Rows that come in later find their sums at zero; without a window the first block writes them.
    if (shape_.window > 0) clear_rows(scratch_.out, tile.rows() * head_dim);
    for (int64_t block = first_block; block <= last_block; ++block) {
      const int64_t block_end = (block + 1) * kKeyBlock;
      const int64_t tokens =
          shape_.window == 0 ? tile.tokens : smaller(tile.tokens, block_end - 1 + shape_.window - position);
      attend(tile, tokens * tile.heads, block, block == last_block);
    }
    finish(tile);
  }

 private:
  int64_t column(const QueryTile& tile, int64_t r) const {
    const int64_t group = shape_.num_heads / shape_.num_kv_heads;
    return (tile.kv_head * group + tile.first_head + r % tile.heads) * shape_.head_dim;
  }

  // Keys of the block that row r sees.
  static int64_t visible(const QueryTile& tile, int64_t r, bool last) {
    return last ? tile.position(r) % kKeyBlock + 1 : kKeyBlock;
  }

  static void clear_rows(float* data, int64_t count) {
    for_lanes(count, [&](int64_t i, int n) { store_lanes(data + i, zero(), n); });
  }

  // The tile's first `rows` rows meet a block.
  void attend(const QueryTile& tile, int64_t rows, int64_t block, bool last) const {
    const int64_t head_dim = shape_.head_dim;
    const bool carries = block > 0 || shape_.window > 0;
    const int32_t page = batch_.page_table[tile.segment->page_begin + block];
    const float* keys = static_cast<const float*>(pages_.k) + page_offset(page, tile.kv_head, shape_);
    const float* values = static_cast<const float*>(pages_.v) + page_offset(page, tile.kv_head, shape_);
    const bool diagonal = last && rows > kSmallestBanded;
    for_bands(tile, rows, last, diagonal, [&](int64_t r, int64_t band, int64_t keys_seen) {
      chain_product(scratch_.scores + r * kKeyBlock, kKeyBlock, {scratch_.q + r * head_dim, head_dim}, keys,
                    kKeyBlock, band, score_cols(keys_seen), head_dim, false);
      for_vector_count(keys_seen,
                       [&](auto vectors) { soften<decltype(vectors)::kCount>(tile, r, band, block, last); });
    });
    rescale(rows, carries);
    for_bands(tile, rows, last, diagonal, [&](int64_t r, int64_t band, int64_t keys_seen) {
      chain_product(scratch_.out + r * head_dim, head_dim, {scratch_.scores + r * kKeyBlock, kKeyBlock},
                    values, head_dim, band, head_dim, keys_seen, carries);
    });
  }

  // body(first row, rows, keys that the last of them sees). Under the diagonal a band of rows needs no more
  // keys.
  template <typename Body>
  COPPICE_INLINE void for_bands(const QueryTile& tile, int64_t rows, bool last, bool diagonal,
                                const Body& body) const {
    const int64_t height = diagonal ? kDiagonalBand : rows;
    for (int64_t r = 0; r < rows; r += height) {
      const int64_t band = smaller(height, rows - r);
      body(r, band, visible(tile, r + band - 1, last));
    }
  }

  // Scores become p = exp(score - new_maximum) with new_maximum = max(maximum, the row's scores) and
  // block_sum = sum p. What a row does not see is -inf and becomes 0.
  template <int kVectors>
  void soften(const QueryTile& tile, int64_t first, int64_t rows, int64_t block, bool last) const {
    const Vec scale = splat(shape_.scale), lowest = splat(-__builtin_inff());
    for (int64_t r = first; r < first + rows; ++r) {
      float* row = scratch_.scores + r * kKeyBlock;
      const int64_t own = visible(tile, r, last);
      const int64_t behind = keys_behind_window(shape_, tile.position(r), block * kKeyBlock);
      Vec scores[kVectors];
      Vec largest = lowest;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        scores[v] = select(lanes_below(own - v * kLanes), load(row + v * kLanes) * scale, lowest);
        if (behind > 0) scores[v] = select(lanes_below(behind - v * kLanes), lowest, scores[v]);
        largest = max(scores[v], largest);
      }
      const float new_maximum = max(scratch_.maximum[r], maximum(largest));
      Vec total = zero();
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const Vec p = exp(scores[v] - splat(new_maximum));
        store(row + v * kLanes, p);
        total = total + p;
      }
      scratch_.new_maximum[r] = new_maximum;
      scratch_.block_sum[r] = sum(total);
    }
  }

  // Carries (maximum, sum, out) over to the new maximum and adds the block's sum.
  void rescale(int64_t rows, bool has_out) const {
    for_lanes(rows, [&](int64_t r, int n) {
      const Vec largest = load_lanes(scratch_.new_maximum + r, n);
      const Vec alpha = exp(load_lanes(scratch_.maximum + r, n) - largest);
      store_lanes(scratch_.alpha + r, alpha, n);
      store_lanes(scratch_.maximum + r, largest, n);
      const Vec total = fma(load_lanes(scratch_.sum + r, n), alpha, load_lanes(scratch_.block_sum + r, n));
      store_lanes(scratch_.sum + r, total, n);
    });
    if (!has_out) return;
    for (int64_t r = 0; r < rows; ++r) {
      if (scratch_.alpha[r] == 1.0f) continue;
      float* row = scratch_.out + r * shape_.head_dim;
      const Vec alpha = splat(scratch_.alpha[r]);
      for_lanes(shape_.head_dim,
                [&](int64_t d, int n) { store_lanes(row + d, load_lanes(row + d, n) * alpha, n); });
    }
  }

  void finish(const QueryTile& tile) const {
    const int64_t rows = tile.rows();
    for_lanes(rows, [&](int64_t r, int n) {
      const Vec total = load_lanes(scratch_.sum + r, n);
      store_lanes(scratch_.maximum + r, load_lanes(scratch_.maximum + r, n) + log(total), n);
      store_lanes(scratch_.sum + r, splat(1.0f) / total, n);
    });
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = scratch_.out + r * shape_.head_dim;
      float* out = out_.f32() + tile.token_row(r) * out_.stride + column(tile, r);
      const Vec inverse = splat(scratch_.sum[r]);
      for_lanes(shape_.head_dim, [&](int64_t d, int n) {
        store_lanes(out + d, load_lanes(row + d, n) * inverse + zero(), n);
      });
      if (lse_ != nullptr) {
        lse_[tile.token_row(r) * shape_.num_heads + column(tile, r) / shape_.head_dim] = scratch_.maximum[r];
      }
    }
  }

  const Tensor& out_;
  float* lse_;
  const Tensor& q_;
  const KvPages& pages_;
  const AttentionBatch& batch_;
  const AttentionShape& shape_;
  ForwardScratch scratch_;
};

// Cuts a segment into tiles of at most kTileQueries rows and calls body(tile).
template <typename Body>
COPPICE_INLINE void for_tiles(const Segment& segment, const AttentionShape& shape, const Body& body) {
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const int64_t heads = smaller(group, kTileQueries), most_tokens = kTileQueries / heads;
  for (int64_t token = 0; token < segment.length;) {
    const int64_t to_block_end = kKeyBlock - (segment.position_begin + token) % kKeyBlock;
    const int64_t tokens = smaller(smaller(most_tokens, to_block_end), segment.length - token);
    for (int64_t kv_head = 0; kv_head < shape.num_kv_heads; ++kv_head) {
      for (int64_t head = 0; head < group; head += heads) {
        body(QueryTile{&segment, token, tokens, kv_head, head, smaller(heads, group - head)});
      }
    }
    token += tokens;
  }
}

// All tiles of a batch, dealt out; before(tile) runs on the thread that has the tile.
template <typename Before>
void run_tiles(const ThreadTeam& team, const AttentionScratch& scratch, const Tensor& out, float* lse,
               const Tensor& q, const KvPages& pages, const AttentionBatch& batch,
               const AttentionShape& shape, const Before& before) {
  const int64_t lanes = dealt_lanes(team.threads());
  team.parallel_for(lanes, [&](int64_t lane, int thread) {
    const ForwardTile work(out, lse, q, pages, batch, shape, forward_scratch(scratch, shape, thread));
    HeadDealer dealer(lane, lanes, batch.segment_count);
    for (int32_t s = 0; s < batch.segment_count; ++s) {
      for_tiles(batch.segments[s], shape, [&](const QueryTile& tile) {
        if (!dealer.mine(tile.kv_head == 0 && tile.first_head == 0)) return;
        before(tile);
        work.run(tile);
      });
    }
  });
}

// One token each, and none reads what another writes: what a step of decoding is.
bool decodes(const AttentionBatch& batch, const AttentionShape& shape) {
  if (shape.num_heads / shape.num_kv_heads > kTileQueries) return false;
  for (int32_t s = 0; s < batch.segment_count; ++s) {
    if (batch.segments[s].length != 1 || batch.segments[s].parent >= 0) return false;
  }
  return true;
}

}  // namespace

size_t CpuBackend::attention_scratch_bytes(const AttentionShape& shape, int64_t rows) const {
  return attention_scratch(nullptr, shape, rows, threads()).bytes;
}

void CpuBackend::attention_forward(Context& context, const Tensor& out, float* lse, const Tensor& q,
                                   const KvPages& pages, const AttentionBatch& batch,
                                   const AttentionShape& shape) {
  const AttentionScratch scratch = attention_scratch(context.scratch.data, shape, q.rows, threads());
  run_tiles(team(), scratch, out, lse, q, pages, batch, shape, [](const QueryTile&) {});
}

// Of a step of decoding each head's key is written just before it is read: it is a column, whose lines
// attention fetches in any case.
void CpuBackend::kv_write_attention(Context& context, const Tensor& out, float* lse, const Tensor& q,
                                    const Tensor& k, const Tensor& v, const KvPages& pages,
                                    const AttentionBatch& batch, const AttentionShape& shape) {
  if (!decodes(batch, shape)) {
    Backend::kv_write_attention(context, out, lse, q, k, v, pages, batch, shape);
    return;
  }
  const AttentionScratch scratch = attention_scratch(context.scratch.data, shape, q.rows, threads());
  run_tiles(team(), scratch, out, lse, q, pages, batch, shape, [&](const QueryTile& tile) {
    const Segment& segment = *tile.segment;
    write_block(pages, k, v, batch, shape, segment, segment.position_begin / kKeyBlock, tile.kv_head);
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
