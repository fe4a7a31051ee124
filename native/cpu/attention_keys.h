// Keys and values of one kv head as attention's products want them: keys d-major, [head_dim][kKeyBlock], as
// in a page.
#pragma once

#include "backend/backend.h"
#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// Where one kv head of one page begins.
COPPICE_INLINE int64_t page_offset(int32_t page, int64_t kv_head, const AttentionShape& shape) {
  return (static_cast<int64_t>(page) * shape.num_kv_heads + kv_head) * shape.head_dim * kKeyBlock;
}

// block[d * kKeyBlock + slot + i] = rows[i * stride + d] for i < count; no other element of the block is
// touched.
void transpose_keys(float* block, int64_t slot, const float* rows, int64_t stride, int64_t count,
                    int64_t head_dim);

// One segment's share of one page, for one kv head: its own positions inside the block and, where it begins
// inside it, those of its ancestors. Element of kv_write (ops/ops.h).
void write_block(const KvPages& pages, const Tensor& k, const Tensor& v, const AttentionBatch& batch,
                 const AttentionShape& shape, const Segment& segment, int64_t block, int64_t kv_head);

}  // namespace COPPICE_ISA
}  // namespace coppice
