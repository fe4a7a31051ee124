// The engine on the CUDA backend, whose kernels run on the host (../cuda_on_host): exact on-policy between
// devices that run threads in different orders, gradients against the CPU backend, memory, and faults.
// Nothing here ran on a card.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "expect.h"
#include "random_model.h"

using namespace coppice;

namespace {

// Small models of the three families: grouped heads with biases, norms of heads, windows and tied embeddings.
ModelConfig family(int index) {
  ModelConfig config;
  config.vocab_size = 150;
  config.hidden_size = 24 + 8 * index;
  config.num_layers = 2;
  config.num_kv_heads = 1 + index % 2;
  config.num_heads = 2 * config.num_kv_heads;
  config.head_dim = index == 1 ? 16 : 8;
  config.intermediate_size = 33;
  config.max_positions = 160;
  config.qkv_bias = index == 0;
  config.qk_norm = index == 1;
  config.tie_embeddings = index == 2;
  if (index == 2) config.layer_windows = {30, 0};
  return config;
}

std::unique_ptr<Engine> engine_on(const char* device, const ModelConfig& config, DType dtype) {
  auto engine = Engine::create(config, {device, "", 1}, dtype);
  fill_parameters(*engine, 7);
  return engine;
}

// Two prompts, one of which ends inside the second block of keys.
struct Rollouts {
  std::vector<int32_t> prompt_tokens, prompt_offsets = {0}, completion_tokens, completion_offsets = {0};
  std::vector<float> lp, entropy;

