// Random models of every family, for the tests of the engine.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

#include "engine/engine.h"

namespace coppice {

using Random = std::mt19937_64;

inline int64_t between(Random& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

template <typename T>
T pick(Random& random, std::initializer_list<T> values) {
  return values.begin()[random() % values.size()];
}

inline ModelConfig random_config(Random& random) {
  ModelConfig config;
  config.vocab_size = static_cast<int32_t>(pick<int64_t>(random, {17, 64, 265, 1023, 1500}));
  config.hidden_size = static_cast<int32_t>(pick<int64_t>(random, {24, 40, 64, 100, 288}));
  config.num_layers = static_cast<int32_t>(between(random, 1, 3));
  config.num_kv_heads = static_cast<int32_t>(between(random, 1, 2));
  config.num_heads = config.num_kv_heads * static_cast<int32_t>(pick<int64_t>(random, {1, 2, 3, 7}));
  config.head_dim = static_cast<int32_t>(pick<int64_t>(random, {8, 16, 24, 32, 64}));
  config.intermediate_size = static_cast<int32_t>(pick<int64_t>(random, {33, 80, 272}));
  config.max_positions = 400;
  config.qkv_bias = random() % 2 == 0;
  config.qk_norm = random() % 2 == 0;
  config.tie_embeddings = random() % 2 == 0;
  if (random() % 3 == 0) {
    for (int32_t l = 0; l < config.num_layers; ++l)
      config.layer_windows.push_back(static_cast<int32_t>(pick<int64_t>(random, {0, 1, 30, 64, 150})));
  }
  if (random() % 3 == 0) {
    config.rope_scaling = RopeScaling::kLlama3;
    config.rope_factor = 8;
    config.rope_original_max_positions = 64;
  }
  return config;
}

// Large enough that distributions are far from uniform: a gap of one bit must have somewhere to show.
inline void fill_parameters(Engine& engine, uint64_t seed) {
  Random random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (const TensorSpec& tensor : engine.layout().tensors) {
    values.resize(static_cast<size_t>(tensor.elements()));
    const bool vector = tensor.shape.size() == 1;
    const float scale = vector ? 0.1f : 1.2f / std::sqrt(static_cast<float>(tensor.cols));
    const bool norm = vector && tensor.name.find("norm") != std::string::npos;
    for (float& value : values) value = (norm ? 1.0f : 0.0f) + scale * normal(random);
    engine.write_tensor(tensor.name, values.data());
  }
}

}  // namespace coppice
