#include <algorithm>
#include <cmath>

#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

using Doubles = std::vector<double>;

struct Tokens {
  Doubles lp, entropy, old_lp, ref_lp, advantage, norm;
  std::vector<int32_t> offsets;
  std::vector<float> old_kl_mask;
};

// The surrogate of a token under anything but kClip; `held` is the ratio where the gradient is stopped.
double other_surrogate(const PolicyLossParams& p, double ratio, double held, double a, double lp, bool* low,
                       bool* high) {
  if (p.surrogate == Surrogate::kSapo) {
    const double tau = a > 0.0 ? p.sapo_temperature_pos : p.sapo_temperature_neg;
    return 4.0 / tau / (1.0 + std::exp(-tau * (ratio - 1.0))) * a;
  }
  if (p.surrogate == Surrogate::kGmpo) return ratio * a;
  const bool tapered = p.surrogate == Surrogate::kTopr;
  if (tapered && a > 0.0) return a * lp;
  const double at_least = tapered || !p.clip ? 0.0 : 1.0 - p.clip_low;
  const double at_most = tapered ? 1.0 : p.clip ? 1.0 + p.clip_high : HUGE_VAL;
  *low = held < at_least;
  *high = held > at_most;
  return std::clamp(held, at_least, at_most) * a * lp;
}

// The loss as ops.h writes it, sequence by sequence, and the sums beside it. `stopped` are the log-probs of
// what is a constant of the gradient.
double slow_loss(const Tokens& t, const PolicyLossParams& p, PolicyLossStats* stats, const Doubles& stopped) {
  double loss = 0.0;
  for (size_t i = 0; i + 1 < t.offsets.size(); ++i) {
    const size_t begin = static_cast<size_t>(t.offsets[i]), end = static_cast<size_t>(t.offsets[i + 1]);
    double log_ratios = 0.0, held_log_ratios = 0.0, active = 0.0;
    const auto averaged = [&](double x, double a) {
      if (p.surrogate != Surrogate::kGmpo || !p.clip) return x;
      return a > 0.0 ? std::min(x, p.clip_high) : std::max(x, -p.clip_low);
    };
    for (size_t j = begin; j < end; ++j) {
      if (t.norm[j] == 0.0) continue;
      log_ratios += averaged(t.lp[j] - t.old_lp[j], t.advantage[j]);
      held_log_ratios += stopped[j] - t.old_lp[j];
      active += 1.0;
    }
    for (size_t j = begin; j < end; ++j) {
      if (t.norm[j] == 0.0) continue;
      const double a = t.advantage[j], token_ratio = std::exp(t.lp[j] - t.old_lp[j]);
      double surrogate = a * t.lp[j];
      if (p.importance != Importance::kNone) {
        const bool of_token = p.importance == Importance::kToken;
        const double held =
            of_token ? std::exp(stopped[j] - t.old_lp[j]) : std::exp(held_log_ratios / active);
        double ratio = of_token ? token_ratio : std::exp(log_ratios / active);
        if (p.importance == Importance::kSequenceToken) ratio = held * std::exp(t.lp[j] - stopped[j]);
        bool low = false, high = false;
        if (p.surrogate == Surrogate::kClip) {
          surrogate = ratio * a;
          low = p.clip && a < 0.0 && ratio < 1.0 - p.clip_low;
          high = p.clip && a > 0.0 && ratio > 1.0 + p.clip_high;
          if (p.clip)
            surrogate = std::min(surrogate, std::clamp(ratio, 1.0 - p.clip_low, 1.0 + p.clip_high) * a);
          if (p.dual_clip > 0.0 && a < 0.0 && surrogate < p.dual_clip * a) {
            surrogate = p.dual_clip * a;
            high = true;
          }
        } else {
          surrogate = other_surrogate(p, ratio, held, a, t.lp[j], &low, &high);
          if (p.surrogate == Surrogate::kGmpo) {
            const double x = t.lp[j] - t.old_lp[j];
            low = averaged(x, a) > x;
            high = averaged(x, a) < x;
          }
        }
        stats->clipped_low += low;
        stats->clipped_high += high;
      }
      const double d = t.ref_lp[j] - t.lp[j];
      const double kl = p.kl_kind == KlKind::kK1   ? -d
                        : p.kl_kind == KlKind::kK2 ? d * d / 2
                                                   : std::exp(d) - d - 1;
      loss += t.norm[j] * (-surrogate + p.kl_coef * kl - p.entropy_coef * t.entropy[j]);
      loss += t.norm[j] * p.old_kl_coef * static_cast<double>(t.old_kl_mask[j]) *
              std::fabs(t.lp[j] - t.old_lp[j]);
      stats->kl_sum += kl;
      stats->entropy_sum += t.entropy[j];
      stats->ratio_sum += token_ratio;
      stats->max_abs_log_ratio = std::max(stats->max_abs_log_ratio, std::fabs(t.lp[j] - t.old_lp[j]));
      ++stats->active_tokens;
    }
  }
  stats->loss += loss;
  return loss;
}

