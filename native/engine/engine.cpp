#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/float_environment.h"
#include "base/rng.h"
#include "engine/generator.h"
#include "engine/learner.h"
#include "engine/tensor_file.h"
#include "engine/value_head.h"

namespace coppice {

Generation::~Generation() = default;
Engine::~Engine() = default;

namespace {

class TransformerEngine final : public Engine {
 public:
  TransformerEngine(const ModelConfig& config, const BackendOptions& options, DType dtype,
                    bool with_storage = true)
      : config_(config),
        backend_(open_backend(options)),
        parameters_(*backend_, config_, dtype, with_storage),
        workspace_(*backend_),
        kv_memory_(*backend_),
        prompt_memory_(*backend_),
        transformer_(*backend_, config_, parameters_),
        learner_(*backend_, config_, parameters_, transformer_, workspace_) {}

  const ModelConfig& config() const override { return config_; }
  const ModelLayout& layout() const override { return parameters_.layout(); }
  Backend& backend() override { return *backend_; }

  void init_random(uint64_t seed) override;
  void load(const std::vector<TensorInFile>& tensors, bool with_masters) override;
  void save(const std::vector<TensorInFile>& tensors) override;
  void read_tensor(const std::string& name, float* out) override {
    const TensorSpec& tensor = parameters_.tensor(name);
    parameters_.read(tensor, 0, tensor.elements(), out);
  }
  void write_tensor(const std::string& name, const float* values) override {
    const TensorSpec& tensor = parameters_.tensor(name);
    parameters_.write(tensor, 0, tensor.elements(), values);
    ++version_;
  }
  void save_gradients(const std::vector<TensorInFile>& tensors) override;
  void read_gradient(const std::string& name, float* out) override {
    const TensorSpec& tensor = parameters_.tensor(name);
    backend_->download(out, require_gradients() + tensor.master_offset,
                       static_cast<size_t>(tensor.elements()) * sizeof(float));
  }
  bool has_optimizer_state() const override { return learner_.has_moments(); }
  int64_t optimizer_step() const override { return learner_.optimizer_step(); }
  void save_optimizer(const std::string& path, uint64_t m_offset, uint64_t v_offset) override;
  void load_optimizer(const std::string& path, uint64_t m_offset, uint64_t v_offset, int64_t step) override;
  void read_moments(const std::string& name, float* out) override;
  void write_moments(const std::string& name, const float* values, int64_t step) override;
  uint64_t version() const override { return version_; }

  ScoreResult score(const RolloutRows& rows, float* lp, float* entropy, int64_t token_budget,
                    const StopFlag* stop) override {
    require_token_head("score");
    const ScopedFloatEnvironment environment;
    return learner_.score(rows, lp, entropy, token_budget, stop);
  }
  ScoreResult top_log_probs(const TopLogProbsInput& input, const TopLogProbsOutput& output,
                            int64_t token_budget, const StopFlag* stop) override {
    require_token_head("topLogprobs");
    const ScopedFloatEnvironment environment;
    return learner_.top_log_probs(input, output, token_budget, stop);
  }
  ScoreResult grad(const RolloutRows& rows, const float* token_weight, double* loss,
                   const MicroBatchParams& micro_batches, const StopFlag* stop) override {
    require_token_head("grad");
    const ScopedFloatEnvironment environment;
    return learner_.grad(rows, token_weight, loss, micro_batches, stop);
  }
  ScoreResult values(const RolloutRows& rows, float* value, int64_t token_budget,
                     const StopFlag* stop) override {
    require_value_head("values");
    const ScopedFloatEnvironment environment;
    return learner_.values(rows, value, token_budget, stop);
  }
  UpdateStats update(const UpdateInput& input, const StopFlag* stop) override {
    if (input.advantage != nullptr) require_token_head("update on advantages");
    if (input.value.returns != nullptr) require_value_head("update on returns");
    const ScopedFloatEnvironment environment;
    const UpdateStats stats = learner_.update(input, stop);
    if (!stats.cancelled) ++version_;
    return stats;
  }
  std::unique_ptr<Generation> generate(const int32_t* prompt_tokens, const int32_t* prompt_offsets,
                                       const int64_t* prompt_index, int64_t count,
                                       const GenerationParams& params) override;
  MemoryPlan plan(const MemoryRequest& request) const override;
  void reserve(const MemoryRequest& request) override;
  uint64_t allocated_bytes() const override { return backend_->held_bytes(); }

