// Linear maps. Output tiles are divided among the threads in a grid of row ranges and column ranges; which
// thread computes an element never changes its bits.
#include "cpu/cpu_backend.h"
#include "cpu/gemm.h"
#include "cpu/left_operand.h"
#include "cpu/product_grid.h"
#include "cpu/row_ranges.h"
#include "cpu/swiglu_rows.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

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

// Rows and columns of an output that are worked on at a time.
struct BlockSize {
  int64_t rows;
  int64_t cols;
};
// What follows a product finds so much of its output in the second-level cache.
constexpr BlockSize kFusedBlock = {kPackRows / 2, kBlockCols};

// body(row, rows, col, cols) for the blocks of one of the grid's tasks.
template <typename Body>
void for_blocks(const Grid& grid, int64_t task, BlockSize block, const Body& body) {
  const int64_t row_end = grid.row_end(task), col_end = grid.col_end(task);
  for (int64_t row = grid.row_begin(task); row < row_end;) {
    const int64_t rows = smaller(block.rows, row_end - row);
    for (int64_t col = grid.col_begin(task); col < col_end;) {
      const int64_t cols = smaller(block.cols, col_end - col);
      body(row, rows, col, cols);
      col += cols;
    }
    row += rows;
  }
}

// dinp = r(dout) W, block by block; after(row, rows, col, cols) follows each.
template <typename After>
void backward_input(const ThreadTeam& team, float* words, const Tensor& dinp, const Tensor& dout,
                    const Parameter& weight, BlockSize block, const After& after) {
  const int64_t depth = product_depth(weight.dtype, weight.rows), cols = weight.cols;
  float* panels = words + left_floats(weight.dtype, dout.rows, weight.rows);
  const Left left = left_operand(team, dout, weight.dtype, words);
  for_panels(team, depth, cols, [&](int64_t col, int64_t count) {
    pack_parameter_rows(panels + col * depth, weight, 0, weight.rows, col, count);
  });
  const Grid grid = choose_grid(team.threads(), dout.rows, cols, depth);
  team.parallel_for(grid.count(), [&](int64_t task, int) {
    for_blocks(grid, task, block, [&](int64_t row, int64_t rows, int64_t col, int64_t count) {
      Product p;
      p.dtype = weight.dtype;
      p.a = left.from(row, 0);
      p.b = packed_right(panels + col * depth, depth);
      p.rows = rows;
      p.cols = count;
      p.depth = depth;
      p.out = dinp.f32() + row * dinp.stride + col;
      p.out_stride = dinp.stride;
      product(p);
      after(row, rows, col, count);
    });
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
  backward_input(team(), static_cast<float*>(context.scratch.data), dinp, dout, weight,
                 {INT64_MAX, INT64_MAX}, [](int64_t, int64_t, int64_t, int64_t) {});
}

// Gate and up of the same columns, so that SwiGLU finds both in the cache.
void CpuBackend::linear_swiglu(Context& context, const Tensor& out, const Tensor& gate_up, const Tensor& inp,
                               const Parameter& weight) {
  const int64_t ff = out.cols;
  if (ff % kPanel != 0) return Backend::linear_swiglu(context, out, gate_up, inp, weight);
  const Left left = left_operand(team(), inp, weight.dtype, static_cast<float*>(context.scratch.data));
  const int64_t depth = product_depth(weight.dtype, weight.cols);
  const Grid grid = choose_grid(team().threads(), inp.rows, ff, 2 * depth);
  team().parallel_for(grid.count(), [&](int64_t task, int) {
    for_blocks(grid, task, kFusedBlock, [&](int64_t row, int64_t rows, int64_t col, int64_t cols) {
      const Tensor block = gate_up.row_range(row, rows);
      Product p;
      p.dtype = weight.dtype;
      p.a = left.from(row, 0);
      p.rows = rows;
      p.cols = cols;
      p.depth = depth;
      p.out_stride = gate_up.stride;
      for (const int64_t half : {col, ff + col}) {
        p.b = parameter_right(weight, half);
        p.out = block.f32() + half;
        product(p);
      }
      swiglu_rows(out.row_range(row, rows).columns(col, cols), block.columns(col, cols),
                  block.columns(ff + col, cols));
    });
  });
}

void CpuBackend::linear_swiglu_backward(Context& context, const Tensor& gate_up, const Tensor& out,
                                        const Tensor& dout, const Parameter& weight) {
  backward_input(team(), static_cast<float*>(context.scratch.data), out, dout, weight, kFusedBlock,
                 [&](int64_t row, int64_t rows, int64_t col, int64_t cols) {
                   const Tensor block = gate_up.row_range(row, rows), swiglu = out.row_range(row, rows);
                   const Tensor gate = block.columns(col, cols), up = block.columns(out.cols + col, cols);
                   const Tensor own = swiglu.columns(col, cols);
                   swiglu_backward_rows(gate, up, own, own, gate, up);
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
