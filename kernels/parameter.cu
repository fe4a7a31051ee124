// Parameters in device memory: row-major floats; a matrix in bf16 has two bytes an element and rows that
// begin on multiples of 16 bytes (narrow.cuh); a vector in bf16 holds floats that are bf16 numbers.
#include <vector>

#include "base/error.h"
#include "bf16.cuh"
#include "cuda_backend.cuh"

namespace coppice {
namespace {

constexpr int kElementThreads = 256;

// Floats that keep what bf16 leaves of them.
__global__ void round_kernel(float* to, const float* from, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  if (i < count) to[i] = widened(narrowed(from[i]));
}

bool is_narrow(const Parameter& parameter) {
  return parameter.kind == ParameterKind::kMatrix && parameter.dtype == DType::kBF16;
}

size_t row_bytes(const Parameter& parameter) {
  return is_narrow(parameter) ? bf16_bytes(1, parameter.cols)
                              : static_cast<size_t>(parameter.cols) * sizeof(float);
}

}  // namespace

size_t CudaBackend::parameter_storage_bytes(ParameterKind kind, int64_t rows, int64_t cols,
                                            DType dtype) const {
  if (dtype == DType::kF16)
    fail(ErrorCode::kInvalidArgument, "parameters: expected f32 or bf16, received %s", dtype_name(dtype));
  const bool narrow = kind == ParameterKind::kMatrix && dtype == DType::kBF16;
  return narrow ? bf16_bytes(rows, cols) : static_cast<size_t>(rows * cols) * sizeof(float);
}

void CudaBackend::parameter_upload(Parameter& parameter, int64_t row_begin, int64_t rows, const float* host) {
  const size_t count = static_cast<size_t>(rows * parameter.cols);
  char* to = static_cast<char*>(parameter.storage) + static_cast<size_t>(row_begin) * row_bytes(parameter);
  if (parameter.dtype == DType::kF32) {
    upload(to, host, count * sizeof(float));
  } else if (is_narrow(parameter)) {
    const size_t stride = static_cast<size_t>(matrix_stride(parameter)),
                 cols = static_cast<size_t>(parameter.cols);
    std::vector<Bf16> narrow(static_cast<size_t>(rows) * stride);
    for (size_t i = 0; i < count; ++i) narrow[i / cols * stride + i % cols] = narrowed(host[i]);
    upload(to, narrow.data(), narrow.size() * sizeof(Bf16));
  } else {
    std::vector<float> rounded(count);
    for (size_t i = 0; i < count; ++i) rounded[i] = widened(narrowed(host[i]));
    upload(to, rounded.data(), count * sizeof(float));
  }
}

void CudaBackend::parameter_download(const Parameter& parameter, int64_t row_begin, int64_t rows,
                                     float* host) const {
  const size_t count = static_cast<size_t>(rows * parameter.cols);
  const char* from =
      static_cast<const char*>(parameter.storage) + static_cast<size_t>(row_begin) * row_bytes(parameter);
  if (!is_narrow(parameter)) {
    fetch(host, from, count * sizeof(float));
    return;
  }
  const size_t stride = static_cast<size_t>(matrix_stride(parameter)),
               cols = static_cast<size_t>(parameter.cols);
  std::vector<Bf16> narrow(static_cast<size_t>(rows) * stride);
  fetch(narrow.data(), from, narrow.size() * sizeof(Bf16));
  for (size_t i = 0; i < count; ++i) host[i] = widened(narrow[i / cols * stride + i % cols]);
}

void CudaBackend::parameter_pack(Parameter& parameter, const float* master) {
  const int64_t count = parameter.rows * parameter.cols;
  if (parameter.dtype == DType::kF32) {
    copy(parameter.storage, master, static_cast<size_t>(count) * sizeof(float));
  } else if (is_narrow(parameter)) {
    const Tensor values(const_cast<float*>(master), parameter.rows, parameter.cols);
    narrow_rows({static_cast<Bf16*>(parameter.storage), matrix_stride(parameter)}, values, nullptr,
                parameter.rows, nullptr, stream_);
  } else {
    launch("round_kernel", round_kernel, blocks_for(count, kElementThreads), kElementThreads, stream_,
           static_cast<float*>(parameter.storage), master, count);
  }
}

}  // namespace coppice
