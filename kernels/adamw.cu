#include <cmath>
#include <vector>

#include "bf16.cuh"
#include "cuda_backend.cuh"
#include "reduce.cuh"

namespace coppice {
namespace {

constexpr int kElementThreads = 256;
constexpr int kStepBlocks = 1024;

// A block a chunk, so many chunks whatever the card.
__global__ void sum_of_squares_kernel(double* sums, const float* values, int64_t count, int64_t chunk) {
  __shared__ double shared[kElementThreads / kWarp];
  const int64_t begin = blockIdx.x * chunk, end = begin + chunk < count ? begin + chunk : count;
  double sum = 0.0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kElementThreads) {
    const double value = static_cast<double>(values[i]);
    sum += value * value;  // exact: the square of an fp32 number
  }
  sum = block_reduce<Sum>(sum, shared);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// AdamW's constants, in the precision in which they are applied.
struct Coefficients {
  float grad_scale, keep, beta1, one_minus_beta1, beta2, one_minus_beta2, inverse_root_correction2, step_size,
      eps;
};

Coefficients coefficients_of(const AdamwParams& p) {
  const double step = static_cast<double>(p.step);
  return {static_cast<float>(p.grad_scale),
          static_cast<float>(1.0 - p.learning_rate * p.weight_decay),
          static_cast<float>(p.beta1),
          static_cast<float>(1.0 - p.beta1),
          static_cast<float>(p.beta2),
          static_cast<float>(1.0 - p.beta2),
          static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(p.beta2, step))),
          static_cast<float>(p.learning_rate / (1.0 - std::pow(p.beta1, step))),
          static_cast<float>(p.eps)};
}

__global__ void adamw_step_kernel(unsigned long long* counts, float* master, const float* grad, float* m,
                                  float* v, int64_t count, Coefficients k) {
  unsigned changed = 0, lost = 0;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kElementThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kElementThreads + threadIdx.x; i < count; i += stride) {
    const float g = k.grad_scale * grad[i];
    const float first_moment = fmaf(k.beta1, m[i], k.one_minus_beta1 * g);
    const float second_moment = fmaf(k.beta2, v[i], k.one_minus_beta2 * g * g);
    const float denominator = sqrtf(second_moment) * k.inverse_root_correction2 + k.eps;
    const float before = master[i];
    const float after = fmaf(-k.step_size, first_moment / denominator, before * k.keep);
    m[i] = first_moment;
    v[i] = second_moment;
    master[i] = after;
    if (before == after) continue;
    ++changed;
    lost += narrowed(before).bits == narrowed(after).bits ? 1 : 0;
  }
  changed = warp_reduce<Sum>(changed);
  lost = warp_reduce<Sum>(lost);
  if (threadIdx.x % kWarp != 0) return;
  atomicAdd(&counts[0], static_cast<unsigned long long>(changed));
  atomicAdd(&counts[1], static_cast<unsigned long long>(lost));
}

}  // namespace

void CudaBackend::sum_of_squares(Context&, double* result, const float* values, int64_t count) {
  if (count == 0) return;
  double* sums = static_cast<double*>(host_values_);
  const int64_t chunk = (count + kSumChunks - 1) / kSumChunks;
  launch("sum_of_squares_kernel", sum_of_squares_kernel, kSumChunks, kElementThreads, stream_, sums, values,
         count, chunk);
  double partial[kSumChunks];
  download(partial, sums, sizeof partial);
  double total = 0.0;
  for (const double sum : partial) total += sum;
  *result += total;
}

void CudaBackend::adamw_step(Context&, AdamwStats* stats, float* master, const float* grad, float* m,
                             float* v, int64_t count, const AdamwParams& params) {
  auto* counts = static_cast<unsigned long long*>(host_values_);
  zero(counts, 2 * sizeof *counts);
  const int64_t blocks = (count + kElementThreads - 1) / kElementThreads;
  launch("adamw_step_kernel", adamw_step_kernel,
         static_cast<unsigned>(blocks < kStepBlocks ? blocks : kStepBlocks), kElementThreads, stream_, counts,
         master, grad, m, v, count, coefficients_of(params));
  unsigned long long host[2];
  download(host, counts, sizeof host);
  stats->changed += static_cast<int64_t>(host[0]);
  stats->lost_in_bf16 += static_cast<int64_t>(host[1]);
}

}  // namespace coppice
