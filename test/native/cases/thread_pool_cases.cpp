#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "base/thread_pool.h"
#include "native/harness.h"

namespace coppice::test {
namespace {

std::vector<int> visits(const ThreadTeam& team, int64_t count) {
  std::vector<int> seen(static_cast<size_t>(count), 0);
  team.parallel_for(count, [&](int64_t task, int) { ++seen[static_cast<size_t>(task)]; });
  return seen;
}

const Case every_task_once("thread_pool", "every task once", [](Run& run) {
  for (const int threads : {1, 2, 3, 7}) {
    const ThreadTeam team(std::make_shared<ThreadPool>(threads), threads);
    for (const int64_t count : {0, 1, 2, 5, 100, 1001}) {
      run.expect(visits(team, count) == std::vector<int>(static_cast<size_t>(count), 1),
                 "%d threads, %lld tasks", threads, static_cast<long long>(count));
    }
  }
});

// The first task waits for all others, half of which stand behind it in its own thread's share.
const Case taken_over("thread_pool", "what a held-up thread has left is taken over", [](Run& run) {
  constexpr int64_t kTasks = 32;
  const ThreadTeam team(std::make_shared<ThreadPool>(2), 2);
  std::atomic<int64_t> done{0};
  team.parallel_for(kTasks, [&](int64_t task, int) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (task == 0 && done < kTasks - 1 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    if (task != 0 || done == kTasks - 1) ++done;
  });
  run.expect(done == kTasks, "%lld of %lld", static_cast<long long>(done.load()),
             static_cast<long long>(kTasks));
});

const Case many_regions("thread_pool", "thousands of short regions, some after sleep", [](Run& run) {
  const ThreadTeam team(std::make_shared<ThreadPool>(3), 3);
  std::atomic<int64_t> total{0};
  for (int i = 0; i < 3000; ++i) {
    team.parallel_for(3, [&](int64_t task, int) { total += task; });
    if (i % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  run.expect(total == 3 * 3000, "%lld", static_cast<long long>(total.load()));
});

const Case nested("thread_pool", "a region inside a task runs on that thread", [](Run& run) {
  const ThreadTeam team(std::make_shared<ThreadPool>(3), 3);
  std::atomic<int> strays{0}, inner{0};
  team.parallel_for(6, [&](int64_t, int) {
    const std::thread::id here = std::this_thread::get_id();
    team.parallel_for(10, [&](int64_t, int) {
      ++inner;
      if (std::this_thread::get_id() != here) ++strays;
    });
  });
  run.expect(inner == 60 && strays == 0, "%d inner tasks, %d strays", inner.load(), strays.load());
});

const Case several_callers("thread_pool", "several callers share one pool", [](Run& run) {
  const auto pool = ThreadPool::shared(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      const ThreadTeam team(pool, 3);
      for (int i = 0; i < 300; ++i) {
        if (visits(team, 40) != std::vector<int>(40, 1)) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  run.expect(wrong == 0, "%d regions went wrong", wrong.load());
});

const Case grows("thread_pool", "the shared pool grows", [](Run& run) {
  const auto small = ThreadPool::shared(2);
  const int before = small->threads();
  const auto large = ThreadPool::shared(before + 2);
  run.expect(small == large && large->threads() == before + 2, "%d threads, then %d", before,
             large->threads());
  const ThreadTeam team(large, before + 2);
  run.expect(visits(team, 50) == std::vector<int>(50, 1), "after growing");
});

// A thread whose flags another library has changed computes under ours and gets its own back.
const Case environment("thread_pool", "denormals are flushed on every thread", [](Run& run) {
  const ThreadTeam team(std::make_shared<ThreadPool>(2), 2);
  float tiny[2] = {1e-38f, 1e-38f};
  team.parallel_for(2, [&](int64_t task, int) {
    volatile float half = 0.1f;
    tiny[task] *= half;
  });
  run.expect(tiny[0] == 0.0f && tiny[1] == 0.0f, "inside a region: %g, %g", static_cast<double>(tiny[0]),
             static_cast<double>(tiny[1]));
  volatile float outside = 1e-38f;
  outside = outside * 0.1f;
  run.expect(outside != 0.0f, "the caller's own environment was not restored");
});

const Case fork_child("thread_pool", "a forked child computes alone", [](Run& run) {
  const auto pool = std::make_shared<ThreadPool>(3);
  const pid_t child = fork();
  if (child == 0) {
    auto inherited = pool;
    const bool right = visits(ThreadTeam(inherited, 3), 20) == std::vector<int>(20, 1) &&
                       visits(ThreadTeam(ThreadPool::shared(2), 2), 20) == std::vector<int>(20, 1);
    _exit(right ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  run.expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %d", status);
  run.expect(visits(ThreadTeam(pool, 3), 20) == std::vector<int>(20, 1), "the parent after the fork");
});

}  // namespace
}  // namespace coppice::test
