#include "cpu/cpu_backend_base.h"

#include <cstdlib>
#include <cstring>

#include "base/error.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace coppice {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

CpuBackendBase::CpuBackendBase(int threads) : team_(ThreadPool::shared(threads), threads) {}
CpuBackendBase::~CpuBackendBase() = default;

const char* CpuBackendBase::name() const {
  return "cpu";
}
int CpuBackendBase::threads() const {
  return team_.threads();
}

void* CpuBackendBase::allocate(size_t bytes) {
  // Large arrays in huge pages: a product reads hundreds of rows at once, each on a page of its own.
  const bool large = bytes >= 2 * kHugePage;
  void* data = nullptr;
  if (posix_memalign(&data, large ? kHugePage : kAlignment, bytes == 0 ? 1 : bytes) != 0) {
    fail(ErrorCode::kOutOfMemory, "the system refused %zu bytes", bytes);
  }
#if defined(__linux__)
  if (large) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

void CpuBackendBase::release(void* data) noexcept {
  std::free(data);
}

void CpuBackendBase::upload(void* device, const void* host, size_t bytes) {
  copy(device, host, bytes);
}
void CpuBackendBase::download(void* host, const void* device, size_t bytes) {
  copy(host, device, bytes);
}
void CpuBackendBase::copy(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memmove(to, from, bytes);
}
void CpuBackendBase::zero(void* data, size_t bytes) {
  if (bytes > 0) std::memset(data, 0, bytes);
}
void CpuBackendBase::synchronize() {}

}  // namespace coppice
