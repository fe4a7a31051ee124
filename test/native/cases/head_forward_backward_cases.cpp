// The head in one pass against its oracle, the default body of head_forward, the loss and head_backward.
#include <cmath>
#include <limits>

#include "engine/micro_batch_loss.h"
#include "native/head_run.h"

namespace coppice::test {
namespace {

// Gradients that depend on what the forward wrote.
class BentLoss final : public HeadLoss {
 public:
  BentLoss(Backend& backend, bool needs_all_items, const HeadProblem& p, float* g_lp, float* g_entropy,
           const float* lp, const float* entropy)
      : backend_(backend),
        needs_all_items_(needs_all_items),
        g_lp_(g_lp),
        g_entropy_(g_entropy),
        lp_(lp),
        entropy_(entropy),
        items_(p.items()) {}

  void differentiate(int64_t begin, int64_t end) override {
    in_order_ = in_order_ && begin == seen_ && end > begin && end <= items_;
    seen_ = end;
    ++ranges_;
    bend(g_lp_, lp_, begin, end, 0.3f);
    if (g_entropy_ != nullptr) bend(g_entropy_, entropy_, begin, end, -0.2f);
  }
  bool needs_all_items() const override { return needs_all_items_; }
  bool covered() const { return in_order_ && seen_ == items_; }
  int64_t ranges() const { return ranges_; }

 private:
  void bend(float* to, const float* from, int64_t begin, int64_t end, float factor) {
    std::vector<float> values(static_cast<size_t>(end - begin));
    backend_.synchronize();
    backend_.download(values.data(), from + begin, values.size() * sizeof(float));
    for (float& x : values) x = factor * x * x - 0.1f;
    backend_.upload(to + begin, values.data(), values.size() * sizeof(float));
  }

  Backend& backend_;
  bool needs_all_items_;
  float *g_lp_, *g_entropy_;
  const float *lp_, *entropy_;
  int64_t items_;
  int64_t seen_ = 0, ranges_ = 0;
  bool in_order_ = true;
};

enum class Body { kOracle, kBackend };

struct Outputs {
  std::vector<float> lp, entropy, lse, g_lp, g_entropy, dhidden, dweight;
};

// A head with guarded buffers, and what is written to them; dweight begins at 1.
class Training {
 public:
  Training(Run& run, const HeadProblem& p)
      : run_(run),
        p_(p),
        context_(run.context(
            run.backend.head_forward_backward_scratch_bytes(p.items(), p.vocab, p.cols, p.dtype))),
        weight_(run, "weight", ParameterKind::kMatrix, p.vocab, p.cols, p.weight, p.dtype),
        hidden_(run, "hidden", p.rows, p.cols, p.hidden),
        dhidden_(run, "dhidden", p.rows, p.cols),
        dweight_(run, "dweight", std::vector<float>(p.weight.size(), 1.0f)),
        row_index_(run, "row_index", p.row_index),
        target_(run, "target", p.target),
        temperature_(run, "temperature", p.temperature) {}

  Context& context() { return context_; }
  void pass(Body body, HeadLoss& loss, bool with_entropy) {
    const HeadItems items{row_index_.data(), target_.data(), temperature_.data(), p_.items()};
    const float* ge = with_entropy ? g_entropy.data() : nullptr;
    if (body == Body::kBackend) {
      ops::head_forward_backward(context_, dhidden_.tensor(), dweight_.data(), lp.data(), entropy.data(),
                                 lse_.data(), hidden_.tensor(), *weight_, items, g_lp.data(), ge, loss);
    } else {
      run_.backend.Backend::head_forward_backward(context_, dhidden_.tensor(), dweight_.data(), lp.data(),
                                                  entropy.data(), lse_.data(), hidden_.tensor(), *weight_,
                                                  items, g_lp.data(), ge, loss);
    }
  }
  Outputs outputs() const {
    return {lp.values(),        entropy.values(),  lse_.values(),    g_lp.values(),
            g_entropy.values(), dhidden_.values(), dweight_.values()};
  }

 private:
  Run& run_;
  const HeadProblem& p_;
  Context context_;
  TestParameter weight_;
  Matrix hidden_, dhidden_;
  Array<float> dweight_;
  Array<int32_t> row_index_, target_;
  Array<float> temperature_;
  Array<float> lse_{run_, "lse", p_.items()};

