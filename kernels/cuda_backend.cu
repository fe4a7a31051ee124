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

std::unique_ptr<Backend> open_cuda_backend(int device) {
  return std::make_unique<CudaBackend>(device);
}

CudaBackend::CudaBackend(int device) {
  const cudaDeviceProp properties = check_device(device);
  stream_.device = device;
  std::snprintf(architecture_, sizeof architecture_, "sm_%d%d", properties.major, properties.minor);
  try {
    check_cuda(cudaStreamCreateWithFlags(&stream_.handle, cudaStreamNonBlocking), "cudaStreamCreate");
    index_fault_ = static_cast<IndexFault*>(allocate(sizeof(IndexFault)));
    host_values_ = allocate(kSumChunks * sizeof(double));
    sequence_stats_ = static_cast<PolicyLossStats*>(allocate(kSequencesAtOnce * sizeof(PolicyLossStats)));
    void* seen = nullptr;
    check_cuda(cudaHostAlloc(&seen, sizeof(IndexFault), cudaHostAllocDefault), "cudaHostAlloc");
    index_fault_seen_ = static_cast<IndexFault*>(seen);
    zero(index_fault_, sizeof(IndexFault));
    synchronize();
  } catch (...) {
    free_all();
    throw;
  }
}

CudaBackend::~CudaBackend() {
  free_all();
}

void CudaBackend::free_all() noexcept {
  if (sequence_stats_ != nullptr) cudaFree(sequence_stats_);
  if (host_values_ != nullptr) cudaFree(host_values_);
  if (index_fault_ != nullptr) cudaFree(index_fault_);
  if (index_fault_seen_ != nullptr) cudaFreeHost(index_fault_seen_);
  if (stream_.handle != nullptr) cudaStreamDestroy(stream_.handle);
}

void* CudaBackend::allocate(size_t bytes) {
  check_cuda(cudaSetDevice(stream_.device), "cudaSetDevice");
  void* data = nullptr;
  check_cuda(cudaMalloc(&data, bytes > 0 ? bytes : 1), "cudaMalloc");
  return data;
}

void CudaBackend::release(void* data) noexcept {
  cudaFree(data);
}

// The host's memory is pageable and the caller's to change again, so the host waits.
void CudaBackend::upload(void* device, const void* host, size_t bytes) {
  check_cuda(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_.handle), "upload");
  check_cuda(cudaStreamSynchronize(stream_.handle), "upload");
}

void CudaBackend::fetch(void* host, const void* device, size_t bytes) const {
  check_cuda(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_.handle), "download");
  check_cuda(cudaStreamSynchronize(stream_.handle), "download");
}

void CudaBackend::download(void* host, const void* device, size_t bytes) {
  check_cuda(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_.handle), "download");
  synchronize();
}

void CudaBackend::copy(void* to, const void* from, size_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_.handle), "copy");
}

void CudaBackend::zero(void* data, size_t bytes) {
  check_cuda(cudaMemsetAsync(data, 0, bytes, stream_.handle), "zero");
}

void CudaBackend::synchronize() {
  fetch(index_fault_seen_, index_fault_, sizeof(IndexFault));
  if (index_fault_seen_->array == IndexArray::kNone) return;
  const IndexFault fault = *index_fault_seen_;
  zero(index_fault_, sizeof(IndexFault));
  fail_by(fault);
}

}  // namespace coppice
