#include "bench/time_op.h"

#include <algorithm>
#include <chrono>

namespace coppice::bench {
namespace {

constexpr double kShortestSample = 1e-4;
constexpr size_t kMinSamples = 3;

class Timer {
 public:
  Timer(Backend& backend, const std::function<void()>& run) : backend_(backend), run_(run) {}

  // Seconds of one run, the mean of `runs`.
  double operator()(int64_t runs) const {
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < runs; ++i) run_();
    backend_.synchronize();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    return taken.count() / static_cast<double>(runs);
  }

 private:
  Backend& backend_;
  const std::function<void()>& run_;
};

}  // namespace

Floor floor_of(MachinePeaks& peaks, const TimedOp& timed) {
  const bool pairs = timed.arithmetic == DType::kBF16 && peaks.has_bf16();
  const auto size = static_cast<size_t>(timed.working_set);
  const double gflops = peaks.gflops(timed.arithmetic), reading = peaks.gbytes(size),
               moving = peaks.gbytes_moved(size);
  return std::max({Floor{timed.flops / gflops / 1e9, pairs ? "bf16" : "f32", gflops},
                   Floor{(timed.bytes - timed.written) / reading / 1e9, "reading", reading},
                   Floor{timed.bytes / moving / 1e9, "moving", moving}},
                  [](const Floor& a, const Floor& b) { return a.seconds < b.seconds; });
}

TimedOp time_op(Backend& backend, const std::string& op, const OpShape& shape, DType dtype,
                const TimingPlan& plan, const std::atomic<bool>& stop) {
  CaseMemory memory(backend, dtype);
  const ReadyOp ready = prepare(op_case(op), memory, shape);
  TimedOp timed{{}, ready.flops, ready.bytes, ready.written, ready.working_set(), ready.arithmetic};
  const auto stopped = [&] { return stop.load(std::memory_order_relaxed); };
  const Timer time(backend, ready.run);
  backend.synchronize();
  // The first of the runs that do not count also tell how many a sample is made of.
  int64_t runs = 1;
  while (!stopped() && time(runs) * static_cast<double>(runs) < kShortestSample) runs *= 2;
  for (int64_t i = 1; i < plan.warmup && !stopped(); ++i) time(runs);
  double total = 0;
  const auto done = [&] {
    const size_t samples = timed.seconds.size();
    return samples >= static_cast<size_t>(plan.repeats) || (samples >= kMinSamples && total >= plan.seconds);
  };
  while (!done() && !stopped()) {
    timed.seconds.push_back(time(runs));
    total += timed.seconds.back() * static_cast<double>(runs);
  }
  return timed;
}

}  // namespace coppice::bench