Tokens random_tokens(Run& run, std::vector<int32_t> offsets) {
  const size_t count = static_cast<size_t>(offsets.back());
  Tokens t;
  t.offsets = std::move(offsets);
  for (size_t i = 0; i < count; ++i) {
    t.lp.push_back(-3.0 * run.uniform());
    t.old_lp.push_back(t.lp[i] + 0.5 * static_cast<double>(run.normal()));
    t.ref_lp.push_back(t.lp[i] + 0.7 * static_cast<double>(run.normal()));
    t.entropy.push_back(2.0 * run.uniform());
    t.advantage.push_back(static_cast<double>(run.normal()));
    t.norm.push_back(run.uniform() < 0.2 ? 0.0 : 0.1 + run.uniform());
    t.old_kl_mask.push_back(i % 3 == 0 ? 1.0f : 0.0f);
  }
  return t;
}

template <typename T>
struct Result {
  PolicyLossStats stats;
  std::vector<T> g_lp, g_entropy;
};

void call(Context& c, PolicyLossStats* stats, float* g, float* ge, const float* lp, const float* entropy,
          const float* old_lp, const float* ref_lp, const float* advantage, const float* norm,
          const int32_t* offsets, int64_t sequences, const PolicyLossParams& params) {
  ops::policy_loss(c, stats, g, ge, lp, entropy, old_lp, ref_lp, advantage, norm, offsets, sequences, params);
}
void call(Context& c, PolicyLossStats* stats, double* g, double* ge, const double* lp, const double* entropy,
          const double* old_lp, const double* ref_lp, const double* advantage, const double* norm,
          const int32_t* offsets, int64_t sequences, const PolicyLossParams& params) {
  ops::policy_loss_f64(c, stats, g, ge, lp, entropy, old_lp, ref_lp, advantage, norm, offsets, sequences,
                       params);
}

enum class Optional { kAll, kNone };

template <typename T>
Result<T> compute(Run& run, const Tokens& t, PolicyLossParams params, Optional optional = Optional::kAll,
                  const PolicyLossStats& before = {}) {
  const auto array = [&run](const char* name, const Doubles& values) {
    return Array<T>(run, name, std::vector<T>(values.begin(), values.end()));
  };
  const bool all = optional == Optional::kAll;
  const int64_t count = t.offsets.back(), sequences = static_cast<int64_t>(t.offsets.size()) - 1;
  const Array<T> lp = array("lp", t.lp), entropy = array("entropy", t.entropy),
                 old_lp = array("old_lp", t.old_lp);
  const Array<T> ref_lp = array("ref_lp", t.ref_lp), advantage = array("advantage", t.advantage),
                 norm = array("norm", t.norm);
  const Array<T> g_lp(run, "g_lp", count), g_entropy(run, "g_entropy", count);
  const Array<int32_t> offsets(run, "offsets", t.offsets);
  const Array<float> old_kl_mask(run, "old_kl_mask", t.old_kl_mask);
  if (params.old_kl_coef != 0.0) params.old_kl_mask = old_kl_mask.data();
  Context context = run.context();
  Result<T> result{before, {}, {}};
  call(context, &result.stats, g_lp.data(), all ? g_entropy.data() : nullptr, lp.data(),
       all ? entropy.data() : nullptr, old_lp.data(), all ? ref_lp.data() : nullptr, advantage.data(),
       norm.data(), offsets.data(), sequences, params);
  result.g_lp = g_lp.values();
  result.g_entropy = g_entropy.values();
  return result;
}

