// Times an op of the list on operands that are made, and parameters that are packed, before the clock starts.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/machine_peaks.h"
#include "bench/op_case.h"

namespace coppice::bench {

struct TimingPlan {
  int64_t warmup = 1;  // samples before those that count, one at least
  // Samples are taken until there are so many, or until there are three and so many seconds have passed.
  int64_t repeats = INT64_MAX;
  double seconds = 0.2;
};

struct TimedOp {
  // Of one run, a sample each. A sample of a short op is the mean over as many runs as take a tenth of a
  // millisecond: the clock and the end of the last run do not count then.
  std::vector<double> seconds;
  // As in ReadyOp.
  double flops = 0, bytes = 0, written = 0, working_set = 0;
  DType arithmetic = DType::kF32;
};

// The least time that a run takes on this machine, and the peak that says so.
struct Floor {
  double seconds = 0;
  const char* peak_of = "";  // "f32" or "bf16" arithmetic, "reading", "moving" (reading and writing)
  double peak = 0;           // 10^9 operations or bytes a second
};
Floor floor_of(MachinePeaks& peaks, const TimedOp& timed);

// Ends early, with the samples that there are, when `stop` is set meanwhile. dtype: of parameters.
TimedOp time_op(Backend& backend, const std::string& op, const OpShape& shape, DType dtype,
                const TimingPlan& plan, const std::atomic<bool>& stop);

}  // namespace coppice::bench
