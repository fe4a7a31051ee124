// The thread of one engine: the only one that ever touches it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "binding/backend_info.h"
#include "binding/generation_run.h"
#include "binding/worker.h"
#include "engine/engine.h"

namespace coppice::binding {

class EngineWorker final : public Worker {
 public:
  using Worker::Worker;

  // ---- the worker's thread ----
  void open(const ModelConfig& config, const BackendOptions& options, DType dtype);
  Engine& engine() { return *engine_; }
  void add(const std::shared_ptr<GenerationRun>& run);
  void publish() override;

  // ---- JavaScript thread ----
  // BUSY while a generation is open: its key/value cache belongs to the parameters that it began with.
  void require_no_generation(const char* what) const;
  void close(GenerationRun& run);
  int64_t open_generations = 0;

  // Written by open(), before JavaScript sees the engine; constant afterwards.
  struct Description {
    BackendInfo backend;
    std::vector<TensorSpec> tensors;
  };
  const Description& description() const { return description_; }
  const TensorSpec& tensor(const std::string& name) const;

  // ---- any thread ----
  struct Facts {
    std::atomic<uint64_t> version{0};
    std::atomic<int64_t> optimizer_step{0};
    std::atomic<bool> has_optimizer_state{false};
  };
  const Facts& facts() const { return facts_; }

 protected:
  bool has_idle_work() override;
  void idle_step() override;
  void free_all() override;

 private:
  std::unique_ptr<Engine> engine_;
  std::vector<std::shared_ptr<GenerationRun>> runs_;
  size_t next_run_ = 0;
  Description description_;
  Facts facts_;
};

}  // namespace coppice::binding
