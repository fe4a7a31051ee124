#include "cpu/cpu_backend_base.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "base/error.h"

namespace coppice {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

size_t round_to_pages(size_t bytes) {
  constexpr size_t kPage = size_t{64} << 10;  // a multiple of every usual page size
  return (bytes + kPage - 1) / kPage * kPage;
}

// Pages of the system's own, the first one at a multiple of kHugePage; null when the system refuses.
void* map_pages(size_t bytes) {
  const size_t mapped = bytes + kHugePage;
  void* const begin = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) return nullptr;
  const size_t head = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  char* const data = static_cast<char*>(begin) + head;
  if (head > 0) munmap(begin, head);
  munmap(data + bytes, mapped - head - bytes);
#if defined(__linux__)
  madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

}  // namespace

// Bytes of the large arrays, by where they begin.
struct CpuBackendBase::Mappings {
  std::mutex lock;
  std::unordered_map<void*, size_t> bytes;
};

CpuBackendBase::CpuBackendBase(int threads)
    : team_(ThreadPool::shared(threads), threads), mappings_(std::make_unique<Mappings>()) {}
CpuBackendBase::~CpuBackendBase() = default;

const char* CpuBackendBase::name() const {
  return "cpu";
}
int CpuBackendBase::threads() const {
  return team_.threads();
}

void* CpuBackendBase::allocate(size_t bytes) {
  // Large arrays in huge pages: a product reads hundreds of rows at once, each on a page of its own. Not from
  // malloc, which may keep what is released and so hold more than was ever planned.
  void* data = nullptr;
  if (bytes >= 2 * kHugePage) {
    const size_t mapped = round_to_pages(bytes);
    data = map_pages(mapped);
    const std::lock_guard lock(mappings_->lock);
    if (data != nullptr) mappings_->bytes.emplace(data, mapped);
  } else if (posix_memalign(&data, kAlignment, bytes == 0 ? 1 : bytes) != 0) {
    data = nullptr;
  }
  if (data == nullptr) fail(ErrorCode::kOutOfMemory, "the system refused %zu bytes", bytes);
  return data;
}

void CpuBackendBase::release(void* data) noexcept {
  const std::lock_guard lock(mappings_->lock);
  const auto found = mappings_->bytes.find(data);
  if (found == mappings_->bytes.end()) {
    std::free(data);
    return;
  }
  munmap(data, found->second);
  mappings_->bytes.erase(found);
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
