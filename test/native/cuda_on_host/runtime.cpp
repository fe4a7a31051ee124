#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#include "native/cuda_on_host/device_arena.h"

struct coppice_on_host_stream {
  int device;
};

namespace {

using coppice::on_host::DeviceArena;
using coppice::on_host::Order;

constexpr int kDevices = 3;
constexpr int kGuarded = 0;
constexpr Order kOrders[kDevices] = {Order::kForward, Order::kReverse, Order::kRandom};

// One memory for all devices: their addresses are one space on a real machine too.
DeviceArena& arena() {
  static DeviceArena memory;
  return memory;
}

coppice::on_host::Machine pretended;
int current_device = 0;
cudaError_t last_error = cudaSuccess;
cudaError_t broken[kDevices] = {};

cudaError_t report(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

// What a call for this device fails with before it begins.
cudaError_t fault_of(int device) {
  return report(broken[device]);
}

}  // namespace

cudaError_t cudaGetLastError() {
  const cudaError_t status = last_error;
  last_error = cudaSuccess;
  return status;
}

const char* cudaGetErrorString(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    default:
      return "invalid argument";
  }
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = pretended.count;
  return report(pretended.count_status);
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = pretended.driver;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= kDevices) return report(cudaErrorInvalidDevice);
  current_device = device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= kDevices) return report(cudaErrorInvalidDevice);
  std::snprintf(properties->name, sizeof properties->name, "CUDA on the host");
  properties->major = pretended.major;
  properties->minor = 0;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (fault_of(current_device) != cudaSuccess) return broken[current_device];
  *stream = new coppice_on_host_stream{current_device};
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return fault_of(stream->device);
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (fault_of(current_device) != cudaSuccess) return broken[current_device];
  *data = arena().allocate(bytes);
  return *data == nullptr ? report(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (data == nullptr || arena().release(data)) return cudaSuccess;
  return report(cudaErrorInvalidValue);
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  *data = std::malloc(bytes);
  return *data == nullptr ? report(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  if (fault_of(stream->device) != cudaSuccess) return broken[stream->device];
  const DeviceArena::Open open(arena(), stream->device == kGuarded);
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  return cudaMemset2DAsync(data, bytes, value, bytes, 1, stream);
}

cudaError_t cudaMemset2DAsync(void* data, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  if (fault_of(stream->device) != cudaSuccess) return broken[stream->device];
  const DeviceArena::Open open(arena(), stream->device == kGuarded);
  for (size_t row = 0; row < height; ++row) std::memset(static_cast<char*>(data) + row * pitch, value, width);
  return cudaSuccess;
}

namespace coppice::on_host {

void launch(dim3 grid, dim3 block, cudaStream_t stream, const std::function<void()>& thread) {
  if (fault_of(stream->device) != cudaSuccess) return;
  if (stream->device != current_device) {
    report(cudaErrorInvalidResourceHandle);
    return;
  }
  const unsigned threads = block.x * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535 || threads == 0 ||
      threads > 1024) {
    report(cudaErrorInvalidValue);
    return;
  }
  const DeviceArena::Open open(arena(), stream->device == kGuarded);
  // A block whose threads wait in vain hangs on a card, until the driver gives it up for good.
  if (!run_grid(grid, block, kOrders[stream->device], thread))
    report(broken[stream->device] = cudaErrorLaunchFailure);
}

cudaError_t code_status() {
  return report(pretended.has_code ? cudaSuccess : cudaErrorNoKernelImageForDevice);
}

void pretend(const Machine& machine) {
  pretended = machine;
}

void limit_memory(size_t bytes) {
  arena().limit(bytes);
}

void break_device(int device, cudaError_t status) {
  broken[device] = status;
}

}  // namespace coppice::on_host
