// THE PAGE TO READ: every op's formula, shapes, dtypes and what its backward accumulates.
//
// Arguments come as: outputs, inputs, saved-for-backward, parameters of the op. Sizes: T rows (packed
// tokens), C hidden, NH query heads, NKV key/value heads, HD head size, FF feed-forward size, V vocabulary, N
// head items. A gradient has a `d` prefix.
//
// One law: parameter gradients ACCUMULATE (+=), activation gradients OVERWRITE (=), except along the residual
// stream, where rmsnorm_backward adds when told to.
//
// Reductions are in fp32 (fp64 where said). Activations and gradients are fp32, whatever the parameters are.
// Where a weight is bf16, a product rounds its other operand to bf16 (to nearest even) and sums in fp32: the
// linear maps, the head and `sample`, forward and backward; a formula's r(x) below is x so rounded, and x
// itself in f32. Integer arrays, lp, entropy, lse, rstd, norm and masters are plain arrays in the backend's
// memory. Every function
// checks shapes once, here, and then calls the backend; SHAPE_MISMATCH and INVALID_ARGUMENT are thrown before
// anything is written. Tokens and row indices in a device's memory are checked there: an op that finds one
// out of range writes none of its results that they index, and INVALID_ARGUMENT comes from the next
// synchronize or download.
//
// Row independence (forward ops and activation gradients): a row's output bits depend on that row's inputs
// alone, whatever stands beside it and however many threads run. Reduction orders that make it so:
//   products     element [i][j] = sum over k in order by fma, in blocks of kProductDepth from zero: ((b0 +
//   b1) + b2) + ...; in bf16 pair after pair of k, the second of a pair first, in blocks of kProductDepth
//   pairs rows         a sum or maximum over a row runs in 16 lanes (lane l takes elements l, l + 16, ...;
//   missing ones are the
//                neutral element) and ends in one fixed tree over the lanes
//   attention    key blocks of kKeyBlock absolute positions in order; per block: scores by fma over d in
//   order, block maximum,
//                one rescaling of (sum, out), probabilities, then out += p_j v_j by fma over j in order from
//                the rescaled out
//   vocabulary   blocks of kVocabBlock columns; per block (maximum, sum of exp, sum of exp * z) by the row
//   rule; blocks are
//                then merged in order
// Parameter gradients sum over rows in packed order, by the products rule.
#pragma once

#include "backend/backend.h"

namespace coppice::ops {

using coppice::kProductDepth;
using coppice::kVocabBlock;

// out[t] = weight[tokens[t]].  out [T, C], weight kMatrix [V, C], tokens [T] in [0, V).
void embedding_forward(Context&, const Tensor& out, const Parameter& weight, const int32_t* tokens);
// dweight[tokens[t]] += dout[t], t in order.  dweight [V, C] contiguous.
void embedding_backward(Context&, float* dweight, int64_t vocab, const Tensor& dout, const int32_t* tokens);

// out = r(inp) W^T + bias.  out [T, M], inp [T, K], weight kMatrix [M, K], bias kVector [1, M] or null.
void linear_forward(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                    const Parameter* bias);
// dinp = r(dout) W.
void linear_backward_input(Context&, const Tensor& dinp, const Tensor& dout, const Parameter& weight);
// dweight += r(dout)^T r(inp);  dbias += sum_t dout[t] (dbias may be null).  dweight [M, K] contiguous; dtype
// is the weight's.
void linear_backward_weight(Context&, float* dweight, float* dbias, const Tensor& dout, const Tensor& inp,
                            DType dtype);
// Composite: out = residual + (r(inp) W^T).  Same bits as linear_forward into `staging` and add_forward(out,
// residual, staging).
void linear_residual(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                     const Tensor& residual, const Tensor& staging);

// Each row of inp [T, G * n] is G groups of n = weight.cols (G = 1 for a model norm, G = heads for a q/k
// norm): rstd[t * G + g] = 1 / sqrt(mean_j inp^2 + eps);  out = inp * rstd * weight.  out may be inp.
void rmsnorm_forward(Context&, const Tensor& out, float* rstd, const Tensor& inp, const Parameter& weight,
                     float eps);
// dinp (= or, when accumulate, +=) rstd * (dout * weight - xhat * mean_j(dout * weight * xhat)), xhat = inp *
// rstd; dweight += sum over rows, then groups, in order, of dout * xhat.  `inp` is the input of the forward
// (not its output). dinp may be dout when it overwrites.
void rmsnorm_backward(Context&, const Tensor& dinp, float* dweight, const Tensor& dout, const Tensor& inp,
                      const Parameter& weight, const float* rstd, bool accumulate);

// Rotary embedding in the rotate-half convention, in place. inout [T, heads * HD]; cos_sin [positions][HD]:
// HD / 2 cosines and then HD / 2 sines. For j < HD / 2: (a, b) = (x[j], x[j + HD/2]) -> (a cos - b sin, b cos
// + a sin).
void rope_forward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                  int32_t head_dim);
// The inverse rotation.
void rope_backward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                   int32_t head_dim);

