// How a product's output is divided among threads: a grid of row ranges and column ranges. Which thread
// computes an element never changes its bits.
#pragma once

#include "cpu/gemm.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {

// Below this many multiply-adds a parallel region costs more than it saves.
inline constexpr int64_t kWorthSharing = 1 << 17;

struct Grid {
  int64_t row_parts = 1;
  int64_t col_parts = 1;
  int64_t rows = 0;
  int64_t cols = 0;

  int64_t count() const { return row_parts * col_parts; }
  int64_t row_begin(int64_t task) const { return (task / col_parts) * rows / row_parts; }
  int64_t row_end(int64_t task) const { return (task / col_parts + 1) * rows / row_parts; }
  // Column ranges begin at panels.
  int64_t col_at(int64_t part) const {
    return smaller(cols, (part * ceil_div(cols, kPanel) / col_parts) * kPanel);
  }
  int64_t col_begin(int64_t task) const { return col_at(task % col_parts); }
  int64_t col_end(int64_t task) const { return col_at(task % col_parts + 1); }
};

// Reading one element of B from beyond the second-level cache takes as long as this many multiply-adds.
inline constexpr int64_t kReadRows = 8;

// The grid whose largest part takes the shortest time. A part reads its columns of B whatever its rows are;
// what else it costs (packing a transposed A, fetching the rows) counts as one more panel.
COPPICE_INLINE Grid choose_grid(int threads, int64_t rows, int64_t cols, int64_t depth) {
  Grid best;
  best.rows = rows;
  best.cols = cols;
  if (threads <= 1 || rows * cols * depth < kWorthSharing) return best;
  const int64_t panels = ceil_div(cols, kPanel);
  int64_t best_cost = INT64_MAX;
  for (int64_t col_parts = 1; col_parts <= smaller(threads, panels); ++col_parts) {
    const int64_t row_parts = smaller(threads / col_parts, ceil_div(rows, kTileRows));
    const int64_t cost = (ceil_div(rows, row_parts) + kReadRows) * (ceil_div(panels, col_parts) + 1);
    if (cost >= best_cost) continue;
    best_cost = cost;
    best.row_parts = row_parts;
    best.col_parts = col_parts;
  }
  // Finer parts, so that a thread that is done early finds something to take over.
  best.row_parts *= larger(1, ceil_div(rows, best.row_parts * kPackRows));
  return best;
}

// body(first column, columns) for all panels of a right operand of that depth, divided among the threads.
template <typename Body>
void for_panels(const ThreadTeam& team, int64_t depth, int64_t cols, const Body& body) {
  for_row_ranges(team, ceil_div(cols, kPanel), 2 * depth * kPanel, [&](int64_t begin, int64_t end) {
    const int64_t col = begin * kPanel;
    body(col, smaller(end * kPanel, cols) - col);
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
