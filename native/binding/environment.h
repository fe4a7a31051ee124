// What one JavaScript environment (the main thread or a worker thread) has of its own: its workers, the way
// back from their threads, and the constructors of the wrapped classes. There are no globals of the process.
#pragma once

#include <napi.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "binding/job.h"

namespace coppice::binding {

class Worker;

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  // Makes the environment's instance; it is stopped and freed with the environment.
  static void attach(Napi::Env env);
  static std::shared_ptr<Environment> of(Napi::Env env);

  explicit Environment(Napi::Env env);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // ---- JavaScript thread ----
  void add(std::shared_ptr<Worker> worker);
  // A promise is out: the process stays alive until it is settled.
  void note_submitted();
  // A stop flag was set: waiting jobs that it belongs to are settled now.
  void drop_stopped();
  // A resizable ArrayBuffer may lose the memory that a job reads.
  bool is_resizable(const Napi::Value& array_buffer) const;

  Napi::FunctionReference engine_class;
  Napi::FunctionReference generation_class;
  Napi::FunctionReference kernels_class;
  Napi::FunctionReference stop_flag_class;
  // The worker that the next wrapped object of a class takes over: so that JavaScript cannot make one by
  // itself.
  std::shared_ptr<Worker> handed_over;
  // False where the runtime forbids ArrayBuffers over native memory; finished groups are then copied.
  bool external_buffers = true;

  // ---- any thread ----
  void complete(std::unique_ptr<Job> job);
  void thread_ended(std::shared_ptr<Worker> worker, std::unique_ptr<Job> last);

 private:
  struct Ended {
    std::shared_ptr<Worker> worker;
    std::unique_ptr<Job> last;
  };

  void open_channel();
  void notify();
  void drain();
  void settle(std::unique_ptr<Job> job);
  void report_memory();
  // Stops and joins every thread. After it nothing of ours runs, and promises stay pending: their environment
  // is gone.
  void close();

  Napi::Env env_;
  napi_threadsafe_function channel_ = nullptr;
  Napi::FunctionReference resizable_getter_;
  std::vector<std::shared_ptr<Worker>> workers_;
  int64_t pending_ = 0;
  std::mutex mutex_;
  bool closed_ = false;  // guarded by mutex_
  std::deque<std::unique_ptr<Job>> finished_;
  std::deque<Ended> ended_;
};

}  // namespace coppice::binding
