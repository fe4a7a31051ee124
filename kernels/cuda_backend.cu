#include "cuda_backend.cuh"

#include <cstdio>

#include "base/error.h"

namespace coppice {

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that does not stick must not be found again by the next check
  const ErrorCode code =
      status == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kDeviceFault;
  fail(code, "%s: %s", what, cudaGetErrorString(status));
}

void check_launch(const char* kernel) {
  check_cuda(cudaGetLastError(), kernel);
}

std::unique_ptr<Backend> open_cuda_backend(int device) {
  return std::make_unique<CudaBackend>(device);
}

CudaBackend::CudaBackend(int device) : device_(device) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    fail(ErrorCode::kDeviceUnavailable, "no CUDA device: %s",
         status == cudaSuccess ? "none found" : cudaGetErrorString(status));
  }
  if (device >= count)
    fail(ErrorCode::kDeviceUnavailable, "cuda:%d: this machine has %d CUDA devices", device, count);
  check_cuda(cudaSetDevice(device), "cudaSetDevice");
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  if (properties.major < 8) {
    fail(ErrorCode::kDeviceUnavailable, "cuda:%d (%s) has compute capability %d.%d; 8.0 or newer is needed",
         device, properties.name, properties.major, properties.minor);
  }
  std::snprintf(architecture_, sizeof architecture_, "sm_%d%d", properties.major, properties.minor);
  check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
}

CudaBackend::~CudaBackend() {
  if (sequence_stats_ != nullptr) cudaFree(sequence_stats_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

void* CudaBackend::allocate(size_t bytes) {
  check_cuda(cudaSetDevice(device_), "cudaSetDevice");  // jobs of one engine may come from a new thread
  void* data = nullptr;
  check_cuda(cudaMalloc(&data, bytes), "cudaMalloc");
  return data;
}

void CudaBackend::release(void* data) noexcept {
  cudaFree(data);
}

void CudaBackend::upload(void* device, const void* host, size_t bytes) {
  check_cuda(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "upload");
  synchronize();  // the host's memory is pageable and the caller's to change again
}

void CudaBackend::download(void* host, const void* device, size_t bytes) {
  check_cuda(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_), "download");
  synchronize();
}

void CudaBackend::copy(void* to, const void* from, size_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "copy");
}

void CudaBackend::zero(void* data, size_t bytes) {
  check_cuda(cudaMemsetAsync(data, 0, bytes, stream_), "zero");
}

void CudaBackend::synchronize() {
  check_cuda(cudaStreamSynchronize(stream_), "synchronize");
}

size_t CudaBackend::parameter_storage_bytes(ParameterKind, int64_t rows, int64_t cols, DType dtype) const {
  if (dtype != DType::kF32) {
    fail(ErrorCode::kInvalidArgument, "parameters: the CUDA backend computes in f32, received %s",
         dtype_name(dtype));
  }
  return static_cast<size_t>(rows * cols) * sizeof(float);
}

void CudaBackend::parameter_upload(Parameter& parameter, int64_t row_begin, int64_t rows, const float* host) {
  upload(static_cast<float*>(parameter.storage) + row_begin * parameter.cols, host,
         static_cast<size_t>(rows * parameter.cols) * sizeof(float));
}

void CudaBackend::parameter_download(const Parameter& parameter, int64_t row_begin, int64_t rows,
                                     float* host) const {
  check_cuda(cudaMemcpyAsync(host, static_cast<const float*>(parameter.storage) + row_begin * parameter.cols,
                             static_cast<size_t>(rows * parameter.cols) * sizeof(float),
                             cudaMemcpyDeviceToHost, stream_),
             "parameter_download");
  check_cuda(cudaStreamSynchronize(stream_), "parameter_download");
}

void CudaBackend::parameter_pack(Parameter& parameter, const float* master) {
  copy(parameter.storage, master, static_cast<size_t>(parameter.rows * parameter.cols) * sizeof(float));
}

size_t CudaBackend::linear_scratch_bytes(int64_t, int64_t, int64_t, DType) const {
  return 0;
}
size_t CudaBackend::attention_scratch_bytes(const AttentionShape&, int64_t) const {
  return 0;
}
size_t CudaBackend::sample_scratch_bytes(int64_t, int64_t, int64_t, DType) const {
  return 0;
}

namespace {

[[noreturn]] void not_here(const char* op) {
  fail(ErrorCode::kDeviceUnavailable, "%s: not on the CUDA backend; use device \"cpu\"", op);
}

}  // namespace

void CudaBackend::embedding_forward(Context&, const Tensor&, const Parameter&, const int32_t*) {
  not_here("embedding_forward");
}
void CudaBackend::embedding_backward(Context&, float*, int64_t, const Tensor&, const int32_t*) {
  not_here("embedding_backward");
}
void CudaBackend::rope_forward(Context&, const Tensor&, const int32_t*, const float*, int32_t) {
  not_here("rope_forward");
}
void CudaBackend::rope_backward(Context&, const Tensor&, const int32_t*, const float*, int32_t) {
  not_here("rope_backward");
}
void CudaBackend::kv_write(Context&, const KvPages&, const Tensor&, const Tensor&, const AttentionBatch&,
                           const AttentionShape&) {
  not_here("kv_write");
}
void CudaBackend::kv_copy(Context&, const KvPages&, int32_t, int32_t, int32_t, const AttentionShape&) {
  not_here("kv_copy");
}
void CudaBackend::attention_forward(Context&, const Tensor&, float*, const Tensor&, const KvPages&,
                                    const AttentionBatch&, const AttentionShape&) {
  not_here("attention_forward");
}
void CudaBackend::attention_backward(Context&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&, const float*, const Tensor&, const Tensor&, const Tensor&,
                                     const AttentionBatch&, const AttentionShape&) {
  not_here("attention_backward");
}
void CudaBackend::swiglu_forward(Context&, const Tensor&, const Tensor&) {
  not_here("swiglu_forward");
}
void CudaBackend::swiglu_backward(Context&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
  not_here("swiglu_backward");
}
void CudaBackend::add_forward(Context&, const Tensor&, const Tensor&, const Tensor&) {
  not_here("add_forward");
}
void CudaBackend::gather_rows(Context&, const Tensor&, const Tensor&, const int32_t*) {
  not_here("gather_rows");
}
void CudaBackend::sample(Context&, int32_t*, float*, float*, float*, const Tensor&, const Parameter&,
                         const SampleKey*, const SampleParams*) {
  not_here("sample");
}
void CudaBackend::sum_of_squares(Context&, double*, const float*, int64_t) {
  not_here("sum_of_squares");
}
void CudaBackend::adamw_step(Context&, AdamwStats*, float*, const float*, float*, float*, int64_t,
                             const AdamwParams&) {
  not_here("adamw_step");
}

}  // namespace coppice
