#include "native/cuda_on_host/device_arena.h"

#include <sys/mman.h>

#include <algorithm>

namespace coppice::on_host {
namespace {

constexpr size_t kArenaBytes = size_t{4} << 30;
constexpr size_t kAlignment = 256;  // as cudaMalloc

size_t rounded(size_t bytes, size_t to) {
  return (bytes + to - 1) / to * to;
}

}  // namespace

DeviceArena::DeviceArena()
    : base_(static_cast<char*>(
          mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
      limit_(kArenaBytes) {}

// The first gap that is large enough.
void* DeviceArena::allocate(size_t bytes) {
  const size_t size = rounded(std::max<size_t>(bytes, 1), kAlignment);
  if (allocated_ + size > limit_) return nullptr;
  size_t offset = 0;
  for (const auto& [begin, length] : pieces_) {
    if (begin - offset >= size) break;
    offset = begin + length;
  }
  if (offset + size > kArenaBytes) return nullptr;
  pieces_[offset] = size;
  allocated_ += size;
  used_ = std::max(used_, offset + size);
  return base_ + offset;
}

bool DeviceArena::release(void* data) {
  const auto piece = pieces_.find(static_cast<size_t>(static_cast<char*>(data) - base_));
  if (piece == pieces_.end()) return false;
  allocated_ -= piece->second;
  pieces_.erase(piece);
  return true;
}

void DeviceArena::protect(bool open) {
  const size_t wanted = open ? rounded(used_, 4096) : 0;
  if (open && opened_ < wanted) mprotect(base_ + opened_, wanted - opened_, PROT_READ | PROT_WRITE);
  if (!open && opened_ > 0) mprotect(base_, opened_, PROT_NONE);
  opened_ = open && opened_ > wanted ? opened_ : wanted;
}

}  // namespace coppice::on_host
