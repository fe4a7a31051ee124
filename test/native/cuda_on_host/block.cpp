#include "native/cuda_on_host/block.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <numeric>
#include <vector>

#include "base/float_environment.h"
#include "native/cuda_on_host/switch_stack.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace coppice::on_host {
namespace {

constexpr size_t kStackBytes = size_t{1} << 18;
constexpr unsigned kWarp = 32;
constexpr unsigned kFullMask = 0xFFFFFFFFu;

struct Copy {
  void* to;
  const void* from;
  int bytes;
};

constexpr int kCopyBytes = 16;

void make(const Copy& copy) {
  std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.bytes));
  std::memset(static_cast<char*>(copy.to) + copy.bytes, 0, static_cast<size_t>(kCopyBytes - copy.bytes));
}

struct Fiber {
  void* place = nullptr;
  dim3 index;
  bool done = false;
  // Waits as long as *awaited is `seen`.
  const uint64_t* awaited = nullptr;
  uint64_t seen = 0;
  std::deque<std::vector<Copy>> groups;  // of copies that are not made yet
  std::vector<Copy> open_group;

  bool may_run() const { return !done && (awaited == nullptr || *awaited != seen); }
};

struct Warp {
  Deposit deposits[2][kWarp];  // of this exchange and of the one before, which slower lanes may still read
  uint64_t exchanges = 0;
  unsigned arrived = 0;
};

// Grids run one after the other, on one thread.
struct Scheduler {
  std::vector<Fiber> fibers;
  std::vector<char*> stacks;
  std::vector<Warp> warps;
  const std::function<void()>* thread = nullptr;
  void* place = nullptr;  // of the scheduler itself
  Fiber* running = nullptr;
  unsigned threads = 0, alive = 0, arrived = 0;
  uint64_t barriers = 0;
  bool votes[2] = {};
  bool broken = false;
  uint64_t random = 1;
  Order order = Order::kForward;
};
Scheduler scheduler;

uint64_t next_random() {
  scheduler.random ^= scheduler.random << 13;
  scheduler.random ^= scheduler.random >> 7;
  scheduler.random ^= scheduler.random << 17;
  return scheduler.random;
}

void leave() {
  coppice_on_host_switch_stack(&scheduler.running->place, scheduler.place);
}

void release_barrier() {
  scheduler.arrived = 0;
  ++scheduler.barriers;
  scheduler.votes[scheduler.barriers % 2] = false;
}

// Every fiber's life: a thread of one block after the other.
void live() {
  for (;;) {
    (*scheduler.thread)();
    scheduler.running->done = true;
    --scheduler.alive;
    // As on a card, who has left is not waited for.
    if (scheduler.arrived > 0 && scheduler.arrived == scheduler.alive) release_barrier();
    leave();
  }
}

void wait_while(const uint64_t* awaited, uint64_t seen) {
  Fiber* self = scheduler.running;
  self->awaited = awaited;
  self->seen = seen;
  leave();
}

void make_fibers(unsigned count) {
  while (scheduler.stacks.size() < count) {
    void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    scheduler.stacks.push_back(static_cast<char*>(stack));
  }
  while (scheduler.fibers.size() < count) {
    Fiber fiber;
    fiber.place = place_at(scheduler.stacks[scheduler.fibers.size()] + kStackBytes, live);
    scheduler.fibers.push_back(fiber);
  }
}

std::vector<unsigned> in_order(unsigned count, Order order) {
  std::vector<unsigned> turns(count);
  std::iota(turns.begin(), turns.end(), 0u);
  if (order == Order::kReverse) std::reverse(turns.begin(), turns.end());
  if (order == Order::kRandom) {
    for (unsigned i = count; i > 1; --i) std::swap(turns[i - 1], turns[next_random() % i]);
  }
  return turns;
}

void begin_block(dim3 block) {
  for (unsigned t = 0; t < scheduler.threads; ++t) {
    Fiber& fiber = scheduler.fibers[t];
    fiber.index = {t % block.x, t / block.x % block.y, t / (block.x * block.y)};
    fiber.done = false;
    fiber.awaited = nullptr;
    fiber.groups.clear();
    fiber.open_group.clear();
  }
  for (Warp& warp : scheduler.warps) warp.arrived = 0;
  scheduler.alive = scheduler.threads;
  scheduler.arrived = 0;
}

