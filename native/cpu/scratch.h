// Cuts an op's scratch into arrays. Run over no memory it only counts, so that x_scratch_bytes and the op
// itself agree.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

class ScratchCutter {
 public:
  explicit ScratchCutter(void* data) : data_(static_cast<char*>(data)) {}

  // Aligned to a cache line, so that threads' pieces do not share one.
  template <typename T = float>
  COPPICE_INLINE T* take(int64_t count) {
    T* piece = data_ == nullptr ? nullptr : reinterpret_cast<T*>(data_ + used_);
    used_ += static_cast<size_t>(round_up(count * static_cast<int64_t>(sizeof(T)), kLineBytes));
    return piece;
  }
  size_t used() const { return used_; }

 private:
  static constexpr int64_t kLineBytes = 64;
  char* data_;
  size_t used_ = 0;
};

}  // namespace COPPICE_ISA
}  // namespace coppice
