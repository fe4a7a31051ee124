#include "workloads.h"

#include <string>
#include <utility>

namespace coppice::bench {
namespace {

struct Shape {
  int32_t hidden, layers, heads, intermediate, vocab;
};
// Small, since a simulated fused multiply-add takes as long as a thousand real ones; two blocks of columns in
// the down projection and two of the vocabulary.
constexpr Shape kSmall = {64, 2, 2, 320, 128};
// Nearly all of its work is the head's.
constexpr Shape kWideVocabulary = {64, 1, 2, 64, 2048};
constexpr Shape kS = {256, 4, 4, 1024, 128};
constexpr Shape kCard = {1024, 16, 16, 2816, 32000};

std::unique_ptr<Engine> open_engine(const Shape& shape, DType dtype, const BackendOptions& options) {
  ModelConfig config;
  config.vocab_size = shape.vocab;
  config.hidden_size = shape.hidden;
  config.num_layers = shape.layers;
  config.num_heads = shape.heads;
  config.num_kv_heads = shape.heads;
  config.head_dim = shape.hidden / shape.heads;
  config.intermediate_size = shape.intermediate;
  config.max_positions = 512;
  config.qk_norm = true;
  config.tie_embeddings = true;
  std::unique_ptr<Engine> engine = Engine::create(config, options, dtype);
  engine->init_random(1);
  return engine;
}

// Tokens spread over the vocabulary.
std::vector<int32_t> spread_tokens(int64_t count, int32_t vocab) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  uint32_t state = 1;
  for (int32_t& token : tokens) {
    state = state * 1664525u + 1013904223u;
    token = static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(vocab));
  }
  return tokens;
}

std::vector<int32_t> equal_spans(int64_t count, int32_t length) {
  std::vector<int32_t> offsets;
  for (int64_t i = 0; i <= count; ++i) offsets.push_back(static_cast<int32_t>(i) * length);
  return offsets;
}

struct TrainingSizes {
  int32_t groups, rows_a_group, prompt, completion;
};

// One optimiser step: forward, loss, backward and AdamW.
class Training final : public Work {
 public:
  Training(const Shape& shape, DType dtype, const TrainingSizes& sizes, const BackendOptions& options)
      : engine_(open_engine(shape, dtype, options)) {
    const int64_t rows = int64_t{sizes.groups} * sizes.rows_a_group;
    const std::vector<int32_t> prompts = spread_tokens(int64_t{sizes.groups} * sizes.prompt, shape.vocab);
    for (int64_t row = 0; row < rows; ++row) {
      const auto begin = prompts.begin() + row / sizes.rows_a_group * sizes.prompt;
      prompt_tokens_.insert(prompt_tokens_.end(), begin, begin + sizes.prompt);
    }
    prompt_offsets_ = equal_spans(rows, sizes.prompt);
    completion_tokens_ = spread_tokens(rows * sizes.completion, shape.vocab);
    completion_offsets_ = equal_spans(rows, sizes.completion);
    advantage_.assign(completion_tokens_.size(), 1.0f);
    norm_.assign(completion_tokens_.size(), 1.0f / static_cast<float>(completion_tokens_.size()));
    packed_tokens_ = int64_t{sizes.groups} * sizes.prompt + rows * (sizes.completion - 1);
    update_.rows = {rows,
                    prompt_tokens_.data(),
                    prompt_offsets_.data(),
                    completion_tokens_.data(),
                    completion_offsets_.data(),
                    nullptr};
    update_.advantage = advantage_.data();
    update_.norm = norm_.data();
    update_.optimizer.adamw.learning_rate = 1e-6;
  }
  void run() override { engine_->update(update_, nullptr); }
  int64_t tokens() const override { return packed_tokens_; }
  Backend& backend() override { return engine_->backend(); }

 private:
  std::unique_ptr<Engine> engine_;
  std::vector<int32_t> prompt_tokens_, prompt_offsets_, completion_tokens_, completion_offsets_;
  std::vector<float> advantage_, norm_;
  int64_t packed_tokens_ = 0;
  UpdateInput update_;
};

struct GenerationSizes {
  int32_t prompts, prompt, num_generations, completion;
};

