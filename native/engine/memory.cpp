#include "engine/memory.h"

#include <utility>

namespace coppice {

Buffer::Buffer(Backend& backend, size_t bytes)
    : backend_(&backend), data_(bytes == 0 ? nullptr : backend.allocate(bytes)), bytes_(bytes) {
  backend.note_held(static_cast<int64_t>(bytes_));
}

Buffer::~Buffer() {
  free();
}

void Buffer::free() noexcept {
  if (data_ == nullptr) return;
  backend_->release(data_);
  backend_->note_held(-static_cast<int64_t>(bytes_));
}

Buffer::Buffer(Buffer&& other) noexcept
    : backend_(other.backend_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    free();
    backend_ = other.backend_;
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void Workspace::reserve(size_t bytes) {
  if (block_.bytes() >= bytes) return;
  block_ = Buffer();  // freed first: the two need not fit side by side
  block_ = Buffer(*backend_, bytes);
  backend_->zero(block_.data(), block_.bytes());
}

}  // namespace coppice
