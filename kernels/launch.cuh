// How a kernel is started: by nvcc's words on a device, or on fibers where the tests build the kernels for
// the host (test/native/cuda_on_host).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

namespace coppice {

// Throws DEVICE_FAULT (or OUT_OF_MEMORY) that names the call unless `status` is success.
void check_cuda(cudaError_t status, const char* what);

// Work in order on one device, which need not be the one that the calling thread used last.
struct Stream {
  cudaStream_t handle = nullptr;
  int device = 0;
};

// Throws for the launch's own failure, without waiting for the kernel. An empty grid is no launch.
template <typename... Params>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, const Stream& stream,
            std::type_identity_t<Params>... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_cuda(cudaSetDevice(stream.device), name);
#if defined(__CUDACC__)
  kernel<<<grid, block, 0, stream.handle>>>(args...);
#else
  on_host::launch(grid, block, stream.handle, [&] { kernel(args...); });
#endif
  check_cuda(cudaGetLastError(), name);
}

// Blocks of `size` that cover `count`.
inline unsigned blocks_for(int64_t count, int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

}  // namespace coppice
