// The engine as the binding sees it: one model on one backend. Not thread-safe: one job at a time, on the
// engine's own thread. Long calls poll `stop` between micro-batches or token steps and throw nothing when it
// is set: they return with `cancelled` true and the parameters unchanged.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "engine/batch.h"
#include "engine/model_config.h"
#include "engine/value_loss.h"

namespace coppice {

using StopFlag = std::atomic<bool>;

// One tensor inside a file: safetensors bodies are read and written here; headers are src/checkpoint.ts's
// business.
struct TensorInFile {
  std::string name;  // Hugging Face name
  std::string path;
  uint64_t offset = 0;  // absolute, in bytes
  DType dtype = DType::kF32;
};

struct MemoryPlan {
  struct Row {
    std::string what;  // "parameters", "gradients", "key/value cache", ...
    uint64_t bytes = 0;
  };
  std::vector<Row> rows;
};

// What a pass keeps of the layers for its backward: everything, or each layer's input alone, from which the
// backward computes the layer again. Results agree bit for bit.
enum class ActivationCheckpointing : uint8_t { kNone, kLayer };

// How a pass with a backward is cut.
struct MicroBatchParams {
  int64_t token_budget = 8192;
  ActivationCheckpointing checkpointing = ActivationCheckpointing::kNone;
};

struct ScoreResult {
  bool cancelled = false;
};

// Distributions that are wanted of rows: those from which the completion tokens at `places` were drawn.
struct TopLogProbsInput {
  RolloutRows rows;
  const int32_t* places = nullptr;  // [count] rising indices among all completion tokens of the rows
  int64_t count = 0;
  int32_t top = 0;               // how many of the largest
  const int32_t* ids = nullptr;  // [count, ids_per_place] tokens to look up, or null
  int32_t ids_per_place = 0;
};

struct TopLogProbsOutput {
  int32_t* top_ids = nullptr;  // [count, top] in falling order of log-prob, ties by smaller id
  float* top_lp = nullptr;     // [count, top]
  float* ids_lp = nullptr;     // [count, ids_per_place]
};

struct OptimizerParams {
  AdamwParams adamw;           // step is the engine's own counter and ignored here
  double max_grad_norm = 1.0;  // 0 = off
};

// The value head's part of an optimiser step; arrays as in UpdateInput.
struct ValueInput {
  const float* returns = nullptr;    // null: no value loss
  const float* old_value = nullptr;  // null without a clip
  ValueLossParams loss;
};

// What one optimiser step works on: the policy's loss, that of the value head, or both, over the same tokens.
// Arrays have one element a completion token, in the rows' order.
struct UpdateInput {
  RolloutRows rows;
  const float* old_lp = nullptr;     // null: the recorded ratio is 1 (the loss then uses lp itself as old_lp)
  const float* ref_lp = nullptr;     // null without KL
  const float* advantage = nullptr;  // null: no policy loss
  const float* norm = nullptr;       // mask / denominator of the whole optimiser batch; 0 = inactive
  PolicyLossParams loss;             // its old_kl_mask is an array like the ones above
  ValueInput value;
  OptimizerParams optimizer;
  MicroBatchParams micro_batches;
};

struct UpdateStats {
  bool cancelled = false;
  PolicyLossStats loss;
  ValueLossStats value;
  double grad_norm = 0;  // before clipping
  AdamwStats adamw;
  int64_t optimizer_step = 0;  // after this step
  int64_t micro_batches = 0;
  int64_t packed_tokens = 0;    // rows of all packed batches: what was computed
  double seconds_forward = 0;   // up to the head
  double seconds_backward = 0;  // the head, the loss and everything backward
  double seconds_optimizer = 0;
};

struct GenerationParams {
  int32_t num_generations = 1;  // samples a prompt
  SampleParams sampling;
  int32_t max_completion_length = 256;
  std::vector<int32_t> stop_tokens;
  uint64_t seed = 0;
  uint32_t step = 0;
  int32_t max_live_sequences = 256;
  int32_t max_waiting_groups = 64;  // finished groups not yet taken: generation pauses there
  uint64_t kv_bytes =
      0;  // 0 = what max_live_sequences of the longest request need, capped at 1 GiB but enough for one
};

// Work to plan or reserve memory for.
struct MemoryRequest {
  bool training = true;    // updates; else scoring alone
  bool generation = true;  // sampling under `params`
  MicroBatchParams micro_batches;
  GenerationParams params;
  int32_t longest_prompt = 0;
  int32_t longest_row = 0;  // tokens of the longest prompt and completion together
};

enum class FinishReason : uint8_t { kStop, kLength, kCancelled };

struct GeneratedSample {
  std::vector<int32_t> tokens;  // a stop token that ended it included
  std::vector<float> lp;
  std::vector<float> sampler_lp;  // filled only under top_k / top_p / min_p
  std::vector<float> entropy;
  FinishReason finish = FinishReason::kLength;
};

struct GeneratedGroup {
  int64_t prompt = 0;  // index into the prompts given
  std::vector<GeneratedSample> samples;
};

class Engine;

// An open generation. step() does one token step of all live sequences (with prefill and refill where there
// is room).
class Generation {
 public:
  virtual ~Generation();
  // False when there is nothing to do now: all done, or max_waiting_groups are waiting to be taken.
  virtual bool step() = 0;
  virtual bool done() const = 0;  // every group finished (some may still wait to be taken)
  virtual bool take(
      GeneratedGroup* group) = 0;  // false when none waits; groups come in the order in which they finish
  virtual int64_t waiting() const = 0;
  // Ends live sequences with finish reason `cancelled`; groups with at least one token are then taken as
  // usual.
  virtual void cancel() = 0;
  virtual int64_t generated_tokens() const = 0;
  virtual int64_t live_sequences() const = 0;
};

class Engine {
 public:
  // dtype: of the compute copies, kF32 or kBF16.
  static std::unique_ptr<Engine> create(const ModelConfig& config, const BackendOptions& options,
                                        DType dtype = DType::kF32);
  virtual ~Engine();

