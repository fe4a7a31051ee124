#include <cmath>
#include <cstring>

#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

uint32_t bf16_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
}

struct State {
  std::vector<double> master, m, v;
};

// One step in double, as torch.optim.AdamW orders it.
void reference_step(State& state, const std::vector<float>& grad, const AdamwParams& p) {
  const double correction1 = 1.0 - std::pow(p.beta1, static_cast<double>(p.step));
  const double correction2 = 1.0 - std::pow(p.beta2, static_cast<double>(p.step));
  for (size_t i = 0; i < grad.size(); ++i) {
    const double g = p.grad_scale * static_cast<double>(grad[i]);
    state.master[i] *= 1.0 - p.learning_rate * p.weight_decay;
    state.m[i] = p.beta1 * state.m[i] + (1.0 - p.beta1) * g;
    state.v[i] = p.beta2 * state.v[i] + (1.0 - p.beta2) * g * g;
    state.master[i] -=
        p.learning_rate / correction1 * state.m[i] / (std::sqrt(state.v[i]) / std::sqrt(correction2) + p.eps);
  }
}

const Case steps("adamw_step", "several steps, odd lengths", [](Run& run) {
  for (const int64_t count : {1, 17, 5000}) {
    const std::vector<float> start = run.normals(count);
    const std::vector<float> zeros(static_cast<size_t>(count), 0.0f);
    Context context = run.context();
    Array<float> master(run, "master", start), m(run, "m", zeros), v(run, "v", zeros);
    State want{to_double(start), to_double(zeros), to_double(zeros)};
    AdamwParams params{.learning_rate = 1e-2, .weight_decay = 0.1, .grad_scale = 0.7};
    for (params.step = 1; params.step <= 5; ++params.step) {
      const std::vector<float> grad = run.normals(count, 0.3f);
      Array<float> g(run, "grad", grad);
      AdamwStats stats;
      ops::adamw_step(context, &stats, master.data(), g.data(), m.data(), v.data(), count, params);
      reference_step(want, grad, params);
      run.expect(stats.changed == count, "changed: %lld of %lld", static_cast<long long>(stats.changed),
                 static_cast<long long>(count));
      run.expect_same_bits("grad", g.values(), grad);
    }
    run.expect_close("master", master.values(), want.master, 1e-6);
    run.expect_close("m", m.values(), want.m, 1e-6);
    run.expect_close("v", v.values(), want.v, 1e-6);
    run.record("master " + std::to_string(count), master.values());
  }
});

const Case counts("adamw_step", "counts what rounding to bf16 loses", [](Run& run) {
  const int64_t count = 3001;
  const std::vector<float> start = run.normals(count), grad = run.normals(count);
  const std::vector<float> zeros(static_cast<size_t>(count), 0.0f);
  for (const double rate : {0.0, 1e-7, 1e-4, 1e-2}) {
    Context context = run.context();
    Array<float> master(run, "master", start), g(run, "grad", grad), m(run, "m", zeros), v(run, "v", zeros);
    AdamwStats stats{.changed = 7, .lost_in_bf16 = 5};
    ops::adamw_step(context, &stats, master.data(), g.data(), m.data(), v.data(), count,
                    {.learning_rate = rate});
    const std::vector<float> after = master.values();
    int64_t changed = 7, lost = 5;
    for (size_t i = 0; i < after.size(); ++i) {
      changed += after[i] != start[i];
      lost += after[i] != start[i] && bf16_of(after[i]) == bf16_of(start[i]);
    }
    run.expect(stats.changed == changed && stats.lost_in_bf16 == lost,
               "at rate %g: %lld changed, %lld lost; expected %lld, %lld", rate,
               static_cast<long long>(stats.changed), static_cast<long long>(stats.lost_in_bf16),
               static_cast<long long>(changed), static_cast<long long>(lost));
    run.expect((rate > 0.0) == (changed > 7), "at rate %g: %lld changed", rate,
               static_cast<long long>(changed));
  }
});

const Case squares("sum_of_squares", "in fp64, added to what is there", [](Run& run) {
  for (const int64_t count : {0, 1, 15, 4097, 100003}) {
    const std::vector<float> values = run.normals(count, 1e3f);
    Context context = run.context();
    Array<float> array(run, "values", values);
    double result = 2.5, want = 2.5;
    for (const float value : values) want += static_cast<double>(value) * static_cast<double>(value);
    ops::sum_of_squares(context, &result, array.data(), count);
    run.expect(std::fabs(result - want) <= 1e-13 * want, "%lld values: %.17g, expected %.17g",
               static_cast<long long>(count), result, want);
    // Both halves of the fp64 result, so that the comparison between runs sees every bit.
    float halves[2];
    std::memcpy(halves, &result, sizeof halves);
    run.record("result " + std::to_string(count), {halves[0], halves[1]});
  }
});

}  // namespace
}  // namespace coppice::test
