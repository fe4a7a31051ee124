#include "base/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/float_environment.h"

namespace coppice {
namespace {

// A waiter first spins, then gives its core to whoever wants it between two looks, then sleeps. Waking a
// sleeper costs about a hundred microseconds on a virtual machine, more than most of the gaps between an
// engine's regions; spinning all that time would hold up other processes, yielding does not.
constexpr auto kSpin = std::chrono::microseconds(20);
constexpr auto kYield = std::chrono::microseconds(400);
constexpr int kMaxThreads = 1024;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Polls `ready` for at most kSpin + kYield; false when time ran out.
template <typename Ready>
bool poll_until(const Ready& ready) {
  const auto begin = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      pause_briefly();
    }
  } while (std::chrono::steady_clock::now() < begin + kSpin);
  while (std::chrono::steady_clock::now() < begin + kSpin + kYield) {
    if (ready()) return true;
    std::this_thread::yield();
  }
  return ready();
}

// A forked child has the pool's memory but none of its threads. Counting forks lets it notice and compute
// alone.
std::atomic<int> forks{0};
void count_forks() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); }); });
}

thread_local bool inside_region = false;

// One thread's tasks of a region: it takes them in grains, and so does whoever has run out of its own.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
  int64_t grain = 1;
};

// The gate of a region: (region number << 16) | kClosed | workers that entered.
constexpr uint64_t kClosed = 0x8000;
constexpr uint64_t kEntered = 0x7FFF;
static_assert(kMaxThreads <= kEntered);

}  // namespace

struct ThreadPool::State {
  // One region at a time; also guards `workers`.
  std::mutex region;
  std::vector<std::thread> workers;
  std::atomic<int> threads{1};
  int forks_at_birth = 0;
  std::atomic<bool> may_poll{true};

  // What the current region runs. Written before `gate` opens, read by those who entered alone.
  void (*body)(void*, int64_t, int) = nullptr;
  void* context = nullptr;
  std::vector<Share> shares;

  // (region number << 16) | participants; 0 participants tells the workers to end.
  alignas(64) std::atomic<uint64_t> ticket{0xFFFF};
  // A worker that comes when the caller has closed the gate finds nothing left to do and stays outside, so
  // that a short region never waits for a worker to wake.
  alignas(64) std::atomic<uint64_t> gate{kClosed};
  alignas(64) std::atomic<uint64_t> left{0};

  // Sleeping: a sleeper announces itself before it looks again, a waker changes the state before it looks for
  // sleepers, all sequentially consistent, so that one of the two sees the other.
  std::mutex sleep;
  std::condition_variable wake;
  std::condition_variable done;
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false};

  static int participants(uint64_t ticket) { return static_cast<int>(ticket & 0xFFFF); }

  void deal(int64_t count, int parts) {
    for (int thread = 0; thread < parts; ++thread) {
      Share& share = shares[static_cast<size_t>(thread)];
      const int64_t begin = thread * count / parts;
      share.end = (thread + 1) * count / parts;
      share.grain = std::max<int64_t>(1, (share.end - begin) / 16);
      share.next.store(begin, std::memory_order_relaxed);
    }
  }

  // The thread's own share, then what is left of the others'.
  void run_shares(int thread, int parts) {
    for (int i = 0; i < parts; ++i) {
      Share& share = shares[static_cast<size_t>((thread + i) % parts)];
      for (;;) {
        const int64_t begin = share.next.fetch_add(share.grain, std::memory_order_relaxed);
        if (begin >= share.end) break;
        const int64_t end = std::min(begin + share.grain, share.end);
        for (int64_t task = begin; task < end; ++task) body(context, task, thread);
      }
    }
  }

  void publish(int parts) {
    const uint64_t number = (ticket.load(std::memory_order_relaxed) >> 16) + 1;
    left.store(0);
    gate.store(number << 16);
    ticket.store((number << 16) | static_cast<uint64_t>(parts));
    if (sleepers.load() > 0) {
      {
        const std::lock_guard lock(sleep);
      }
      wake.notify_all();
    }
  }

  // Whether the worker may run the region `number`.
  bool enter(uint64_t number) {
    uint64_t seen = gate.load();
    while (seen >> 16 == number && (seen & kClosed) == 0) {
      if (gate.compare_exchange_weak(seen, seen + 1)) return true;
    }
    return false;
  }

  void close_and_wait() {
    const uint64_t entered = gate.fetch_or(kClosed) & kEntered;
    const auto finished = [this, entered] { return left.load(std::memory_order_acquire) == entered; };
    if (finished() || (may_poll && poll_until(finished))) return;
    std::unique_lock lock(sleep);
    caller_sleeps.store(true);
    done.wait(lock, [this, entered] { return left.load() == entered; });
    caller_sleeps.store(false);
  }

  void work(int thread, uint64_t seen) {
    const ScopedFloatEnvironment environment;
    inside_region = true;
    bool took_part = true;
    for (;;) {
      const auto called = [this, seen] { return ticket.load(std::memory_order_acquire) != seen; };
      // A worker that the last region left out goes straight back to sleep.
      if (!(took_part && may_poll && poll_until(called))) {
        std::unique_lock lock(sleep);
        sleepers.fetch_add(1);
        wake.wait(lock, [this, seen] { return ticket.load() != seen; });
        sleepers.fetch_sub(1);
      }
      seen = ticket.load(std::memory_order_acquire);
      const int parts = participants(seen);
      if (parts == 0) return;
      took_part = thread < parts;
      if (!took_part || !enter(seen >> 16)) continue;
      run_shares(thread, parts);
      left.fetch_add(1);
      if (caller_sleeps.load()) {
        {
          const std::lock_guard lock(sleep);
        }
        done.notify_one();
      }
    }
  }

  void grow(int wanted) {
    const std::lock_guard lock(region);
    if (static_cast<int>(shares.size()) < wanted) shares = std::vector<Share>(static_cast<size_t>(wanted));
    while (static_cast<int>(workers.size()) + 1 < wanted) {
      const int thread = static_cast<int>(workers.size()) + 1;
      workers.emplace_back([this, thread, seen = ticket.load()] { work(thread, seen); });
    }
    may_poll = wanted <= available_cores();
    threads.store(static_cast<int>(workers.size()) + 1);
  }

  void stop() {
    publish(0);
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  if (threads < 1 || threads > kMaxThreads) {
    fail(ErrorCode::kInvalidArgument, "threads: expected 1 to %d, received %d", kMaxThreads, threads);
  }
  count_forks();
  state_->forks_at_birth = forks.load();
  try {
    state_->grow(threads);
  } catch (const std::system_error& error) {
    state_->stop();
    fail(ErrorCode::kOutOfMemory, "the system refused a thread (%d wanted): %s", threads, error.what());
  }
}

