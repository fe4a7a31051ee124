#include "binding/environment.h"

#include <algorithm>
#include <utility>

#include "binding/worker.h"

namespace coppice::binding {
namespace {

using Instance = std::shared_ptr<Environment>;

}  // namespace

void Environment::attach(Napi::Env env) {
  auto instance = std::make_unique<Instance>(std::make_shared<Environment>(env));
  Environment& self = **instance;
  self.open_channel();
  const auto free_instance = [](napi_env, void* data, void*) { delete static_cast<Instance*>(data); };
  if (napi_set_instance_data(env, instance.get(), free_instance, nullptr) != napi_ok) {
    throw Napi::Error::New(env, "the environment's data could not be set");
  }
  // Hooks run in reverse order: the threads end before the channel that they answer through is torn down.
  const auto close_instance = [](void* data) { (*static_cast<Instance*>(data))->close(); };
  napi_add_env_cleanup_hook(env, close_instance, instance.release());
}

std::shared_ptr<Environment> Environment::of(Napi::Env env) {
  void* data = nullptr;
  if (napi_get_instance_data(env, &data) != napi_ok || data == nullptr) {
    throw Napi::Error::New(env, "the addon is not attached to this environment");
  }
  return *static_cast<Instance*>(data);
}

Environment::Environment(Napi::Env env) : env_(env) {
  const Napi::Object object = env.Global().Get("Object").As<Napi::Object>();
  const Napi::Function descriptor = object.Get("getOwnPropertyDescriptor").As<Napi::Function>();
  const Napi::Value prototype = env.Global().Get("ArrayBuffer").As<Napi::Object>().Get("prototype");
  const Napi::Value found = descriptor.Call(object, {prototype, Napi::String::New(env, "resizable")});
  if (found.IsObject()) {
    resizable_getter_ = Napi::Persistent(found.As<Napi::Object>().Get("get").As<Napi::Function>());
  }
}

Environment::~Environment() = default;

void Environment::open_channel() {
  const auto on_call = [](napi_env env, napi_value, void* context, void*) {
    if (env == nullptr) return;
    const Napi::HandleScope scope(env);
    static_cast<Environment*>(context)->drain();
  };
  const Napi::String name = Napi::String::New(env_, "coppice");
  const napi_status status = napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, nullptr,
                                                             nullptr, this, on_call, &channel_);
  if (status != napi_ok) throw Napi::Error::New(env_, "the way back from the threads could not be opened");
  napi_unref_threadsafe_function(env_, channel_);
}

void Environment::add(std::shared_ptr<Worker> worker) {
  workers_.push_back(std::move(worker));
}

void Environment::note_submitted() {
  if (pending_++ == 0) napi_ref_threadsafe_function(env_, channel_);
}

void Environment::drop_stopped() {
  for (const std::shared_ptr<Worker>& worker : workers_) worker->drop_stopped();
}

bool Environment::is_resizable(const Napi::Value& array_buffer) const {
  return !resizable_getter_.IsEmpty() && resizable_getter_.Call(array_buffer, {}).ToBoolean();
}

void Environment::complete(std::unique_ptr<Job> job) {
  const std::lock_guard lock(mutex_);
  finished_.push_back(std::move(job));
  notify();
}

void Environment::thread_ended(std::shared_ptr<Worker> worker, std::unique_ptr<Job> last) {
  const std::lock_guard lock(mutex_);
  ended_.push_back({std::move(worker), std::move(last)});
  notify();
}

// Under mutex_, so that no call can come after close().
void Environment::notify() {
  if (!closed_) napi_call_threadsafe_function(channel_, nullptr, napi_tsfn_nonblocking);
}

void Environment::drain() {
  std::deque<std::unique_ptr<Job>> finished;
  std::deque<Ended> ended;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
    ended.swap(ended_);
  }
  for (std::unique_ptr<Job>& job : finished) settle(std::move(job));
  for (Ended& end : ended) {
    end.worker->join();
    if (end.last != nullptr) settle(std::move(end.last));
  }
  report_memory();
  for (const Ended& end : ended) std::erase(workers_, end.worker);
}

void Environment::settle(std::unique_ptr<Job> job) {
  const Napi::HandleScope scope(env_);
  job->settle(env_);
  job.reset();
  if (--pending_ == 0) napi_unref_threadsafe_function(env_, channel_);
}

void Environment::report_memory() {
  for (const std::shared_ptr<Worker>& worker : workers_) {
    const int64_t held = worker->held_bytes();
    if (held == worker->reported_bytes) continue;
    Napi::MemoryManagement::AdjustExternalMemory(env_, held - worker->reported_bytes);
    worker->reported_bytes = held;
  }
}

void Environment::close() {
  for (const std::shared_ptr<Worker>& worker : workers_) worker->retire(nullptr);
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (const std::shared_ptr<Worker>& worker : workers_) worker->join();
  workers_.clear();
  // JavaScript references die here, on their own thread and while their environment can still be asked to.
  finished_.clear();
  ended_.clear();
}

}  // namespace coppice::binding