 public:
  Array<float> lp{run_, "lp", p_.items()}, entropy{run_, "entropy", p_.items()};
  Array<float> g_lp{run_, "g_lp", p_.items()}, g_entropy{run_, "g_entropy", p_.items()};
};

struct Bent {
  Outputs outputs;
  int64_t ranges;
};

Bent bent(Run& run, const HeadProblem& p, Body body, bool needs_all_items, bool with_entropy) {
  Training training(run, p);
  BentLoss loss(run.backend, needs_all_items, p, training.g_lp.data(),
                with_entropy ? training.g_entropy.data() : nullptr, training.lp.data(),
                training.entropy.data());
  training.pass(body, loss, with_entropy);
  run.expect(loss.covered(), "the ranges do not follow each other over all items");
  return {training.outputs(), loss.ranges()};
}

void expect_same(Run& run, const std::string& where, const Outputs& got, const Outputs& want) {
  run.expect_same_bits("lp " + where, got.lp, want.lp);
  run.expect_same_bits("entropy " + where, got.entropy, want.entropy);
  run.expect_same_bits("lse " + where, got.lse, want.lse);
  run.expect_same_bits("g_lp " + where, got.g_lp, want.g_lp);
  run.expect_same_bits("g_entropy " + where, got.g_entropy, want.g_entropy);
  run.expect_same_bits("dhidden " + where, got.dhidden, want.dhidden);
  run.expect_same_bits("dweight " + where, got.dweight, want.dweight);
}

struct Shape {
  int64_t rows, vocab, cols, items;
};

void check_shapes(Run& run, DType dtype) {
  // Chunks of 256 items and of 4,096, the last ones ragged; vocabularies of one block, one span and two.
  const Shape shapes[] = {{1, 1, 1, 1},       {3, 5, 8, 7},       {9, 265, 64, 40},    {40, 1000, 33, 9},
                          {4, 1025, 70, 257}, {5, 9300, 16, 527}, {90, 4096, 20, 300}, {60, 5, 3, 4200}};
  for (const Shape& s : shapes) {
    if (run.small && s.vocab * s.items > 100000) continue;
    const HeadProblem p = random_head(run, s.rows, s.vocab, s.cols, s.items, dtype);
    const std::string word = sizes({s.rows, s.vocab, s.cols, s.items});
    for (const bool with_entropy : {false, true}) {
      const Outputs want = bent(run, p, Body::kOracle, false, with_entropy).outputs;
      const Outputs ranges = bent(run, p, Body::kBackend, false, with_entropy).outputs;
      const Bent whole = bent(run, p, Body::kBackend, true, with_entropy);
      const std::string where = word + (with_entropy ? " with entropy" : "");
      expect_same(run, where, ranges, want);
      expect_same(run, where + ", all items at once", whole.outputs, want);
      run.expect(whole.ranges == 1, "%s: %lld ranges for a loss that needs all items", where.c_str(),
                 static_cast<long long>(whole.ranges));
      run.record("dhidden " + where, ranges.dhidden);
      run.record("dweight " + where, ranges.dweight);
    }
  }
}
const Case shapes("head_forward_backward", "odd shapes and ragged chunks: the bits of the three ops",
                  with_dtype(check_shapes, DType::kF32)),
    shapes_bf16("head_forward_backward", "odd shapes and ragged chunks: the bits of the three ops; bf16",
                with_dtype(check_shapes, DType::kBF16));

void check_extremes(Run& run, DType dtype) {
  HeadProblem p = random_head(run, 6, run.small ? 400 : 9000, 4, 300, dtype);
  p.hidden[4] = std::numeric_limits<float>::quiet_NaN();
  p.weight[17 * 4] = INFINITY;
  p.weight[8500 * 4] = 1e30f;
  p.weight[8501 * 4] = -1e30f;
  const Outputs want = bent(run, p, Body::kOracle, false, true).outputs,
                got = bent(run, p, Body::kBackend, false, true).outputs;
  expect_same(run, "extremes", got, want);
  bool finite = true;
  for (const float x : got.lp) finite = finite && std::isfinite(x);
  run.expect(!finite, "what is not a number went unseen");
}
const Case extremes("head_forward_backward", "infinite logits and none at all: the bits of the three ops",
                    with_dtype(check_extremes, DType::kF32)),
    extremes_bf16("head_forward_backward", "infinite logits and none at all: the bits of the three ops; bf16",
                  with_dtype(check_extremes, DType::kBF16));

struct Losses {
  Outputs outputs;
  PolicyLossStats stats;
};

// The policy loss of sequences of 1 to 60 tokens, of which some are masked.
Losses policy(Run& run, const HeadProblem& p, const std::vector<float>& values,
              const PolicyLossParams& params, Body body) {
  Training training(run, p);
  std::vector<int32_t> offsets = {0};
  std::vector<float> norm;
  while (offsets.back() < p.items())
    offsets.push_back(
        static_cast<int32_t>(std::min(p.items(), int64_t{offsets.back()} + 1 + offsets.back() * 7 % 60)));
  for (int64_t i = 0; i < p.items(); ++i) norm.push_back(i % 5 == 2 ? 0.0f : 0.01f + 0.001f * float(i % 7));
  std::vector<float> old_lp = values, ref_lp = values;
  for (float& x : old_lp) x = -8.0f + 0.5f * x;
  for (float& x : ref_lp) x = -8.0f - 0.3f * x;
  const Array<float> old(run, "old_lp", old_lp), ref(run, "ref_lp", ref_lp),
      advantage(run, "advantage", values), norms(run, "norm", norm);
  const Array<int32_t> sequences(run, "sequence_offsets", offsets), range(run, "range_offsets", 2);
  Losses losses;
  MicroBatchLoss loss(training.context(), losses.stats,
                      {.g_lp = training.g_lp.data(),
                       .g_entropy = training.g_entropy.data(),
                       .lp = training.lp.data(),
                       .entropy = training.entropy.data(),
                       .old_lp = old.data(),
                       .ref_lp = ref.data(),
                       .advantage = advantage.data(),
                       .norm = norms.data(),
                       .sequence_offsets = sequences.data(),
                       .sequences = static_cast<int64_t>(offsets.size()) - 1,
                       .items = p.items(),
                       .range_offsets = range.data()},
                      params);
  training.pass(body, loss, true);
  losses.outputs = training.outputs();
  return losses;
}

const Case policy_losses(
    "head_forward_backward", "the policy loss by ranges: gradients and sums of the whole", [](Run& run) {
      const HeadProblem p = random_head(run, 50, run.small ? 300 : 4100, 12, 600);
      const std::vector<float> values = run.normals(p.items());
      for (const Importance importance : {Importance::kNone, Importance::kToken, Importance::kSequence}) {
        const PolicyLossParams params{importance, true, 0.2, 0.28, 3.0, KlKind::kK3, 0.05, 0.01};
        const Losses want = policy(run, p, values, params, Body::kOracle),
                     got = policy(run, p, values, params, Body::kBackend);
        const std::string where = "importance " + std::to_string(int(importance));
        expect_same(run, where, got.outputs, want.outputs);
        const PolicyLossStats &a = got.stats, &b = want.stats;
        run.expect(a.loss == b.loss && a.kl_sum == b.kl_sum && a.entropy_sum == b.entropy_sum &&
                       a.ratio_sum == b.ratio_sum && a.max_abs_log_ratio == b.max_abs_log_ratio &&
                       a.active_tokens == b.active_tokens && a.clipped_low == b.clipped_low &&
                       a.clipped_high == b.clipped_high,
                   "%s: loss %.17g, expected %.17g, or another of the sums", where.c_str(), a.loss, b.loss);
        run.expect(
            a.active_tokens > 0 && a.clipped_low + a.clipped_high + (importance == Importance::kNone) > 0,
            "%s: nothing was clipped", where.c_str());
      }
    });

const Case arguments("head_forward_backward", "rows and tokens are checked where they index", [](Run& run) {
  const HeadProblem p = random_head(run, 3, 5, 4, 6);
  HeadProblem wrong = p;
  wrong.target[4] = 5;
  run.expect_error(ErrorCode::kInvalidArgument, "target[4]",
                   [&] { bent(run, wrong, Body::kBackend, false, false); });
  wrong = p;
  wrong.row_index[2] = -1;
  run.expect_error(ErrorCode::kInvalidArgument, "row_index[2]",
                   [&] { bent(run, wrong, Body::kBackend, false, false); });
});

}  // namespace
}  // namespace coppice::test
