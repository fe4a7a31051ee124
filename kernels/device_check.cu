// Why a device cannot be used, in one line: what load and `doctor` say.
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "cuda_backend.cuh"

namespace coppice {
namespace {

// Asked after, never run: whether this build has code for a device.
__global__ void probe_kernel() {}

// 13000 as "13.0".
std::string cuda_version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

int count_devices(int device) {
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (driver == 0) {
    fail(ErrorCode::kDeviceUnavailable,
         "cuda:%d: no NVIDIA driver found; this build needs one that knows CUDA %s", device,
         cuda_version(runtime).c_str());
  }
  if (status == cudaErrorInsufficientDriver) {
    fail(ErrorCode::kDeviceUnavailable,
         "cuda:%d: the NVIDIA driver is too old: it knows CUDA %s, this build needs CUDA %s", device,
         cuda_version(driver).c_str(), cuda_version(runtime).c_str());
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    fail(ErrorCode::kDeviceUnavailable, "cuda:%d: the NVIDIA driver shows no device%s%s%s", device,
         visible == nullptr ? "" : " (CUDA_VISIBLE_DEVICES is \"", visible == nullptr ? "" : visible,
         visible == nullptr ? "" : "\")");
  }
  if (status != cudaSuccess)
    fail(ErrorCode::kDeviceUnavailable, "cuda:%d: %s", device, cudaGetErrorString(status));
  return count;
}

}  // namespace

cudaDeviceProp check_device(int device) {
  const int count = count_devices(device);
  if (device >= count)
    fail(ErrorCode::kDeviceUnavailable, "cuda:%d: this machine has %d CUDA devices", device, count);
  check_cuda(cudaSetDevice(device), "cudaSetDevice");
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  if (properties.major < 8) {
    fail(ErrorCode::kDeviceUnavailable, "cuda:%d (%s) has compute capability %d.%d; 8.0 or newer is needed",
         device, properties.name, properties.major, properties.minor);
  }
  cudaFuncAttributes attributes;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, probe_kernel);
  if (status == cudaErrorNoKernelImageForDevice) {
    cudaGetLastError();
    fail(ErrorCode::kDeviceUnavailable,
         "cuda:%d (%s) has compute capability %d.%d, for which this build has no code: build it with "
         "CMAKE_CUDA_ARCHITECTURES=%d%d",
         device, properties.name, properties.major, properties.minor, properties.major, properties.minor);
  }
  check_cuda(status, "cudaFuncGetAttributes");
  return properties;
}

}  // namespace coppice
