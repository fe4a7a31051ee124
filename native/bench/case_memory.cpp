#include "bench/case_memory.h"

#include <algorithm>

namespace coppice::bench {
namespace {

// A parameter is filled in pieces of about so many values.
constexpr int64_t kPiece = 1 << 22;

}  // namespace

void CaseMemory::fill(std::vector<float>& values) {
  for (float& value : values) {
    state_ = state_ * 1664525u + 1013904223u;
    value = static_cast<float>(state_ >> 8) * 0x1p-24f - 0.5f;
  }
}

const Tensor& CaseMemory::tensor(int64_t rows, int64_t cols) {
  const DeviceMatrix& matrix = own<DeviceMatrix>(backend_, rows, cols);
  std::vector<float> values(static_cast<size_t>(rows * cols));
  fill(values);
  backend_.upload(matrix.data(), values.data(), float_bytes(rows * cols));
  return matrix.view();
}

Parameter& CaseMemory::parameter(ParameterKind kind, int64_t rows, int64_t cols) {
  Parameter& parameter = own<DeviceParameter>(backend_, kind, rows, cols, dtype_).view();
  const int64_t step = std::max<int64_t>(1, kPiece / cols);
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    std::vector<float> values(static_cast<size_t>(count * cols));
    fill(values);
    backend_.parameter_upload(parameter, begin, count, values.data());
  }
  return parameter;
}

int32_t* CaseMemory::indices(int64_t count, int64_t end) {
  std::vector<int32_t> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = static_cast<int32_t>(i * 7919 % end);
  return array(values);
}

int32_t* CaseMemory::range(int64_t count, int64_t step) {
  std::vector<int32_t> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = static_cast<int32_t>(i * step);
  return array(values);
}

}  // namespace coppice::bench
