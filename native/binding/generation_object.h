// NativeGeneration of src/native/types.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/engine_worker.h"
#include "binding/generation_run.h"

namespace coppice::binding {

class GenerationObject final : public Napi::ObjectWrap<GenerationObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // Counts as open at once, and is opened by the engine's thread; `engine` is the engine's wrapped object.
  static Napi::Value open(Napi::Env env, const std::shared_ptr<EngineWorker>& worker,
                          const Napi::Object& engine, GenerationInput input);

  // Only `open` can make one.
  explicit GenerationObject(const Napi::CallbackInfo& info);
  ~GenerationObject() override;

 private:
  Napi::Value next(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value progress(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);

  Napi::Promise submit(std::unique_ptr<Job> job);

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<EngineWorker> worker_;
  std::shared_ptr<GenerationRun> run_;
  Napi::ObjectReference engine_;  // alive as long as its generation
};

}  // namespace coppice::binding