// Writes the rows of every segment into its own pages: position p of segment s goes to slot p % kKeyBlock of
// page page_table[s.page_begin + p / kKeyBlock]. Where a child begins inside a block, the caller gives it a
// page of its own, whose slots before position_begin % kKeyBlock this op fills from the rows of the ancestors
// that are in the batch, and from the first of those ancestors' page what lies before them; where no ancestor
// is in the batch, kv_copy has filled them. Slots of a page past its last position are never read for their
// value, but must hold finite numbers: fresh pages are zeroed by their owner. k, v [T, NKV * HD] (k already
// rotated).
void kv_write(Context&, const KvPages& pages, const Tensor& k, const Tensor& v, const AttentionBatch& batch,
              const AttentionShape& shape);
// Copies the first `slots` positions of one page to another, all kv heads.
void kv_copy(Context&, const KvPages& pages, int32_t to_page, int32_t from_page, int32_t slots,
             const AttentionShape& shape);

// Causal attention over the pages. Query row at absolute position p reads keys 0 .. p of its path, or with a
// window w keys p - w + 1 .. p alone: it then begins with the key block of the first of them.
// out [T, NH * HD], lse [T * NH] = log sum exp(scale * q k) (natural log), q [T, NH * HD] (rotated).
// Query head h reads kv head h / (NH / NKV). `lse` may be null (generation).
void attention_forward(Context&, const Tensor& out, float* lse, const Tensor& q, const KvPages& pages,
                       const AttentionBatch& batch, const AttentionShape& shape);
// Composite: kv_write of k, v, then attention_forward. Same bits as the two.
void kv_write_attention(Context&, const Tensor& out, float* lse, const Tensor& q, const Tensor& k,
                        const Tensor& v, const KvPages& pages, const AttentionBatch& batch,
                        const AttentionShape& shape);
// With P = exp(scale * q k - lse), D[t, h] = sum_d dout * out, dS = P * (dout v^T - D):
// dq = scale * dS k;  dk = scale * sum over the queries that read the key of dS^T q;  dv = sum of P^T dout.
// All overwrite. Keys and values come from rows k, v [T, NKV * HD] of this batch (no pages are read): every
// ancestor of a segment must be in the batch. A key's gradient sums over query segments in index order, then
// over query rows in order, then over the query heads of its group in order (any fixed order by absolute key
// and query blocks will do: it must not depend on what else is in the batch or on the number of threads).
void attention_backward(Context&, const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dout,
                        const Tensor& out, const float* lse, const Tensor& q, const Tensor& k,
                        const Tensor& v, const AttentionBatch& batch, const AttentionShape& shape);

