#include "base/error.h"
#include "cpu/cpu_backend.h"
#include "cpu/gemm.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// Ids are read again by the threads, but a caller that changes them meanwhile has broken the contract of
// every op.
void check_tokens(const char* op, const int32_t* tokens, int64_t count, int64_t vocab) {
  for (int64_t t = 0; t < count; ++t) {
    if (tokens[t] >= 0 && tokens[t] < vocab) continue;
    fail(ErrorCode::kInvalidArgument, "%s: tokens[%lld]: expected 0 to %lld, received %d", op,
         static_cast<long long>(t), static_cast<long long>(vocab - 1), tokens[t]);
  }
}

}  // namespace

void CpuBackend::embedding_forward(Context&, const Tensor& out, const Parameter& weight,
                                   const int32_t* tokens) {
  check_tokens("embedding_forward", tokens, out.rows, weight.rows);
  for_row_ranges(team(), out.rows, 2 * out.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) read_row(weight, tokens[t], out.f32() + t * out.stride);
  });
}

// Threads own columns, so that rows of one token add up in order.
void CpuBackend::embedding_backward(Context&, float* dweight, int64_t vocab, const Tensor& dout,
                                    const int32_t* tokens) {
  check_tokens("embedding_backward", tokens, dout.rows, vocab);
  const int64_t vectors = ceil_div(dout.cols, kLanes);
  for_row_ranges(team(), vectors, 3 * kLanes * dout.rows, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kLanes, cols = smaller(end * kLanes, dout.cols) - first;
    for (int64_t t = 0; t < dout.rows; ++t) {
      float* to = dweight + tokens[t] * dout.cols + first;
      const float* from = dout.f32() + t * dout.stride + first;
      for_lanes(cols, [&](int64_t j, int n) {
        store_lanes(to + j, load_lanes(to + j, n) + load_lanes(from + j, n), n);
      });
    }
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
