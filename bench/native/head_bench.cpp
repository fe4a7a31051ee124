#include "engine/micro_batch_loss.h"
#include "native/bench.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

struct Shape {
  int64_t items, vocab, cols;
};
// The embedded task, model S and M of DESIGN, and a head of 151,936 tokens.
const Shape kShapes[] = {{2048, 265, 64}, {2048, 128, 256}, {2048, 4096, 512}, {256, 151936, 896}};

float* copy_of(Bench& bench, const std::vector<float>& values) {
  float* memory = bench.floats(static_cast<int64_t>(values.size()));
  bench.backend().upload(memory, values.data(), values.size() * sizeof(float));
  return memory;
}

void bench_shape(Bench& bench, const Shape& s) {
  Context context = bench.context(
      bench.backend().head_forward_backward_scratch_bytes(s.items, s.vocab, s.cols, bench.dtype()));
  const Parameter weight = bench.parameter(ParameterKind::kMatrix, s.vocab, s.cols);
  const Tensor hidden = bench.tensor(s.items, s.cols);
  std::vector<int32_t> rows, targets;
  for (int64_t i = 0; i < s.items; ++i) {
    rows.push_back(static_cast<int32_t>(i));
    targets.push_back(static_cast<int32_t>(i * 7919 % s.vocab));
  }
  const HeadItems items{bench.integers(rows), bench.integers(targets),
                        copy_of(bench, std::vector<float>(static_cast<size_t>(s.items), 1.0f)), s.items};
  float* lp = bench.floats(s.items);
  float* entropy = bench.floats(s.items);
  float* lse = bench.floats(s.items);
  const float* g = bench.floats(s.items);
  const std::string shape = shape_of({s.items, s.vocab, s.cols});
  const double flops = 2.0 * static_cast<double>(s.items * s.vocab * s.cols);
  if (bench.wants("head_forward")) {
    bench.row("head_forward", shape, flops, 0,
              [&] { ops::head_forward(context, lp, entropy, lse, hidden, weight, items); });
  }
  if (bench.wants("head_backward") || bench.wants("head_forward_backward")) {
    const Tensor dhidden = bench.tensor(s.items, s.cols);
    float* dweight = bench.floats(s.vocab * s.cols);
    GivenGradient loss;
    const auto both = [&] {
      ops::head_forward_backward(context, dhidden, dweight, lp, entropy, lse, hidden, weight, items, g, g,
                                 loss);
    };
    if (bench.wants("head_forward_backward")) bench.row("head_forward_backward", shape, 3.0 * flops, 0, both);
    if (bench.wants("head_backward")) {
      ops::head_forward(context, lp, entropy, lse, hidden, weight, items);
      bench.row("head_backward", shape, 3.0 * flops, 0, [&] {
        ops::head_backward(context, dhidden, dweight, hidden, weight, items, lse, entropy, g, g);
      });
    }
  }
  bench.release();
}

void bench_sampling(Bench& bench, int64_t rows, int64_t vocab, int64_t cols, const char* word,
                    const SampleParams& rule) {
  Context context = bench.context(bench.backend().sample_scratch_bytes(rows, vocab, cols, bench.dtype()));
  const Parameter weight = bench.parameter(ParameterKind::kMatrix, vocab, cols);
  const Tensor hidden = bench.tensor(rows, cols);
  std::vector<SampleKey> keys(static_cast<size_t>(rows));
  for (size_t r = 0; r < keys.size(); ++r) keys[r].sample = static_cast<uint32_t>(r);
  const std::vector<SampleParams> params(static_cast<size_t>(rows), rule);
  std::vector<int32_t> token(keys.size());
  void* device_keys = bench.floats(static_cast<int64_t>(keys.size() * sizeof(SampleKey) / sizeof(float)));
  void* device_params =
      bench.floats(static_cast<int64_t>(params.size() * sizeof(SampleParams) / sizeof(float)));
  bench.backend().upload(device_keys, keys.data(), keys.size() * sizeof(SampleKey));
  bench.backend().upload(device_params, params.data(), params.size() * sizeof(SampleParams));
  float* lp = bench.floats(rows);
  float* sampler_lp = bench.floats(rows);
  float* entropy = bench.floats(rows);
  int32_t* tokens = bench.integers(token);
  bench.row("sample", shape_of({rows, vocab, cols}) + word, 2.0 * static_cast<double>(rows * vocab * cols), 0,
            [&] {
              ops::sample(context, tokens, lp, sampler_lp, entropy, hidden, weight,
                          static_cast<const SampleKey*>(device_keys),
                          static_cast<const SampleParams*>(device_params));
            });
  bench.release();
}

void bench_loss(Bench& bench, int64_t sequences, int64_t length) {
  Context context = bench.context(0);
  const int64_t count = sequences * length;
  std::vector<int32_t> offsets;
  for (int64_t i = 0; i <= sequences; ++i) offsets.push_back(static_cast<int32_t>(i * length));
  const int32_t* ends = bench.integers(offsets);
  float* arrays[7];
  for (float*& array : arrays) array = bench.floats(count);
  PolicyLossStats stats;
  PolicyLossParams params;
  params.entropy_coef = 1e-4;
  bench.row("policy_loss", shape_of({sequences, length}), 0, 32.0 * static_cast<double>(count), [&] {
    ops::policy_loss(context, &stats, arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], nullptr,
                     arrays[5], arrays[6], ends, sequences, params);
  });
  bench.release();
}

}  // namespace

void bench_head(Bench& bench) {
  if (bench.wants("head_forward") || bench.wants("head_backward") || bench.wants("head_forward_backward")) {
    for (const Shape& s : kShapes) bench_shape(bench, s);
  }
  if (bench.wants("sample")) {
    const SampleParams plain, cut{0.7f, 20, 0.8f, 0.0f};
    bench_sampling(bench, 64, 265, 64, "", plain);
    bench_sampling(bench, 64, 4096, 512, "", plain);
    bench_sampling(bench, 64, 4096, 512, " top_k 20 top_p 0.8", cut);
    bench_sampling(bench, 8, 151936, 896, "", plain);
    bench_sampling(bench, 8, 151936, 896, " top_k 20 top_p 0.8", cut);
  }
  if (bench.wants("policy_loss")) bench_loss(bench, 512, 100);
}

}  // namespace coppice::bench
