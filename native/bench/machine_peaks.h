// What this machine can do at best, measured in the run that the figures stand beside.
#pragma once

#include <cstddef>
#include <map>

#include "backend/backend.h"
#include "base/thread_pool.h"
#include "cpu/peak.h"

namespace coppice::bench {

// Rates of a CPU backend: of its threads together, with its instruction set. Each is measured when it is
// first asked for, in some tens of milliseconds, and kept; it is the fastest of many samples, so that a
// neighbour's work lowers it little.
class MachinePeaks {
 public:
  // The backend must outlive it. DEVICE_UNAVAILABLE for one that is no CPU.
  explicit MachinePeaks(Backend& backend);

  // 10^9 floating-point operations a second in multiply-adds of fp32, or of bf16 pairs: those of fp32 where
  // the set has no instruction for pairs.
  double gflops(DType dtype);
  // The same in the inner loop of fp32 products, which also loads its operands from the first-level cache:
  // the median of the samples, not the fastest. Where another guest of the host runs on the other thread of a
  // core, multiply-adds alone lose nothing to it, and this loop its share of the core's issue slots.
  double product_gflops();
  bool has_bf16() const { return loops_.dot_pairs != nullptr; }
  // 10^9 bytes a second in reading an array of so many bytes over and over: what fits into a cache is read
  // from it. Sizes are rounded down to a power of two from 64 KiB on; what is larger than memory_bytes() is
  // as that is.
  double gbytes(size_t bytes);
  // The same where bytes are written, too: in updating such an array in place, both ways counted, and never
  // less than in reading it. A cache may move nearly twice as much then.
  double gbytes_moved(size_t bytes);
  // Four times the last-level cache, at most 1 GiB: reading so much is reading memory.
  size_t memory_bytes() const { return memory_bytes_; }

 private:
  // By the sample at that share of all, fastest first.
  double measure_flops(double (*loop)(int64_t rounds), int64_t rounds, double share) const;
  // 10^9 bytes of the array a second in a loop over each thread's share of it.
  template <typename Loop>
  double measure_array(size_t bytes, const Loop& loop) const;
  size_t array_bytes(size_t bytes) const;

  Backend& backend_;
  PeakLoops loops_;
  ThreadTeam team_;
  size_t memory_bytes_;
  std::map<DType, double> gflops_;
  double product_gflops_ = 0;
  std::map<size_t, double> gbytes_, gbytes_moved_;
};

}  // namespace coppice::bench
