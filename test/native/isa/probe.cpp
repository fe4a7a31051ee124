#include "native/isa/probe.h"

#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

template <typename Function>
COPPICE_INLINE void map(float* out, const float* inp, int64_t count, const Function& function) {
  for (int64_t i = 0; i < count; i += kLanes) store(out + i, function(load(inp + i)));
}

void probe_exp(float* out, const float* inp, int64_t count) {
  map(out, inp, count, [](Vec x) __attribute__((always_inline)) { return exp(x); });
}
void probe_log(float* out, const float* inp, int64_t count) {
  map(out, inp, count, [](Vec x) __attribute__((always_inline)) { return log(x); });
}
void probe_sigmoid(float* out, const float* inp, int64_t count) {
  map(out, inp, count, [](Vec x) __attribute__((always_inline)) { return sigmoid(x); });
}
void probe_transpose(float* block) {
  Vec rows[16];
  for (int i = 0; i < 16; ++i) rows[i] = load(block + 16 * i);
  transpose16(rows);
  for (int i = 0; i < 16; ++i) store(block + 16 * i, rows[i]);
}
float probe_sum(const float* sixteen) {
  return sum(load(sixteen));
}
float probe_maximum(const float* sixteen) {
  return maximum(load(sixteen));
}
void probe_pair_of(float* words, const float* a, const float* b) {
  store(words, pair_of(load(a), load(b)));
}
void probe_dot_pairs(float* out, const float* a, const float* b, const float* c) {
  store(out, dot_pairs(load(a), load(b), load(c)));
}
void probe_interleave(float* block) {
  Vec a = load(block), b = load(block + 16);
  interleave(a, b);
  store(block, a);
  store(block + 16, b);
}
void probe_deinterleave(float* block) {
  Vec a = load(block), b = load(block + 16);
  deinterleave(a, b);
  store(block, a);
  store(block + 16, b);
}
void probe_masked(float* out, float* onto, const float* inp, int n, float fill) {
  const Vec loaded = load_first(inp, n, fill);
  store(out, loaded);
  store_first(onto, load_first(inp, n), n);
}

}  // namespace

extern const test::IsaProbe kProbe;
const test::IsaProbe kProbe = {probe_exp,          probe_log,        probe_sigmoid, probe_transpose,
                               probe_sum,          probe_maximum,    probe_pair_of, probe_dot_pairs,
                               probe_deinterleave, probe_interleave, probe_masked};

}  // namespace COPPICE_ISA
}  // namespace coppice
