// Learner::top_log_probs: the largest log-probs of chosen distributions and those of given tokens. Logits are
// the linear map of the rows that the head reads, whose bits are the head's own (products rule, ops.h); the
// selection is done by the host, a row at a time.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "engine/learner.h"
#include "ops/ops.h"

namespace coppice {
namespace {

constexpr int64_t kLogitFloats = int64_t{1} << 22;

void check_input(const TopLogProbsInput& input, int32_t vocab) {
  const int64_t tokens = input.rows.completion_token_count();
  for (int64_t i = 0; i < input.count; ++i) {
    const int32_t least = i == 0 ? 0 : input.places[i - 1] + 1;
    if (input.places[i] >= least && input.places[i] < tokens) continue;
    fail(ErrorCode::kInvalidArgument,
         "places[%lld]: expected an index from %d to %lld, since places rise and there are %lld completion "
         "tokens; received %d",
         static_cast<long long>(i), least, static_cast<long long>(tokens) - 1, static_cast<long long>(tokens),
         input.places[i]);
  }
  if (input.top < 0 || input.top > vocab) {
    fail(ErrorCode::kInvalidArgument, "top: expected a number from 0 to %d, the vocabulary; received %d",
         vocab, input.top);
  }
  for (int64_t i = 0; i < input.count * input.ids_per_place; ++i) {
    if (input.ids[i] >= 0 && input.ids[i] < vocab) continue;
    fail(ErrorCode::kInvalidArgument, "ids[%lld]: expected a token in [0, %d); received %d",
         static_cast<long long>(i), vocab, input.ids[i]);
  }
}

// The log-probs of one distribution as the host sees them.
class HostRow {
 public:
  explicit HostRow(int64_t vocab)
      : log_probs_(static_cast<size_t>(vocab)), order_(static_cast<size_t>(vocab)) {}

  // Of a row of logits, as the head makes them.
  void load(Backend& backend, const float* logits, float temperature, float lse) {
    backend.download(log_probs_.data(), logits, log_probs_.size() * sizeof(float));
    const float factor = 1.0f / temperature;
    for (float& value : log_probs_) value = value * factor - lse;
  }
  float log_prob(int32_t token) const { return log_probs_[static_cast<size_t>(token)]; }
  // The `top` largest, ties by smaller id.
  const int32_t* largest(int32_t top) {
    std::iota(order_.begin(), order_.end(), 0);
    std::partial_sort(order_.begin(), order_.begin() + top, order_.end(), [this](int32_t a, int32_t b) {
      const float x = log_prob(a), y = log_prob(b);
      return x > y || (x == y && a < b);
    });
    return order_.data();
  }

 private:
  std::vector<float> log_probs_;
  std::vector<int32_t> order_;
};

// What the chosen rows pass through, some of them at a time.
class Selection {
 public:
  Selection(Backend& backend, const Parameter& head, const TopLogProbsInput& input,
            const TopLogProbsOutput& output)
      : backend_(backend),
        head_(head),
        input_(input),
        output_(output),
        chunk_(std::min(std::max<int64_t>(kLogitFloats / head.rows, 1), input.count)),
        rows_(backend, static_cast<size_t>(chunk_ * head.cols) * sizeof(float)),
        logits_(backend, static_cast<size_t>(chunk_ * head.rows) * sizeof(float)),
        scratch_(backend, backend.linear_scratch_bytes(chunk_, head.rows, head.cols, head.dtype)),
        host_row_(head.rows) {}

