// Reductions over a block in one fixed order: lanes by a butterfly, then warps in order. Every thread gets
// the result.
#pragma once

#include "launch.cuh"

namespace coppice {

inline constexpr int kWarp = 32;

struct Sum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
  template <typename T>
  __device__ static T neutral() {
    return T(0);
  }
};

struct Maximum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
  template <typename T>
  __device__ static T neutral() {
    return -INFINITY;
  }
};

// Over a warp; every lane gets the result.
template <typename Combine, typename T>
__device__ T warp_reduce(T value) {
  const Combine combine;
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    value = combine(value, __shfl_xor_sync(0xFFFFFFFFu, value, offset));
  return value;
}

// `shared` holds a value for each warp of the block.
template <typename Combine, typename T>
__device__ T block_reduce(T value, T* shared) {
  const Combine combine;
  value = warp_reduce<Combine>(value);
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            warps = (static_cast<int>(blockDim.x) + kWarp - 1) / kWarp;
  __syncthreads();  // an earlier reduction may still be read
  if (threadIdx.x % kWarp == 0) shared[warp] = value;
  __syncthreads();
  T total = Combine::template neutral<T>();
  for (int w = 0; w < warps; ++w) total = combine(total, shared[w]);
  return total;
}

}  // namespace coppice
