#include "base/float_environment.h"

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

namespace coppice {

#if defined(__x86_64__) || defined(__i386__)
namespace {
// All exceptions masked, round to nearest, flush results and operands that are denormal.
constexpr uint32_t kControl = 0x1F80 | 0x8000 | 0x0040;
}  // namespace

ScopedFloatEnvironment::ScopedFloatEnvironment() : saved_(_mm_getcsr()) {
  _mm_setcsr(kControl);
}
ScopedFloatEnvironment::~ScopedFloatEnvironment() {
  _mm_setcsr(static_cast<uint32_t>(saved_));
}

#elif defined(__aarch64__)
namespace {
constexpr uint64_t kFlushToZero = uint64_t{1}
                                  << 24;  // FPCR.FZ; everything else 0: round to nearest, no traps
}  // namespace

ScopedFloatEnvironment::ScopedFloatEnvironment() : saved_(0) {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" : : "r"(kFlushToZero));
}
ScopedFloatEnvironment::~ScopedFloatEnvironment() {
  asm volatile("msr fpcr, %0" : : "r"(saved_));
}

#else
// Elsewhere the host's environment is taken as it is.
ScopedFloatEnvironment::ScopedFloatEnvironment() : saved_(0) {}
ScopedFloatEnvironment::~ScopedFloatEnvironment() = default;
#endif

}  // namespace coppice
