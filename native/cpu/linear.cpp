// Linear maps. Output tiles are divided among the threads in a grid of row ranges and column ranges; which
// thread computes an element never changes its bits.
#include "cpu/cpu_backend.h"
#include "cpu/gemm.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// Below this many multiply-adds a parallel region costs more than it saves.
constexpr int64_t kWorthSharing = 1 << 17;

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

// The grid whose largest part takes the shortest time; what a part costs beside its products (packing a
// transposed A, fetching the rows) counts as one more panel.
Grid choose_grid(int threads, int64_t rows, int64_t cols, int64_t depth) {
  Grid best;
  best.rows = rows;
  best.cols = cols;
  if (threads <= 1 || rows * cols * depth < kWorthSharing) return best;
  const int64_t panels = ceil_div(cols, kPanel);
  int64_t best_cost = INT64_MAX;
  for (int64_t col_parts = 1; col_parts <= smaller(threads, panels); ++col_parts) {
    const int64_t row_parts = smaller(threads / col_parts, ceil_div(rows, kTileRows));
    const int64_t cost = larger(ceil_div(rows, row_parts), 4) * (ceil_div(panels, col_parts) + 1);
    if (cost >= best_cost) continue;
    best_cost = cost;
    best.row_parts = row_parts;
    best.col_parts = col_parts;
  }
  // Finer parts, so that a thread that is done early finds something to take over.
  best.row_parts *= larger(1, ceil_div(rows, best.row_parts * kPackRows));
  return best;
}

// body(first column, columns) for every panel of `cols` columns, divided among the threads.
template <typename Body>
void for_panels(const ThreadTeam& team, int64_t depth, int64_t cols, const Body& body) {
  for_row_ranges(team, ceil_div(cols, kPanel), 2 * depth * kPanel, [&](int64_t begin, int64_t end) {
    const int64_t col = begin * kPanel;
    body(col, smaller(end * kPanel, cols) - col);
  });
}

// Rows of X that are packed at a time for a sum over rows: whole blocks of the products rule, as many as stay
// in the second-level cache together with A.
int64_t packed_rows(int64_t rows, int64_t in_cols) {
  constexpr int64_t kPackedFloats = 1 << 17;
  const int64_t blocks = larger(1, kPackedFloats / packed_floats(kProductDepth, in_cols));
  return smaller(blocks * kProductDepth, round_up(rows, kProductDepth));
}

// sums[j] += sum_t rows[t][j] in blocks of kProductDepth rows, for at most 16 columns.
void add_column_sums(float* sums, const Tensor& rows) {
  const int n = static_cast<int>(rows.cols);
  Vec total = load_lanes(sums, n);
  for (int64_t row = 0; row < rows.rows; row += kProductDepth) {
    Vec block = zero();
    const int64_t end = smaller(row + kProductDepth, rows.rows);
    for (int64_t t = row; t < end; ++t) block = block + load_lanes(rows.f32() + t * rows.stride, n);
    total = total + block;
  }
  store_lanes(sums, total, n);
}

void forward(const ThreadTeam& team, const Tensor& inp, const Parameter& weight, const Product& epilogue) {
  const Grid grid = choose_grid(team.threads(), inp.rows, weight.rows, weight.cols);
  team.parallel_for(grid.count(), [&](int64_t task, int) {
    const int64_t row = grid.row_begin(task), col = grid.col_begin(task);
    Product p = epilogue;
    p.a = {inp.f32() + row * inp.stride, inp.stride};
    p.b = parameter_right(weight, col);
    p.rows = grid.row_end(task) - row;
    p.cols = grid.col_end(task) - col;
    p.depth = weight.cols;
    p.out += row * p.out_stride + col;
    if (p.addend != nullptr) p.addend += row * p.addend_stride + col;
    if (p.partial != nullptr) p.partial += row * p.partial_stride + col;
    product(p);
  });
}

}  // namespace

