// The CPU backend of one instruction set: one class per COPPICE_ISA, its ops in the files of their names. It
// has no data of its own; what an op needs stands in its Context or on the stack.
#pragma once

#include "cpu/cpu_backend_base.h"
#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

class CpuBackend final : public CpuBackendBase {
 public:
  explicit CpuBackend(int threads) : CpuBackendBase(threads) {}

  const char* instruction_set() const override;

  size_t parameter_storage_bytes(ParameterKind kind, int64_t rows, int64_t cols, DType dtype) const override;
  void parameter_upload(Parameter& parameter, int64_t row_begin, int64_t rows, const float* host) override;
  void parameter_download(const Parameter& parameter, int64_t row_begin, int64_t rows,
                          float* host) const override;
  void parameter_pack(Parameter& parameter, const float* master) override;

  size_t linear_scratch_bytes(int64_t rows, int64_t out_cols, int64_t in_cols, DType dtype) const override;
  size_t attention_scratch_bytes(const AttentionShape& shape, int64_t rows) const override;
  size_t head_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden, DType dtype) const override;
  size_t head_forward_backward_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden,
                                             DType dtype) const override;
  size_t sample_scratch_bytes(int64_t rows, int64_t vocab, int64_t hidden, DType dtype) const override;

  void embedding_forward(Context&, const Tensor& out, const Parameter& weight,
                         const int32_t* tokens) override;
  void embedding_backward(Context&, float* dweight, int64_t vocab, const Tensor& dout,
                          const int32_t* tokens) override;
  void linear_forward(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                      const Parameter* bias) override;
  void linear_backward_input(Context&, const Tensor& dinp, const Tensor& dout,
                             const Parameter& weight) override;
  void linear_backward_weight(Context&, float* dweight, float* dbias, const Tensor& dout, const Tensor& inp,
                              DType dtype) override;
  void linear_residual(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                       const Tensor& residual, const Tensor& staging) override;
  void linear_swiglu(Context&, const Tensor& out, const Tensor& gate_up, const Tensor& inp,
                     const Parameter& weight) override;
  void linear_swiglu_backward(Context&, const Tensor& gate_up, const Tensor& out, const Tensor& dout,
                              const Parameter& weight) override;
  void rmsnorm_forward(Context&, const Tensor& out, float* rstd, const Tensor& inp, const Parameter& weight,
                       float eps) override;
  void rmsnorm_backward(Context&, const Tensor& dinp, float* dweight, const Tensor& dout, const Tensor& inp,
                        const Parameter& weight, const float* rstd, bool accumulate) override;
  void rope_forward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                    int32_t head_dim) override;
  void rope_backward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                     int32_t head_dim) override;
  void kv_write(Context&, const KvPages& pages, const Tensor& k, const Tensor& v, const AttentionBatch& batch,
                const AttentionShape& shape) override;
  void kv_copy(Context&, const KvPages& pages, int32_t to_page, int32_t from_page, int32_t slots,
               const AttentionShape& shape) override;
  void attention_forward(Context&, const Tensor& out, float* lse, const Tensor& q, const KvPages& pages,
                         const AttentionBatch& batch, const AttentionShape& shape) override;
  void attention_backward(Context&, const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dout,
                          const Tensor& out, const float* lse, const Tensor& q, const Tensor& k,
                          const Tensor& v, const AttentionBatch& batch, const AttentionShape& shape) override;
  void swiglu_forward(Context&, const Tensor& out, const Tensor& gate_up) override;
  void swiglu_backward(Context&, const Tensor& dgate_up, const Tensor& out, const Tensor& dout,
                       const Tensor& gate_up) override;
  void add_forward(Context&, const Tensor& out, const Tensor& a, const Tensor& b) override;
  void gather_rows(Context&, const Tensor& out, const Tensor& inp, const int32_t* row_index) override;
  void head_forward(Context&, float* lp, float* entropy, float* lse, const Tensor& hidden,
                    const Parameter& weight, const HeadItems& items) override;
  void head_backward(Context&, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                     const Parameter& weight, const HeadItems& items, const float* lse, const float* entropy,
                     const float* g_lp, const float* g_entropy) override;
  void head_forward_backward(Context&, const Tensor& dhidden, float* dweight, float* lp, float* entropy,
                             float* lse, const Tensor& hidden, const Parameter& weight,
                             const HeadItems& items, const float* g_lp, const float* g_entropy,
                             HeadLoss& loss) override;
  void policy_loss(Context&, PolicyLossStats* stats, float* g_lp, float* g_entropy, const float* lp,
                   const float* entropy, const float* old_lp, const float* ref_lp, const float* advantage,
                   const float* norm, const int32_t* offsets, int64_t sequences,
                   const PolicyLossParams& params) override;
  void policy_loss_f64(Context&, PolicyLossStats* stats, double* g_lp, double* g_entropy, const double* lp,
                       const double* entropy, const double* old_lp, const double* ref_lp,
                       const double* advantage, const double* norm, const int32_t* offsets, int64_t sequences,
                       const PolicyLossParams& params) override;
  void sample(Context&, int32_t* token, float* lp, float* sampler_lp, float* entropy, const Tensor& hidden,
              const Parameter& weight, const SampleKey* keys, const SampleParams* params) override;
  void sum_of_squares(Context&, double* result, const float* values, int64_t count) override;
  void adamw_step(Context&, AdamwStats* stats, float* master, const float* grad, float* m, float* v,
                  int64_t count, const AdamwParams& params) override;
};

}  // namespace COPPICE_ISA
}  // namespace coppice
