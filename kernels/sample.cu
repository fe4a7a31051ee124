// Draws one token a row. Logits, log-sum-exp and log-prob are the head's own (head_partials.cuh), so that
// what is recorded here is what head_forward computes for the same row later.
//
// A mass is e^(y - maximum) in units of 2^-44, a whole number: sums of masses then do not depend on their
// order, and threads may add them as they come. A row of 2^19 tokens fits.
#include <algorithm>

#include "cuda_backend.cuh"
#include "head_partials.cuh"
#include "head_tile.cuh"
#include "sample_select.cuh"

namespace coppice {
namespace {

constexpr int64_t kLogitFloats = int64_t{1} << 25;  // 128 MiB of logits, or one row

struct SampleOutputs {
  int32_t* token;
  float *lp, *sampler_lp, *entropy;
};

__global__ void sample_temperature_kernel(float* temperature, const SampleParams* params, int64_t rows) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row < rows) temperature[row] = params[row].temperature == 0.0f ? 1.0f : params[row].temperature;
}

// A block a row.
__global__ void __launch_bounds__(kSampleThreads)
    sample_kernel(SampleOutputs outputs, const float* logits, const Partial* partials, int64_t partial_count,
                  int64_t vocab, const SampleKey* keys, const SampleParams* all_params) {
  __shared__ SelectShared shared;
  const int64_t row = blockIdx.x;
  const SampleParams params = all_params[row];
  const Partial merged =
      merge_row(partials + row * partial_count, partial_count);  // by every warp for itself
  const float lse = log_sum_exp(merged);
  const LogitRow logit_row = {logits + row * vocab, vocab, merged.maximum};
  int32_t token = 0;
  float lp = NAN, sampler_lp = NAN, entropy = NAN;
  // An infinite or NaN logit makes lse NaN or infinite: there is no distribution to draw from, and the caller
  // sees it in the log-prob.
  if (lse - lse == 0.0f) {
    entropy = entropy_of(merged);
    if (params.temperature == 0.0f) {
      token = first_largest(shared, logit_row);
      lp = logit_row.y[token] - lse;
      sampler_lp = 0.0f;
    } else {
      const Cut cut = cut_distribution(shared, logit_row, params);
      const Kept kept = sum_kept(shared, logit_row, cut);
      unsigned long long target =
          static_cast<unsigned long long>(uniform(keys[row]) * static_cast<double>(kept.mass));
      if (target >= kept.mass) target = kept.mass - 1;
      token = static_cast<int32_t>(
          first_beyond(shared, vocab, target, [&](int64_t v) { return kept_mass(logit_row, cut, v); }));
      lp = logit_row.y[token] - lse;
      sampler_lp =
          kept.count == static_cast<unsigned long long>(vocab)
              ? lp
              : logit_row.y[token] -
                    (merged.maximum + logf(static_cast<float>(static_cast<double>(kept.mass) / kMassUnit)));
    }
  }
  if (threadIdx.x != 0) return;
  outputs.token[row] = token;
  outputs.lp[row] = lp;
  outputs.sampler_lp[row] = sampler_lp;
  if (outputs.entropy != nullptr) outputs.entropy[row] = entropy;
}

struct SampleScratch {
  int64_t chunk;  // rows
  void* x;        // of a chunk, where the weight is in bf16
  float* logits;  // [chunk][vocab]
  Partial* partials;
  float* temperature;  // [chunk]
  size_t bytes;
};

SampleScratch sample_scratch(void* data, int64_t rows, int64_t vocab, int64_t hidden, DType dtype) {
  SampleScratch scratch;
  scratch.chunk = std::min(std::max<int64_t>(kLogitFloats / vocab, 1), rows);
  scratch.x = data;
  const size_t x_bytes = dtype == DType::kBF16 ? HeadRows::bytes(scratch.chunk, hidden, dtype) : 0;
  scratch.logits = reinterpret_cast<float*>(static_cast<char*>(data) + x_bytes);
  scratch.partials = reinterpret_cast<Partial*>(scratch.logits + scratch.chunk * vocab);
  const int64_t partials = scratch.chunk * head_partials(vocab, dtype);
  scratch.temperature = reinterpret_cast<float*>(scratch.partials + partials);
  scratch.bytes = x_bytes + static_cast<size_t>(scratch.chunk * vocab + scratch.chunk) * sizeof(float) +
                  static_cast<size_t>(partials) * sizeof(Partial);
  return scratch;
}

}  // namespace

size_t CudaBackend::sample_scratch_bytes(int64_t rows, int64_t vocab, int64_t hidden, DType dtype) const {
  return sample_scratch(nullptr, rows, vocab, hidden, dtype).bytes;
}

void CudaBackend::sample(Context& context, int32_t* token, float* lp, float* sampler_lp, float* entropy,
                         const Tensor& hidden, const Parameter& weight, const SampleKey* keys,
                         const SampleParams* params) {
  const int64_t vocab = weight.rows, partials = head_partials(vocab, weight.dtype);
  const SampleScratch scratch =
      sample_scratch(context.scratch.data, hidden.rows, vocab, weight.cols, weight.dtype);
  for (int64_t begin = 0; begin < hidden.rows; begin += scratch.chunk) {
    const int64_t rows = std::min(scratch.chunk, hidden.rows - begin);
    launch("sample_temperature_kernel", sample_temperature_kernel, blocks_for(rows, kSampleThreads),
           kSampleThreads, stream_, scratch.temperature, params + begin, rows);
    HeadRows x = {hidden.f32() + begin * hidden.stride, rows, hidden.cols, hidden.stride};
    if (weight.dtype == DType::kBF16) {
      x = HeadRows::at(scratch.x, rows, hidden.cols, weight.dtype);
      narrow_rows({x.narrow(), x.stride}, hidden.row_range(begin, rows), nullptr, rows, nullptr, stream_);
    }
    head_logits({scratch.partials, scratch.logits, nullptr, nullptr, scratch.temperature}, x, weight,
                stream_);
    const SampleOutputs outputs = {token + begin, lp + begin, sampler_lp + begin,
                                   entropy == nullptr ? nullptr : entropy + begin};
    launch("sample_kernel", sample_kernel, static_cast<unsigned>(rows), kSampleThreads, stream_, outputs,
           scratch.logits, scratch.partials, partials, vocab, keys + begin, params + begin);
  }
}

}  // namespace coppice
