// The vector language itself, on every set that this machine has, whatever backend the run is for.
#include <cmath>
#include <cstring>

#include "cpu/instruction_set.h"
#include "native/harness.h"
#include "native/isa/probe.h"

namespace coppice::test {
namespace {

struct Set {
  const char* name;
  const IsaProbe* probe;
};

std::vector<Set> sets() {
  const std::string available = available_instruction_sets();
  std::vector<Set> result;
#if defined(__x86_64__)
  if (available.find("avx512bf16") != std::string::npos)
    result.push_back({"avx512bf16", &avx512bf16::kProbe});
  if (available.find("avx512") != std::string::npos) result.push_back({"avx512", &avx512::kProbe});
  if (available.find("avx2") != std::string::npos) result.push_back({"avx2", &avx2::kProbe});
#elif defined(__aarch64__)
  if (available.find("neon") != std::string::npos) result.push_back({"neon", &neon::kProbe});
#endif
  result.push_back({"portable", &portable::kProbe});
  return result;
}

// Distance in units of the last place of the fp32 number nearest to `want`.
double ulps(float got, double want) {
  const float nearest = static_cast<float>(want);
  if (got == nearest)
    return std::fabs(static_cast<double>(got) - want) / std::ldexp(1.0, std::ilogb(nearest) - 23);
  if (!std::isfinite(got) || !std::isfinite(nearest)) return INFINITY;
  return std::fabs(static_cast<double>(got) - want) / std::ldexp(1.0, std::ilogb(std::fabs(want)) - 23);
}

constexpr int64_t kCount = 1 << 20;

void expect_accurate(Run& run, void (*IsaProbe::*function)(float*, const float*, int64_t),
                     double (*reference)(double), const std::vector<float>& inputs, double limit) {
  std::vector<float> first;
  for (const Set& set : sets()) {
    std::vector<float> out(inputs.size());
    (set.probe->*function)(out.data(), inputs.data(), static_cast<int64_t>(inputs.size()));
    double worst = 0.0;
    float where = 0.0f;
    for (size_t i = 0; i < out.size(); ++i) {
      const double distance = ulps(out[i], reference(static_cast<double>(inputs[i])));
      if (distance <= worst) continue;
      worst = distance;
      where = inputs[i];
    }
    run.expect(worst <= limit, "%s: %.3f ulp at %.9g", set.name, worst, static_cast<double>(where));
    if (std::strcmp(set.name, "portable") == 0) continue;
    if (first.empty()) first = out;
    run.expect_same_bits(set.name, out, first);
  }
}

const Case exponential("simd", "exp within 1 ulp where the result is a normal number", [](Run& run) {
  std::vector<float> inputs(kCount);
  for (float& x : inputs) x = static_cast<float>(-87.3365 + 176.0593 * run.uniform());
  inputs[0] = 88.72283f;
  inputs[1] = -87.33654f;
  inputs[2] = 0.0f;
  for (int64_t i = 3; i < 1000; ++i) inputs[static_cast<size_t>(i)] = 1e-6f * run.normal();
  expect_accurate(run, &IsaProbe::exp, std::exp, inputs, 1.0);
});

const Case logarithm("simd", "log within 2 ulp", [](Run& run) {
  std::vector<float> inputs(kCount);
  for (float& x : inputs) x = static_cast<float>(std::exp(-87.3 + 176.0 * run.uniform()));
  for (int64_t i = 0; i < kCount / 4; ++i)
    inputs[static_cast<size_t>(i)] = static_cast<float>(0.5 + 1.5 * run.uniform());
  inputs[0] = 1.17549435e-38f;
  inputs[1] = 3.4028234e38f;
  inputs[2] = 1.0f;
  expect_accurate(run, &IsaProbe::log, std::log, inputs, 2.0);
});

const Case ends("simd", "exp, log and sigmoid at the ends", [](Run& run) {
  const float inf = INFINITY, nan = NAN;
  for (const Set& set : sets()) {
    float x[16] = {-inf, -1000.0f, -87.4f, 88.73f, 1000.0f, inf, nan, -0.0f};
    float y[16];
    set.probe->exp(y, x, 16);
    run.expect(y[0] == 0.0f && y[1] == 0.0f && y[2] == 0.0f, "%s: exp below the range", set.name);
    run.expect(y[3] == inf && y[4] == inf && y[5] == inf, "%s: exp above the range", set.name);
    run.expect(std::isnan(y[6]) && y[7] == 1.0f, "%s: exp of NaN and of -0", set.name);
    set.probe->sigmoid(y, x, 16);
    run.expect(
        y[0] == 0.0f && y[1] == 0.0f && y[4] == 1.0f && y[5] == 1.0f && std::isnan(y[6]) && y[7] == 0.5f,
        "%s: sigmoid", set.name);
    float z[16] = {0.0f, -0.0f, 1e-40f, inf, -1.0f, -inf, nan, 1.0f};
    set.probe->log(y, z, 16);
    run.expect(y[0] == -inf && y[1] == -inf && y[2] == -inf, "%s: log at 0", set.name);
    run.expect(y[3] == inf && std::isnan(y[4]) && std::isnan(y[5]) && std::isnan(y[6]) && y[7] == 0.0f,
               "%s: log", set.name);
  }
});

const Case shapes("simd", "transposition, sums, masks", [](Run& run) {
  const std::vector<float> block = run.normals(256);
  std::vector<float> want(256);
  for (size_t i = 0; i < 256; ++i) want[i % 16 * 16 + i / 16] = block[i];
  float tree[16], largest = block[0];
  std::memcpy(tree, block.data(), sizeof tree);
  for (int i = 0; i < 16; ++i) largest = std::fmax(largest, block[static_cast<size_t>(i)]);
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) tree[l] += tree[l + width];
  }
  for (const Set& set : sets()) {
    std::vector<float> transposed = block;
    set.probe->transpose16(transposed.data());
    run.expect_same_bits(set.name, transposed, want);
    run.expect_same_bits(set.name, {set.probe->sum(block.data()), set.probe->maximum(block.data())},
                         {tree[0], largest});
    for (int n = 0; n <= 16; ++n) {
      std::vector<float> out(16), onto(16, 5.0f), want_out(16, 7.0f), want_onto(16, 5.0f);
      std::copy(block.begin(), block.begin() + n, want_out.begin());
      std::copy(block.begin(), block.begin() + n, want_onto.begin());
      // Exactly n floats, so that a read past them is seen by an address sanitiser.
      const std::vector<float> exact(block.begin(), block.begin() + n);
      set.probe->masked(out.data(), onto.data(), exact.data(), n, 7.0f);
      run.expect_same_bits(set.name, out, want_out);
      run.expect_same_bits(set.name, onto, want_onto);
    }
  }
});