std::vector<PolicyLossParams> every_rule() {
  std::vector<PolicyLossParams> rules;
  for (const Importance importance : {Importance::kNone, Importance::kToken, Importance::kSequence}) {
    for (const bool clip : {false, true}) {
      for (const double dual_clip : {0.0, 1.3}) {
        for (const KlKind kl : {KlKind::kK1, KlKind::kK2, KlKind::kK3}) {
          rules.push_back({importance, clip, 0.2, 0.28, dual_clip, kl, 0.05, 0.01});
        }
      }
    }
  }
  PolicyLossParams rule = {Importance::kSequenceToken, true, 0.2, 0.28, 0.0, KlKind::kK3, 0.05, 0.01};
  rules.push_back(rule);
  for (const bool clip : {false, true}) {
    rule.clip = clip;
    for (const Importance importance : {Importance::kToken, Importance::kSequence}) {
      rule.importance = importance;
      for (const Surrogate surrogate :
           {Surrogate::kCispo, Surrogate::kGmpo, Surrogate::kSapo, Surrogate::kTopr}) {
        if (surrogate == Surrogate::kGmpo && importance != Importance::kSequence) continue;
        rule.surrogate = surrogate;
        rules.push_back(rule);
      }
    }
    rule.surrogate = Surrogate::kClip;
    rule.importance = Importance::kToken;
    rule.old_kl_coef = 0.3;
    rules.push_back(rule);
    rule.old_kl_coef = 0.0;
  }
  return rules;
}

std::string word(const PolicyLossParams& p) {
  return "surrogate " + std::to_string(int(p.surrogate)) + ", old kl " + std::to_string(p.old_kl_coef) +
         ", importance " + std::to_string(int(p.importance)) + ", clip " + std::to_string(p.clip) +
         ", dual " + std::to_string(p.dual_clip) + ", kl " + std::to_string(int(p.kl_kind));
}

bool near(double got, double want, double tolerance) {
  return std::fabs(got - want) <= tolerance * std::fmax(1.0, std::fabs(want));
}

void expect_stats(Run& run, const std::string& where, const PolicyLossStats& got, const PolicyLossStats& want,
                  double tolerance) {
  run.expect(near(got.loss, want.loss, tolerance), "%s: loss %.17g, expected %.17g", where.c_str(), got.loss,
             want.loss);
  run.expect(near(got.kl_sum, want.kl_sum, tolerance), "%s: kl_sum %.9g, expected %.9g", where.c_str(),
             got.kl_sum, want.kl_sum);
  run.expect(near(got.entropy_sum, want.entropy_sum, tolerance), "%s: entropy_sum %.9g, expected %.9g",
             where.c_str(), got.entropy_sum, want.entropy_sum);
  run.expect(near(got.ratio_sum, want.ratio_sum, tolerance), "%s: ratio_sum %.9g, expected %.9g",
             where.c_str(), got.ratio_sum, want.ratio_sum);
  run.expect(near(got.max_abs_log_ratio, want.max_abs_log_ratio, tolerance),
             "%s: max_abs_log_ratio %.9g, expected %.9g", where.c_str(), got.max_abs_log_ratio,
             want.max_abs_log_ratio);
  run.expect(got.active_tokens == want.active_tokens && got.clipped_low == want.clipped_low &&
                 got.clipped_high == want.clipped_high,
             "%s: active, clipped low, high: %lld %lld %lld, expected %lld %lld %lld", where.c_str(),
             static_cast<long long>(got.active_tokens), static_cast<long long>(got.clipped_low),
             static_cast<long long>(got.clipped_high), static_cast<long long>(want.active_tokens),
             static_cast<long long>(want.clipped_low), static_cast<long long>(want.clipped_high));
}