ThreadPool::~ThreadPool() {
  if (state_->forks_at_birth == forks.load()) {
    state_->stop();
  } else {
    // In a forked child there is nobody to join, and a std::thread that was not joined ends the process: keep
    // the memory.
    [[maybe_unused]] State* leaked = state_.release();
  }
}

int ThreadPool::threads() const {
  return state_->threads.load();
}

void ThreadPool::run(int64_t count, int threads, void (*body)(void* context, int64_t task, int thread),
                     void* context) {
  if (count <= 0) return;
  State& state = *state_;
  int64_t parts = threads < count ? threads : count;
  if (parts > 1 && !inside_region && state.forks_at_birth == forks.load(std::memory_order_relaxed)) {
    const std::lock_guard lock(state.region);
    const int available = state.threads.load(std::memory_order_relaxed);
    parts = parts < available ? parts : available;
    const ScopedFloatEnvironment environment;
    inside_region = true;
    state.body = body;
    state.context = context;
    state.deal(count, static_cast<int>(parts));
    if (parts > 1) state.publish(static_cast<int>(parts));
    state.run_shares(0, static_cast<int>(parts));
    if (parts > 1) state.close_and_wait();
    inside_region = false;
    return;
  }
  const ScopedFloatEnvironment environment;
  for (int64_t task = 0; task < count; ++task) body(context, task, 0);
}

std::shared_ptr<ThreadPool> ThreadPool::shared(int threads) {
  static std::mutex mutex;
  static std::weak_ptr<ThreadPool> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<ThreadPool> pool = current.lock();
  if (!pool || pool->state_->forks_at_birth != forks.load()) {
    pool = std::make_shared<ThreadPool>(threads);
    current = pool;
  } else if (pool->threads() < threads) {
    if (threads > kMaxThreads) {
      fail(ErrorCode::kInvalidArgument, "threads: expected 1 to %d, received %d", kMaxThreads, threads);
    }
    try {
      pool->state_->grow(threads);
    } catch (const std::system_error& error) {
      fail(ErrorCode::kOutOfMemory, "the system refused a thread (%d wanted): %s", threads, error.what());
    }
  }
  return pool;
}

ThreadTeam::ThreadTeam(std::shared_ptr<ThreadPool> pool, int threads)
    : pool_(std::move(pool)), threads_(threads) {}
ThreadTeam::~ThreadTeam() = default;

void ThreadTeam::run(int64_t count, void (*body)(void* context, int64_t task, int thread),
                     void* context) const {
  pool_->run(count, threads_, body, context);
}

}  // namespace coppice
