#include "engine/learner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "base/error.h"
#include "engine/micro_batch_loss.h"
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

// The rows whose log-probs are not finite, for an error message: how many, and the first few by their index.
class NonFiniteRows {
 public:
  // lp: one a item of the batch.
  void look(const PackedBatch& batch, const std::vector<float>& lp) {
    for (size_t row = 0; row + 1 < batch.sequence_offsets.size(); ++row) {
      const auto begin = lp.begin() + batch.sequence_offsets[row],
                 end = lp.begin() + batch.sequence_offsets[row + 1];
      if (std::all_of(begin, end, [](float x) { return std::isfinite(x); })) continue;
      if (count_++ < kNamed) {
        names_ += (names_.empty() ? "" : ", ") + std::to_string(batch.first_row + static_cast<int64_t>(row));
      }
    }
  }
  std::string text() const { return count_ == 0 ? "none" : names_ + (count_ > kNamed ? ", ..." : ""); }

 private:
  static constexpr int64_t kNamed = 8;
  int64_t count_ = 0;
  std::string names_;
};

}  // namespace

Learner::Learner(Backend& backend, const ModelConfig& config, ParameterStore& parameters,
                 const Transformer& transformer, Workspace& workspace)
    : backend_(backend),
      config_(config),
      parameters_(parameters),
      transformer_(transformer),
      workspace_(workspace) {}

void Learner::carve_pass(Carver& carver, Pass& pass, const BatchSize& size) const {
  pass.activations.carve(carver, config_, size.rows, pass.keep);
  pass.pages.front() = carve_pages(carver, config_, static_cast<int32_t>(size.pages));
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
  if (config_.has_value_head()) pass.value.carve(carver, size.items, config_.hidden_size);
  pass.scratch.bytes =
      std::max(transformer_.scratch_bytes(size.rows), head_scratch_bytes(size.items, pass.keep));
  pass.scratch.data = carver.bytes(pass.scratch.bytes);
  if (pass.keep == Keep::kNothing) return;
  pass.sequence_offsets = carver.ints(size.sequences + 1);
  pass.range_offsets = carver.ints(2);
  pass.old_lp = carver.floats(size.items);
  pass.ref_lp = carver.floats(size.items);
  pass.advantage = carver.floats(size.items);
  pass.norm = carver.floats(size.items);
  pass.old_kl_mask = carver.floats(size.items);
  pass.g_lp = carver.floats(size.items);
  pass.g_entropy = carver.floats(size.items);
  pass.dhidden = carver.tensor(size.rows, config_.hidden_size);
}

size_t Learner::head_scratch_bytes(int64_t items, Keep keep) const {
  size_t bytes = 0;
  if (config_.has_token_head()) {
    const auto of_tokens =
        keep == Keep::kNothing ? &Backend::head_scratch_bytes : &Backend::head_forward_backward_scratch_bytes;
    bytes = (backend_.*of_tokens)(items, config_.vocab_size, config_.hidden_size, parameters_.dtype());
  }
  if (config_.has_value_head()) {
    bytes = std::max(bytes, value_head_scratch_bytes(backend_, items, config_.hidden_size));
  }
  return bytes;
}

uint64_t Learner::workspace_bytes(const BatchSize& size, Keep keep) const {
  Carver measure;
  Pass pass;
  pass.keep = keep;
  carve_pass(measure, pass, size);
  return measure.used();
}

void Learner::begin(Keep keep) {
  pass_.keep = keep;
  workspace_.carve([&](Carver& carver) { carve_pass(carver, pass_, batch_.size()); });
  upload(backend_, pass_.tokens, batch_.tokens);
  upload(backend_, pass_.positions, batch_.positions);
  upload(backend_, pass_.page_table, batch_.page_table);
  upload(backend_, pass_.segments, batch_.segments);
  upload(backend_, pass_.item_row, batch_.item_row);
  upload(backend_, pass_.item_target, batch_.item_target);
  upload(backend_, pass_.temperature, batch_.item_temperature);
  // Slots behind a sequence's last position are multiplied by zero; whatever lay in the workspace before may
  // be anything.
  const size_t page_bytes =
      static_cast<size_t>(KvCache::page_bytes(config_, 1)) / 2 * static_cast<size_t>(batch_.page_count);
  backend_.zero(pass_.pages.front().k, page_bytes);
  backend_.zero(pass_.pages.front().v, page_bytes);
}