void expect_near(Run& run, const std::string& where, const Doubles& got, const Doubles& want,
                 double tolerance) {
  for (size_t i = 0; i < want.size(); ++i) {
    run.expect(near(got[i], want[i], tolerance), "%s[%zu]: %.12g, expected %.12g", where.c_str(), i, got[i],
               want[i]);
  }
}

const Case every_rule_f64("policy_loss_f64", "every rule: loss, sums, finite differences", [](Run& run) {
  const Tokens tokens = random_tokens(run, {0, 3, 3, 4, 11, 40});
  for (const PolicyLossParams& params : every_rule()) {
    const Result<double> got = compute<double>(run, tokens, params);
    PolicyLossStats want, ignored;
    slow_loss(tokens, params, &want, tokens.lp);
    expect_stats(run, word(params), got.stats, want, 1e-12);
    Tokens moved = tokens;
    const auto of_lp = [&](const Doubles& lp) {
      return moved.lp = lp, slow_loss(moved, params, &ignored, tokens.lp);
    };
    const auto of_entropy = [&](const Doubles& h) {
      return moved.entropy = h, slow_loss(moved, params, &ignored, tokens.lp);
    };
    expect_near(run, word(params) + ": g_lp", got.g_lp, numeric_gradient(of_lp, tokens.lp), 1e-8);
    moved.lp = tokens.lp;
    expect_near(run, word(params) + ": g_entropy", got.g_entropy,
                numeric_gradient(of_entropy, tokens.entropy), 1e-8);
  }
});

const Case every_rule_f32("policy_loss", "every rule, against the same in fp64", [](Run& run) {
  Tokens tokens = random_tokens(run, {0, 1, 9, 64, 65, 300});
  for (Doubles* values :
       {&tokens.lp, &tokens.entropy, &tokens.old_lp, &tokens.ref_lp, &tokens.advantage, &tokens.norm}) {
    for (double& x : *values) x = static_cast<double>(static_cast<float>(x));
  }
  for (const PolicyLossParams& params : every_rule()) {
    const Result<float> got = compute<float>(run, tokens, params);
    const Result<double> want = compute<double>(run, tokens, params);
    expect_stats(run, word(params), got.stats, want.stats, 1e-12);
    run.expect_close(word(params) + ": g_lp", got.g_lp, want.g_lp, 1e-7);
    run.expect_close(word(params) + ": g_entropy", got.g_entropy, want.g_entropy, 1e-7);
    run.record(word(params), got.g_lp);
  }
});

const Case without("policy_loss", "entropy, ref_lp and g_entropy may be left out", [](Run& run) {
  const Tokens tokens = random_tokens(run, {0, 30});
  PolicyLossParams params;
  const Result<float> all = compute<float>(run, tokens, params),
                      none = compute<float>(run, tokens, params, Optional::kNone);
  run.expect_same_bits("g_lp", none.g_lp, all.g_lp);
  run.expect(none.stats.loss == all.stats.loss, "the loss changed");
  run.expect(none.stats.kl_sum == 0.0 && none.stats.entropy_sum == 0.0,
             "sums of what was not given must be 0");
  run.expect(all.stats.kl_sum > 0.0 && all.stats.entropy_sum > 0.0, "sums of what was given must not be 0");
});

const Case on_policy(
    "policy_loss", "on policy the ratio is exactly 1 and g_lp is -advantage * norm", [](Run& run) {
      Tokens tokens = random_tokens(run, {0, 5, 20});
      tokens.old_lp = tokens.lp;
      for (const Importance importance : {Importance::kNone, Importance::kToken}) {
        PolicyLossParams params;
        params.importance = importance;
        const Result<float> got = compute<float>(run, tokens, params);
        for (size_t i = 0; i < tokens.lp.size(); ++i) {
          const float want = static_cast<float>(-static_cast<double>(static_cast<float>(tokens.norm[i])) *
                                                static_cast<double>(static_cast<float>(tokens.advantage[i])));
          run.expect(got.g_lp[i] == want, "g_lp[%zu]: %.9g, expected %.9g", i, double(got.g_lp[i]),
                     double(want));
        }
        run.expect(got.stats.ratio_sum == static_cast<double>(got.stats.active_tokens), "a ratio was not 1");
        run.expect(got.stats.max_abs_log_ratio == 0.0, "a log ratio was not 0");
      }
    });

