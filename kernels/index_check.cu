#include "index_check.cuh"

#include "base/error.h"

namespace coppice {
namespace {

constexpr int kCheckThreads = 256;

// One block, so that the smallest place is found without a race between blocks.
__global__ void check_indices_kernel(IndexFault* fault, const char* op, IndexArray array,
                                     const int32_t* indices, int64_t count, int64_t limit) {
  __shared__ unsigned long long first;
  if (threadIdx.x == 0) first = ~0ull;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < count; i += kCheckThreads) {
    if (indices[i] >= 0 && indices[i] < limit) continue;
    atomicMin(&first, static_cast<unsigned long long>(i));
    break;
  }
  __syncthreads();
  if (threadIdx.x != 0 || first == ~0ull || found(fault)) return;
  *fault = {array, op, first, limit, indices[first]};
}

}  // namespace

void check_indices(IndexFault* fault, const char* op, IndexArray array, const int32_t* indices, int64_t count,
                   int64_t limit, const Stream& stream) {
  if (count == 0) return;
  launch("check_indices_kernel", check_indices_kernel, 1, kCheckThreads, stream, fault, op, array, indices,
         count, limit);
}

void fail_by(const IndexFault& fault) {
  const char* array = fault.array == IndexArray::kTokens     ? "tokens"
                      : fault.array == IndexArray::kRowIndex ? "row_index"
                                                             : "target";
  fail(ErrorCode::kInvalidArgument, "%s: %s[%llu]: expected 0 to %lld, received %d", fault.op, array,
       fault.place, static_cast<long long>(fault.limit - 1), fault.value);
}

}  // namespace coppice
