// A block of threads as fibers of the calling thread, which change places where a kernel waits: at barriers,
// and where a warp exchanges values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Of the thread whose turn it is.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace coppice::on_host {

enum class Order { kForward, kReverse, kRandom };

// Runs the grid. False where a block's threads wait for each other in vain, or wait in a way that a warp
// cannot.
bool run_grid(dim3 grid, dim3 block, Order order, const std::function<void()>& thread);

// ---- for the fibers ----
void wait_for_block();
bool any_in_block(bool predicate);

// What a lane leaves for its warp.
struct Deposit {
  uint64_t words[3];
};
// Leaves `bytes` of `data` and waits for the other lanes of the warp; all 32 must come. The result holds the
// deposits of all lanes until this lane's next exchange.
const Deposit* exchange(unsigned mask, const void* data, size_t bytes);
unsigned linear_thread();
// Gives the grid up, for what a card would not do either.
void break_block();

// Asynchronous copies (kernels/tensor_core.cuh), which a card may make at any time until a thread has waited
// for them: here at once where threads take turns in order, and elsewhere as late as may be.
void copy_async(void* shared, const void* global, int bytes);
void commit_copies();
void wait_for_copies(int pending);

}  // namespace coppice::on_host
