#include "engine/learner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "base/error.h"
#include "ops/ops.h"

namespace coppice {
namespace {

class Stopwatch {
 public:
  // Seconds since the last call.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

bool stopped(const StopFlag* stop) {
  return stop != nullptr && stop->load(std::memory_order_relaxed);
}

void scatter(const PackedBatch& batch, const std::vector<float>& from, float* to) {
  for (size_t i = 0; i < batch.item_source.size(); ++i) to[batch.item_source[i]] = from[i];
}

}  // namespace

Learner::Learner(Backend& backend, const ModelConfig& config, ParameterStore& parameters,
                 const Transformer& transformer, Workspace& workspace)
    : backend_(backend),
      config_(config),
      parameters_(parameters),
      transformer_(transformer),
      workspace_(workspace) {}

Learner::PassSize Learner::size_of(const PackedBatch& batch) {
  return {
      static_cast<int64_t>(batch.tokens.size()),     static_cast<int64_t>(batch.segments.size()),
      static_cast<int64_t>(batch.page_table.size()), batch.page_count,
      static_cast<int64_t>(batch.item_row.size()),   static_cast<int64_t>(batch.sequence_offsets.size()) - 1};
}

void Learner::carve_pass(Carver& carver, Pass& pass, const PassSize& size, bool with_backward) const {
  pass.activations.carve(carver, config_, size.rows, with_backward);
  pass.pages = carve_pages(carver, config_, static_cast<int32_t>(size.pages));
  pass.tokens = carver.ints(size.rows);
  pass.positions = carver.ints(size.rows);
  pass.page_table = carver.ints(size.page_entries);
  pass.segments = static_cast<Segment*>(carver.bytes(static_cast<size_t>(size.segments) * sizeof(Segment)));
  pass.item_row = carver.ints(size.items);
  pass.item_target = carver.ints(size.items);
  pass.temperature = carver.floats(size.items);
  pass.lp = carver.floats(size.items);
  pass.entropy = carver.floats(size.items);
  pass.lse = carver.floats(size.items);
  pass.scratch.bytes = std::max(
      transformer_.scratch_bytes(size.rows),
      backend_.head_scratch_bytes(size.items, config_.vocab_size, config_.hidden_size, parameters_.dtype()));
  pass.scratch.data = carver.bytes(pass.scratch.bytes);
  if (!with_backward) return;
  pass.sequence_offsets = carver.ints(size.sequences + 1);
  pass.old_lp = carver.floats(size.items);
  pass.ref_lp = carver.floats(size.items);
  pass.advantage = carver.floats(size.items);
  pass.norm = carver.floats(size.items);
  pass.g_lp = carver.floats(size.items);
  pass.g_entropy = carver.floats(size.items);
  pass.dhidden = carver.tensor(size.rows, config_.hidden_size);
}

uint64_t Learner::workspace_bytes(int64_t rows, int64_t items, bool with_backward) const {
  Carver measure;
  Pass pass;
  // One page a block and a straddling page a sequence; a sequence has at least one item.
  carve_pass(measure, pass, {rows, rows, rows, blocks_of(rows) + items, items, items}, with_backward);
  return measure.used();
}

Learner::Pass Learner::begin(const PackedBatch& batch, bool with_backward) {
  Pass pass = {};
  workspace_.carve([&](Carver& carver) { carve_pass(carver, pass, size_of(batch), with_backward); });
  upload(backend_, pass.tokens, batch.tokens);
  upload(backend_, pass.positions, batch.positions);
  upload(backend_, pass.page_table, batch.page_table);
  upload(backend_, pass.segments, batch.segments);
  upload(backend_, pass.item_row, batch.item_row);
  upload(backend_, pass.item_target, batch.item_target);
  upload(backend_, pass.temperature, batch.item_temperature);
  // Slots behind a sequence's last position are multiplied by zero; whatever lay in the workspace before may
  // be anything.
  const size_t page_bytes =
      static_cast<size_t>(KvCache::page_bytes(config_, 1)) / 2 * static_cast<size_t>(batch.page_count);
  backend_.zero(pass.pages.k, page_bytes);
  backend_.zero(pass.pages.v, page_bytes);
  return pass;
}

DeviceBatch Learner::device_batch(const PackedBatch& batch, const Pass& pass) const {
  DeviceBatch device;
  device.rows = static_cast<int64_t>(batch.tokens.size());
  device.tokens = pass.tokens;
  device.positions = pass.positions;
  device.attention = {pass.segments, static_cast<int32_t>(batch.segments.size()), pass.page_table};
  return device;
}

// Fills pass.lp, pass.entropy and pass.lse.
void Learner::forward(const PackedBatch& batch, Pass& pass, bool with_backward) {
  Context context{&backend_, pass.scratch, true};
  transformer_.forward(context, device_batch(batch, pass), {pass.pages}, pass.activations, with_backward);
  const HeadItems items{pass.item_row, pass.item_target, pass.temperature,
                        static_cast<int64_t>(batch.item_row.size())};
  ops::head_forward(context, pass.lp, pass.entropy, pass.lse, pass.activations.hidden, parameters_.head(),
                    items);
}

// From pass.g_lp (and g_entropy, or null) into the gradient arena.
void Learner::backward(const PackedBatch& batch, Pass& pass, const float* g_entropy) {
  Context context{&backend_, pass.scratch, true};
  const HeadItems items{pass.item_row, pass.item_target, pass.temperature,
                        static_cast<int64_t>(batch.item_row.size())};
  ops::head_backward(context, pass.dhidden, parameters_.in_arena(gradients_.f32(), &parameters_.head()),
                     pass.activations.hidden, parameters_.head(), items, pass.lse, pass.entropy, pass.g_lp,
                     g_entropy);
  transformer_.backward(context, device_batch(batch, pass), pass.activations, pass.dhidden, gradients_.f32());
}

void Learner::load_items(const PackedBatch& batch, const float* from, float* to) {
  staging_.resize(batch.item_source.size());
  for (size_t i = 0; i < staging_.size(); ++i) staging_[i] = from[batch.item_source[i]];
  upload(backend_, to, staging_);
}

void Learner::clear_gradients() {
  if (gradients_.empty()) gradients_ = Buffer(backend_, parameters_.master_bytes());
  backend_.zero(gradients_.data(), gradients_.bytes());
}

float* Learner::moments_m() {
  if (moments_.empty()) {
    moments_ = Buffer(backend_, 2 * parameters_.master_bytes());
    backend_.zero(moments_.data(), moments_.bytes());
  }
  return moments_.f32();
}

float* Learner::moments_v() {
  return moments_m() + parameters_.layout().total_elements;
}

ScoreResult Learner::score(const RolloutRows& rows, float* lp, float* entropy, int64_t token_budget,
                           const StopFlag* stop) {
  check_rows(rows, config_.vocab_size, config_.max_positions);
  std::vector<float> host;
  for (const PackedBatch& batch : pack_rows(rows, token_budget)) {
    if (stopped(stop)) return {.cancelled = true};
    Pass pass = begin(batch, /*with_backward=*/false);
    forward(batch, pass, /*with_backward=*/false);
    host.resize(batch.item_row.size());
    backend_.download(host.data(), pass.lp, host.size() * sizeof(float));
    scatter(batch, host, lp);
    if (entropy == nullptr) continue;
    backend_.download(host.data(), pass.entropy, host.size() * sizeof(float));
    scatter(batch, host, entropy);
  }
  return {};
}

ScoreResult Learner::grad(const RolloutRows& rows, const float* token_weight, double* loss,
                          int64_t token_budget, const StopFlag* stop) {
  check_rows(rows, config_.vocab_size, config_.max_positions);
  clear_gradients();
  *loss = 0;
  std::vector<float> lp, g_lp;
  for (const PackedBatch& batch : pack_rows(rows, token_budget)) {
    if (stopped(stop)) return {.cancelled = true};
    Pass pass = begin(batch, /*with_backward=*/true);
    forward(batch, pass, /*with_backward=*/true);
    lp.resize(batch.item_row.size());
    g_lp.resize(lp.size());
    backend_.download(lp.data(), pass.lp, lp.size() * sizeof(float));
    for (size_t i = 0; i < lp.size(); ++i) {
      const float weight = token_weight[batch.item_source[i]];
      g_lp[i] = -weight;
      if (weight != 0.0f) *loss -= static_cast<double>(weight) * static_cast<double>(lp[i]);
    }
    upload(backend_, pass.g_lp, g_lp);
    backward(batch, pass, nullptr);
  }
  return {};
}

void Learner::refuse_non_finite(const UpdateInput& input, const PolicyLossStats& stats, double grad_norm,
                                const std::vector<float>& lp) const {
  if (std::isfinite(stats.loss) && std::isfinite(grad_norm)) return;
  std::string rows;
  int64_t bad = 0;
  for (int64_t row = 0; row < input.rows.count; ++row) {
    const int32_t* offsets = input.rows.completion_offsets;
    const auto begin = lp.begin() + (offsets[row] - offsets[0]),
               end = lp.begin() + (offsets[row + 1] - offsets[0]);
    if (std::all_of(begin, end, [](float x) { return std::isfinite(x); })) continue;
    if (bad++ < 8) rows += (rows.empty() ? "" : ", ") + std::to_string(row);
  }
  fail(ErrorCode::kNonFinite,
       "update refused, parameters untouched: loss %g, gradient norm %g; rows with non-finite log-probs: %s",
       stats.loss, grad_norm, bad == 0 ? "none" : (rows + (bad > 8 ? ", ..." : "")).c_str());
}

UpdateStats Learner::update(const UpdateInput& input, const StopFlag* stop) {
  check_rows(input.rows, config_.vocab_size, config_.max_positions);
  if (input.loss.kl_coef != 0 && input.ref_lp == nullptr) {
    fail(ErrorCode::kInvalidArgument, "update: a KL coefficient needs reference log-probs");
  }
  UpdateStats stats;
  Stopwatch watch;
  clear_gradients();
  const bool with_entropy = input.loss.entropy_coef != 0;
  std::vector<float> all_lp(static_cast<size_t>(input.rows.completion_token_count())), host;
  for (const PackedBatch& batch : pack_rows(input.rows, input.token_budget)) {
    if (stopped(stop)) {
      stats.cancelled = true;
      return stats;
    }
    Pass pass = begin(batch, /*with_backward=*/true);
    upload(backend_, pass.sequence_offsets, batch.sequence_offsets);
    load_items(batch, input.advantage, pass.advantage);
    load_items(batch, input.norm, pass.norm);
    if (input.old_lp != nullptr) load_items(batch, input.old_lp, pass.old_lp);
    if (input.ref_lp != nullptr) load_items(batch, input.ref_lp, pass.ref_lp);
    forward(batch, pass, /*with_backward=*/true);
    Context context{&backend_, pass.scratch, true};
    ops::policy_loss(context, &stats.loss, pass.g_lp, with_entropy ? pass.g_entropy : nullptr, pass.lp,
                     pass.entropy, input.old_lp == nullptr ? pass.lp : pass.old_lp,
                     input.ref_lp == nullptr ? nullptr : pass.ref_lp, pass.advantage, pass.norm,
                     pass.sequence_offsets, static_cast<int64_t>(batch.sequence_offsets.size()) - 1,
                     input.loss);
    host.resize(batch.item_row.size());
    backend_.download(host.data(), pass.lp, host.size() * sizeof(float));
    scatter(batch, host, all_lp.data());
    stats.seconds_forward += watch.lap();
    backward(batch, pass, with_entropy ? pass.g_entropy : nullptr);
    stats.seconds_backward += watch.lap();
    ++stats.micro_batches;
    stats.packed_tokens += static_cast<int64_t>(batch.tokens.size());
  }
  Context context{&backend_, {}, true};
  double squares = 0;
  const int64_t elements = parameters_.layout().total_elements;
  ops::sum_of_squares(context, &squares, gradients_.f32(), elements);
  stats.grad_norm = std::sqrt(squares);
  refuse_non_finite(input, stats.loss, stats.grad_norm, all_lp);
  if (stopped(stop)) {
    stats.cancelled = true;
    return stats;
  }
  // Everything that may run out of memory comes before the first byte changes.
  parameters_.make_masters();
  float* const m = moments_m();
  float* const v = moments_v();
  AdamwParams adamw = input.optimizer.adamw;
  adamw.step = ++optimizer_step_;
  const double limit = input.optimizer.max_grad_norm;
  // As torch.nn.utils.clip_grad_norm_ divides.
  adamw.grad_scale = limit > 0 && stats.grad_norm > limit ? limit / (stats.grad_norm + 1e-6) : 1.0;
  ops::adamw_step(context, &stats.adamw, parameters_.masters(), gradients_.f32(), m, v, elements, adamw);
  parameters_.pack_from_masters();
  stats.optimizer_step = optimizer_step_;
  stats.seconds_optimizer = watch.lap();
  return stats;
}

}  // namespace coppice
