// Arrays, parameters and packed sequences in a backend's memory, for calls of single ops.
#pragma once

#include <cstdint>
#include <vector>

#include "base/float_environment.h"
#include "engine/memory.h"

namespace coppice {

inline size_t float_bytes(int64_t elements) {
  return static_cast<size_t>(elements) * sizeof(float);
}

class DeviceMatrix {
 public:
  DeviceMatrix(Backend& backend, int64_t rows, int64_t cols)
      : backend_(&backend), buffer_(backend, float_bytes(rows * cols)), view_(buffer_.data(), rows, cols) {}
  DeviceMatrix(Backend& backend, const float* host, int64_t rows, int64_t cols)
      : DeviceMatrix(backend, rows, cols) {
    backend_->upload(buffer_.data(), host, float_bytes(rows * cols));
  }
  const Tensor& view() const { return view_; }
  float* data() const { return buffer_.f32(); }
  void download(float* host) const {
    backend_->download(host, buffer_.data(), float_bytes(view_.rows * view_.cols));
  }
  void zero() const { backend_->zero(buffer_.data(), buffer_.bytes()); }

 private:
  Backend* backend_;
  Buffer buffer_;
  Tensor view_;
};

class DeviceParameter {
 public:
  // Without values yet.
  DeviceParameter(Backend& backend, ParameterKind kind, int64_t rows, int64_t cols, DType dtype)
      : buffer_(backend, backend.parameter_storage_bytes(kind, rows, cols, dtype)),
        parameter_{"weight", kind, rows, cols, dtype, buffer_.data(), buffer_.bytes()} {}
  DeviceParameter(Backend& backend, ParameterKind kind, const float* host, int64_t rows, int64_t cols,
                  DType dtype = DType::kF32)
      : DeviceParameter(backend, kind, rows, cols, dtype) {
    backend.parameter_upload(parameter_, 0, rows, host);
  }
  const Parameter& view() const { return parameter_; }
  Parameter& view() { return parameter_; }

 private:
  Buffer buffer_;
  Parameter parameter_;
};

template <typename T>
class DeviceArray {
 public:
  DeviceArray(Backend& backend, const std::vector<T>& host) : buffer_(backend, host.size() * sizeof(T)) {
    upload(backend, buffer_.data(), host);
  }
  T* data() const { return static_cast<T*>(buffer_.data()); }

 private:
  Buffer buffer_;
};

// A context with scratch of its own, under coppice's floating-point environment.
class OwnContext {
 public:
  OwnContext(Backend& backend, size_t scratch_bytes)
      : scratch_(backend, scratch_bytes), context_{&backend, {scratch_.data(), scratch_bytes}, true} {}
  Context& get() { return context_; }

 private:
  ScopedFloatEnvironment environment_;
  Buffer scratch_;
  Context context_;
};

// Segments that are packed one behind the other as they are added, each with pages of its own from the block
// on in which it begins; the blocks before that are its parent's.
struct PackedForest {
  std::vector<Segment> segments;
  std::vector<int32_t> page_table;
  int32_t rows = 0, pages = 0;

  // Returns the new segment's index. `position` is where it begins: 0 for a root that stands alone, more for
  // one whose earlier keys are in its pages already; a child's is where its parent ends.
  int32_t add(int32_t length, int32_t parent = -1, int32_t position = 0);
  // Sequences of rows [offsets[i], offsets[i + 1]), offsets from 0; empty ones have no segment.
  static PackedForest of_sequences(const std::vector<int32_t>& offsets);
};

// A forest's tables and the pages of one layer's keys and values.
class DevicePages {
 public:
  // kv_cols = NKV * HD.
  DevicePages(Backend& backend, const PackedForest& forest, int64_t kv_cols);
  AttentionBatch batch() const { return {segments_.data(), segment_count_, page_table_.data()}; }
  KvPages pages() const { return {keys_.data(), values_.data(), DType::kF32}; }

 private:
  int32_t segment_count_;
  DeviceArray<Segment> segments_;
  DeviceArray<int32_t> page_table_;
  DeviceMatrix keys_, values_;
};

}  // namespace coppice