bool run_block(const std::vector<unsigned>& turns, Order order) {
  while (scheduler.alive > 0) {
    bool moved = false;
    const unsigned first = order == Order::kRandom ? static_cast<unsigned>(next_random() % turns.size()) : 0;
    for (unsigned i = 0; i < turns.size(); ++i) {
      const unsigned turn = first + i;
      Fiber& fiber = scheduler.fibers[turns[turn < turns.size() ? turn : turn - turns.size()]];
      if (!fiber.may_run()) continue;
      moved = true;
      fiber.awaited = nullptr;
      scheduler.running = &fiber;
      threadIdx = fiber.index;
      coppice_on_host_switch_stack(&scheduler.place, fiber.place);
      if (scheduler.broken) return false;
    }
    if (!moved) return false;
  }
  return true;
}

}  // namespace

bool run_grid(dim3 grid, dim3 block, Order order, const std::function<void()>& thread) {
  const ScopedFloatEnvironment environment;  // kernels are compiled to flush denormals
  scheduler.thread = &thread;
  scheduler.threads = block.x * block.y * block.z;
  scheduler.broken = false;
  scheduler.order = order;
  make_fibers(scheduler.threads);
  scheduler.warps.resize((scheduler.threads + kWarp - 1) / kWarp);
  blockDim = block;
  gridDim = grid;
  const std::vector<unsigned> blocks = in_order(grid.x * grid.y * grid.z, order);
  const std::vector<unsigned> turns = in_order(scheduler.threads, order);
  for (const unsigned b : blocks) {
    blockIdx = {b % grid.x, b / grid.x % grid.y, b / (grid.x * grid.y)};
    begin_block(block);
    if (run_block(turns, order)) continue;
    scheduler.fibers.clear();  // those that wait in vain are never heard of again
    return false;
  }
  return true;
}

unsigned linear_thread() {
  return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}

void wait_for_block() {
  if (++scheduler.arrived == scheduler.alive) {
    release_barrier();
    return;
  }
  wait_while(&scheduler.barriers, scheduler.barriers);
}

void break_block() {
  scheduler.broken = true;
  leave();
}

void copy_async(void* shared, const void* global, int bytes) {
  const bool aligned = reinterpret_cast<uintptr_t>(shared) % kCopyBytes == 0 &&
                       reinterpret_cast<uintptr_t>(global) % kCopyBytes == 0;
  if (!aligned || bytes < 0 || bytes > kCopyBytes) break_block();
  const Copy copy = {shared, global, bytes};
  if (scheduler.order == Order::kForward) {
    make(copy);
  } else {
    scheduler.running->open_group.push_back(copy);
  }
}

void commit_copies() {
  scheduler.running->groups.push_back(std::move(scheduler.running->open_group));
  scheduler.running->open_group.clear();
}

void wait_for_copies(int pending) {
  std::deque<std::vector<Copy>>& groups = scheduler.running->groups;
  for (; groups.size() > static_cast<size_t>(pending); groups.pop_front()) {
    for (const Copy& copy : groups.front()) make(copy);
  }
}

bool any_in_block(bool predicate) {
  // A barrier's number tells the votes of one from those of the next.
  bool& vote = scheduler.votes[scheduler.barriers % 2];
  vote = vote || predicate;
  wait_for_block();
  return vote;
}

const Deposit* exchange(unsigned mask, const void* data, size_t bytes) {
  const unsigned thread = linear_thread(), first = thread / kWarp * kWarp;
  if (mask != kFullMask || first + kWarp > scheduler.threads) break_block();
  Warp& warp = scheduler.warps[thread / kWarp];
  const uint64_t mine = warp.exchanges;
  Deposit* deposits = warp.deposits[mine % 2];
  if (bytes > 0) std::memcpy(&deposits[thread - first], data, bytes);
  if (++warp.arrived == kWarp) {
    warp.arrived = 0;
    ++warp.exchanges;
  } else {
    wait_while(&warp.exchanges, mine);
  }
  return deposits;
}

}  // namespace coppice::on_host
