#include "attention_rows.cuh"
#include "cuda_backend.cuh"

namespace coppice {
namespace {

constexpr int kCopyThreads = 128;

// A block a row: its keys and values to their slot.
__global__ void kv_write_kernel(KvPages pages, const float* k, int64_t k_stride, const float* v,
                                int64_t v_stride, AttentionBatch batch, AttentionShape shape) {
  const int64_t row = blockIdx.x;
  const Segment& segment = batch.segments[segment_of_row(batch, row)];
  const int64_t position = segment.position_begin + row - segment.token_begin, slot = position % kKeyBlock;
  const int32_t page = batch.page_table[segment.page_begin + position / kKeyBlock];
  for (int i = static_cast<int>(threadIdx.x); i < shape.num_kv_heads * shape.head_dim; i += kCopyThreads) {
    const int64_t to = page_offset(page, i / shape.head_dim, shape);
    const int d = i % shape.head_dim;
    static_cast<float*>(pages.k)[to + d * kKeyBlock + slot] = k[row * k_stride + i];
    static_cast<float*>(pages.v)[to + slot * shape.head_dim + d] = v[row * v_stride + i];
  }
}

__device__ void copy_slot(const KvPages& pages, int64_t to, int64_t from, int64_t slot, int head_dim) {
  float* k = static_cast<float*>(pages.k);
  float* v = static_cast<float*>(pages.v);
  for (int d = static_cast<int>(threadIdx.x); d < head_dim; d += kCopyThreads) {
    k[to + d * kKeyBlock + slot] = k[from + d * kKeyBlock + slot];
    v[to + slot * head_dim + d] = v[from + slot * head_dim + d];
  }
}

// A block a segment and kv head: where the segment begins inside a page of its own, the slots before it. They
// come from the ancestors' rows and not from their pages, so that no block waits for another; only what was
// in the cache before this batch is taken from a page: the first ancestor's, where that one itself begins
// inside the block.
__global__ void kv_fill_kernel(KvPages pages, const float* k, int64_t k_stride, const float* v,
                               int64_t v_stride, AttentionBatch batch, AttentionShape shape) {
  const Segment& segment = batch.segments[blockIdx.x];
  const int head_dim = shape.head_dim, kv_head = static_cast<int>(blockIdx.y);
  const int64_t block = segment.position_begin / kKeyBlock, block_begin = block * kKeyBlock;
  if (segment.length <= 0 || segment.parent < 0) return;
  const int32_t page = batch.page_table[segment.page_begin + block];
  const int64_t to = page_offset(page, kv_head, shape), column = static_cast<int64_t>(kv_head) * head_dim;
  int64_t end = segment.position_begin;
  const Segment* ancestor = &segment;
  while (end > block_begin && ancestor->parent >= 0) {
    ancestor = &batch.segments[ancestor->parent];
    // One page for both: the ancestor writes its own part.
    if (batch.page_table[ancestor->page_begin + block] == page) return;
    const int64_t begin = ancestor->position_begin > block_begin ? ancestor->position_begin : block_begin;
    for (int64_t position = begin; position < end; ++position) {
      const int64_t row = ancestor->token_begin + position - ancestor->position_begin,
                    slot = position % kKeyBlock;
      for (int d = static_cast<int>(threadIdx.x); d < head_dim; d += kCopyThreads) {
        static_cast<float*>(pages.k)[to + d * kKeyBlock + slot] = k[row * k_stride + column + d];
        static_cast<float*>(pages.v)[to + slot * head_dim + d] = v[row * v_stride + column + d];
      }
    }
    end = begin;
  }
  const int64_t from = page_offset(batch.page_table[ancestor->page_begin + block], kv_head, shape);
  for (int64_t slot = 0; slot < end - block_begin; ++slot) copy_slot(pages, to, from, slot, head_dim);
}

__global__ void kv_copy_kernel(KvPages pages, int32_t to_page, int32_t from_page, AttentionShape shape) {
  const int64_t to = page_offset(to_page, blockIdx.y, shape),
                from = page_offset(from_page, blockIdx.y, shape);
  copy_slot(pages, to, from, blockIdx.x, shape.head_dim);
}

}  // namespace

void CudaBackend::kv_write(Context&, const KvPages& pages, const Tensor& k, const Tensor& v,
                           const AttentionBatch& batch, const AttentionShape& shape) {
  launch("kv_write_kernel", kv_write_kernel, static_cast<unsigned>(k.rows), kCopyThreads, stream_, pages,
         k.f32(), k.stride, v.f32(), v.stride, batch, shape);
  const dim3 heads(static_cast<unsigned>(batch.segment_count), static_cast<unsigned>(shape.num_kv_heads));
  launch("kv_fill_kernel", kv_fill_kernel, heads, kCopyThreads, stream_, pages, k.f32(), k.stride, v.f32(),
         v.stride, batch, shape);
}

void CudaBackend::kv_copy(Context&, const KvPages& pages, int32_t to_page, int32_t from_page, int32_t slots,
                          const AttentionShape& shape) {
  const dim3 grid(static_cast<unsigned>(slots), static_cast<unsigned>(shape.num_kv_heads));
  launch("kv_copy_kernel", kv_copy_kernel, grid, kCopyThreads, stream_, pages, to_page, from_page, shape);
}

}  // namespace coppice