const Case pairs("simd", "words of two bf16 numbers", [](Run& run) {
  for (const Set& set : sets()) {
    std::vector<float> order(32), want(32);
    for (size_t i = 0; i < 32; ++i) order[i] = static_cast<float>(i);
    for (size_t i = 0; i < 32; ++i) want[i] = order[i < 16 ? 2 * i : 2 * (i - 16) + 1];
    std::vector<float> moved = order;
    set.probe->deinterleave(moved.data());
    run.expect_same_bits(set.name, moved, want);
    set.probe->interleave(moved.data());
    run.expect_same_bits(set.name, moved, order);
  }
  const auto bits = [](float x) {
    uint32_t word;
    std::memcpy(&word, &x, sizeof word);
    return word;
  };
  const auto half = [](uint32_t word, int which) {
    const uint32_t upper = which == 0 ? word << 16 : word & 0xFFFF0000u;
    float x;
    std::memcpy(&x, &upper, sizeof x);
    return x;
  };
  for (int round = 0; round < 2000; ++round) {
    // Ties between two bf16 neighbours among them.
    std::vector<float> first = run.normals(16, 3.0f), second = run.normals(16, 0.01f);
    if (round % 2 == 0) {
      for (float& x : first) x = std::nearbyint(x * 256.0f) / 256.0f;
    }
    const std::vector<float> other_first = run.normals(16), other_second = run.normals(16),
                             c = run.normals(16);
    const std::vector<float> kept_first = rounded(first, DType::kBF16),
                             kept_second = rounded(second, DType::kBF16);
    for (const Set& set : sets()) {
      std::vector<float> words(16), other(16), out(16), want(16);
      set.probe->pair_of(words.data(), first.data(), second.data());
      set.probe->pair_of(other.data(), other_first.data(), other_second.data());
      set.probe->dot_pairs(out.data(), words.data(), other.data(), c.data());
      std::vector<double> near(16);
      for (size_t i = 0; i < 16; ++i) {
        run.expect(half(bits(words[i]), 0) == kept_first[i] && half(bits(words[i]), 1) == kept_second[i],
                   "%s: %.9g and %.9g became %08x", set.name, double(first[i]), double(second[i]),
                   bits(words[i]));
        const float a = half(bits(other[i]), 0), b = half(bits(other[i]), 1);
        want[i] = std::fma(kept_first[i], a, std::fma(kept_second[i], b, c[i]));
        near[i] = static_cast<double>(want[i]);
      }
      // The processor's own instruction is held to the order that it is documented with, not to the bits.
      if (std::strcmp(set.name, "avx512bf16") == 0) {
        run.expect_close(set.name, out, near, 1e-6);
      } else {
        run.expect_same_bits(set.name, out, want);
      }
    }
  }
  for (const Set& set : sets()) {
    const std::vector<float> odd(16, NAN), large(16, 3.4e38f);
    std::vector<float> words(16);
    set.probe->pair_of(words.data(), odd.data(), large.data());
    run.expect(std::isnan(half(bits(words[3]), 0)) && std::isinf(half(bits(words[3]), 1)),
               "%s: NaN and 3.4e38 became %08x", set.name, bits(words[3]));
  }
});

}  // namespace
}  // namespace coppice::test
