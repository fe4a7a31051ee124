#include "binding/generation_object.h"

#include <utility>

#include "binding/arguments.h"

namespace coppice::binding {

Napi::Function GenerationObject::define(Napi::Env env) {
  return DefineClass(
      env, "Generation",
      {InstanceMethod<&GenerationObject::next>("next"), InstanceMethod<&GenerationObject::cancel>("cancel"),
       InstanceMethod<&GenerationObject::close>("close"),
       InstanceMethod<&GenerationObject::progress>("progress")});
}

Napi::Value GenerationObject::open(Napi::Env env, const std::shared_ptr<EngineWorker>& worker,
                                   const Napi::Object& engine, GenerationInput input) {
  if (worker->retired()) {
    const Failure failure = disposed_failure();
    fail(failure.code, "%s", failure.message.c_str());
  }
  const std::shared_ptr<Environment> environment = Environment::of(env);
  environment->handed_over = worker;
  const Napi::Object object = environment->generation_class.New({});
  GenerationObject& self = *Unwrap(object);
  self.run_ = std::make_shared<GenerationRun>(std::move(input));
  self.engine_ = Napi::Persistent(engine);
  ++worker->open_generations;
  // Nobody waits for it: what goes wrong is what the first `next` is rejected with.
  worker->post([run = self.run_](Worker& thread) { static_cast<EngineWorker&>(thread).add(run); });
  return object;
}

GenerationObject::GenerationObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info),
      environment_(Environment::of(info.Env())),
      worker_(std::dynamic_pointer_cast<EngineWorker>(std::exchange(environment_->handed_over, nullptr))) {
  if (worker_ == nullptr)
    throw Napi::TypeError::New(info.Env(), "a generation is made by an engine's generate");
}

// Collected without close(): its thread frees what it holds.
GenerationObject::~GenerationObject() {
  if (run_ == nullptr) return;
  worker_->close(*run_);
  worker_->post([run = run_](Worker& worker) { run->close(worker, std::nullopt); });
}

Napi::Promise GenerationObject::submit(std::unique_ptr<Job> job) {
  job->keep(Value());
  return worker_->submit(std::move(job));
}

Napi::Value GenerationObject::next(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return submit(std::make_unique<NextJob>(info.Env(), environment_, run_));
  });
}

Napi::Value GenerationObject::close(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    worker_->close(*run_);
    // An engine that was disposed has freed its generations already.
    if (worker_->retired()) {
      const Napi::Promise::Deferred done(info.Env());
      done.Resolve(info.Env().Undefined());
      return done.Promise();
    }
    return submit(make_job(
        info.Env(), [worker = worker_.get(), run = run_](StopFlag&) { run->close(*worker, std::nullopt); }));
  });
}

void GenerationObject::cancel(const Napi::CallbackInfo&) {
  worker_->post([run = run_](Worker& worker) { run->cancel(worker); });
}

Napi::Value GenerationObject::progress(const Napi::CallbackInfo& info) {
  const GenerationRun::Progress progress = run_->progress();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("finishedGroups", static_cast<double>(progress.finished_groups));
  object.Set("generatedTokens", static_cast<double>(progress.generated_tokens));
  object.Set("liveSequences", static_cast<double>(progress.live_sequences));
  object.Set("engineSeconds", progress.engine_seconds);
  return object;
}

}  // namespace coppice::binding