  // Fills the output from `first` on: place first + i is row row_index[i] of `hidden`, in backend memory.
  void fill(int64_t first, const Tensor& hidden, const int32_t* row_index,
            const std::vector<float>& temperature, const std::vector<float>& lse) {
    Context context{&backend_, {scratch_.data(), scratch_.bytes()}, true};
    const auto count = static_cast<int64_t>(lse.size());
    for (int64_t begin = 0; begin < count; begin += chunk_) {
      const int64_t rows = std::min(chunk_, count - begin);
      const Tensor gathered(rows_.data(), rows, head_.cols), logits(logits_.data(), rows, head_.rows);
      ops::gather_rows(context, gathered, hidden, row_index + begin);
      ops::linear_forward(context, logits, gathered, head_, nullptr);
      for (int64_t r = 0; r < rows; ++r) {
        const auto i = static_cast<size_t>(begin + r);
        host_row_.load(backend_, logits.f32() + r * head_.rows, temperature[i], lse[i]);
        fill_place(first + begin + r);
      }
    }
  }

 private:
  void fill_place(int64_t place) {
    const int32_t* largest = input_.top > 0 ? host_row_.largest(input_.top) : nullptr;
    for (int64_t k = 0; k < input_.top; ++k) {
      output_.top_ids[place * input_.top + k] = largest[k];
      output_.top_lp[place * input_.top + k] = host_row_.log_prob(largest[k]);
    }
    for (int64_t k = place * input_.ids_per_place; k < (place + 1) * input_.ids_per_place; ++k)
      output_.ids_lp[k] = host_row_.log_prob(input_.ids[k]);
  }

  Backend& backend_;
  const Parameter& head_;
  const TopLogProbsInput& input_;
  const TopLogProbsOutput& output_;
  const int64_t chunk_;
  Buffer rows_, logits_, scratch_;
  HostRow host_row_;
};

// Leaves of the batch's items those of `places` alone, which come in the items' order.
void keep_items(PackedBatch& batch, const int32_t* places, int64_t count) {
  const int32_t first = batch.item_source.front();
  for (int64_t i = 0; i < count; ++i) {
    const auto from = static_cast<size_t>(places[i] - first), to = static_cast<size_t>(i);
    batch.item_row[to] = batch.item_row[from];
    batch.item_target[to] = batch.item_target[from];
    batch.item_temperature[to] = batch.item_temperature[from];
  }
  batch.item_row.resize(static_cast<size_t>(count));
  batch.item_target.resize(static_cast<size_t>(count));
  batch.item_temperature.resize(static_cast<size_t>(count));
}

}  // namespace

ScoreResult Learner::top_log_probs(const TopLogProbsInput& input, const TopLogProbsOutput& output,
                                   int64_t token_budget, const StopFlag* stop) {
  check_rows(input.rows, config_.vocab_size, config_.max_positions);
  check_input(input, config_.vocab_size);
  if (input.count == 0) return {};
  Selection selection(backend_, parameters_.head(), input, output);
  std::vector<float> lse;
  int64_t next = 0;
  for (RowPacker packer(input.rows, token_budget, batch_); next < input.count && packer.next();) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return {.cancelled = true};
    const int64_t first = next;
    while (next < input.count && !batch_.item_source.empty() &&
           input.places[next] <= batch_.item_source.back())
      ++next;
    if (next == first) continue;
    keep_items(batch_, input.places + first, next - first);
    begin(Keep::kNothing);
    forward();
    Context context = pass_context();
    const Tensor& hidden = pass_.activations.hidden;
    ops::head_forward(context, pass_.lp, nullptr, pass_.lse, hidden, parameters_.head(), head_items());
    lse.resize(static_cast<size_t>(next - first));
    backend_.download(lse.data(), pass_.lse, lse.size() * sizeof(float));
    for (size_t i = 0; i < lse.size(); ++i) {
      const int64_t place = first + static_cast<int64_t>(i);
      if (std::isfinite(lse[i])) continue;
      fail(ErrorCode::kNonFinite, "places[%lld]: the logits of completion token %d are not finite",
           static_cast<long long>(place), input.places[place]);
    }
    selection.fill(first, hidden, pass_.item_row, batch_.item_temperature, lse);
  }
  return {};
}

}  // namespace coppice
