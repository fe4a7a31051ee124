// What the engine does with memory: gradients are the same bits whether layers are kept or computed again,
// micro-batches stay within their bounds, what was reserved is what the plan says and all that is ever taken,
// neither a token nor a micro-batch allocates, and large arrays that are released are the system's again.
//
//   memory_test [DEVICE]     cpu (default); of a CUDA device what is the backend's memory: gradients and the
//                            plan, with few rows, since kernels run on the host are slow
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/memory.h"
#include "expect.h"
#include "random_model.h"

// Every allocation of this process through operator new; those of over-aligned types come to the second.
static std::atomic<int64_t> allocations{0};

void* operator new(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* data = std::malloc(bytes == 0 ? 1 : bytes)) return data;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* data = nullptr;
  if (posix_memalign(&data, static_cast<size_t>(alignment), bytes) == 0) return data;
  throw std::bad_alloc();
}
void operator delete(void* data) noexcept {
  std::free(data);
}
void operator delete(void* data, size_t) noexcept {
  std::free(data);
}
void operator delete(void* data, std::align_val_t) noexcept {
  std::free(data);
}
void operator delete(void* data, size_t, std::align_val_t) noexcept {
  std::free(data);
}

using namespace coppice;

namespace {

// Groups of rows with one prompt each; completions of 0 to `longest` tokens.
struct RandomRows {
  std::vector<int32_t> prompt_tokens, prompt_offsets = {0}, completion_tokens, completion_offsets = {0};
  int64_t longest_row = 0;