 private:
  uint64_t workspace_bytes(const MemoryRequest& request) const;
  void require_token_head(const char* what) const {
    if (!config_.has_token_head()) {
      fail(ErrorCode::kInvalidArgument, "%s: a critic has a value head in place of one over tokens", what);
    }
  }
  void require_value_head(const char* what) const {
    if (!config_.has_value_head()) {
      fail(ErrorCode::kInvalidArgument, "%s: the model has no value head", what);
    }
  }
  const float* require_gradients() const {
    if (learner_.gradients() == nullptr) {
      fail(ErrorCode::kInvalidArgument, "there are no gradients yet: call grad or update first");
    }
    return learner_.gradients();
  }

  ModelConfig config_;
  std::unique_ptr<Backend> backend_;
  ParameterStore parameters_;
  Workspace workspace_;
  KeptMemory kv_memory_;
  KeptMemory prompt_memory_;
  Transformer transformer_;
  Learner learner_;
  uint64_t version_ = 0;
};

// Two normals from one block of words (Box and Muller).
void normal_pair(const PhiloxBlock& block, float* a, float* b) {
  const double u = 1.0 - uniform_from_words(block.word[0], block.word[1]);  // in (0, 1]
  const double angle = 2.0 * M_PI * uniform_from_words(block.word[2], block.word[3]);
  const double radius = std::sqrt(-2.0 * std::log(u));
  *a = static_cast<float>(radius * std::cos(angle));
  *b = static_cast<float>(radius * std::sin(angle));
}

bool ends_with(const std::string& text, const char* tail) {
  const std::string end(tail);
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

void TransformerEngine::init_random(uint64_t seed) {
  std::vector<float> values;
  const std::vector<TensorSpec>& tensors = parameters_.layout().tensors;
  for (size_t index = 0; index < tensors.size(); ++index) {
    const TensorSpec& tensor = tensors[index];
    const bool norm = ends_with(tensor.name, "norm.weight");
    const bool zero = ends_with(tensor.name, ".bias") || tensor.name == kValueHeadTensor;
    const bool into_residual =
        ends_with(tensor.name, "o_proj.weight") || ends_with(tensor.name, "down_proj.weight");
    const float scale =
        0.02f / (into_residual ? std::sqrt(2.0f * static_cast<float>(config_.num_layers)) : 1.0f);
    const int64_t piece = piece_of(tensor);
    for (int64_t begin = 0; begin < tensor.elements(); begin += piece) {
      const int64_t end = std::min(begin + piece, tensor.elements());
      values.assign(static_cast<size_t>(end - begin), norm ? 1.0f : 0.0f);
      // Elements 2 i and 2 i + 1 of the tensor are one pair, which a piece may cut.
      for (int64_t i = begin / 2; !norm && !zero && 2 * i < end; ++i) {
        float pair[2];
        const PhiloxBlock block =
            philox4x32(seed, static_cast<uint32_t>(i), static_cast<uint32_t>(static_cast<uint64_t>(i) >> 32),
                       static_cast<uint32_t>(index), 0x696E6974);  // "init": apart from sampling's keys
        normal_pair(block, &pair[0], &pair[1]);
        for (int64_t at = std::max(2 * i, begin); at < std::min(2 * i + 2, end); ++at)
          values[static_cast<size_t>(at - begin)] = pair[at % 2] * scale;
      }
      parameters_.write(tensor, begin, end - begin, values.data());
    }
  }
  ++version_;
}

// A single NaN would turn every log-prob into NaN, far from where it came from.
void require_finite(const TensorInFile& source, const float* values, int64_t count) {
  if (std::all_of(values, values + count, [](float value) { return std::isfinite(value); })) return;
  fail(ErrorCode::kCheckpointCorrupt, "%s: tensor '%s' holds a value that is not finite", source.path.c_str(),
       source.name.c_str());
}

void TransformerEngine::load(const std::vector<TensorInFile>& tensors, bool with_masters) {
  std::unordered_set<std::string> seen;
  for (const TensorInFile& tensor : tensors) {
    parameters_.tensor(tensor.name);  // refuses an unknown name
    if (!seen.insert(tensor.name).second) {
      fail(ErrorCode::kCheckpointCorrupt, "%s: tensor '%s' appears twice", tensor.path.c_str(),
           tensor.name.c_str());
    }
  }
  for (const TensorSpec& tensor : parameters_.layout().tensors) {
    if (!seen.contains(tensor.name) && tensor.name != kValueHeadTensor)
      fail(ErrorCode::kCheckpointCorrupt, "tensor '%s' is missing", tensor.name.c_str());
  }
  parameters_.drop_masters();
  if (with_masters) parameters_.make_room_for_masters();
  std::vector<float> values;
  if (config_.has_value_head() && !seen.contains(kValueHeadTensor)) {
    values.assign(static_cast<size_t>(config_.hidden_size), 0.0f);
    write_tensor(kValueHeadTensor, values.data());
  }
  for (const TensorInFile& source : tensors) {
    const TensorFile file(source.path, TensorFile::Mode::kRead);
    const TensorSpec& tensor = parameters_.tensor(source.name);
    const int64_t piece = piece_of(tensor);
    values.resize(static_cast<size_t>(piece));
    for (int64_t begin = 0; begin < tensor.elements(); begin += piece) {
      const int64_t count = std::min(piece, tensor.elements() - begin);
      file.read(source.offset + static_cast<uint64_t>(begin) * dtype_bytes(source.dtype), source.dtype, count,
                values.data());
      require_finite(source, values.data(), count);
      parameters_.write(tensor, begin, count, values.data());
    }
  }
  ++version_;
}

// Writes tensors piece by piece through `read(tensor, begin, count, values)`, and flushes every file once.
template <typename Read>
void save_tensors(const std::vector<TensorInFile>& targets, const ParameterStore& parameters, Read&& read) {
  std::unordered_map<std::string, std::unique_ptr<TensorFile>> files;
  std::vector<float> values;
  for (const TensorInFile& target : targets) {
    std::unique_ptr<TensorFile>& file = files[target.path];
    if (file == nullptr) file = std::make_unique<TensorFile>(target.path, TensorFile::Mode::kWrite);
    const TensorSpec& tensor = parameters.tensor(target.name);
    const int64_t piece = piece_of(tensor);
    values.resize(static_cast<size_t>(piece));
    for (int64_t begin = 0; begin < tensor.elements(); begin += piece) {
      const int64_t count = std::min(piece, tensor.elements() - begin);
      read(tensor, begin, count, values.data());
      file->write(target.offset + static_cast<uint64_t>(begin) * dtype_bytes(target.dtype), target.dtype,
                  count, values.data());
    }
  }
  for (const auto& [path, file] : files) file->flush();
}

void TransformerEngine::save(const std::vector<TensorInFile>& tensors) {
  save_tensors(tensors, parameters_,
               [this](const TensorSpec& tensor, int64_t begin, int64_t count, float* values) {
                 parameters_.read(tensor, begin, count, values);
               });
}

void TransformerEngine::save_gradients(const std::vector<TensorInFile>& tensors) {
  const float* gradients = require_gradients();
  save_tensors(tensors, parameters_,
               [&](const TensorSpec& tensor, int64_t begin, int64_t count, float* values) {
                 backend_->download(values, gradients + tensor.master_offset + begin,
                                    static_cast<size_t>(count) * sizeof(float));
               });
}

// body(begin, count) for pieces of an arena that pass through the host's memory.
template <typename Body>
void for_pieces(int64_t elements, Body&& body) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  for (int64_t begin = 0; begin < elements; begin += kPiece) body(begin, std::min(kPiece, elements - begin));
}

void TransformerEngine::save_optimizer(const std::string& path, uint64_t m_offset, uint64_t v_offset) {
  const TensorFile file(path, TensorFile::Mode::kWrite);
  std::vector<float> values;
  const auto write = [&](const float* moments, uint64_t offset) {
    for_pieces(parameters_.layout().total_elements, [&](int64_t begin, int64_t count) {
      values.resize(static_cast<size_t>(count));
      backend_->download(values.data(), moments + begin, values.size() * sizeof(float));
      file.write(offset + static_cast<uint64_t>(begin) * sizeof(float), DType::kF32, count, values.data());
    });
  };
  write(learner_.moments_m(), m_offset);
  write(learner_.moments_v(), v_offset);
  file.flush();
}

void TransformerEngine::load_optimizer(const std::string& path, uint64_t m_offset, uint64_t v_offset,
                                       int64_t step) {
  if (step < 0) fail(ErrorCode::kCheckpointCorrupt, "%s: the optimiser step is negative", path.c_str());
  const TensorFile file(path, TensorFile::Mode::kRead);
  std::vector<float> values;
  const auto read = [&](float* moments, uint64_t offset) {
    for_pieces(parameters_.layout().total_elements, [&](int64_t begin, int64_t count) {
      values.resize(static_cast<size_t>(count));
      file.read(offset + static_cast<uint64_t>(begin) * sizeof(float), DType::kF32, count, values.data());
      upload(*backend_, moments + begin, values);
    });
  };
  read(learner_.moments_m(), m_offset);
  read(learner_.moments_v(), v_offset);
  learner_.set_optimizer_step(step);
}

void TransformerEngine::read_moments(const std::string& name, float* out) {
  const TensorSpec& tensor = parameters_.tensor(name);
  if (!learner_.has_moments()) {
    fail(ErrorCode::kInvalidArgument, "there are no moments yet: no optimiser step was made or loaded");
  }
  const int64_t elements = tensor.elements();
  const size_t bytes = static_cast<size_t>(elements) * sizeof(float);
  backend_->download(out, learner_.moments_m() + tensor.master_offset, bytes);
  backend_->download(out + elements, learner_.moments_v() + tensor.master_offset, bytes);
}

void TransformerEngine::write_moments(const std::string& name, const float* values, int64_t step) {
  const TensorSpec& tensor = parameters_.tensor(name);
  const int64_t elements = tensor.elements();
  const size_t bytes = static_cast<size_t>(elements) * sizeof(float);
  backend_->upload(learner_.moments_m() + tensor.master_offset, values, bytes);
  backend_->upload(learner_.moments_v() + tensor.master_offset, values + elements, bytes);
  learner_.set_optimizer_step(step);
}

// A Generation that sets the floating-point environment around every step.
class EngineGeneration final : public Generation {
 public:
  template <typename... Args>
  explicit EngineGeneration(Args&&... args) : generator_(std::forward<Args>(args)...) {}
  bool step() override {
    const ScopedFloatEnvironment environment;
    return generator_.step();
  }
  bool done() const override { return generator_.done(); }
  bool take(GeneratedGroup* group) override { return generator_.take(group); }
  int64_t waiting() const override { return generator_.waiting(); }
  void cancel() override { generator_.cancel(); }
  int64_t generated_tokens() const override { return generator_.generated_tokens(); }
  int64_t live_sequences() const override { return generator_.live_sequences(); }

