// Parameters in device memory: row-major, two bytes an element for a matrix in bf16, else floats; a vector in
// bf16 holds floats that are bf16 numbers.
#include <vector>

#include "base/error.h"
#include "bf16.cuh"
#include "cuda_backend.cuh"

namespace coppice {
namespace {

constexpr int kElementThreads = 256;

template <typename T>
__global__ void narrow_kernel(T* to, const float* from, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  if (i < count) to[i] = T{narrowed(from[i])};
}

// A float that keeps what bf16 leaves of it.
struct RoundedFloat {
  float value;
  __device__ explicit RoundedFloat(Bf16 rounded) : value(widened(rounded)) {}
};

bool is_narrow(const Parameter& parameter) {
  return parameter.kind == ParameterKind::kMatrix && parameter.dtype == DType::kBF16;
}

size_t element_bytes(const Parameter& parameter) {
  return is_narrow(parameter) ? sizeof(Bf16) : sizeof(float);
}

}  // namespace

size_t CudaBackend::parameter_storage_bytes(ParameterKind kind, int64_t rows, int64_t cols,
                                            DType dtype) const {
  if (dtype == DType::kF16)
    fail(ErrorCode::kInvalidArgument, "parameters: expected f32 or bf16, received %s", dtype_name(dtype));
  const bool narrow = kind == ParameterKind::kMatrix && dtype == DType::kBF16;
  return static_cast<size_t>(rows * cols) * (narrow ? sizeof(Bf16) : sizeof(float));
}

void CudaBackend::parameter_upload(Parameter& parameter, int64_t row_begin, int64_t rows, const float* host) {
  const size_t first = static_cast<size_t>(row_begin * parameter.cols),
               count = static_cast<size_t>(rows * parameter.cols);
  char* to = static_cast<char*>(parameter.storage) + first * element_bytes(parameter);
  if (parameter.dtype == DType::kF32) {
    upload(to, host, count * sizeof(float));
  } else if (is_narrow(parameter)) {
    std::vector<Bf16> narrow(count);
    for (size_t i = 0; i < count; ++i) narrow[i] = narrowed(host[i]);
    upload(to, narrow.data(), count * sizeof(Bf16));
  } else {
    std::vector<float> rounded(count);
    for (size_t i = 0; i < count; ++i) rounded[i] = widened(narrowed(host[i]));
    upload(to, rounded.data(), count * sizeof(float));
  }
}

void CudaBackend::parameter_download(const Parameter& parameter, int64_t row_begin, int64_t rows,
                                     float* host) const {
  const size_t first = static_cast<size_t>(row_begin * parameter.cols),
               count = static_cast<size_t>(rows * parameter.cols);
  const char* from = static_cast<const char*>(parameter.storage) + first * element_bytes(parameter);
  if (!is_narrow(parameter)) {
    fetch(host, from, count * sizeof(float));
    return;
  }
  std::vector<Bf16> narrow(count);
  fetch(narrow.data(), from, count * sizeof(Bf16));
  for (size_t i = 0; i < count; ++i) host[i] = widened(narrow[i]);
}

void CudaBackend::parameter_pack(Parameter& parameter, const float* master) {
  const int64_t count = parameter.rows * parameter.cols;
  if (parameter.dtype == DType::kF32) {
    copy(parameter.storage, master, static_cast<size_t>(count) * sizeof(float));
  } else if (is_narrow(parameter)) {
    launch("narrow_kernel", narrow_kernel<Bf16>, blocks_for(count, kElementThreads), kElementThreads, stream_,
           static_cast<Bf16*>(parameter.storage), master, count);
  } else {
    launch("narrow_kernel", narrow_kernel<RoundedFloat>, blocks_for(count, kElementThreads), kElementThreads,
           stream_, static_cast<RoundedFloat*>(parameter.storage), master, count);
  }
}

}  // namespace coppice