// gate_up [T, 2 FF]: gate = columns [0, FF), up = columns [FF, 2 FF).  out = gate * sigmoid(gate) * up.  out
// [T, FF].
void swiglu_forward(Context&, const Tensor& out, const Tensor& gate_up);
// dgate_up [T, 2 FF] from dout [T, FF], and the forward's out once more, bit for bit, in the same pass:
// nobody has to keep it. dgate_up may be gate_up, and out may be dout.
void swiglu_backward(Context&, const Tensor& dgate_up, const Tensor& out, const Tensor& dout,
                     const Tensor& gate_up);
// Composite: gate_up = r(inp) W^T, out = swiglu_forward(gate_up).  inp [T, K], weight [2 FF, K]. Same bits as
// linear_forward and swiglu_forward.
void linear_swiglu(Context&, const Tensor& out, const Tensor& gate_up, const Tensor& inp,
                   const Parameter& weight);
// Composite, the way back through y = out W^T, out = swiglu_forward(gate_up): gate_up becomes its own
// gradient, and out is written.  dout [T, M], weight [M, FF], gate_up [T, 2 FF], out [T, FF]. Same bits as
// linear_backward_input into out and swiglu_backward in place.
void linear_swiglu_backward(Context&, const Tensor& gate_up, const Tensor& out, const Tensor& dout,
                            const Parameter& weight);

// out = a + b. out may be a or b.
void add_forward(Context&, const Tensor& out, const Tensor& a, const Tensor& b);
// out[i] = inp[row_index[i]], i < out.rows.
void gather_rows(Context&, const Tensor& out, const Tensor& inp, const int32_t* row_index);

// The fused head. For item i with x = r(hidden[row_index[i]]), z = weight x (weight [V, C]), y = z * (1 /
// temperature[i]):
//   lse[i] = log sum_v exp(y_v);  lp[i] = y_target - lse;  entropy[i] = lse - sum_v p_v y_v,  p = exp(y -
//   lse).
// [N, V] is never stored. entropy may be null. The bits of lp equal those that `sample` records for the same
// row.
void head_forward(Context&, float* lp, float* entropy, float* lse, const Tensor& hidden,
                  const Parameter& weight, const HeadItems& items);
// dz_v = (1 / temperature) * ( g_lp ([v = target] - p_v) - g_entropy p_v (log p_v + entropy) )
// dhidden (same shape as hidden; OVERWRITTEN, zero where no item reads a row) = sum over a row's items in
// order of r(dz) W; dweight [V, C] += r(dz)^T r(hidden), in chunks of items in order. g_entropy may be null.
void head_backward(Context&, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                   const Parameter& weight, const HeadItems& items, const float* lse, const float* entropy,
                   const float* g_lp, const float* g_entropy);

// Composite: head_forward, the loss, head_backward. Same bits as the three by themselves. A backend that
// holds logits in between takes the items range by range, and computes every logit once: 6 N V C operations
// for 8. `loss` writes what g_lp and g_entropy (or null) point at. Needs head_forward_backward_scratch_bytes.
void head_forward_backward(Context&, const Tensor& dhidden, float* dweight, float* lp, float* entropy,
                           float* lse, const Tensor& hidden, const Parameter& weight, const HeadItems& items,
                           const float* g_lp, const float* g_entropy, HeadLoss& loss);

