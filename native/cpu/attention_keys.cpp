#include "cpu/attention_keys.h"

#include "cpu/copy_rows.h"
#include "cpu/cpu_backend.h"
#include "cpu/dealer.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// One segment's share of one page: its own positions inside the block, and before them, where the segment
// begins inside it, those of its ancestors.
class PageWriter {
 public:
  PageWriter(const KvPages& pages, const Tensor& k, const Tensor& v, const AttentionBatch& batch,
             const AttentionShape& shape, int64_t kv_head)
      : pages_(pages), k_(k), v_(v), batch_(batch), shape_(shape), kv_head_(kv_head) {}

  void write(const Segment& segment, int64_t block) const {
    const int32_t page = batch_.page_table[segment.page_begin + block];
    const int64_t block_begin = block * kKeyBlock;
    const int64_t begin = larger(block_begin, segment.position_begin);
    const int64_t end = smaller(block_begin + kKeyBlock, segment.position_begin + segment.length);
    write_rows(page, segment, begin, end);
    if (segment.position_begin > block_begin && segment.parent >= 0) fill_head(page, segment, block);
  }

  void copy_slots(int32_t to, int32_t from, int64_t slots) const {
    const int64_t head_dim = shape_.head_dim;
    const int64_t to_offset = page_offset(to, kv_head_, shape_),
                  from_offset = page_offset(from, kv_head_, shape_);
    float* k = static_cast<float*>(pages_.k);
    float* v = static_cast<float*>(pages_.v);
    copy_rows(k + to_offset, kKeyBlock, k + from_offset, kKeyBlock, head_dim, slots);
    copy_rows(v + to_offset, head_dim, v + from_offset, head_dim, slots, head_dim);
  }

 private:
  // Absolute positions [begin, end) of the segment, which lie in one block.
  void write_rows(int32_t page, const Segment& segment, int64_t begin, int64_t end) const {
    const int64_t head_dim = shape_.head_dim, row = segment.token_begin + (begin - segment.position_begin);
    const int64_t offset = page_offset(page, kv_head_, shape_), slot = begin % kKeyBlock,
                  column = kv_head_ * head_dim;
    if (end - begin == 1 && kv_head_ + 1 < shape_.num_kv_heads)
      fetch_column(offset + head_dim * kKeyBlock + slot);
    transpose_keys(static_cast<float*>(pages_.k) + offset, slot, k_.f32() + row * k_.stride + column,
                   k_.stride, end - begin, head_dim);
    copy_rows(static_cast<float*>(pages_.v) + offset + slot * head_dim, head_dim,
              v_.f32() + row * v_.stride + column, v_.stride, end - begin, head_dim);
  }

  // One position's key is a column, every element on a line of its own: those of the next head are fetched
  // while this one's are written.
  void fetch_column(int64_t offset) const {
    const float* k = static_cast<const float*>(pages_.k) + offset;
    for (int64_t d = 0; d < shape_.head_dim; ++d) __builtin_prefetch(k + d * kKeyBlock, 1);
  }

  // From the ancestors' rows and not from their pages, so that no page waits for another. Only what was in
  // the cache before this batch is taken from a page: the first ancestor's, where that one itself begins
  // inside the block.
  void fill_head(int32_t page, const Segment& segment, int64_t block) const {
    const int64_t block_begin = block * kKeyBlock;
    int64_t end = segment.position_begin;
    const Segment* ancestor = &segment;
    while (end > block_begin && ancestor->parent >= 0) {
      ancestor = &batch_.segments[ancestor->parent];
      if (batch_.page_table[ancestor->page_begin + block] == page)
        return;  // one page for both: it writes its own part
      const int64_t begin = larger(block_begin, ancestor->position_begin);
      write_rows(page, *ancestor, begin, end);
      end = begin;
    }
    if (end > block_begin)
      copy_slots(page, batch_.page_table[ancestor->page_begin + block], end - block_begin);
  }

  const KvPages& pages_;
  const Tensor& k_;
  const Tensor& v_;
  const AttentionBatch& batch_;
  const AttentionShape& shape_;
  int64_t kv_head_;
};

}  // namespace

void transpose_keys(float* block, int64_t slot, const float* rows, int64_t stride, int64_t count,
                    int64_t head_dim) {
  if (count == 1) {
    for (int64_t d = 0; d < head_dim; ++d) block[d * kKeyBlock + slot] = rows[d];
    return;
  }
  for_lanes(count, [&](int64_t first, int slots) {
    for_lanes(head_dim, [&](int64_t d, int n) {
      Vec square[16];
      for (int i = 0; i < 16; ++i) {
        square[i] = i < slots ? load_lanes(rows + (first + i) * stride + d, n) : zero();
      }
      transpose16(square);
      for (int i = 0; i < n; ++i) store_lanes(block + (d + i) * kKeyBlock + slot + first, square[i], slots);
    });
  });
}

void write_block(const KvPages& pages, const Tensor& k, const Tensor& v, const AttentionBatch& batch,
                 const AttentionShape& shape, const Segment& segment, int64_t block, int64_t kv_head) {
  PageWriter(pages, k, v, batch, shape, kv_head).write(segment, block);
}

void CpuBackend::kv_write(Context&, const KvPages& pages, const Tensor& k, const Tensor& v,
                          const AttentionBatch& batch, const AttentionShape& shape) {
  const int64_t lanes = dealt_lanes(threads());
  team().parallel_for(lanes, [&](int64_t lane, int) {
    HeadDealer dealer(lane, lanes, batch.segment_count);
    for (int32_t s = 0; s < batch.segment_count; ++s) {
      const Segment& segment = batch.segments[s];
      if (segment.length <= 0) continue;
      const int64_t last = (segment.position_begin + segment.length - 1) / kKeyBlock;
      for (int64_t block = segment.position_begin / kKeyBlock; block <= last; ++block) {
        for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
          if (dealer.mine(head == 0)) write_block(pages, k, v, batch, shape, segment, block, head);
        }
      }
    }
  });
}

void CpuBackend::kv_copy(Context&, const KvPages& pages, int32_t to_page, int32_t from_page, int32_t slots,
                         const AttentionShape& shape) {
  const Tensor none;
  const AttentionBatch nobody;
  for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
    PageWriter(pages, none, none, nobody, shape, head).copy_slots(to_page, from_page, slots);
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
