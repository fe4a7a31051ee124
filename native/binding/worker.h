// A thread of its own for jobs, one after the other. Between jobs it may work on something that can be
// interrupted at any time (a generation). Node's own thread pool is never used: a training step would hold up
// everybody's file access.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "binding/job.h"

namespace coppice::binding {

class Environment;

class Worker : public std::enable_shared_from_this<Worker> {
 public:
  explicit Worker(std::shared_ptr<Environment> environment);
  // The thread must have ended: Environment sees to it.
  virtual ~Worker();

  // ---- JavaScript thread ----
  void start();
  // Queues the job and returns its promise. DISPOSED after the end was asked for.
  Napi::Promise submit(std::unique_ptr<Job> job);
  // Queues something that nobody waits for; forgotten after the end was asked for.
  void post(std::function<void(Worker&)> message);
  // Settles the jobs that wait for their turn although their stop flag is set.
  void drop_stopped();
  // Asks the thread to end: running and waiting jobs are rejected with DISPOSED. `last` (or null) is settled
  // when everything is freed.
  void retire(std::unique_ptr<Job> last);
  void join();
  bool retired() const { return retired_; }

  // ---- the worker's thread ----
  // Hands a job that is done, failed or dropped to the JavaScript thread.
  void complete(std::unique_ptr<Job> job);
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  // Publishes what other threads may read of the worker's object. Called after every job, before its promise
  // is settled.
  virtual void publish() {}

  // Bytes that the garbage collector should know of; any thread.
  int64_t held_bytes() const { return held_bytes_.load(std::memory_order_relaxed); }
  int64_t reported_bytes = 0;  // JavaScript thread only

 protected:
  // All on the worker's thread. idle_step does a little work when no job waits.
  virtual bool has_idle_work() { return false; }
  virtual void idle_step() {}
  // Frees everything; also what was begun and will not be finished.
  virtual void free_all() = 0;
  void set_held_bytes(int64_t bytes) { held_bytes_.store(bytes, std::memory_order_relaxed); }

 private:
  struct Item {
    std::unique_ptr<Job> job;  // or
    std::function<void(Worker&)> message;
  };

  void loop();
  void run(Item item);

  std::shared_ptr<Environment> environment_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> queue_;
  SharedStop running_stop_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Job> last_;
  bool retired_ = false;
  std::atomic<int64_t> held_bytes_{0};
};

// What every job of a disposed object is rejected with.
Failure disposed_failure();

}  // namespace coppice::binding