DeviceBatch Learner::device_batch() const {
  DeviceBatch device;
  device.rows = static_cast<int64_t>(batch_.tokens.size());
  device.tokens = pass_.tokens;
  device.positions = pass_.positions;
  device.attention = {pass_.segments, static_cast<int32_t>(batch_.segments.size()), pass_.page_table};
  return device;
}

Context Learner::pass_context() {
  return {&backend_, pass_.scratch, true};
}

HeadItems Learner::head_items() const {
  return {pass_.item_row, pass_.item_target, pass_.temperature, static_cast<int64_t>(batch_.item_row.size())};
}

// Up to what the head reads.
void Learner::forward() {
  Context context = pass_context();
  transformer_.forward(context, device_batch(), pass_.pages, pass_.activations, pass_.keep);
}

// Fills pass_.lp, pass_.entropy, pass_.lse and pass_.dhidden, and has `loss` fill pass_.g_lp (and g_entropy,
// or null).
void Learner::head_forward_backward(HeadLoss& loss, const float* g_entropy) {
  Context context = pass_context();
  ops::head_forward_backward(context, pass_.dhidden,
                             parameters_.in_arena(gradients_.f32(), &parameters_.head()), pass_.lp,
                             pass_.entropy, pass_.lse, pass_.activations.hidden, parameters_.head(),
                             head_items(), pass_.g_lp, g_entropy, loss);
}

// From pass_.dhidden into the gradient arena.
void Learner::backward() {
  Context context = pass_context();
  transformer_.backward(context, device_batch(), pass_.pages, pass_.activations, pass_.keep, pass_.dhidden,
                        gradients_.f32());
}

void Learner::gather_items(const float* from, std::vector<float>& to) const {
  to.resize(batch_.item_source.size());
  for (size_t i = 0; i < to.size(); ++i) to[i] = from[batch_.item_source[i]];
}

void Learner::load_items(const float* from, float* to) {
  gather_items(from, staging_);
  upload(backend_, to, staging_);
}

void Learner::store_items(const float* from, float* to) {
  staging_.resize(batch_.item_source.size());
  backend_.download(staging_.data(), from, staging_.size() * sizeof(float));
  for (size_t i = 0; i < staging_.size(); ++i) to[batch_.item_source[i]] = staging_[i];
}

void Learner::reserve_state() {
  parameters_.make_masters();
  if (gradients_.empty()) clear_gradients();  // those of the last update may still be read
  moments_m();
}

void Learner::reserve_host(const BatchSize& largest) {
  batch_.reserve(largest);
  staging_.reserve(static_cast<size_t>(largest.items));
  if (config_.has_value_head()) value_staging_.reserve(static_cast<size_t>(largest.items));
}

uint64_t Learner::host_bytes(const BatchSize& largest) const {
  const uint64_t arrays = 1 + (config_.has_value_head() ? ValueStaging::kArrays : 0);
  return coppice::host_bytes(largest) + arrays * static_cast<uint64_t>(largest.items) * sizeof(float);
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
  for (RowPacker packer(rows, token_budget, batch_); packer.next();) {
    if (stopped(stop)) return {.cancelled = true};
    begin(Keep::kNothing);
    forward();
    Context context = pass_context();
    ops::head_forward(context, pass_.lp, pass_.entropy, pass_.lse, pass_.activations.hidden,
                      parameters_.head(), head_items());
    store_items(pass_.lp, lp);
    if (entropy != nullptr) store_items(pass_.entropy, entropy);
  }
  return {};
}

ScoreResult Learner::grad(const RolloutRows& rows, const float* token_weight, double* loss,
                          const MicroBatchParams& micro_batches, const StopFlag* stop) {
  check_rows(rows, config_.vocab_size, config_.max_positions);
  clear_gradients();
  *loss = 0;
  for (RowPacker packer(rows, micro_batches.token_budget, batch_); packer.next();) {
    if (stopped(stop)) return {.cancelled = true};
    begin(kept_under(micro_batches.checkpointing));
    forward();
    const std::vector<int32_t>& source = batch_.item_source;
    staging_.resize(source.size());
    for (size_t i = 0; i < source.size(); ++i) staging_[i] = -token_weight[source[i]];
    upload(backend_, pass_.g_lp, staging_);
    GivenGradient given;
    head_forward_backward(given, nullptr);
    backward();
    backend_.download(staging_.data(), pass_.lp, staging_.size() * sizeof(float));
    for (size_t i = 0; i < source.size(); ++i) {
      const float weight = token_weight[source[i]];
      if (weight != 0.0f) *loss -= static_cast<double>(weight) * static_cast<double>(staging_[i]);
    }
  }
  return {};
}

