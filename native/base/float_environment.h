// Rounding to nearest, denormals flushed to zero, exceptions masked: set on every thread that computes, for
// as long as it does, so that a host that changed its own floating-point flags cannot change a bit of a
// result.
#pragma once

#include <cstdint>

namespace coppice {

class ScopedFloatEnvironment {
 public:
  ScopedFloatEnvironment();
  ~ScopedFloatEnvironment();
  ScopedFloatEnvironment(const ScopedFloatEnvironment&) = delete;
  ScopedFloatEnvironment& operator=(const ScopedFloatEnvironment&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace coppice
