// Operands that the forward and the backward of an op have in common, in a backend's memory.
#pragma once

#include <vector>

#include "binding/kernel_ops.h"
#include "engine/device_memory.h"

namespace coppice::binding {

// 0 .. count - 1.
std::vector<int32_t> first_numbers(int64_t count);

struct DeviceAttention {
  DeviceAttention(Backend& backend, const AttentionOperands& operands);
  // Fills the pages, then out and lse.
  void forward() const;

  AttentionShape shape;
  int64_t rows, q_cols, kv_cols;
  mutable OwnContext context;
  DeviceMatrix q, k, v, out, lse;
  DevicePages pages;
};

struct DeviceHead {
  // INVALID_ARGUMENT for a target outside of the vocabulary.
  DeviceHead(Backend& backend, const HeadOperands& operands);
  // Fills lp, entropy and lse.
  void forward() const;
  HeadItems items() const { return {rows.data(), targets.data(), temperature.data(), count}; }

  int64_t count;
  mutable OwnContext context;
  DeviceMatrix hidden, temperature, lp, entropy, lse;
  DeviceParameter weight;
  DeviceArray<int32_t> rows, targets;
};

}  // namespace coppice::binding
