#include "native/bench.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

struct Shape {
  int64_t rows, out_cols, in_cols;
};

// Decoding and training shapes of the sizes that DESIGN calls S (256) and M (512), of the embedded task's 64,
// and squares.
const Shape kShapes[] = {{1, 1024, 256},    {8, 1024, 256},    {32, 1024, 256},  {256, 1024, 256},
                         {4096, 1024, 256}, {4096, 256, 1024}, {4096, 768, 256}, {4096, 2048, 256},
                         {2048, 2048, 512}, {2048, 512, 2048}, {64, 512, 64},    {2048, 192, 64},
                         {2048, 64, 64},    {2048, 512, 64},   {2048, 64, 256},  {1024, 1024, 1024}};

}  // namespace

void bench_products(Bench& bench) {
  for (const Shape& s : kShapes) {
    const std::string shape = shape_of({s.rows, s.out_cols, s.in_cols});
    const double flops = 2.0 * static_cast<double>(s.rows * s.out_cols * s.in_cols);
    const auto with_operands = [&](const char* op, const auto& body) {
      if (!bench.wants(op)) return;
      Context context =
          bench.context(bench.backend().linear_scratch_bytes(s.rows, s.out_cols, s.in_cols, bench.dtype()));
      const Parameter weight = bench.parameter(ParameterKind::kMatrix, s.out_cols, s.in_cols);
      const Tensor inp = bench.tensor(s.rows, s.in_cols), out = bench.tensor(s.rows, s.out_cols);
      body(context, weight, inp, out);
      bench.release();
    };
    with_operands("linear_forward",
                  [&](Context& context, const Parameter& weight, const Tensor& inp, const Tensor& out) {
                    bench.row("linear_forward", shape, flops, 0,
                              [&] { ops::linear_forward(context, out, inp, weight, nullptr); });
                  });
    with_operands("linear_residual", [&](Context& context, const Parameter& weight, const Tensor& inp,
                                         const Tensor& out) {
      const Tensor residual = bench.tensor(s.rows, s.out_cols), staging = bench.tensor(s.rows, s.out_cols);
      bench.row("linear_residual", shape, flops, 0,
                [&] { ops::linear_residual(context, out, inp, weight, residual, staging); });
    });
    if (s.rows < 64) continue;
    with_operands("linear_backward_input",
                  [&](Context& context, const Parameter& weight, const Tensor& inp, const Tensor& out) {
                    bench.row("linear_backward_input", shape, flops, 0,
                              [&] { ops::linear_backward_input(context, inp, out, weight); });
                  });
    with_operands("linear_backward_weight",
                  [&](Context& context, const Parameter&, const Tensor& inp, const Tensor& out) {
                    float* dweight = bench.floats(s.out_cols * s.in_cols);
                    bench.row("linear_backward_weight", shape, flops, 0, [&] {
                      ops::linear_backward_weight(context, dweight, nullptr, out, inp, bench.dtype());
                    });
                  });
  }
}

}  // namespace coppice::bench
