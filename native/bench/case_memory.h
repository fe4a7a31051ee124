// The operands of one timed op: backend memory with numbers in it that look random, freed together.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/device_memory.h"

namespace coppice::bench {

class CaseMemory {
 public:
  // dtype: of parameters.
  CaseMemory(Backend& backend, DType dtype) : backend_(backend), dtype_(dtype) {}

  Backend& backend() const { return backend_; }
  DType dtype() const { return dtype_; }

  // Values in [-0.5, 0.5).
  const Tensor& tensor(int64_t rows, int64_t cols);
  float* floats(int64_t count) { return static_cast<float*>(tensor(1, count).data); }
  float* constants(int64_t count, float value) {
    return array(std::vector<float>(static_cast<size_t>(count), value));
  }
  Parameter& parameter(ParameterKind kind, int64_t rows, int64_t cols);
  template <typename T>
  T* array(const std::vector<T>& values) {
    return own<DeviceArray<T>>(backend_, values).data();
  }
  // Indices in [0, end) that jump about.
  int32_t* indices(int64_t count, int64_t end);
  // 0, 1, ... with `step` between.
  int32_t* range(int64_t count, int64_t step = 1);
  Context& context(size_t scratch_bytes) { return own<OwnContext>(backend_, scratch_bytes).get(); }

  // An object that lives as long as this one.
  template <typename T, typename... Args>
  T& own(Args&&... args) {
    const auto kept = std::make_shared<T>(std::forward<Args>(args)...);
    kept_.push_back(kept);
    return *kept;
  }

 private:
  void fill(std::vector<float>& values);

  Backend& backend_;
  DType dtype_;
  uint32_t state_ = 12345;
  std::vector<std::shared_ptr<void>> kept_;
};

}  // namespace coppice::bench
