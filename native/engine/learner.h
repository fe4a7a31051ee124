// Work over rollout rows: scoring, gradients and optimiser steps, in micro-batches of packed tokens.
#pragma once

#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/transformer.h"
#include "engine/value_head.h"

namespace coppice {

class Learner {
 public:
  Learner(Backend& backend, const ModelConfig& config, ParameterStore& parameters,
          const Transformer& transformer, Workspace& workspace);

  ScoreResult score(const RolloutRows& rows, float* lp, float* entropy, int64_t token_budget,
                    const StopFlag* stop);
  // In top_log_probs.cpp.
  ScoreResult top_log_probs(const TopLogProbsInput& input, const TopLogProbsOutput& output,
                            int64_t token_budget, const StopFlag* stop);
  ScoreResult grad(const RolloutRows& rows, const float* token_weight, double* loss,
                   const MicroBatchParams& micro_batches, const StopFlag* stop);
  ScoreResult values(const RolloutRows& rows, float* value, int64_t token_budget, const StopFlag* stop);
  UpdateStats update(const UpdateInput& input, const StopFlag* stop);

  const float* gradients() const { return gradients_.f32(); }
  bool has_moments() const { return !moments_.empty(); }
  // Moment arenas in layout order, made (zero) when missing: m, then v.
  float* moments_m();
  float* moments_v();
  int64_t optimizer_step() const { return optimizer_step_; }
  void set_optimizer_step(int64_t step) { optimizer_step_ = step; }

  // Bytes that a micro-batch of that size takes.
  uint64_t workspace_bytes(const BatchSize& size, Keep keep) const;
  // Makes now what the first update would make: masters, gradients and moments.
  void reserve_state();
  // Room for the host's side of micro-batches of at most that size, and its bytes.
  void reserve_host(const BatchSize& largest);
  uint64_t host_bytes(const BatchSize& largest) const;

 private:
  // One packed micro-batch and everything computed from it, in the workspace.
  struct Pass {
    Keep keep = Keep::kNothing;
    Activations activations;
    std::vector<KvPages> pages = {{}};  // one entry, which all layers share
    int32_t *tokens, *positions, *page_table;
    Segment* segments;
    int32_t *item_row, *item_target, *sequence_offsets, *range_offsets;
    float *temperature, *lp, *entropy, *lse;
    float *old_lp, *ref_lp, *advantage, *norm, *old_kl_mask, *g_lp, *g_entropy;
    Tensor dhidden;
    ValueTensors value;
    Scratch scratch;
  };

  void carve_pass(Carver& carver, Pass& pass, const BatchSize& size) const;
  // Lays out pass_ for batch_ and uploads the batch.
  void begin(Keep keep);
  DeviceBatch device_batch() const;
  HeadItems head_items() const;
  Context pass_context();
  void forward();
  void head_forward_backward(HeadLoss& loss, const float* g_entropy);
  void backward();
  void value_forward();
  // The losses of the micro-batch in pass_, up to dhidden.
  void policy_pass(const UpdateInput& input, PolicyLossStats& stats);
  void value_pass(const UpdateInput& input, ValueLossStats& stats);
  size_t head_scratch_bytes(int64_t items, Keep keep) const;
  void gather_items(const float* from, std::vector<float>& to) const;
  // The per-token values that belong to the batch's items, to and from the device.
  void load_items(const float* from, float* to);
  void store_items(const float* from, float* to);
  void clear_gradients();

  // The host's side of the value loss, one entry an item.
  struct ValueStaging {
    std::vector<float> value, old_value, returns, norm, dvalue;
    void reserve(size_t items);
    static constexpr uint64_t kArrays = 5;
  };

  Backend& backend_;
  const ModelConfig& config_;
  ParameterStore& parameters_;
  const Transformer& transformer_;
  Workspace& workspace_;
  Buffer gradients_;
  Buffer moments_;
  int64_t optimizer_step_ = 0;
  // Kept between micro-batches for their capacity.
  PackedBatch batch_;
  Pass pass_;
  std::vector<float> staging_;
  ValueStaging value_staging_;
};

// What a backward under `checkpointing` reads.
inline Keep kept_under(ActivationCheckpointing checkpointing) {
  return checkpointing == ActivationCheckpointing::kLayer ? Keep::kLayerInputs : Keep::kEverything;
}

}  // namespace coppice