const Case bounds(
    "policy_loss_f64", "on a bound the unclipped branch is taken; the mask hides everything", [](Run& run) {
      Tokens tokens;
      tokens.offsets = {0, 5};
      tokens.lp = {std::log(1.5), std::log(0.5), std::log(1.5) + 1e-9, std::log(0.5) - 1e-9, std::nan("")};
      tokens.old_lp = {0, 0, 0, 0, 0};
      tokens.ref_lp = tokens.lp;
      tokens.entropy = {0, 0, 0, 0, std::nan("")};
      tokens.advantage = {1, -1, 1, -1, std::nan("")};
      tokens.norm = {1, 1, 1, 1, 0};
      tokens.old_kl_mask.assign(5, 0.0f);
      PolicyLossParams params;
      params.clip_low = params.clip_high = 0.5;
      // exp(log(x)) need not be x: the bounds are put where the ratios are.
      params.clip_high = std::exp(tokens.lp[0]) - 1.0;
      params.clip_low = 1.0 - std::exp(tokens.lp[1]);
      params.entropy_coef = 0.1;
      const Result<double> got = compute<double>(run, tokens, params);
      run.expect(got.g_lp[0] == -std::exp(tokens.lp[0]) && got.g_lp[1] == std::exp(tokens.lp[1]),
                 "on the bound: %.17g %.17g", got.g_lp[0], got.g_lp[1]);
      run.expect(got.g_lp[2] == 0.0 && got.g_lp[3] == 0.0, "past the bound: %.17g %.17g", got.g_lp[2],
                 got.g_lp[3]);
      run.expect(got.g_lp[4] == 0.0 && got.g_entropy[4] == 0.0, "masked: %.17g %.17g", got.g_lp[4],
                 got.g_entropy[4]);
      run.expect(std::isfinite(got.stats.loss) && got.stats.active_tokens == 4,
                 "the masked token was counted");
      run.expect(got.stats.clipped_high == 1 && got.stats.clipped_low == 1, "clipped: %lld high, %lld low",
                 static_cast<long long>(got.stats.clipped_high),
                 static_cast<long long>(got.stats.clipped_low));
    });

const Case overflow("policy_loss",
                    "ratios beyond all numbers: clipped they are harmless, unclipped they show",
                    [](Run& run) {
                      Tokens tokens = random_tokens(run, {0, 2});
                      tokens.lp = {0, 0};
                      tokens.old_lp = {-1e30, 1e30};
                      tokens.advantage = {1, 1};
                      tokens.norm = {1, 1};
                      PolicyLossParams params;
                      const Result<float> clipped = compute<float>(run, tokens, params);
                      run.expect(clipped.g_lp[0] == 0.0f && clipped.g_lp[1] == 0.0f, "clipped: %g %g",
                                 double(clipped.g_lp[0]), double(clipped.g_lp[1]));
                      run.expect(near(clipped.stats.loss, -1.2, 1e-12), "clipped loss %.17g",
                                 clipped.stats.loss);
                      params.clip = false;
                      const Result<float> open = compute<float>(run, tokens, params);
                      run.expect(!std::isfinite(open.g_lp[0]) && !std::isfinite(open.stats.loss),
                                 "an infinite ratio went unseen");
                    });

const Case adds_up("policy_loss", "sums add up over calls", [](Run& run) {
  const Tokens tokens = random_tokens(run, {0, 7, 20});
  const PolicyLossStats once = compute<float>(run, tokens, {}).stats;
  const PolicyLossStats twice = compute<float>(run, tokens, {}, Optional::kAll, once).stats;
  expect_stats(run, "twice", twice,
               {2 * once.loss, 2 * once.active_tokens, 2 * once.clipped_low, 2 * once.clipped_high,
                2 * once.kl_sum, 2 * once.entropy_sum, 2 * once.ratio_sum, once.max_abs_log_ratio},
               1e-12);
});

}  // namespace
}  // namespace coppice::test
