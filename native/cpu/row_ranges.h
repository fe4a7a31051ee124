// Dividing the rows of an elementwise or row-wise op among threads.
#pragma once

#include "base/thread_pool.h"
#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// A thread gets at least this many floats: waking it costs about as much as computing them.
inline constexpr int64_t kFloatsPerThread = 8192;

// Calls body(row_begin, row_end) on ranges that cover [0, rows); rows are independent of each other.
template <typename Body>
void for_row_ranges(const ThreadTeam& team, int64_t rows, int64_t floats_per_row, const Body& body) {
  const int64_t parts =
      larger(1, smaller(smaller(team.threads(), rows), rows * floats_per_row / kFloatsPerThread));
  team.parallel_for(parts, [&](int64_t part, int) { body(part * rows / parts, (part + 1) * rows / parts); });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
