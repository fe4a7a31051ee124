// Linear maps. Output tiles are divided among the threads in a grid of row ranges and column ranges; which
// thread computes an element never changes its bits.
#include "cpu/cpu_backend.h"
#include "cpu/gemm.h"
#include "cpu/left_operand.h"
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

// Columns that a product takes as rows, walking down: as they are, or in bf16 as words of two rows in `words`
// [ceil(rows / 2)][cols].
Left left_columns(const ThreadTeam& team, const Tensor& rows, DType dtype, float* words) {
  if (dtype == DType::kF32) return {rows.f32(), rows.stride, true};
  for_row_ranges(team, product_depth(dtype, rows.rows), 3 * rows.cols, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const float* first = rows.f32() + 2 * k * rows.stride;
      round_row_pair(words + k * rows.cols, first, 2 * k + 1 < rows.rows ? first + rows.stride : nullptr,
                     rows.cols);
    }
  });
  return {words, rows.cols, true};
}

// A sum over rows, some of them at a time: whole blocks of the products rule, as many as stay in the
// second-level cache together with A.
struct WeightScratch {
  int64_t at_once;  // rows
  float* panels;    // X as a right operand
  float* words;     // dout as words, in bf16
  float* pack;      // kPackFloats for each thread
  int64_t floats;
};
WeightScratch weight_scratch(float* data, int64_t rows, int64_t out_cols, int64_t in_cols, DType dtype,
                             int threads) {
  constexpr int64_t kPackedFloats = 1 << 17;
  const int64_t rows_a_block = dtype == DType::kBF16 ? 2 * kProductDepth : kProductDepth;
  const int64_t blocks = larger(1, kPackedFloats / packed_floats(kProductDepth, in_cols));
  WeightScratch scratch;
  scratch.at_once = smaller(blocks * rows_a_block, round_up(rows, rows_a_block));
  const int64_t depth = product_depth(dtype, scratch.at_once);
  const int64_t panels = packed_floats(depth, in_cols);
  const int64_t words = dtype == DType::kBF16 ? round_up(depth * out_cols, kLanes) : 0;
  scratch.panels = data;
  scratch.words = data == nullptr ? nullptr : data + panels;
  scratch.pack = data == nullptr ? nullptr : data + panels + words;
  scratch.floats = panels + words + threads * kPackFloats;
  return scratch;
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

void forward(const ThreadTeam& team, float* scratch, const Tensor& inp, const Parameter& weight,
             const Product& epilogue) {
  const Left left = left_operand(team, inp, weight.dtype, scratch);
  const Grid grid = choose_grid(team.threads(), inp.rows, weight.rows, weight.cols);
  team.parallel_for(grid.count(), [&](int64_t task, int) {
    const int64_t row = grid.row_begin(task), col = grid.col_begin(task);
    Product p = epilogue;
    p.dtype = weight.dtype;
    p.a = left.from(row, 0);
    p.b = parameter_right(weight, col);
    p.rows = grid.row_end(task) - row;
    p.cols = grid.col_end(task) - col;
    p.depth = product_depth(weight.dtype, weight.cols);
    p.out += row * p.out_stride + col;
    if (p.addend != nullptr) p.addend += row * p.addend_stride + col;
    if (p.partial != nullptr) p.partial += row * p.partial_stride + col;
    product(p);
  });
}

}  // namespace

// Also what rmsnorm_backward needs for its partial sums: a row of `in_cols` for each block of rows.
size_t CpuBackend::linear_scratch_bytes(int64_t rows, int64_t out_cols, int64_t in_cols, DType dtype) const {
  const int64_t forward = left_floats(dtype, rows, in_cols);
  const int64_t input =
      left_floats(dtype, rows, out_cols) + packed_floats(product_depth(dtype, out_cols), in_cols);
  const int64_t weight = weight_scratch(nullptr, rows, out_cols, in_cols, dtype, threads()).floats;
  const int64_t norm = ceil_div(rows, kProductDepth) * in_cols;
  return static_cast<size_t>(larger(larger(forward, norm), larger(input, weight))) * sizeof(float);
}

