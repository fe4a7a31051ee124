#include "base/error.h"
#include "cpu/cpu_backend.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {

void CpuBackend::add_forward(Context&, const Tensor& out, const Tensor& a, const Tensor& b) {
  for_row_ranges(team(), out.rows, 3 * out.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* to = out.f32() + t * out.stride;
      const float* left = a.f32() + t * a.stride;
      const float* right = b.f32() + t * b.stride;
      for_lanes(out.cols, [&](int64_t j, int n) {
        store_lanes(to + j, load_lanes(left + j, n) + load_lanes(right + j, n), n);
      });
    }
  });
}

void CpuBackend::gather_rows(Context&, const Tensor& out, const Tensor& inp, const int32_t* row_index) {
  for (int64_t i = 0; i < out.rows; ++i) {
    if (row_index[i] < 0 || row_index[i] >= inp.rows) {
      fail(ErrorCode::kInvalidArgument, "gather_rows: row_index[%lld]: expected 0 to %lld, received %d",
           static_cast<long long>(i), static_cast<long long>(inp.rows - 1), row_index[i]);
    }
  }
  for_row_ranges(team(), out.rows, 2 * out.cols, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      __builtin_memcpy(out.f32() + i * out.stride, inp.f32() + row_index[i] * inp.stride,
                       static_cast<size_t>(out.cols) * sizeof(float));
    }
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
