#include "cpu/cpu_backend.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// 1 / sqrt(mean of squares + eps) of one group of n elements.
COPPICE_INLINE float reciprocal_rms(const float* inp, int64_t n, float eps) {
  Vec squares = zero();
  for_lanes(n, [&](int64_t j, int lanes) {
    const Vec x = load_lanes(inp + j, lanes);
    squares = fma(x, x, squares);
  });
  return 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + eps);
}

struct Group {
  float* dinp;
  const float* dout;
  const float* inp;
  const float* weight;
  float rstd;
  int64_t n;
  bool accumulate;
};

// One group's dinp, and dout * xhat added to dweight.
COPPICE_INLINE void group_backward(const Group& g, float* dweight) {
  const Vec rstd = splat(g.rstd);
  Vec dots = zero();
  for_lanes(g.n, [&](int64_t j, int lanes) {
    const Vec scaled = load_lanes(g.dout + j, lanes) * load_lanes(g.weight + j, lanes);
    dots = fma(scaled, load_lanes(g.inp + j, lanes) * rstd, dots);
  });
  const Vec mean = splat(sum(dots) / static_cast<float>(g.n));
  for_lanes(g.n, [&](int64_t j, int lanes) {
    const Vec dout = load_lanes(g.dout + j, lanes);
    const Vec xhat = load_lanes(g.inp + j, lanes) * rstd;
    store_lanes(dweight + j, fma(dout, xhat, load_lanes(dweight + j, lanes)), lanes);
    Vec d = rstd * fnma(xhat, mean, dout * load_lanes(g.weight + j, lanes));
    if (g.accumulate) d = load_lanes(g.dinp + j, lanes) + d;
    store_lanes(g.dinp + j, d, lanes);
  });
}

}  // namespace

void CpuBackend::rmsnorm_forward(Context&, const Tensor& out, float* rstd, const Tensor& inp,
                                 const Parameter& weight, float eps) {
  const int64_t n = weight.cols, groups = inp.cols / n;
  const float* scale = static_cast<const float*>(weight.storage);
  for_row_ranges(team(), inp.rows, 2 * inp.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t g = 0; g < groups; ++g) {
        const float* from = inp.f32() + t * inp.stride + g * n;
        float* to = out.f32() + t * out.stride + g * n;
        const float r = reciprocal_rms(from, n, eps);
        rstd[t * groups + g] = r;
        for_lanes(n, [&](int64_t j, int lanes) {
          store_lanes(to + j, load_lanes(from + j, lanes) * splat(r) * load_lanes(scale + j, lanes), lanes);
        });
      }
    }
  });
}

// Blocks of kProductDepth rows are computed apart, each with its own partial dweight in scratch, and merged
// in order.
void CpuBackend::rmsnorm_backward(Context& context, const Tensor& dinp, float* dweight, const Tensor& dout,
                                  const Tensor& inp, const Parameter& weight, const float* rstd,
                                  bool accumulate) {
  const int64_t n = weight.cols, groups = inp.cols / n;
  const int64_t blocks = ceil_div(inp.rows, kProductDepth);
  float* partials = static_cast<float*>(context.scratch.data);
  const float* scale = static_cast<const float*>(weight.storage);
  team().parallel_for(blocks, [&](int64_t block, int) {
    float* partial = partials + block * n;
    __builtin_memset(partial, 0, static_cast<size_t>(n) * sizeof(float));
    const int64_t end = smaller((block + 1) * kProductDepth, inp.rows);
    for (int64_t t = block * kProductDepth; t < end; ++t) {
      for (int64_t g = 0; g < groups; ++g) {
        group_backward({dinp.f32() + t * dinp.stride + g * n, dout.f32() + t * dout.stride + g * n,
                        inp.f32() + t * inp.stride + g * n, scale, rstd[t * groups + g], n, accumulate},
                       partial);
      }
    }
  });
  for_row_ranges(team(), ceil_div(n, kLanes), kLanes * blocks, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kLanes;
    for (int64_t block = 0; block < blocks; ++block) {
      const float* partial = partials + block * n + first;
      for_lanes(smaller(end * kLanes, n) - first, [&](int64_t j, int lanes) {
        float* to = dweight + first + j;
        store_lanes(to, load_lanes(to, lanes) + load_lanes(partial + j, lanes), lanes);
      });
    }
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