namespace {

void check_update(const UpdateInput& input) {
  if (input.advantage == nullptr && input.value.returns == nullptr) {
    fail(ErrorCode::kInvalidArgument, "update: expected advantages, returns or both");
  }
  if (input.loss.kl_coef != 0 && input.ref_lp == nullptr) {
    fail(ErrorCode::kInvalidArgument, "update: a KL coefficient needs reference log-probs");
  }
  if (input.loss.old_kl_coef != 0 && input.loss.old_kl_mask == nullptr) {
    fail(ErrorCode::kInvalidArgument, "update: a weight of |lp - old_lp| needs the tokens that it is for");
  }
  if (std::isfinite(input.value.loss.clip) && input.value.returns != nullptr &&
      input.value.old_value == nullptr) {
    fail(ErrorCode::kInvalidArgument, "update: a clip of the values needs the old ones");
  }
}

}  // namespace

void Learner::policy_pass(const UpdateInput& input, PolicyLossStats& stats) {
  const bool with_old_kl = input.loss.old_kl_coef != 0;
  upload(backend_, pass_.sequence_offsets, batch_.sequence_offsets);
  load_items(input.advantage, pass_.advantage);
  load_items(input.norm, pass_.norm);
  if (input.old_lp != nullptr) load_items(input.old_lp, pass_.old_lp);
  if (input.ref_lp != nullptr) load_items(input.ref_lp, pass_.ref_lp);
  if (with_old_kl) load_items(input.loss.old_kl_mask, pass_.old_kl_mask);
  PolicyLossParams params = input.loss;
  params.old_kl_mask = with_old_kl ? pass_.old_kl_mask : nullptr;
  float* const g_entropy = input.loss.entropy_coef != 0 ? pass_.g_entropy : nullptr;
  MicroBatchLoss loss(pass_context(), stats,
                      {.g_lp = pass_.g_lp,
                       .g_entropy = g_entropy,
                       .lp = pass_.lp,
                       .entropy = pass_.entropy,
                       .old_lp = input.old_lp == nullptr ? nullptr : pass_.old_lp,
                       .ref_lp = input.ref_lp == nullptr ? nullptr : pass_.ref_lp,
                       .advantage = pass_.advantage,
                       .norm = pass_.norm,
                       .sequence_offsets = pass_.sequence_offsets,
                       .sequences = batch_.size().sequences,
                       .items = batch_.size().items,
                       .range_offsets = pass_.range_offsets},
                      params);
  head_forward_backward(loss, g_entropy);
}

UpdateStats Learner::update(const UpdateInput& input, const StopFlag* stop) {
  check_rows(input.rows, config_.vocab_size, config_.max_positions);
  check_update(input);
  UpdateStats stats;
  Stopwatch watch;
  clear_gradients();
  const bool with_policy = input.advantage != nullptr, with_value = input.value.returns != nullptr;
  NonFiniteRows non_finite;
  for (RowPacker packer(input.rows, input.micro_batches.token_budget, batch_); packer.next();) {
    if (stopped(stop)) {
      stats.cancelled = true;
      return stats;
    }
    begin(kept_under(input.micro_batches.checkpointing));
    forward();
    stats.seconds_forward += watch.lap();
    if (with_policy) {
      policy_pass(input, stats.loss);
    } else {
      backend_.zero(pass_.dhidden.data,
                    static_cast<size_t>(batch_.size().rows * config_.hidden_size) * sizeof(float));
    }
    if (with_value) value_pass(input, stats.value);
    backward();
    if (with_policy) {
      staging_.resize(batch_.item_row.size());
      backend_.download(staging_.data(), pass_.lp, staging_.size() * sizeof(float));
    }
    non_finite.look(batch_, with_policy ? staging_ : value_staging_.value);
    stats.seconds_backward += watch.lap();
    ++stats.micro_batches;
    stats.packed_tokens += batch_.size().rows;
  }
  Context context{&backend_, {}, true};
  double squares = 0;
  const int64_t elements = parameters_.layout().total_elements;
  ops::sum_of_squares(context, &squares, gradients_.f32(), elements);
  stats.grad_norm = std::sqrt(squares);
  const double loss = stats.loss.loss + stats.value.loss;
  if (!std::isfinite(loss) || !std::isfinite(stats.grad_norm)) {
    fail(ErrorCode::kNonFinite,
         "update refused, parameters untouched: loss %g, gradient norm %g; rows with non-finite %s: %s", loss,
         stats.grad_norm, with_policy ? "log-probs" : "values", non_finite.text().c_str());
  }
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
