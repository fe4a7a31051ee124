// A piece of work that JavaScript waits for. It is made, settled and destroyed on the JavaScript thread,
// because it holds JavaScript references; in between it runs once on a worker's own thread.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"

namespace coppice::binding {

class Worker;

using SharedStop = std::shared_ptr<StopFlag>;

// An error that waits to be thrown or rejected with on the JavaScript thread.
struct Failure {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

// Runs `work`; whatever it throws comes back as a Failure. Nothing may pass from a thread of ours into the
// host.
template <typename Work>
std::optional<Failure> catch_all(const Work& work) noexcept {
  try {
    work();
    return std::nullopt;
  } catch (const Error& error) {
    return Failure{error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return Failure{ErrorCode::kOutOfMemory, "out of memory"};
  } catch (const std::exception& error) {
    return Failure{ErrorCode::kInternal, error.what()};
  } catch (...) {
    return Failure{ErrorCode::kInternal, "an exception of unknown type"};
  }
}

Napi::Error to_js_error(Napi::Env env, const Failure& failure);

class Job {
 public:
  // `stop` may be null: the job then has a flag of its own, which only the end of its worker sets.
  Job(Napi::Env env, SharedStop stop);
  virtual ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // On the worker's thread. Gives itself back through Worker::complete, now or later.
  virtual void perform(std::unique_ptr<Job> self, Worker& worker);

  Napi::Promise promise() const { return deferred_.Promise(); }
  StopFlag& stop() const { return *stop_; }
  const SharedStop& shared_stop() const { return stop_; }
  // Keeps a JavaScript object, the one that the work belongs to, alive until the job is settled.
  void keep(const Napi::Object& object) { kept_.push_back(Napi::Persistent(object)); }

  void fail(Failure failure) { failure_ = std::move(failure); }
  // The job was asked to stop before it began: it resolves with { cancelled: true }.
  void skip() { skipped_ = true; }

  // On the JavaScript thread, once.
  void settle(Napi::Env env);

 protected:
  virtual void execute() = 0;
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }
  // On the JavaScript thread, before the promise is rejected.
  virtual void on_failure() {}

 private:
  Napi::Promise::Deferred deferred_;
  SharedStop stop_;
  std::vector<Napi::ObjectReference> kept_;
  std::optional<Failure> failure_;
  bool skipped_ = false;
};

// A job made of two functions: `work(stop)` for the worker's thread, `result(env)` for the JavaScript thread.
// What both share lives in what they capture.
template <typename Work, typename Result>
class FunctionJob final : public Job {
 public:
  FunctionJob(Napi::Env env, SharedStop stop, Work work, Result result)
      : Job(env, std::move(stop)), work_(std::move(work)), result_(std::move(result)) {}

 private:
  void execute() override { work_(stop()); }
  Napi::Value result(Napi::Env env) override { return result_(env); }

  Work work_;
  Result result_;
};

template <typename Work, typename Result>
std::unique_ptr<Job> make_job(Napi::Env env, SharedStop stop, Work work, Result result) {
  return std::make_unique<FunctionJob<Work, Result>>(env, std::move(stop), std::move(work),
                                                     std::move(result));
}

template <typename Work>
std::unique_ptr<Job> make_job(Napi::Env env, Work work) {
  return make_job(env, nullptr, std::move(work), [](Napi::Env e) { return e.Undefined(); });
}

}  // namespace coppice::binding