  RandomRows(Random& random, int32_t vocab, int64_t groups, int64_t longest_prompt, int64_t longest) {
    for (int64_t g = 0; g < groups; ++g) {
      std::vector<int32_t> prompt(static_cast<size_t>(between(random, 1, longest_prompt)));
      for (int32_t& token : prompt) token = static_cast<int32_t>(between(random, 0, vocab - 1));
      for (int64_t samples = between(random, 1, 6); samples > 0; --samples) {
        prompt_tokens.insert(prompt_tokens.end(), prompt.begin(), prompt.end());
        prompt_offsets.push_back(static_cast<int32_t>(prompt_tokens.size()));
        const int64_t length = between(random, 0, longest);
        for (int64_t t = 0; t < length; ++t)
          completion_tokens.push_back(static_cast<int32_t>(between(random, 0, vocab - 1)));
        completion_offsets.push_back(static_cast<int32_t>(completion_tokens.size()));
        longest_row = std::max(longest_row, static_cast<int64_t>(prompt.size()) + length);
      }
    }
  }
  RolloutRows view() const {
    return {static_cast<int64_t>(prompt_offsets.size()) - 1,
            prompt_tokens.data(),
            prompt_offsets.data(),
            completion_tokens.data(),
            completion_offsets.data(),
            nullptr};
  }
};

std::vector<float> gradients_of(Engine& engine, const RolloutRows& rows, const std::vector<float>& weights,
                                const MicroBatchParams& micro_batches) {
  double loss = 0;
  engine.grad(rows, weights.data(), &loss, micro_batches, nullptr);
  std::vector<float> all = {static_cast<float>(loss)}, values;
  for (const TensorSpec& tensor : engine.layout().tensors) {
    values.resize(static_cast<size_t>(tensor.elements()));
    engine.read_gradient(tensor.name, values.data());
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

std::string device = "cpu";
bool on_cpu() {
  return device == "cpu";
}

void gradients_are_the_same_bits(uint64_t seed, DType dtype) {
  Random random(seed);
  const ModelConfig config = random_config(random);
  const auto engine = Engine::create(config, {device, "", static_cast<int>(between(random, 1, 2))}, dtype);
  fill_parameters(*engine, seed);
  const RandomRows rows = on_cpu() ? RandomRows(random, config.vocab_size, between(random, 1, 5), 150, 120)
                                   : RandomRows(random, config.vocab_size, 2, 70, 6);
  std::vector<float> weights(rows.completion_tokens.size());
  for (float& weight : weights) weight = static_cast<float>(between(random, -4, 4)) / 8.0f;
  const int64_t budget = pick<int64_t>(random, {1, 200, 100000});
  const auto kept = gradients_of(*engine, rows.view(), weights, {budget, ActivationCheckpointing::kNone});
  const auto again = gradients_of(*engine, rows.view(), weights, {budget, ActivationCheckpointing::kLayer});
  expect(std::memcmp(kept.data(), again.data(), kept.size() * sizeof(float)) == 0,
         "gradients differ under checkpointing, seed " + std::to_string(seed) + " " + dtype_name(dtype));
  expect(weights.empty() || std::any_of(kept.begin() + 1, kept.end(), [](float g) { return g != 0; }),
         "no gradient, seed " + std::to_string(seed));
}

void micro_batches_stay_within_their_bounds(uint64_t seed) {
  Random random(seed);
  const RandomRows rows(random, 50, between(random, 1, 60), pick<int64_t>(random, {1, 20, 200}),
                        pick<int64_t>(random, {0, 1, 2, 20, 300}));
  const int64_t budget = pick<int64_t>(random, {1, 16, 100, 500, 3000});
  const BatchSize most = largest_batch(budget, rows.longest_row);
  PackedBatch batch;
  int64_t seen = 0, items = 0;
  for (RowPacker packer(rows.view(), budget, batch); packer.next();) {
    const BatchSize size = batch.size();
    expect(size.rows <= most.rows && size.segments <= most.segments &&
               size.page_entries <= most.page_entries && size.pages <= most.pages &&
               size.items <= most.items && size.sequences <= most.sequences,
           "a micro-batch exceeds its bounds, seed " + std::to_string(seed));
    expect(batch.first_row == seen, "rows left out, seed " + std::to_string(seed));
    seen += size.sequences;
    items += size.items;
  }
  expect(seen == rows.view().count && items == rows.view().completion_token_count(),
         "not every row was packed, seed " + std::to_string(seed));
}

ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = 64;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  config.intermediate_size = 96;
  config.max_positions = 512;
  return config;
}

MemoryRequest small_request(ActivationCheckpointing checkpointing) {
  MemoryRequest request;
  request.micro_batches = {256, checkpointing};
  request.params.num_generations = 4;
  request.params.max_completion_length = 300;
  request.params.max_live_sequences = 16;
  request.params.stop_tokens = {};
  request.longest_prompt = 64;
  request.longest_row = 364;
  return request;
}

void update(Engine& engine, const RandomRows& rows, const MicroBatchParams& micro_batches) {
  const std::vector<float> ones(rows.completion_tokens.size(), 1.0f);
  UpdateInput input;
  input.rows = rows.view();
  input.advantage = ones.data();
  input.norm = ones.data();
  input.micro_batches = micro_batches;
  engine.update(input, nullptr);
}

std::unique_ptr<Generation> open_generation(Engine& engine, const MemoryRequest& request, int32_t prompt) {
  const std::vector<int32_t> tokens(static_cast<size_t>(4 * prompt), 7),
      offsets = {0, prompt, 2 * prompt, 3 * prompt, 4 * prompt};
  return engine.generate(tokens.data(), offsets.data(), nullptr, 4, request.params);
}

// Of the backend's memory: all rows of the plan but the last, which is the host's.
uint64_t planned(const Engine& engine, const MemoryRequest& request) {
  uint64_t bytes = 0;
  for (const MemoryPlan::Row& row : engine.plan(request).rows) {
    if (row.what != "packing and sampling") bytes += row.bytes;
  }
  return bytes;
}

// The same of a critic, and of a policy with a value head.
void a_value_head_is_planned(Heads heads, ActivationCheckpointing checkpointing) {
  ModelConfig config = small_config();
  config.heads = heads;
  const auto engine = Engine::create(config, {"cpu", "", 2}, DType::kBF16);
  engine->init_random(1);
  MemoryRequest request = small_request(checkpointing);
  request.generation = config.has_token_head();
  engine->reserve(request);
  const uint64_t plan = planned(*engine, request);
  expect(engine->allocated_bytes() == plan, "a value head: reserved " +
                                                std::to_string(engine->allocated_bytes()) +
                                                " bytes, planned " + std::to_string(plan));
  Random random(6);
  const RandomRows rows(random, 300, 20, 40, 300);
  const std::vector<float> ones(rows.completion_tokens.size(), 1.0f);
  std::vector<float> values(ones.size());
  engine->values(rows.view(), values.data(), 256, nullptr);
  UpdateInput input;
  input.rows = rows.view();
  if (config.has_token_head()) input.advantage = ones.data();
  input.norm = ones.data();
  input.value = {ones.data(), values.data(), {0.2, 1.0}};
  input.micro_batches = request.micro_batches;
  const UpdateStats stats = engine->update(input, nullptr);
  expect(stats.value.active_tokens == static_cast<int64_t>(ones.size()) && stats.value.loss > 0,
         "the value loss is not of every token");
  expect(engine->allocated_bytes() == plan, "values and an update took more than was reserved");
}

void reserved_is_planned_and_enough(DType dtype, ActivationCheckpointing checkpointing) {
  const auto engine = Engine::create(small_config(), {device, "", 2}, dtype);
  engine->init_random(1);
  MemoryRequest request = small_request(checkpointing);
  const int32_t longest = on_cpu() ? 300 : 5;
  request.params.max_completion_length = longest;
  request.longest_row = 64 + longest;
  engine->reserve(request);
  const uint64_t plan = planned(*engine, request);
  expect(engine->allocated_bytes() == plan,
         "reserved " + std::to_string(engine->allocated_bytes()) + " bytes, planned " + std::to_string(plan));
  Random random(5);
  // A prompt of a whole page needs fewer pages of its own than one that is a token shorter.
  for (const int32_t prompt : {1, 40, 63, 64}) {
    const auto generation = open_generation(*engine, request, prompt);
    while (generation->step()) {
    }
    expect(engine->allocated_bytes() == plan, "a generation took more than was reserved");
    const RandomRows rows(random, 300, on_cpu() ? 20 : 3, 40, prompt == 1 ? 3 : longest);
    update(*engine, rows, request.micro_batches);
    expect(engine->allocated_bytes() == plan, "an update took more than was reserved");
  }
}

void a_token_allocates_nothing() {
  const auto engine = Engine::create(small_config(), {"cpu", "", 2}, DType::kF32);
  engine->init_random(1);
  const auto generation = open_generation(*engine, small_request(ActivationCheckpointing::kNone), 40);
  for (int step = 0; step < 3; ++step) generation->step();
  const int64_t before = allocations;
  // Over several pages of keys, and 16 live sequences throughout.
  for (int step = 0; step < 200; ++step) generation->step();
  const int64_t made = allocations - before;
  expect(generation->live_sequences() == 16 && generation->generated_tokens() == 16 * 203,
         "the sequences did not live through the measurement");
  expect(made == 0, "200 token steps made " + std::to_string(made) + " allocations");
}

void reserving_again_leaves_gradients() {
  const auto engine = Engine::create(small_config(), {"cpu", "", 2}, DType::kF32);
  engine->init_random(1);
  const MemoryRequest request = small_request(ActivationCheckpointing::kNone);
  Random random(5);
  update(*engine, RandomRows(random, 300, 5, 10, 30), request.micro_batches);
  const auto gradient = [&] {
    std::vector<float> values(static_cast<size_t>(small_config().hidden_size));
    engine->read_gradient("model.norm.weight", values.data());
    return values;
  };
  const std::vector<float> before = gradient();
  engine->reserve(request);
  expect(gradient() == before, "reserving changed the last update's gradients");
  expect(before != std::vector<float>(before.size(), 0.0f), "an update left no gradient to compare");
}

// Two updates that differ in their number of micro-batches alone make the same number of allocations.
void a_micro_batch_allocates_nothing(ActivationCheckpointing checkpointing) {
  const auto engine = Engine::create(small_config(), {"cpu", "", 2}, DType::kF32);
  engine->init_random(1);
  const MemoryRequest request = small_request(checkpointing);
  engine->reserve(request);
  Random random(5);
  const RandomRows few(random, 300, 10, 40, 300), many(random, 300, 60, 40, 300);
  const auto counted = [&](const RandomRows& rows) {
    const int64_t before = allocations;
    update(*engine, rows, request.micro_batches);
    return allocations - before;
  };
  counted(many);
  const int64_t of_few = counted(few), of_many = counted(many);
  expect(of_few == of_many, std::to_string(of_few) + " allocations for few micro-batches, " +
                                std::to_string(of_many) + " for many");
}

#if defined(__linux__)
int64_t resident_bytes() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return int64_t{pages} * sysconf(_SC_PAGESIZE);
}

// malloc raises its threshold for pages of the system's own when a larger array is freed, and keeps the next.
void released_arrays_are_given_back() {
  const auto backend = open_backend({"cpu", "", 1});
  const auto written = [&](size_t mebibytes) {
    Buffer buffer(*backend, mebibytes << 20);
    std::memset(buffer.data(), 1, buffer.bytes());
    return buffer;
  };
  const int64_t before = resident_bytes();
  const auto held = [&](int64_t mebibytes, const char* what) {
    const int64_t excess = resident_bytes() - before - (mebibytes << 20);
    expect(std::abs(excess) < 1 << 20, std::string(what) + ": " + std::to_string(excess) + " bytes too many");
  };
  written(28);
  for (int round = 0; round < 3; ++round) {
    Buffer a = written(24), b = written(24);
    held(48, "two arrays");
    a = Buffer();
    held(24, "one array released");
    b = Buffer();
    held(0, "both released");
  }
}
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) device = argv[1];
  try {
    for (uint64_t seed = 1; seed <= (on_cpu() ? 24 : 2); ++seed) {
      gradients_are_the_same_bits(seed, DType::kF32);
      gradients_are_the_same_bits(seed, DType::kBF16);
    }
    for (uint64_t seed = 1; seed <= 300; ++seed) micro_batches_stay_within_their_bounds(seed);
    if (on_cpu()) {
      a_token_allocates_nothing();
      reserving_again_leaves_gradients();
#if defined(__linux__)
      released_arrays_are_given_back();
#endif
    }
    for (const auto checkpointing : {ActivationCheckpointing::kNone, ActivationCheckpointing::kLayer}) {
      for (const DType dtype : {DType::kF32, DType::kBF16})
        reserved_is_planned_and_enough(dtype, checkpointing);
      if (on_cpu()) a_micro_batch_allocates_nothing(checkpointing);
      for (const Heads heads : {Heads::kValue, Heads::kTokensAndValue})
        a_value_head_is_planned(heads, checkpointing);
    }
  } catch (const std::exception& error) {
    std::printf("FAIL %s\n", error.what());
    ++failures;
  }
  std::printf("%s engine memory on %s, %d failed\n", failures == 0 ? "ok  " : "FAIL", device.c_str(),
              failures);
  return failures == 0 ? 0 : 1;
}
