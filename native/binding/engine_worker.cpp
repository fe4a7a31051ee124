#include "binding/engine_worker.h"

#include "base/error.h"

namespace coppice::binding {

void EngineWorker::open(const ModelConfig& config, const BackendOptions& options, DType dtype) {
  engine_ = Engine::create(config, options, dtype);
  description_ = {info_of(engine_->backend()), engine_->layout().tensors};
}

void EngineWorker::add(const std::shared_ptr<GenerationRun>& run) {
  std::erase_if(runs_, [](const std::shared_ptr<GenerationRun>& old) { return old.use_count() == 1; });
  runs_.push_back(run);
  run->open(*engine_);
}

void EngineWorker::publish() {
  if (engine_ == nullptr) return;
  facts_.version.store(engine_->version());
  facts_.optimizer_step.store(engine_->optimizer_step());
  facts_.has_optimizer_state.store(engine_->has_optimizer_state());
  set_held_bytes(static_cast<int64_t>(engine_->allocated_bytes()));
}

void EngineWorker::require_no_generation(const char* what) const {
  if (open_generations == 0) return;
  fail(ErrorCode::kBusy, "%s: %lld generation(s) are open; end or leave them first", what,
       static_cast<long long>(open_generations));
}

void EngineWorker::close(GenerationRun& run) {
  if (!run.counts_as_open) return;
  run.counts_as_open = false;
  --open_generations;
}

const TensorSpec& EngineWorker::tensor(const std::string& name) const {
  for (const TensorSpec& tensor : description_.tensors) {
    if (tensor.name == name) return tensor;
  }
  fail(ErrorCode::kInvalidArgument, "the model has no tensor '%s'", name.c_str());
}

bool EngineWorker::has_idle_work() {
  for (const std::shared_ptr<GenerationRun>& run : runs_) {
    if (run->runnable()) return true;
  }
  return false;
}

void EngineWorker::idle_step() {
  for (size_t tried = 0; tried < runs_.size(); ++tried) {
    GenerationRun& run = *runs_[next_run_++ % runs_.size()];
    if (!run.runnable()) continue;
    run.step(*this);
    return;
  }
}

void EngineWorker::free_all() {
  for (const std::shared_ptr<GenerationRun>& run : runs_) run->close(*this, disposed_failure());
  runs_.clear();
  engine_ = nullptr;
}

}  // namespace coppice::binding
