// A persistent pool that divides numbered tasks: thread t of n begins with tasks [t * count / n, (t + 1) *
// count / n), and a thread that has run out takes over what is left of the others', so that a core that is
// slowed down by something else does not hold up the rest. A task owns its output alone, so neither the
// number of threads nor who runs what changes a bit of any result. Waiting spins for some tens of
// microseconds, then yields for some hundreds, and then sleeps: unbounded spinning was 5 to 15 times slower
// beside another busy process.
#pragma once

#include <cstdint>
#include <memory>

namespace coppice {

class ThreadPool {
 public:
  // threads >= 1, the calling thread included.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(context, task, thread) for every task in [0, count) on at most `threads` threads; returns when
  // all are done. Regions opened by several callers run one after the other; a region opened inside a task
  // runs on that thread alone. The body must not throw. Every thread computes under ScopedFloatEnvironment
  // (float_environment.h).
  void run(int64_t count, int threads, void (*body)(void* context, int64_t task, int thread), void* context);

  // The pool that all CPU engines of this process share. It grows to the largest number of threads ever asked
  // for.
  static std::shared_ptr<ThreadPool> shared(int threads);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// An engine's share of a pool: at most `threads` of its threads.
class ThreadTeam {
 public:
  ThreadTeam(std::shared_ptr<ThreadPool> pool, int threads);
  ~ThreadTeam();
  int threads() const { return threads_; }

  // body(task, thread), any callable; thread < threads().
  template <typename Body>
  void parallel_for(int64_t count, const Body& body) const {
    run(
        count,
        [](void* context, int64_t task, int thread) { (*static_cast<const Body*>(context))(task, thread); },
        const_cast<Body*>(&body));
  }

 private:
  void run(int64_t count, void (*body)(void* context, int64_t task, int thread), void* context) const;
  std::shared_ptr<ThreadPool> pool_;
  int threads_;
};

// Cores this process may run on.
int available_cores();

}  // namespace coppice