// The loss of sequences packed by offsets [sequences + 1]; token t of sequence i is active when norm[t] != 0.
//   L = sum_t norm_t * ( -surrogate_t + kl_coef * kl_t - entropy_coef * entropy_t + old_kl_coef * m_t |lp_t -
//   old_lp_t| ),   rho_t = exp(lp_t - old_lp_t), m_t = 1 where old_kl_mask says so
// importance:
//   none            surrogate = advantage * lp
//   token           rho_t is the token's ratio
//   sequence        s_i = exp(mean over active tokens of (lp - old_lp)) stands for rho_t; the gradient
//   reaches
//                   every active token of the sequence through s_i (GSPO, arXiv 2507.18071, eq. 5)
//   sequence-token  sg(s_i) pi / sg(pi): the value of s_i, the gradient of the token alone (the same, eq. 14)
// surrogate, of a ratio rho, sg being a constant of the gradient:
//   clip   min(rho A, clamp(rho, 1 - clip_low, 1 + clip_high) A); without clip rho A; dual clip c > 0: where
//          A < 0, max of it and c A
//   cispo  sg(clamp(rho, 1 - clip_low, 1 + clip_high)) A lp (arXiv 2506.13585, eq. 4)
//   gmpo   s_i A, with the log-ratios clipped before their mean: at most clip_high where A > 0, at least
//          -clip_low where A < 0; a clipped token has no gradient (arXiv 2507.20673). Importance sequence.
//   sapo   (4 / tau) sigmoid(tau (rho - 1)) A, tau by the sign of A (arXiv 2511.20347)
//   topr   A lp where A > 0, sg(min(rho, 1)) A lp elsewhere (arXiv 2503.14286, eq. 8)
// kl of d = ref_lp - lp:  k1 = -d,  k2 = d^2 / 2,  k3 = exp(d) - d - 1
// g_lp = dL/dlp and g_entropy = dL/dentropy (null when entropy_coef is 0) are written for every token, 0
// where inactive. On a clip boundary and at ties of min/max the unclipped branch is taken; |x| has slope 0 at
// 0. ref_lp may be null when kl_coef is 0; entropy may be null when entropy_coef is 0 (entropy_sum is then
// 0). Advantage excludes the norm: token_weight = advantage * norm. `stats` is a host value, added to, not
// overwritten; sums are in fp64, tokens in order: where no ratio is of a sequence, a call may be cut between
// any two tokens (on the CPU with the same bits).
void policy_loss(Context&, PolicyLossStats* stats, float* g_lp, float* g_entropy, const float* lp,
                 const float* entropy, const float* old_lp, const float* ref_lp, const float* advantage,
                 const float* norm, const int32_t* offsets, int64_t sequences,
                 const PolicyLossParams& params);
// The same in fp64, for policyLoss() and for gradient checks.
void policy_loss_f64(Context&, PolicyLossStats* stats, double* g_lp, double* g_entropy, const double* lp,
                     const double* entropy, const double* old_lp, const double* ref_lp,
                     const double* advantage, const double* norm, const int32_t* offsets, int64_t sequences,
                     const PolicyLossParams& params);

// Draws one token a row: y = (weight hidden[r]) * (1 / temperature); the kept set is cut by top_k (the k
// largest; ties by smaller id), then top_p (the shortest prefix in descending order, ties by smaller id,
// whose mass under the top_k distribution reaches top_p), then min_p (p >= min_p * max p); token = the first
// kept id, in vocabulary order, at which the cumulative renormalised mass exceeds uniform(key). lp =
// full-vocabulary log softmax(y) at the token (y = z at temperature 1 when greedy); sampler_lp = the log-prob
// under the kept set (= lp bit for bit when nothing was cut; 0 when greedy); entropy = of the full
// distribution (may be null). keys, params [rows of hidden].
void sample(Context&, int32_t* token, float* lp, float* sampler_lp, float* entropy, const Tensor& hidden,
            const Parameter& weight, const SampleKey* keys, const SampleParams* params);

// *result += sum of squares in fp64, in fixed chunks whatever the number of threads. Host value.
void sum_of_squares(Context&, double* result, const float* values, int64_t count);
// AdamW with decoupled decay (Loshchilov and Hutter, 2019), as torch.optim.AdamW orders it: with g =
// grad_scale * grad
//   master *= 1 - lr * decay;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
//   master -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps).
// stats: host value, added to; bf16 rounding is to nearest even of the master before and after.
void adamw_step(Context&, AdamwStats* stats, float* master, const float* grad, float* m, float* v,
                int64_t count, const AdamwParams& params);

}  // namespace coppice::ops
