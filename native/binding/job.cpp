#include "binding/job.h"

#include "binding/worker.h"

namespace coppice::binding {

Napi::Error to_js_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, error_code_name(failure.code)));
  return error;
}

Job::Job(Napi::Env env, SharedStop stop)
    : deferred_(env), stop_(stop != nullptr ? std::move(stop) : std::make_shared<StopFlag>(false)) {}

Job::~Job() = default;

void Job::perform(std::unique_ptr<Job> self, Worker& worker) {
  failure_ = catch_all([this] { execute(); });
  if (worker.stopping()) failure_ = disposed_failure();
  worker.publish();
  worker.complete(std::move(self));
}

void Job::settle(Napi::Env env) {
  if (failure_.has_value()) {
    on_failure();
    deferred_.Reject(to_js_error(env, *failure_).Value());
    return;
  }
  if (skipped_) {
    Napi::Object cancelled = Napi::Object::New(env);
    cancelled.Set("cancelled", true);
    deferred_.Resolve(cancelled);
    return;
  }
  try {
    deferred_.Resolve(result(env));
  } catch (const Napi::Error& error) {
    deferred_.Reject(error.Value());
  } catch (const std::bad_alloc&) {
    deferred_.Reject(to_js_error(env, {ErrorCode::kOutOfMemory, "out of memory"}).Value());
  }
}

}  // namespace coppice::binding