// A whole generation without stop tokens, prompts included.
class Sampling final : public Work {
 public:
  Sampling(const Shape& shape, DType dtype, const GenerationSizes& sizes, const BackendOptions& options)
      : engine_(open_engine(shape, dtype, options)), count_(sizes.prompts) {
    prompt_tokens_ = spread_tokens(int64_t{sizes.prompts} * sizes.prompt, shape.vocab);
    prompt_offsets_ = equal_spans(sizes.prompts, sizes.prompt);
    params_.num_generations = sizes.num_generations;
    params_.max_completion_length = sizes.completion;
    params_.max_live_sequences = sizes.prompts * sizes.num_generations;
  }
  void run() override {
    const std::unique_ptr<Generation> generation =
        engine_->generate(prompt_tokens_.data(), prompt_offsets_.data(), nullptr, count_, params_);
    GeneratedGroup group;
    while (!generation->done() || generation->waiting() > 0) {
      generation->step();
      while (generation->take(&group)) {
      }
    }
  }
  int64_t tokens() const override {
    return int64_t{params_.max_live_sequences} * params_.max_completion_length;
  }
  Backend& backend() override { return engine_->backend(); }

 private:
  std::unique_ptr<Engine> engine_;
  int64_t count_;
  std::vector<int32_t> prompt_tokens_, prompt_offsets_;
  GenerationParams params_;
};

template <const Shape& kShape, DType kType, int32_t kGroups, int32_t kRows, int32_t kPrompt,
          int32_t kCompletion>
std::unique_ptr<Work> training(const BackendOptions& options) {
  return std::make_unique<Training>(kShape, kType, TrainingSizes{kGroups, kRows, kPrompt, kCompletion},
                                    options);
}

template <const Shape& kShape, DType kType, int32_t kPrompts, int32_t kPrompt, int32_t kSamples,
          int32_t kCompletion>
std::unique_ptr<Work> sampling(const BackendOptions& options) {
  return std::make_unique<Sampling>(kShape, kType, GenerationSizes{kPrompts, kPrompt, kSamples, kCompletion},
                                    options);
}

}  // namespace

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = {
      {"step", "hidden 64, 2 layers, vocabulary 128, f32: 2 groups of 3 rows, 16 + 32 tokens",
       training<kSmall, DType::kF32, 2, 3, 16, 32>},
      {"step_bf16", "hidden 64, 2 layers, vocabulary 128, bf16: 2 groups of 3 rows, 16 + 32 tokens",
       training<kSmall, DType::kBF16, 2, 3, 16, 32>},
      {"head", "hidden 64, 1 layer, vocabulary 2048, f32: 2 groups of 4 rows, 4 + 12 tokens",
       training<kWideVocabulary, DType::kF32, 2, 4, 4, 12>},
      {"decode", "hidden 64, 2 layers, vocabulary 128, f32: 4 prompts of 16 x 4 completions of 24",
       sampling<kSmall, DType::kF32, 4, 16, 4, 24>},
      {"decode_bf16", "hidden 64, 2 layers, vocabulary 128, bf16: 4 prompts of 16 x 4 completions of 24",
       sampling<kSmall, DType::kBF16, 4, 16, 4, 24>},
      {"decode_one", "hidden 64, 1 layer, vocabulary 2048, f32: 1 prompt of 16 x 1 completion of 32",
       sampling<kWideVocabulary, DType::kF32, 1, 16, 1, 32>},
      {"train_s", "hidden 256, 4 layers, vocabulary 128, f32: 32 rows, 1 + 128 tokens",
       training<kS, DType::kF32, 32, 1, 1, 128>},
      {"train_s_bf16", "hidden 256, 4 layers, vocabulary 128, bf16: 32 rows, 1 + 128 tokens",
       training<kS, DType::kBF16, 32, 1, 1, 128>},
      {"generate_s", "hidden 256, 4 layers, vocabulary 128, f32: 256 prompts of 16 x 1 completion of 64",
       sampling<kS, DType::kF32, 256, 16, 1, 64>},
  };
  return all;
}

const std::vector<Workload>& card_workloads() {
  static const std::vector<Workload> all = {
      {"card_step_bf16", "hidden 1024, 16 layers, vocabulary 32000, bf16: 32 rows, 1 + 384 tokens",
       training<kCard, DType::kBF16, 32, 1, 1, 384>},
      {"card_decode_bf16",
       "hidden 1024, 16 layers, vocabulary 32000, bf16: 64 prompts of 128 x 1 completion of 128",
       sampling<kCard, DType::kBF16, 64, 128, 1, 128>},
  };
  return all;
}

}  // namespace coppice::bench