  virtual const ModelConfig& config() const = 0;
  virtual const ModelLayout& layout() const = 0;
  virtual Backend& backend() = 0;

  // ---- parameters ----
  // normal(0, 0.02), norms 1, biases 0; scaled 1 / sqrt(2 layers) on the two projections into the residual
  // stream. A value head is 0.
  virtual void init_random(uint64_t seed) = 0;
  // Every tensor of the layout exactly once, any dtype of file; a value head alone may be missing and
  // is 0 then.
  // CHECKPOINT_CORRUPT names the tensor or file.
  // with_masters: the files' values also become the fp32 masters at once, as a run that goes on needs them
  // (without, masters are made of the compute copies at the first update).
  virtual void load(const std::vector<TensorInFile>& tensors, bool with_masters) = 0;
  virtual void save(
      const std::vector<TensorInFile>& tensors) = 0;  // into existing files, at the offsets given
  // One tensor as floats, from the masters where there are any.
  virtual void read_tensor(const std::string& name, float* out) = 0;
  virtual void write_tensor(const std::string& name, const float* values) = 0;
  // Gradients of the last grad() or update(), as save() does for parameters.
  virtual void save_gradients(const std::vector<TensorInFile>& tensors) = 0;
  virtual void read_gradient(const std::string& name, float* out) = 0;
  // Moments: names "m" and "v", whole arenas in layout order, plus the step counter.
  virtual bool has_optimizer_state() const = 0;
  virtual int64_t optimizer_step() const = 0;
  virtual void save_optimizer(const std::string& path, uint64_t m_offset, uint64_t v_offset) = 0;
  virtual void load_optimizer(const std::string& path, uint64_t m_offset, uint64_t v_offset,
                              int64_t step) = 0;
  // Moments of one tensor, m [elements] and then v [elements]; INVALID_ARGUMENT where there are none yet.
  virtual void read_moments(const std::string& name, float* out) = 0;
  // The other tensors' moments are zero until they are written. `step`: of the optimiser, as load_optimizer
  // takes it.
  virtual void write_moments(const std::string& name, const float* values, int64_t step) = 0;
  virtual uint64_t version() const = 0;  // grows with every change of the parameters

  // ---- work; INVALID_ARGUMENT where the model lacks the head that it needs ----
  // lp and entropy [completion tokens]; entropy may be null.
  virtual ScoreResult score(const RolloutRows& rows, float* lp, float* entropy, int64_t token_budget,
                            const StopFlag* stop) = 0;
  // Log-probs under the rows' temperatures, those of the tokens drawn bit for bit as score() gives them.
  // Holds the logits of some rows at a time, 16 MiB or one row. INVALID_ARGUMENT for places, ids and a `top`
  // that are out of range; NON_FINITE names the place where there is no distribution.
  virtual ScoreResult top_log_probs(const TopLogProbsInput& input, const TopLogProbsOutput& output,
                                    int64_t token_budget, const StopFlag* stop) = 0;
  // Gradient of -sum token_weight * log pi, not normalised, into the gradient arena; returns the loss in
  // *loss.
  virtual ScoreResult grad(const RolloutRows& rows, const float* token_weight, double* loss,
                           const MicroBatchParams& micro_batches, const StopFlag* stop) = 0;
  // What the value head says at the positions that predict the completion tokens: value [completion tokens].
  // A token's value depends on the tokens before it alone.
  virtual ScoreResult values(const RolloutRows& rows, float* value, int64_t token_budget,
                             const StopFlag* stop) = 0;
  // One optimiser step. NON_FINITE (parameters and moments untouched) when the loss or the gradient is not
  // finite; the message says which rows of the input carry non-finite log-probs or
  // values.
  virtual UpdateStats update(const UpdateInput& input, const StopFlag* stop) = 0;

  // Prompts: flat tokens with offsets [count + 1], copied. prompt_index: the prompts' global indices for the
  // noise keys.
  virtual std::unique_ptr<Generation> generate(const int32_t* prompt_tokens, const int32_t* prompt_offsets,
                                               const int64_t* prompt_index, int64_t count,
                                               const GenerationParams& params) = 0;

  // What the work needs, in bytes.
  virtual MemoryPlan plan(const MemoryRequest& request) const = 0;
  // Takes the backend's part of it now, and writes to it, so that no later job within the request can run out
  // of it.
  virtual void reserve(const MemoryRequest& request) = 0;
  virtual uint64_t allocated_bytes() const = 0;
};

// Engine::plan of an engine that is not there: nothing as large as a parameter is allocated.
MemoryPlan plan_memory(const ModelConfig& config, const BackendOptions& options, DType dtype,
                       const MemoryRequest& request);

}  // namespace coppice
