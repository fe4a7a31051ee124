#include "cpu/cpu_backend.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// Rotates the pairs (x[j], x[j + head_dim / 2]) of every head, by the angle or, for the inverse, by its
// negative.
void rotate(const ThreadTeam& team, const Tensor& inout, const int32_t* positions, const float* cos_sin,
            int32_t head_dim, bool inverse) {
  const int64_t half = head_dim / 2, heads = inout.cols / head_dim;
  for_row_ranges(team, inout.rows, 2 * inout.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* cosines = cos_sin + positions[t] * int64_t{head_dim};
      const float* sines = cosines + half;
      for (int64_t h = 0; h < heads; ++h) {
        float* low = inout.f32() + t * inout.stride + h * head_dim;
        float* high = low + half;
        for_lanes(half, [&](int64_t j, int n) {
          const Vec a = load_lanes(low + j, n), b = load_lanes(high + j, n);
          const Vec cosine = load_lanes(cosines + j, n);
          const Vec sine = inverse ? -load_lanes(sines + j, n) : load_lanes(sines + j, n);
          store_lanes(low + j, fnma(b, sine, a * cosine), n);
          store_lanes(high + j, fma(a, sine, b * cosine), n);
        });
      }
    }
  });
}

}  // namespace

void CpuBackend::rope_forward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                              int32_t head_dim) {
  rotate(team(), inout, positions, cos_sin, head_dim, false);
}

void CpuBackend::rope_backward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                               int32_t head_dim) {
  rotate(team(), inout, positions, cos_sin, head_dim, true);
}

}  // namespace COPPICE_ISA
}  // namespace coppice