  RolloutRows view() const {
    return {static_cast<int64_t>(prompt_offsets.size()) - 1,
            prompt_tokens.data(),
            prompt_offsets.data(),
            completion_tokens.data(),
            completion_offsets.data(),
            nullptr};
  }
};

constexpr int32_t kPrompts[] = {3, 70};

GenerationParams generation_params() {
  GenerationParams params;
  params.num_generations = 3;
  params.max_completion_length = 6;
  params.max_live_sequences = 4;
  params.sampling.top_p = 0.95f;
  params.stop_tokens = {};
  params.seed = 11;
  return params;
}

Rollouts generate(Engine& engine) {
  std::vector<int32_t> tokens, offsets = {0};
  for (const int32_t length : kPrompts) {
    for (int32_t t = 0; t < length; ++t) tokens.push_back((t * 37 + length) % engine.config().vocab_size);
    offsets.push_back(static_cast<int32_t>(tokens.size()));
  }
  const auto generation = engine.generate(tokens.data(), offsets.data(), nullptr, 2, generation_params());
  Rollouts rollouts;
  GeneratedGroup group;
  while (!generation->done() || generation->waiting() > 0) {
    generation->step();
    while (generation->take(&group)) {
      for (const GeneratedSample& sample : group.samples) {
        rollouts.prompt_tokens.insert(rollouts.prompt_tokens.end(),
                                      tokens.begin() + offsets[static_cast<size_t>(group.prompt)],
                                      tokens.begin() + offsets[static_cast<size_t>(group.prompt) + 1]);
        rollouts.prompt_offsets.push_back(static_cast<int32_t>(rollouts.prompt_tokens.size()));
        rollouts.completion_tokens.insert(rollouts.completion_tokens.end(), sample.tokens.begin(),
                                          sample.tokens.end());
        rollouts.completion_offsets.push_back(static_cast<int32_t>(rollouts.completion_tokens.size()));
        rollouts.lp.insert(rollouts.lp.end(), sample.lp.begin(), sample.lp.end());
        rollouts.entropy.insert(rollouts.entropy.end(), sample.entropy.begin(), sample.entropy.end());
      }
    }
  }
  return rollouts;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

UpdateStats update(Engine& engine, const Rollouts& rollouts) {
  const size_t tokens = rollouts.lp.size();
  std::vector<float> advantage(tokens), norm(tokens, 1.0f / static_cast<float>(tokens));
  for (size_t i = 0; i < tokens; ++i) advantage[i] = i % 3 == 0 ? -1.0f : 0.5f;
  UpdateInput input;
  input.rows = rollouts.view();
  input.old_lp = rollouts.lp.data();
  input.advantage = advantage.data();
  input.norm = norm.data();
  input.micro_batches.token_budget = 100;
  return engine.update(input, nullptr);
}

// The largest difference of a gradient from the other engine's, relative to that gradient's norm.
double gradient_distance(Engine& a, Engine& b) {
  double worst = 0;
  std::vector<float> left, right;
  for (const TensorSpec& tensor : a.layout().tensors) {
    left.resize(static_cast<size_t>(tensor.elements()));
    right.resize(left.size());
    a.read_gradient(tensor.name, left.data());
    b.read_gradient(tensor.name, right.data());
    double difference = 0, norm = 0;
    for (size_t i = 0; i < left.size(); ++i) {
      difference += std::pow(double(left[i]) - double(right[i]), 2);
      norm += std::pow(double(right[i]), 2);
    }
    expect(norm > 0, tensor.name + ": no gradient to compare");
    worst = std::max(worst, std::sqrt(difference / norm));
  }
  return worst;
}

void trains_as_the_cpu_does(int index, DType dtype) {
  const ModelConfig config = family(index);
  const std::string where = "family " + std::to_string(index) + " " + dtype_name(dtype);
  const auto sampler = engine_on("cuda", config, dtype), learner = engine_on("cuda:1", config, dtype),
             cpu = engine_on("cpu", config, dtype);
  const Rollouts rollouts = generate(*sampler);
  expect(rollouts.lp.size() == 36, where + ": tokens are missing");
  std::vector<float> lp(rollouts.lp.size()), entropy(lp.size());
  learner->score(rollouts.view(), lp.data(), entropy.data(), 100, nullptr);
  expect(same_bits(lp, rollouts.lp), where + ": log-probs differ between rollout and score");
  expect(same_bits(entropy, rollouts.entropy), where + ": entropies differ between rollout and score");
  const UpdateStats stats = update(*learner, rollouts);
  expect(stats.loss.max_abs_log_ratio == 0 && stats.loss.ratio_sum == double(lp.size()),
         where + ": the first update is off policy");
  expect(stats.adamw.changed > 0, where + ": the update changed nothing");

  Rollouts on_cpu = rollouts;
  cpu->score(rollouts.view(), on_cpu.lp.data(), nullptr, 100, nullptr);
  double gap = 0;
  for (size_t i = 0; i < lp.size(); ++i) gap = std::max(gap, std::fabs(double(lp[i]) - double(on_cpu.lp[i])));
  const bool narrow = dtype == DType::kBF16;
  expect(gap < (narrow ? 2e-2 : 1e-4), where + ": log-probs differ from the CPU's by " + std::to_string(gap));
  update(*cpu, on_cpu);
  const double distance = gradient_distance(*learner, *cpu);
  expect(distance < (narrow ? 2e-2 : 1e-4),
         where + ": gradients differ from the CPU's by " + std::to_string(distance));
}

// A critic on the kernels: the same bits in another order of threads, the CPU's values and gradients but for
// rounding.
void values_rows_as_the_cpu_does(int index, DType dtype) {
  ModelConfig config = family(index);
  const Rollouts rollouts = generate(*engine_on("cuda", config, DType::kF32));
  config.heads = Heads::kValue;
  const std::string where = "critic of family " + std::to_string(index) + " " + dtype_name(dtype);
  const auto critic = engine_on("cuda", config, dtype), other = engine_on("cuda:1", config, dtype),
             cpu = engine_on("cpu", config, dtype);
  std::vector<float> values[3], norm(rollouts.lp.size(), 0.1f);
  UpdateStats stats[3];
  Engine* const engines[] = {critic.get(), other.get(), cpu.get()};
  for (size_t e = 0; e < 3; ++e) {
    values[e].resize(norm.size());
    engines[e]->values(rollouts.view(), values[e].data(), 100, nullptr);
    std::vector<float> returns(norm.size());
    for (size_t i = 0; i < returns.size(); ++i) returns[i] = std::sin(static_cast<float>(i));
    UpdateInput input;
    input.rows = rollouts.view();
    input.norm = norm.data();
    input.value = {returns.data(), values[e].data(), {0.2, 1.0}};
    input.micro_batches.token_budget = 100;
    stats[e] = engines[e]->update(input, nullptr);
  }
  expect(same_bits(values[0], values[1]), where + ": values depend on the order of threads");
  expect(gradient_distance(*critic, *other) == 0, where + ": gradients depend on the order of threads");
  const double tolerance = dtype == DType::kBF16 ? 2e-2 : 1e-4;
  double gap = 0;
  for (size_t i = 0; i < norm.size(); ++i)
    gap = std::max(gap, std::fabs(double(values[0][i]) - double(values[2][i])));
  expect(gap < tolerance, where + ": values differ from the CPU's by " + std::to_string(gap));
  expect(std::fabs(stats[0].value.loss - stats[2].value.loss) < tolerance * stats[2].value.loss,
         where + ": the loss differs from the CPU's");
  const double distance = gradient_distance(*critic, *cpu);
  expect(distance < tolerance, where + ": gradients differ from the CPU's by " + std::to_string(distance));
}

void running_out_of_memory_leaves_the_policy_usable() {
  const auto engine = engine_on("cuda:1", family(0), DType::kF32);
  const Rollouts rollouts = generate(*engine);
  const uint64_t held = engine->allocated_bytes();
  on_host::limit_memory(1 << 16);
  try {
    update(*engine, rollouts);
    expect(false, "an update fitted into no memory");
  } catch (const Error& error) {
    expect(error.code() == ErrorCode::kOutOfMemory, std::string("out of memory: ") + error.what());
  }
  on_host::limit_memory(size_t{1} << 32);
  expect(held > 0 && generate(*engine).completion_tokens == rollouts.completion_tokens,
         "after running out of memory the same seed gives other tokens");
  update(*engine, rollouts);
}

void a_fault_poisons_its_engine_alone() {
  const auto broken = engine_on("cuda:1", family(0), DType::kF32),
             other = engine_on("cuda:2", family(0), DType::kF32);
  const Rollouts rollouts = generate(*other);
  std::vector<float> lp(rollouts.lp.size());
  on_host::break_device(1, cudaErrorIllegalAddress);
  for (int call = 0; call < 2; ++call) {
    try {
      broken->score(rollouts.view(), lp.data(), nullptr, 100, nullptr);
      expect(false, "a broken device computed");
    } catch (const Error& error) {
      expect(error.code() == ErrorCode::kDeviceFault, std::string("a broken device: ") + error.what());
    }
  }
  other->score(rollouts.view(), lp.data(), nullptr, 100, nullptr);
  expect(same_bits(lp, rollouts.lp), "a fault reached another engine");
  on_host::break_device(1, cudaSuccess);
}

void devices_are_found_by_name() {
  expect(std::strcmp(open_backend({"auto", "", 1})->name(), "cuda") == 0, "auto passed over a device");
  try {
    open_backend({"cuda:3", "", 1});
    expect(false, "a device that is not there was opened");
  } catch (const Error& error) {
    expect(error.code() == ErrorCode::kDeviceUnavailable, std::string("cuda:3: ") + error.what());
  }
}

// `said` begins the message's words on the machine, which is one line.
void a_machine_that_cannot_is_refused(const on_host::Machine& machine, const std::string& said) {
  on_host::pretend(machine);
  try {
    open_backend({"cuda", "", 1});
    expect(false, "opened, though: " + said);
  } catch (const Error& error) {
    const std::string message = error.what();
    expect(error.code() == ErrorCode::kDeviceUnavailable && message.find(said) != std::string::npos &&
               message.find('\n') == std::string::npos,
           "expected \"" + said + "\", received \"" + message + "\"");
  }
  expect(std::strcmp(open_backend({"auto", "", 1})->name(), "cpu") == 0, "auto did not go on to the CPU");
  on_host::pretend({});
}

void machines_that_cannot_are_refused() {
  a_machine_that_cannot_is_refused({.driver = 0, .count_status = cudaErrorInsufficientDriver, .count = 0},
                                   "no NVIDIA driver found");
  a_machine_that_cannot_is_refused({.driver = 12020, .count_status = cudaErrorInsufficientDriver, .count = 0},
                                   "too old: it knows CUDA 12.2, this build needs CUDA 13.0");
  a_machine_that_cannot_is_refused({.count_status = cudaErrorNoDevice, .count = 0}, "shows no device");
  a_machine_that_cannot_is_refused({.major = 7}, "compute capability 7.0; 8.0 or newer is needed");
  a_machine_that_cannot_is_refused({.has_code = false}, "for which this build has no code");
}

}  // namespace

int main() {
  try {
    devices_are_found_by_name();
    machines_that_cannot_are_refused();
    for (int index = 0; index < 3; ++index) {
      for (const DType dtype : {DType::kF32, DType::kBF16}) {
        trains_as_the_cpu_does(index, dtype);
        values_rows_as_the_cpu_does(index, dtype);
      }
    }
    running_out_of_memory_leaves_the_policy_usable();
    a_fault_poisons_its_engine_alone();
  } catch (const std::exception& error) {
    std::printf("FAIL %s\n", error.what());
    ++failures;
  }
  std::printf("%s engine on CUDA kernels that run on the host, %d failed\n", failures == 0 ? "ok  " : "FAIL",
              failures);
  return failures == 0 ? 0 : 1;
}
