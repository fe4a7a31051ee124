// CUDA's words on the host: what kernels/ uses of the language and of the runtime, so that a C++ compiler
// builds the kernels' own sources and a test runs them without a card. Every thread of a block is a fiber
// (block.h): barriers, shuffles and votes really wait for each other. What this shows is a kernel's
// arithmetic, its indices and its synchronisation; not a card's memory model, not its instructions, not its
// speed.
//
// This machine has three devices. They differ in the order in which the threads of a block, and the blocks of
// a grid, take turns: 0 forward, 1 in reverse, 2 at random. A result that depends on it is a race.
#pragma once

#include <math.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "native/cuda_on_host/block.h"
#include "native/cuda_on_host/warp_matrix.h"

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

// ---- threads of a block ----
inline void __syncthreads() {
  coppice::on_host::wait_for_block();
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) {
  coppice::on_host::exchange(mask, nullptr, 0);
}

namespace coppice::on_host {

// What lane `from` holds as `value`.
template <typename T>
T value_of_lane(unsigned mask, T value, int from) {
  static_assert(sizeof(T) <= sizeof(Deposit));
  const Deposit* lanes = exchange(mask, &value, sizeof value);
  std::memcpy(&value, &lanes[from], sizeof value);
  return value;
}
inline int lane() {
  return static_cast<int>(linear_thread() % 32);
}

}  // namespace coppice::on_host

template <typename T>
T __shfl_sync(unsigned mask, T value, int from) {
  return coppice::on_host::value_of_lane(mask, value, from & 31);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return coppice::on_host::value_of_lane(mask, value, (coppice::on_host::lane() ^ bits) & 31);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance) {
  const int lane = coppice::on_host::lane(), from = lane - static_cast<int>(distance);
  return coppice::on_host::value_of_lane(mask, value, from < 0 ? lane : from);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const coppice::on_host::Deposit* lanes = coppice::on_host::exchange(mask, &predicate, sizeof predicate);
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane) {
    int other;
    std::memcpy(&other, &lanes[lane], sizeof other);
    votes |= (other != 0 ? 1u : 0u) << lane;
  }
  return votes;
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
inline int __syncthreads_or(int predicate) {
  return coppice::on_host::any_in_block(predicate != 0);
}
inline int __ffs(int bits) {
  return __builtin_ffs(bits);
}
inline int __popc(unsigned bits) {
  return __builtin_popcount(bits);
}

// Threads take turns only where they wait, so a plain addition is an atomic one.
template <typename T>
T atomicAdd(T* address, T value) {
  const T before = *address;
  *address = before + value;
  return before;
}
inline unsigned atomicCAS(unsigned* address, unsigned expected, unsigned value) {
  const unsigned before = *address;
  if (before == expected) *address = value;
  return before;
}
template <typename T>
T atomicMin(T* address, T value) {
  const T before = *address;
  if (value < before) *address = value;
  return before;
}

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// ---- the runtime ----
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchFailure = 719,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
struct cudaDeviceProp {
  char name[256];
  int major, minor;
};
typedef struct coppice_on_host_stream* cudaStream_t;
inline constexpr unsigned cudaStreamNonBlocking = 1;
inline constexpr unsigned cudaHostAllocDefault = 0;

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaMalloc(void** data, size_t bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* data);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
struct cudaFuncAttributes {};
namespace coppice::on_host {
cudaError_t code_status();
}
template <typename Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, Kernel*) {
  return coppice::on_host::code_status();
}
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int bytes) {
  // What the least of the architectures that are built for lends to a block.
  return bytes <= 99 * 1024 ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemset2DAsync(void* data, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream);

namespace coppice::on_host {

// Runs a grid; what went wrong is what cudaGetLastError gives next.
void launch(dim3 grid, dim3 block, cudaStream_t stream, const std::function<void()>& thread);

// ---- for tests ----
// Bytes that all devices together may hold.
void limit_memory(size_t bytes);
// What the driver says of this machine.
struct Machine {
  int driver = 13000;
  cudaError_t count_status = cudaSuccess;
  int count = 3;
  int major = 8;
  bool has_code = true;
};
void pretend(const Machine& machine);
// Every call to this device fails with `status` until it is mended with cudaSuccess.
void break_device(int device, cudaError_t status);

}  // namespace coppice::on_host
