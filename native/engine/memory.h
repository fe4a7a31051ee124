// Backend memory with owners: single buffers, and a workspace that is carved into tensors twice: once to
// learn its size, once for real.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace coppice {

// An owned piece of backend memory.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend& backend, size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  void* data() const { return data_; }
  float* f32() const { return static_cast<float*>(data_); }
  size_t bytes() const { return bytes_; }
  bool empty() const { return data_ == nullptr; }

 private:
  void free() noexcept;
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Hands out consecutive aligned pieces of a block. With base == nullptr it only measures.
class Carver {
 public:
  explicit Carver(void* base = nullptr) : base_(static_cast<char*>(base)) {}

  void* bytes(size_t count) {
    void* piece = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (count + 63) / 64 * 64;
    return piece;
  }
  Tensor tensor(int64_t rows, int64_t cols) {
    return {bytes(static_cast<size_t>(rows * cols) * sizeof(float)), rows, cols};
  }
  float* floats(int64_t count) {
    return static_cast<float*>(bytes(static_cast<size_t>(count) * sizeof(float)));
  }
  int32_t* ints(int64_t count) {
    return static_cast<int32_t*>(bytes(static_cast<size_t>(count) * sizeof(int32_t)));
  }
  size_t used() const { return used_; }

 private:
  char* base_;
  size_t used_ = 0;
};

// A block that grows to what was reserved or the largest job it has served, and never moves while a job runs.
class Workspace {
 public:
  explicit Workspace(Backend& backend) : backend_(&backend) {}

  // Every byte of new memory is written to: a system that promises more than it has would else fail in the
  // middle of a job.
  void reserve(size_t bytes);

  // `layout(carver)` is called with a measuring carver and then, on a block that is large enough, for real.
  template <typename Layout>
  void carve(Layout&& layout) {
    Carver measure;
    layout(measure);
    reserve(measure.used());
    Carver real(block_.data());
    layout(real);
  }
  size_t bytes() const { return block_.bytes(); }

 private:
  Backend* backend_;
  Buffer block_;
};

template <typename T>
void upload(Backend& backend, void* to, const std::vector<T>& from) {
  if (!from.empty()) backend.upload(to, from.data(), from.size() * sizeof(T));
}

}  // namespace coppice
