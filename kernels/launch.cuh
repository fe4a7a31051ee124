// How a kernel is started: by nvcc's words on a device, or on fibers where the tests build the kernels for
// the host (test/native/cuda_on_host).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
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

// Blocks have more shared memory than this only where a kernel is told so.
inline constexpr size_t kPlainSharedBytes = 48 * 1024;

// Throws for the launch's own failure, without waiting for the kernel. An empty grid is no launch. A block
// gets `shared_bytes` of memory as shared_memory().
template <typename... Params>
void launch_sharing(size_t shared_bytes, const char* name, void (*kernel)(Params...), dim3 grid, dim3 block,
                    const Stream& stream, std::type_identity_t<Params>... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_cuda(cudaSetDevice(stream.device), name);
  if (shared_bytes > kPlainSharedBytes) {
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared_bytes)),
               name);
  }
#if defined(__CUDACC__)
  kernel<<<grid, block, shared_bytes, stream.handle>>>(args...);
#else
  on_host::launch(grid, block, stream.handle, [&] { kernel(args...); });
#endif
  check_cuda(cudaGetLastError(), name);
}
template <typename... Params>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, const Stream& stream,
            std::type_identity_t<Params>... args) {
  launch_sharing(0, name, kernel, grid, block, stream, args...);
}

// Blocks of `size` that cover `count`.
inline unsigned blocks_for(int64_t count, int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

}  // namespace coppice
