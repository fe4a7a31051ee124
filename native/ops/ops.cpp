// Checks every argument once, before anything is written, and calls the backend. Values that may live in a
// device's memory (token ids, segments, page tables) are checked by the backend where they index.
#include "ops/ops.h"

#include "ops/argument_checks.h"

namespace coppice::ops {

using enum ParameterKind;

void embedding_forward(Context& context, const Tensor& out, const Parameter& weight, const int32_t* tokens) {
  constexpr const char* op = "embedding_forward";
  check_parameter(op, "weight", weight, kMatrix, kAny, kAny);
  check_tensor(op, "out", out, kAny, weight.cols);
  check_array(op, "tokens", tokens, out.rows);
  context.backend->embedding_forward(context, out, weight, tokens);
}

void embedding_backward(Context& context, float* dweight, int64_t vocab, const Tensor& dout,
                        const int32_t* tokens) {
  constexpr const char* op = "embedding_backward";
  check_tensor(op, "dout", dout, kAny, kAny);
  check_array(op, "dweight", dweight, vocab);
  check_array(op, "tokens", tokens, dout.rows);
  context.backend->embedding_backward(context, dweight, vocab, dout, tokens);
}

void linear_forward(Context& context, const Tensor& out, const Tensor& inp, const Parameter& weight,
                    const Parameter* bias) {
  constexpr const char* op = "linear_forward";
  check_parameter(op, "weight", weight, kMatrix, kAny, kAny);
  check_tensor(op, "inp", inp, kAny, weight.cols);
  check_tensor(op, "out", out, inp.rows, weight.rows);
  if (bias != nullptr) check_parameter(op, "bias", *bias, kVector, 1, weight.rows);
  check_scratch(op, context,
                context.backend->linear_scratch_bytes(inp.rows, weight.rows, weight.cols, weight.dtype));
  context.backend->linear_forward(context, out, inp, weight, bias);
}

void linear_backward_input(Context& context, const Tensor& dinp, const Tensor& dout,
                           const Parameter& weight) {
  constexpr const char* op = "linear_backward_input";
  check_parameter(op, "weight", weight, kMatrix, kAny, kAny);
  check_tensor(op, "dout", dout, kAny, weight.rows);
  check_tensor(op, "dinp", dinp, dout.rows, weight.cols);
  check_scratch(op, context,
                context.backend->linear_scratch_bytes(dout.rows, weight.rows, weight.cols, weight.dtype));
  context.backend->linear_backward_input(context, dinp, dout, weight);
}

void linear_backward_weight(Context& context, float* dweight, float* dbias, const Tensor& dout,
                            const Tensor& inp, DType dtype) {
  constexpr const char* op = "linear_backward_weight";
  check_tensor(op, "dout", dout, kAny, kAny);
  check_tensor(op, "inp", inp, dout.rows, kAny);
  check_array(op, "dweight", dweight, dout.cols * inp.cols);
  check_scratch(op, context, context.backend->linear_scratch_bytes(inp.rows, dout.cols, inp.cols, dtype));
  context.backend->linear_backward_weight(context, dweight, dbias, dout, inp, dtype);
}

void linear_residual(Context& context, const Tensor& out, const Tensor& inp, const Parameter& weight,
                     const Tensor& residual, const Tensor& staging) {
  constexpr const char* op = "linear_residual";
  check_parameter(op, "weight", weight, kMatrix, kAny, kAny);
  check_tensor(op, "inp", inp, kAny, weight.cols);
  check_tensor(op, "out", out, inp.rows, weight.rows);
  check_tensor(op, "residual", residual, inp.rows, weight.rows);
  check_tensor(op, "staging", staging, inp.rows, weight.rows);
  check_scratch(op, context,
                context.backend->linear_scratch_bytes(inp.rows, weight.rows, weight.cols, weight.dtype));
  context.backend->linear_residual(context, out, inp, weight, residual, staging);
}

namespace {

// The columns of a norm's input are whole groups of the weight's width.
void check_groups(const char* op, const Tensor& inp, const Parameter& weight) {
  check_parameter(op, "weight", weight, kVector, 1, kAny);
  check_that(op, weight.cols > 0 && inp.cols % weight.cols == 0,
             "the columns must be whole groups of the weight's width");
}

void check_rope(const char* op, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                int32_t head_dim) {
  check_tensor(op, "inout", inout, kAny, kAny);
  check_that(op, head_dim > 0 && head_dim % 2 == 0, "head_dim must be positive and even");
  check_that(op, inout.cols % head_dim == 0, "the columns must be whole heads");
  check_array(op, "positions", positions, inout.rows);
  check_array(op, "cos_sin", cos_sin, inout.rows);
}

}  // namespace

void rmsnorm_forward(Context& context, const Tensor& out, float* rstd, const Tensor& inp,
                     const Parameter& weight, float eps) {
  constexpr const char* op = "rmsnorm_forward";
  check_tensor(op, "inp", inp, kAny, kAny);
  check_groups(op, inp, weight);
  check_tensor(op, "out", out, inp.rows, inp.cols);
  check_array(op, "rstd", rstd, inp.rows);
  check_that(op, eps >= 0.0f, "eps must not be negative");
  context.backend->rmsnorm_forward(context, out, rstd, inp, weight, eps);
}

void rmsnorm_backward(Context& context, const Tensor& dinp, float* dweight, const Tensor& dout,
                      const Tensor& inp, const Parameter& weight, const float* rstd, bool accumulate) {
  constexpr const char* op = "rmsnorm_backward";
  check_tensor(op, "inp", inp, kAny, kAny);
  check_groups(op, inp, weight);
  check_tensor(op, "dout", dout, inp.rows, inp.cols);
  check_tensor(op, "dinp", dinp, inp.rows, inp.cols);
  check_array(op, "rstd", rstd, inp.rows);
  check_array(op, "dweight", dweight, weight.cols);
  check_scratch(op, context, context.backend->linear_scratch_bytes(inp.rows, 1, weight.cols, DType::kF32));
  context.backend->rmsnorm_backward(context, dinp, dweight, dout, inp, weight, rstd, accumulate);
}

void rope_forward(Context& context, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                  int32_t head_dim) {
  check_rope("rope_forward", inout, positions, cos_sin, head_dim);
  context.backend->rope_forward(context, inout, positions, cos_sin, head_dim);
}

void rope_backward(Context& context, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                   int32_t head_dim) {
  check_rope("rope_backward", inout, positions, cos_sin, head_dim);
  context.backend->rope_backward(context, inout, positions, cos_sin, head_dim);
}

void kv_write(Context& context, const KvPages& pages, const Tensor& k, const Tensor& v,
              const AttentionBatch& batch, const AttentionShape& shape) {
  constexpr const char* op = "kv_write";
  check_heads(op, shape);
  const int64_t kv_cols = int64_t{shape.num_kv_heads} * shape.head_dim;
  check_tensor(op, "k", k, kAny, kv_cols);
  check_tensor(op, "v", v, k.rows, kv_cols);
  check_batch(op, batch, k.rows);
  check_array(op, "page_table", batch.page_table, batch.segment_count);
  check_pages(op, pages);
  context.backend->kv_write(context, pages, k, v, batch, shape);
}

void kv_copy(Context& context, const KvPages& pages, int32_t to_page, int32_t from_page, int32_t slots,
             const AttentionShape& shape) {
  constexpr const char* op = "kv_copy";
  check_heads(op, shape);
  check_pages(op, pages);
  check_that(op, to_page >= 0 && from_page >= 0, "pages must not be negative");
  check_that(op, slots >= 0 && slots <= kKeyBlock, "slots must lie in 0 .. kKeyBlock");
  context.backend->kv_copy(context, pages, to_page, from_page, slots, shape);
}

void attention_forward(Context& context, const Tensor& out, float* lse, const Tensor& q, const KvPages& pages,
                       const AttentionBatch& batch, const AttentionShape& shape) {
  constexpr const char* op = "attention_forward";
  check_heads(op, shape);
  const int64_t cols = int64_t{shape.num_heads} * shape.head_dim;
  check_tensor(op, "q", q, kAny, cols);
  check_tensor(op, "out", out, q.rows, cols);
  check_batch(op, batch, q.rows);
  check_array(op, "page_table", batch.page_table, batch.segment_count);
  check_pages(op, pages);
  check_scratch(op, context, context.backend->attention_scratch_bytes(shape, q.rows));
  context.backend->attention_forward(context, out, lse, q, pages, batch, shape);
}

void kv_write_attention(Context& context, const Tensor& out, float* lse, const Tensor& q, const Tensor& k,
                        const Tensor& v, const KvPages& pages, const AttentionBatch& batch,
                        const AttentionShape& shape) {
  constexpr const char* op = "kv_write_attention";
  check_heads(op, shape);
  const int64_t cols = int64_t{shape.num_heads} * shape.head_dim,
                kv_cols = int64_t{shape.num_kv_heads} * shape.head_dim;
  check_tensor(op, "q", q, kAny, cols);
  check_tensor(op, "out", out, q.rows, cols);
  check_tensor(op, "k", k, q.rows, kv_cols);
  check_tensor(op, "v", v, q.rows, kv_cols);
  check_batch(op, batch, q.rows);
  check_array(op, "page_table", batch.page_table, batch.segment_count);
  check_pages(op, pages);
  check_scratch(op, context, context.backend->attention_scratch_bytes(shape, q.rows));
  context.backend->kv_write_attention(context, out, lse, q, k, v, pages, batch, shape);
}

void attention_backward(Context& context, const Tensor& dq, const Tensor& dk, const Tensor& dv,
                        const Tensor& dout, const Tensor& out, const float* lse, const Tensor& q,
                        const Tensor& k, const Tensor& v, const AttentionBatch& batch,
                        const AttentionShape& shape) {
  constexpr const char* op = "attention_backward";
  check_heads(op, shape);
  const int64_t cols = int64_t{shape.num_heads} * shape.head_dim,
                kv_cols = int64_t{shape.num_kv_heads} * shape.head_dim;
  check_tensor(op, "q", q, kAny, cols);
  check_tensor(op, "k", k, q.rows, kv_cols);
  check_tensor(op, "v", v, q.rows, kv_cols);
  check_tensor(op, "out", out, q.rows, cols);
  check_tensor(op, "dout", dout, q.rows, cols);
  check_tensor(op, "dq", dq, q.rows, cols);
  check_tensor(op, "dk", dk, q.rows, kv_cols);
  check_tensor(op, "dv", dv, q.rows, kv_cols);
  check_array(op, "lse", lse, q.rows);
  check_batch(op, batch, q.rows);
  check_scratch(op, context, context.backend->attention_scratch_bytes(shape, q.rows));
  context.backend->attention_backward(context, dq, dk, dv, dout, out, lse, q, k, v, batch, shape);
}

void swiglu_forward(Context& context, const Tensor& out, const Tensor& gate_up) {
  constexpr const char* op = "swiglu_forward";
  check_tensor(op, "out", out, kAny, kAny);
  check_tensor(op, "gate_up", gate_up, out.rows, 2 * out.cols);
  context.backend->swiglu_forward(context, out, gate_up);
}

void swiglu_backward(Context& context, const Tensor& dgate_up, const Tensor& out, const Tensor& dout,
                     const Tensor& gate_up) {
  constexpr const char* op = "swiglu_backward";
  check_tensor(op, "dout", dout, kAny, kAny);
  check_tensor(op, "out", out, dout.rows, dout.cols);
  check_tensor(op, "gate_up", gate_up, dout.rows, 2 * dout.cols);
  check_tensor(op, "dgate_up", dgate_up, dout.rows, 2 * dout.cols);
  context.backend->swiglu_backward(context, dgate_up, out, dout, gate_up);
}

void linear_swiglu(Context& context, const Tensor& out, const Tensor& gate_up, const Tensor& inp,
                   const Parameter& weight) {
  constexpr const char* op = "linear_swiglu";
  check_parameter(op, "weight", weight, kMatrix, kAny, kAny);
  check_that(op, weight.rows % 2 == 0, "the weight must have a row of gate for each row of up");
  check_tensor(op, "inp", inp, kAny, weight.cols);
  check_tensor(op, "gate_up", gate_up, inp.rows, weight.rows);
  check_tensor(op, "out", out, inp.rows, weight.rows / 2);
  check_scratch(op, context,
                context.backend->linear_scratch_bytes(inp.rows, weight.rows, weight.cols, weight.dtype));
  context.backend->linear_swiglu(context, out, gate_up, inp, weight);
}

void linear_swiglu_backward(Context& context, const Tensor& gate_up, const Tensor& out, const Tensor& dout,
                            const Parameter& weight) {
  constexpr const char* op = "linear_swiglu_backward";
  check_parameter(op, "weight", weight, kMatrix, kAny, kAny);
  check_tensor(op, "dout", dout, kAny, weight.rows);
  check_tensor(op, "out", out, dout.rows, weight.cols);
  check_tensor(op, "gate_up", gate_up, dout.rows, 2 * weight.cols);
  check_scratch(op, context,
                context.backend->linear_scratch_bytes(dout.rows, weight.rows, weight.cols, weight.dtype));
  context.backend->linear_swiglu_backward(context, gate_up, out, dout, weight);
}

void add_forward(Context& context, const Tensor& out, const Tensor& a, const Tensor& b) {
  constexpr const char* op = "add_forward";
  check_tensor(op, "out", out, kAny, kAny);
  check_tensor(op, "a", a, out.rows, out.cols);
  check_tensor(op, "b", b, out.rows, out.cols);
  context.backend->add_forward(context, out, a, b);
}

void gather_rows(Context& context, const Tensor& out, const Tensor& inp, const int32_t* row_index) {
  constexpr const char* op = "gather_rows";
  check_tensor(op, "inp", inp, kAny, kAny);
  check_tensor(op, "out", out, kAny, inp.cols);
  check_array(op, "row_index", row_index, out.rows);
  context.backend->gather_rows(context, out, inp, row_index);
}

namespace {

void check_head(const char* op, const Context& context, const Tensor& hidden, const Parameter& weight,
                const HeadItems& items, size_t scratch_bytes) {
  check_parameter(op, "weight", weight, kMatrix, kAny, kAny);
  check_tensor(op, "hidden", hidden, kAny, weight.cols);
  check_array(op, "row_index", items.row_index, items.count);
  check_array(op, "target", items.target, items.count);
  check_array(op, "temperature", items.temperature, items.count);
  check_scratch(op, context, scratch_bytes);
}

size_t scratch_bytes(const Context& context, const Parameter& weight, const HeadItems& items) {
  return context.backend->head_scratch_bytes(items.count, weight.rows, weight.cols, weight.dtype);
}

}  // namespace

void head_forward(Context& context, float* lp, float* entropy, float* lse, const Tensor& hidden,
                  const Parameter& weight, const HeadItems& items) {
  constexpr const char* op = "head_forward";
  check_head(op, context, hidden, weight, items, scratch_bytes(context, weight, items));
  check_array(op, "lp", lp, items.count);
  check_array(op, "lse", lse, items.count);
  context.backend->head_forward(context, lp, entropy, lse, hidden, weight, items);
}

void head_backward(Context& context, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                   const Parameter& weight, const HeadItems& items, const float* lse, const float* entropy,
                   const float* g_lp, const float* g_entropy) {
  constexpr const char* op = "head_backward";
  check_head(op, context, hidden, weight, items, scratch_bytes(context, weight, items));
  check_tensor(op, "dhidden", dhidden, hidden.rows, hidden.cols);
  check_array(op, "dweight", dweight, weight.rows);
  check_array(op, "lse", lse, items.count);
  check_array(op, "g_lp", g_lp, items.count);
  if (g_entropy != nullptr) check_array(op, "entropy", entropy, items.count);
  context.backend->head_backward(context, dhidden, dweight, hidden, weight, items, lse, entropy, g_lp,
                                 g_entropy);
}

void head_forward_backward(Context& context, const Tensor& dhidden, float* dweight, float* lp, float* entropy,
                           float* lse, const Tensor& hidden, const Parameter& weight, const HeadItems& items,
                           const float* g_lp, const float* g_entropy, HeadLoss& loss) {
  constexpr const char* op = "head_forward_backward";
  check_head(op, context, hidden, weight, items,
             context.backend->head_forward_backward_scratch_bytes(items.count, weight.rows, weight.cols,
                                                                  weight.dtype));
  check_tensor(op, "dhidden", dhidden, hidden.rows, hidden.cols);
  check_array(op, "dweight", dweight, weight.rows);
  check_array(op, "lp", lp, items.count);
  check_array(op, "lse", lse, items.count);
  check_array(op, "g_lp", g_lp, items.count);
  if (g_entropy != nullptr) check_array(op, "entropy", entropy, items.count);
  context.backend->head_forward_backward(context, dhidden, dweight, lp, entropy, lse, hidden, weight, items,
                                         g_lp, g_entropy, loss);
}

namespace {

// Offsets are a host array on the CPU and a device array elsewhere: their order is the backend's to check.
template <typename T>
void check_policy_loss(const char* op, const PolicyLossStats* stats, const T* g_lp, const T* g_entropy,
                       const T* lp, const T* entropy, const T* old_lp, const T* ref_lp, const T* advantage,
                       const T* norm, const int32_t* offsets, int64_t sequences,
                       const PolicyLossParams& params) {
  check_array(op, "stats", stats, 1);
  check_array(op, "offsets", offsets, sequences + 1);
  check_array(op, "g_lp", g_lp, sequences);
  check_array(op, "lp", lp, sequences);
  check_array(op, "advantage", advantage, sequences);
  check_array(op, "norm", norm, sequences);
  if (params.importance != Importance::kNone) check_array(op, "old_lp", old_lp, sequences);
  if (params.kl_coef != 0.0) check_array(op, "ref_lp", ref_lp, sequences);
  if (params.entropy_coef != 0.0) {
    check_array(op, "entropy", entropy, sequences);
    check_array(op, "g_entropy", g_entropy, sequences);
  }
  check_that(op, params.clip_low >= 0.0 && params.clip_high >= 0.0, "clip bounds must not be negative");
  check_that(op, params.dual_clip >= 0.0, "dual_clip must not be negative");
  check_that(op, params.sapo_temperature_pos > 0.0 && params.sapo_temperature_neg > 0.0,
             "gate temperatures must be positive");
  check_that(op, params.surrogate != Surrogate::kGmpo || params.importance == Importance::kSequence,
             "a geometric mean needs the ratio of sequences");
  check_that(op, params.surrogate == Surrogate::kClip || params.importance != Importance::kNone,
             "this surrogate needs a ratio");
  if (params.old_kl_coef != 0.0) {
    check_array(op, "old_lp", old_lp, sequences);
    check_array(op, "old_kl_mask", params.old_kl_mask, sequences);
  }
}

}  // namespace

void policy_loss(Context& context, PolicyLossStats* stats, float* g_lp, float* g_entropy, const float* lp,
                 const float* entropy, const float* old_lp, const float* ref_lp, const float* advantage,
                 const float* norm, const int32_t* offsets, int64_t sequences,
                 const PolicyLossParams& params) {
  check_policy_loss("policy_loss", stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm,
                    offsets, sequences, params);
  context.backend->policy_loss(context, stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm,
                               offsets, sequences, params);
}

void policy_loss_f64(Context& context, PolicyLossStats* stats, double* g_lp, double* g_entropy,
                     const double* lp, const double* entropy, const double* old_lp, const double* ref_lp,
                     const double* advantage, const double* norm, const int32_t* offsets, int64_t sequences,
                     const PolicyLossParams& params) {
  check_policy_loss("policy_loss_f64", stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm,
                    offsets, sequences, params);
  context.backend->policy_loss_f64(context, stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage,
                                   norm, offsets, sequences, params);
}

void sample(Context& context, int32_t* token, float* lp, float* sampler_lp, float* entropy,
            const Tensor& hidden, const Parameter& weight, const SampleKey* keys,
            const SampleParams* params) {
  constexpr const char* op = "sample";
  check_parameter(op, "weight", weight, kMatrix, kAny, kAny);
  check_tensor(op, "hidden", hidden, kAny, weight.cols);
  check_array(op, "token", token, hidden.rows);
  check_array(op, "lp", lp, hidden.rows);
  check_array(op, "sampler_lp", sampler_lp, hidden.rows);
  check_array(op, "keys", keys, hidden.rows);
  check_array(op, "params", params, hidden.rows);
  check_scratch(op, context,
                context.backend->sample_scratch_bytes(hidden.rows, weight.rows, weight.cols, weight.dtype));
  context.backend->sample(context, token, lp, sampler_lp, entropy, hidden, weight, keys, params);
}

void sum_of_squares(Context& context, double* result, const float* values, int64_t count) {
  constexpr const char* op = "sum_of_squares";
  check_array(op, "result", result, 1);
  check_array(op, "values", values, count);
  context.backend->sum_of_squares(context, result, values, count);
}

void adamw_step(Context& context, AdamwStats* stats, float* master, const float* grad, float* m, float* v,
                int64_t count, const AdamwParams& params) {
  constexpr const char* op = "adamw_step";
  check_array(op, "stats", stats, 1);
  check_array(op, "master", master, count);
  check_array(op, "grad", grad, count);
  check_array(op, "m", m, count);
  check_array(op, "v", v, count);
  check_that(op, params.step >= 1, "step must be 1 or more");
  check_that(op, params.beta1 >= 0 && params.beta1 < 1 && params.beta2 >= 0 && params.beta2 < 1,
             "betas must lie in [0, 1)");
  check_that(op, params.eps >= 0, "eps must not be negative");
  context.backend->adamw_step(context, stats, master, grad, m, v, count, params);
}

}  // namespace coppice::ops
