// Work over rollout rows: scoring, gradients and optimiser steps, in micro-batches of packed tokens.
#pragma once

#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/transformer.h"

namespace coppice {

class Learner {
 public:
  Learner(Backend& backend, const ModelConfig& config, ParameterStore& parameters,
          const Transformer& transformer, Workspace& workspace);

  ScoreResult score(const RolloutRows& rows, float* lp, float* entropy, int64_t token_budget,
                    const StopFlag* stop);
  ScoreResult grad(const RolloutRows& rows, const float* token_weight, double* loss, int64_t token_budget,
                   const StopFlag* stop);
  UpdateStats update(const UpdateInput& input, const StopFlag* stop);

  const float* gradients() const { return gradients_.f32(); }
  bool has_moments() const { return !moments_.empty(); }
  // Moment arenas in layout order, made (zero) when missing: m, then v.
  float* moments_m();
  float* moments_v();
  int64_t optimizer_step() const { return optimizer_step_; }
  void set_optimizer_step(int64_t step) { optimizer_step_ = step; }

  // Bytes a micro-batch of `rows` packed tokens with `items` predicted tokens takes.
  uint64_t workspace_bytes(int64_t rows, int64_t items, bool with_backward) const;

 private:
  // One packed micro-batch and everything computed from it, in the workspace.
  struct Pass {
    Activations activations;
    KvPages pages;
    int32_t *tokens, *positions, *page_table;
    Segment* segments;
    int32_t *item_row, *item_target, *sequence_offsets;
    float *temperature, *lp, *entropy, *lse;
    float *old_lp, *ref_lp, *advantage, *norm, *g_lp, *g_entropy;
    Tensor dhidden;
    Scratch scratch;
  };
  struct PassSize {
    int64_t rows, segments, page_entries, pages, items, sequences;
  };

  void carve_pass(Carver& carver, Pass& pass, const PassSize& size, bool with_backward) const;
  static PassSize size_of(const PackedBatch& batch);
  Pass begin(const PackedBatch& batch, bool with_backward);
  DeviceBatch device_batch(const PackedBatch& batch, const Pass& pass) const;
  void forward(const PackedBatch& batch, Pass& pass, bool with_backward);
  void backward(const PackedBatch& batch, Pass& pass, const float* g_entropy);
  void load_items(const PackedBatch& batch, const float* from, float* to);
  void clear_gradients();
  void refuse_non_finite(const UpdateInput& input, const PolicyLossStats& stats, double grad_norm,
                         const std::vector<float>& lp) const;

  Backend& backend_;
  const ModelConfig& config_;
  ParameterStore& parameters_;
  const Transformer& transformer_;
  Workspace& workspace_;
  Buffer gradients_;
  Buffer moments_;
  int64_t optimizer_step_ = 0;
  std::vector<float> staging_;
};

}  // namespace coppice
