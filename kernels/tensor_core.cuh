// What products in bf16 need of a card of compute capability 8.0 or newer: mma, ldmatrix and cp.async. Where
// the tests build the kernels for the host, test/native/cuda_on_host/warp_matrix.h does the same by the
// fibers of a warp. All 32 lanes of a warp must come to multiply_add and to load_matrices.
#pragma once

#include <cstdint>

#include "bf16.cuh"

namespace coppice {

// Four matrices of 8 x 8 numbers from shared memory: lane l says where line l % 8 of matrix l / 8 begins, on
// a multiple of 16 bytes. In result r lane l finds numbers 2 (l % 4) and 2 (l % 4) + 1 of line l / 4 of
// matrix r, the first in the lower half.
__device__ inline void load_matrices(uint32_t (&result)[4], const Bf16* line) {
#if defined(__CUDACC__)
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(line));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(result[0]), "=r"(result[1]), "=r"(result[2]), "=r"(result[3])
               : "r"(address)
               : "memory");
#else
  on_host::load_matrices(result, line, false);
#endif
}

// The same of the matrices' transposes: lane l finds numbers l / 4 of lines 2 (l % 4) and 2 (l % 4) + 1.
__device__ inline void load_transposed_matrices(uint32_t (&result)[4], const Bf16* line) {
#if defined(__CUDACC__)
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(line));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(result[0]), "=r"(result[1]), "=r"(result[2]), "=r"(result[3])
               : "r"(address)
               : "memory");
#else
  on_host::load_matrices(result, line, true);
#endif
}

// c += a b of 16 x 16 and 16 x 8 numbers, in fp32; with g = lane / 4 and t = 2 (lane % 4):
//   a[0] rows g,     k t, t + 1   a[1] rows g + 8, k t, t + 1   a[2], a[3] the same, 8 further along k
//   b0   columns g,  k t, t + 1   b1 the same, 8 further along k
//   c[0], c[1] row g, columns t, t + 1   c[2], c[3] row g + 8
// The order in which a card adds the sixteen products to c is its own, and the same for every element.
__device__ inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(__CUDACC__)
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, "
      "%1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  on_host::multiply_add(c, a, b0, b1);
#endif
}

// Begins to copy `bytes`, at most 16, to 16 bytes of shared memory, the rest of which becomes zero. Both
// begin on a multiple of 16 bytes.
__device__ inline void copy_async(void* shared, const void* global, int bytes) {
#if defined(__CUDACC__)
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(bytes)
               : "memory");
#else
  on_host::copy_async(shared, global, bytes);
#endif
}

// Ends a group of this thread's copies.
__device__ inline void commit_copies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  on_host::commit_copies();
#endif
}

// Waits for this thread's own groups but the last kPending; __syncthreads makes them everybody's.
template <int kPending>
__device__ inline void wait_for_copies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#else
  on_host::wait_for_copies(kPending);
#endif
}

// A block's shared memory, of the size that it was launched with (launch_sharing).
template <typename Shared>
__device__ inline Shared& shared_memory() {
#if defined(__CUDACC__)
  extern __shared__ __align__(128) unsigned char coppice_shared_bytes[];
  return *reinterpret_cast<Shared*>(coppice_shared_bytes);
#else
  alignas(128) static Shared shared;
  return shared;
#endif
}

}  // namespace coppice