 private:
  Generator generator_;
};

std::unique_ptr<Generation> TransformerEngine::generate(const int32_t* prompt_tokens,
                                                        const int32_t* prompt_offsets,
                                                        const int64_t* prompt_index, int64_t count,
                                                        const GenerationParams& params) {
  require_token_head("generate");
  return std::make_unique<EngineGeneration>(*backend_, config_, parameters_, transformer_, workspace_,
                                            kv_memory_, prompt_memory_, prompt_tokens, prompt_offsets,
                                            prompt_index, count, params);
}

BatchSize largest_batch_of(const MemoryRequest& request) {
  return largest_batch(request.micro_batches.token_budget, request.longest_row);
}

uint64_t TransformerEngine::workspace_bytes(const MemoryRequest& request) const {
  const Keep keep = request.training ? kept_under(request.micro_batches.checkpointing) : Keep::kNothing;
  const uint64_t learning = learner_.workspace_bytes(largest_batch_of(request), keep);
  if (!request.generation) return learning;
  return std::max(learning, Generator::workspace_bytes(*backend_, config_, transformer_, request.params,
                                                       request.longest_prompt));
}

MemoryPlan TransformerEngine::plan(const MemoryRequest& request) const {
  const uint64_t master = parameters_.master_bytes();
  MemoryPlan plan;
  plan.rows = {{"parameters", parameters_.compute_bytes()},
               {"rotary table", static_cast<uint64_t>(config_.max_positions) *
                                    static_cast<uint64_t>(config_.head_dim) * sizeof(float)}};
  if (request.training) {
    plan.rows.insert(plan.rows.end(),
                     {{"fp32 masters", master}, {"gradients", master}, {"optimizer moments", 2 * master}});
  }
  plan.rows.push_back({"activations and scratch", workspace_bytes(request)});
  uint64_t host = learner_.host_bytes(largest_batch_of(request));
  if (request.generation) {
    plan.rows.push_back(
        {"key/value cache", Generator::cache_bytes(config_, request.params, request.longest_prompt) +
                                Generator::prompt_bytes(config_, request.params)});
    host += Generator::record_bytes(config_, request.params);
  }
  plan.rows.push_back({"packing and sampling", host});
  return plan;
}

void TransformerEngine::reserve(const MemoryRequest& request) {
  if (request.training) learner_.reserve_state();
  learner_.reserve_host(largest_batch_of(request));
  workspace_.reserve(workspace_bytes(request));
  if (!request.generation) return;
  kv_memory_.reserve(Generator::cache_bytes(config_, request.params, request.longest_prompt));
  prompt_memory_.reserve(Generator::prompt_bytes(config_, request.params));
}

}  // namespace

std::unique_ptr<Engine> Engine::create(const ModelConfig& config, const BackendOptions& options,
                                       DType dtype) {
  config.check();
  return std::make_unique<TransformerEngine>(config, options, dtype);
}

MemoryPlan plan_memory(const ModelConfig& config, const BackendOptions& options, DType dtype,
                       const MemoryRequest& request) {
  config.check();
  return TransformerEngine(config, options, dtype, /*with_storage=*/false).plan(request);
}

}  // namespace coppice
