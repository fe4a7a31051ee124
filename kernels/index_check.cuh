// Indices that live in device memory are checked where they index, by a kernel: the op that reads them writes
// nothing when one is out of range, and the host finds out when it next waits for the device.
#pragma once

#include <cstdint>

#include "launch.cuh"

namespace coppice {

enum class IndexArray : uint32_t { kNone, kTokens, kRowIndex, kTarget };

// The smallest bad place of the first bad array.
struct IndexFault {
  IndexArray array;
  const char* op;  // of the host's memory
  unsigned long long place;
  int64_t limit;
  int32_t value;
};

// Checks that indices [count] lie in [0, limit).
void check_indices(IndexFault* fault, const char* op, IndexArray array, const int32_t* indices, int64_t count,
                   int64_t limit, const Stream& stream);

// Throws INVALID_ARGUMENT.
[[noreturn]] void fail_by(const IndexFault& fault);

__device__ inline bool found(const IndexFault* fault) {
  return fault->array != IndexArray::kNone;
}

}  // namespace coppice
