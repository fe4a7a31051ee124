#include "cpu/swiglu_rows.h"

#include "cpu/cpu_backend.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// An exponential and a division weigh about as much as a dozen floats moved.
constexpr int64_t kFloatsAnElement = 12;

}  // namespace

void CpuBackend::swiglu_forward(Context&, const Tensor& out, const Tensor& gate_up) {
  for_row_ranges(team(), out.rows, kFloatsAnElement * out.cols, [&](int64_t begin, int64_t end) {
    const Tensor rows = gate_up.row_range(begin, end - begin);
    swiglu_rows(out.row_range(begin, end - begin), rows.columns(0, out.cols),
                rows.columns(out.cols, out.cols));
  });
}

void CpuBackend::swiglu_backward(Context&, const Tensor& dgate_up, const Tensor& out, const Tensor& dout,
                                 const Tensor& gate_up) {
  const int64_t cols = out.cols;
  for_row_ranges(team(), out.rows, kFloatsAnElement * cols, [&](int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    const Tensor to = dgate_up.row_range(begin, count), from = gate_up.row_range(begin, count);
    swiglu_backward_rows(to.columns(0, cols), to.columns(cols, cols), out.row_range(begin, count),
                         dout.row_range(begin, count), from.columns(0, cols), from.columns(cols, cols));
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