// Also what rmsnorm_backward needs for its partial sums: a row of `in_cols` for each block of rows.
size_t CpuBackend::linear_scratch_bytes(int64_t rows, int64_t out_cols, int64_t in_cols) const {
  const int64_t input = packed_floats(out_cols, in_cols);
  const int64_t weight = packed_floats(packed_rows(rows, in_cols), in_cols) + threads() * kPackFloats;
  const int64_t norm = ceil_div(rows, kProductDepth) * in_cols;
  return static_cast<size_t>(larger(norm, larger(input, weight))) * sizeof(float);
}

void CpuBackend::linear_forward(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                                const Parameter* bias) {
  Product epilogue;
  epilogue.out = out.f32();
  epilogue.out_stride = out.stride;
  if (bias != nullptr) epilogue.addend = static_cast<const float*>(bias->storage);
  forward(team(), inp, weight, epilogue);
}

void CpuBackend::linear_residual(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                                 const Tensor& residual, const Tensor& staging) {
  Product epilogue;
  epilogue.out = out.f32();
  epilogue.out_stride = out.stride;
  epilogue.addend = residual.f32();
  epilogue.addend_stride = residual.stride;
  epilogue.partial = staging.f32();
  epilogue.partial_stride = staging.stride;
  forward(team(), inp, weight, epilogue);
}

void CpuBackend::linear_backward_input(Context& context, const Tensor& dinp, const Tensor& dout,
                                       const Parameter& weight) {
  const int64_t depth = weight.rows, cols = weight.cols;
  float* panels = static_cast<float*>(context.scratch.data);
  for_panels(team(), depth, cols, [&](int64_t col, int64_t count) {
    pack_parameter_rows(panels + col * depth, weight, 0, depth, col, count);
  });
  const Grid grid = choose_grid(threads(), dout.rows, cols, depth);
  team().parallel_for(grid.count(), [&](int64_t task, int) {
    const int64_t row = grid.row_begin(task), col = grid.col_begin(task);
    Product p;
    p.a = {dout.f32() + row * dout.stride, dout.stride};
    p.b = packed_right(panels + col * depth, depth);
    p.rows = grid.row_end(task) - row;
    p.cols = grid.col_end(task) - col;
    p.depth = depth;
    p.out = dinp.f32() + row * dinp.stride + col;
    p.out_stride = dinp.stride;
    product(p);
  });
}

// X is packed by all threads for all of them, some blocks of rows at a time.
void CpuBackend::linear_backward_weight(Context& context, float* dweight, float* dbias, const Tensor& dout,
                                        const Tensor& inp) {
  const int64_t out_cols = dout.cols, in_cols = inp.cols, at_once = packed_rows(inp.rows, in_cols);
  float* panels = static_cast<float*>(context.scratch.data);
  const Grid grid = choose_grid(threads(), out_cols, in_cols, smaller(at_once, inp.rows));
  for (int64_t row = 0; row < inp.rows; row += at_once) {
    const int64_t depth = smaller(at_once, inp.rows - row);
    const float* block = inp.f32() + row * inp.stride;
    for_panels(team(), depth, in_cols, [&](int64_t col, int64_t cols) {
      pack_right(panels + col * depth, block + col, inp.stride, depth, cols);
    });
    team().parallel_for(grid.count(), [&](int64_t task, int thread) {
      const int64_t out_col = grid.row_begin(task), in_col = grid.col_begin(task);
      Product p;
      p.a = {dout.f32() + row * dout.stride + out_col, dout.stride, true};
      p.b = packed_right(panels + in_col * depth, depth);
      p.rows = grid.row_end(task) - out_col;
      p.cols = grid.col_end(task) - in_col;
      p.depth = depth;
      p.out = dweight + out_col * in_cols + in_col;
      p.out_stride = in_cols;
      p.into_out = true;
      p.pack = panels + packed_floats(at_once, in_cols) + thread * kPackFloats;
      product(p);
    });
  }
  if (dbias == nullptr) return;
  team().parallel_for(ceil_div(out_cols, kLanes), [&](int64_t task, int) {
    const int64_t j = task * kLanes;
    add_column_sums(dbias + j, dout.columns(j, smaller(kLanes, out_cols - j)));
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