void CpuBackend::linear_forward(Context& context, const Tensor& out, const Tensor& inp,
                                const Parameter& weight, const Parameter* bias) {
  Product epilogue;
  epilogue.out = out.f32();
  epilogue.out_stride = out.stride;
  if (bias != nullptr) epilogue.addend = static_cast<const float*>(bias->storage);
  forward(team(), static_cast<float*>(context.scratch.data), inp, weight, epilogue);
}

void CpuBackend::linear_residual(Context& context, const Tensor& out, const Tensor& inp,
                                 const Parameter& weight, const Tensor& residual, const Tensor& staging) {
  Product epilogue;
  epilogue.out = out.f32();
  epilogue.out_stride = out.stride;
  epilogue.addend = residual.f32();
  epilogue.addend_stride = residual.stride;
  epilogue.partial = staging.f32();
  epilogue.partial_stride = staging.stride;
  forward(team(), static_cast<float*>(context.scratch.data), inp, weight, epilogue);
}

void CpuBackend::linear_backward_input(Context& context, const Tensor& dinp, const Tensor& dout,
                                       const Parameter& weight) {
  const int64_t depth = product_depth(weight.dtype, weight.rows), cols = weight.cols;
  float* words = static_cast<float*>(context.scratch.data);
  float* panels = words + left_floats(weight.dtype, dout.rows, weight.rows);
  const Left left = left_operand(team(), dout, weight.dtype, words);
  for_panels(team(), depth, cols, [&](int64_t col, int64_t count) {
    pack_parameter_rows(panels + col * depth, weight, 0, weight.rows, col, count);
  });
  const Grid grid = choose_grid(threads(), dout.rows, cols, depth);
  team().parallel_for(grid.count(), [&](int64_t task, int) {
    const int64_t row = grid.row_begin(task), col = grid.col_begin(task);
    Product p;
    p.dtype = weight.dtype;
    p.a = left.from(row, 0);
    p.b = packed_right(panels + col * depth, depth);
    p.rows = grid.row_end(task) - row;
    p.cols = grid.col_end(task) - col;
    p.depth = depth;
    p.out = dinp.f32() + row * dinp.stride + col;
    p.out_stride = dinp.stride;
    product(p);
  });
}

// X is packed by all threads for all of them, some blocks of rows at a time; in bf16 dout's rows become pairs
// beside it.
void CpuBackend::linear_backward_weight(Context& context, float* dweight, float* dbias, const Tensor& dout,
                                        const Tensor& inp, DType dtype) {
  const int64_t out_cols = dout.cols, in_cols = inp.cols;
  const WeightScratch scratch = weight_scratch(static_cast<float*>(context.scratch.data), inp.rows, out_cols,
                                               in_cols, dtype, threads());
  const Grid grid = choose_grid(threads(), out_cols, in_cols, smaller(scratch.at_once, inp.rows));
  for (int64_t row = 0; row < inp.rows; row += scratch.at_once) {
    const int64_t rows = smaller(scratch.at_once, inp.rows - row), depth = product_depth(dtype, rows);
    const float* block = inp.f32() + row * inp.stride;
    for_panels(team(), depth, in_cols, [&](int64_t col, int64_t cols) {
      pack_right(scratch.panels + col * depth, block + col, inp.stride, rows, cols, dtype);
    });
    const Left left = left_columns(team(), dout.row_range(row, rows), dtype, scratch.words);
    team().parallel_for(grid.count(), [&](int64_t task, int thread) {
      const int64_t out_col = grid.row_begin(task), in_col = grid.col_begin(task);
      Product p;
      p.dtype = dtype;
      p.a = left.from(out_col, 0);
      p.b = packed_right(scratch.panels + in_col * depth, depth);
      p.rows = grid.row_end(task) - out_col;
      p.cols = grid.col_end(task) - in_col;
      p.depth = depth;
      p.out = dweight + out_col * in_cols + in_col;
      p.out_stride = in_cols;
      p.into_out = true;
      p.pack = scratch.pack + thread * kPackFloats;
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
