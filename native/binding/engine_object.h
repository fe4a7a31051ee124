// NativeEngine of src/native/types.ts: reads arguments, queues jobs for the engine's thread, turns results
// into values.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/engine_worker.h"
#include "binding/environment.h"

namespace coppice::binding {

class EngineObject final : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // openEngine(config, options): Promise<NativeEngine>
  static Napi::Value open(const Napi::CallbackInfo& info);

  // Only `open` can make one.
  explicit EngineObject(const Napi::CallbackInfo& info);
  ~EngineObject() override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value tensors(const Napi::CallbackInfo& info);
  Napi::Value allocated_bytes(const Napi::CallbackInfo& info);
  Napi::Value version(const Napi::CallbackInfo& info);
  Napi::Value optimizer_step(const Napi::CallbackInfo& info);
  Napi::Value has_optimizer_state(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  Napi::Value init_random(const Napi::CallbackInfo& info);
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value save(const Napi::CallbackInfo& info);
  Napi::Value read_tensor(const Napi::CallbackInfo& info);
  Napi::Value write_tensor(const Napi::CallbackInfo& info);
  Napi::Value save_gradients(const Napi::CallbackInfo& info);
  Napi::Value read_gradient(const Napi::CallbackInfo& info);
  Napi::Value save_optimizer(const Napi::CallbackInfo& info);
  Napi::Value load_optimizer(const Napi::CallbackInfo& info);
  Napi::Value read_moments(const Napi::CallbackInfo& info);
  Napi::Value write_moments(const Napi::CallbackInfo& info);

  Napi::Value score(const Napi::CallbackInfo& info);
  Napi::Value top_log_probs(const Napi::CallbackInfo& info);
  Napi::Value grad(const Napi::CallbackInfo& info);
  Napi::Value values(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value generate(const Napi::CallbackInfo& info);
  Napi::Value plan(const Napi::CallbackInfo& info);
  Napi::Value reserve(const Napi::CallbackInfo& info);

  // Queues the job, which keeps this object alive until it is settled.
  Napi::Value submit(std::unique_ptr<Job> job);
  using ReadValues = void (Engine::*)(const std::string& name, float* out);
  // `arrays`: how many values it reads for each element of the tensor.
  Napi::Value read_values(const Napi::CallbackInfo& info, ReadValues read, size_t arrays = 1);

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<EngineWorker> worker_;
};

}  // namespace coppice::binding
