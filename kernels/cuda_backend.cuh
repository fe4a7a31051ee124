// The CUDA backend. It has the ops of the fused loss (matmul, rmsnorm, head, policy_loss); the others throw
// DEVICE_UNAVAILABLE by name, so an engine cannot run on it yet.
#pragma once

#include <cuda_runtime.h>

#include "backend/backend.h"

namespace coppice {

// Throws DEVICE_FAULT (or OUT_OF_MEMORY) that names the call unless `status` is success.
void check_cuda(cudaError_t status, const char* what);
// After a launch: the launch's own failure, without waiting for the kernel.
void check_launch(const char* kernel);

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int device);
  ~CudaBackend() override;

  const char* name() const override { return "cuda"; }
  const char* instruction_set() const override { return architecture_; }
  int threads() const override { return 1; }
  void* allocate(size_t bytes) override;
  void release(void* data) noexcept override;
  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;
  void copy(void* to, const void* from, size_t bytes) override;
  void zero(void* data, size_t bytes) override;
  void synchronize() override;

  size_t parameter_storage_bytes(ParameterKind kind, int64_t rows, int64_t cols, DType dtype) const override;
  void parameter_upload(Parameter& parameter, int64_t row_begin, int64_t rows, const float* host) override;
  void parameter_download(const Parameter& parameter, int64_t row_begin, int64_t rows,
                          float* host) const override;
  void parameter_pack(Parameter& parameter, const float* master) override;

  size_t linear_scratch_bytes(int64_t rows, int64_t out_cols, int64_t in_cols, DType dtype) const override;
  size_t attention_scratch_bytes(const AttentionShape& shape, int64_t rows) const override;
  size_t head_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden, DType dtype) const override;
  size_t sample_scratch_bytes(int64_t rows, int64_t vocab, int64_t hidden, DType dtype) const override;

  void linear_forward(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                      const Parameter* bias) override;
  void linear_backward_input(Context&, const Tensor& dinp, const Tensor& dout,
                             const Parameter& weight) override;
  void linear_backward_weight(Context&, float* dweight, float* dbias, const Tensor& dout, const Tensor& inp,
                              DType dtype) override;
  void rmsnorm_forward(Context&, const Tensor& out, float* rstd, const Tensor& inp, const Parameter& weight,
                       float eps) override;
  void rmsnorm_backward(Context&, const Tensor& dinp, float* dweight, const Tensor& dout, const Tensor& inp,
                        const Parameter& weight, const float* rstd, bool accumulate) override;
  void head_forward(Context&, float* lp, float* entropy, float* lse, const Tensor& hidden,
                    const Parameter& weight, const HeadItems& items) override;
  void head_backward(Context&, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                     const Parameter& weight, const HeadItems& items, const float* lse, const float* entropy,
                     const float* g_lp, const float* g_entropy) override;
  void policy_loss(Context&, PolicyLossStats* stats, float* g_lp, float* g_entropy, const float* lp,
                   const float* entropy, const float* old_lp, const float* ref_lp, const float* advantage,
                   const float* norm, const int32_t* offsets, int64_t sequences,
                   const PolicyLossParams& params) override;
  void policy_loss_f64(Context&, PolicyLossStats* stats, double* g_lp, double* g_entropy, const double* lp,
                       const double* entropy, const double* old_lp, const double* ref_lp,
                       const double* advantage, const double* norm, const int32_t* offsets, int64_t sequences,
                       const PolicyLossParams& params) override;

  // Not on this backend yet.
  void embedding_forward(Context&, const Tensor&, const Parameter&, const int32_t*) override;
  void embedding_backward(Context&, float*, int64_t, const Tensor&, const int32_t*) override;
  void rope_forward(Context&, const Tensor&, const int32_t*, const float*, int32_t) override;
  void rope_backward(Context&, const Tensor&, const int32_t*, const float*, int32_t) override;
  void kv_write(Context&, const KvPages&, const Tensor&, const Tensor&, const AttentionBatch&,
                const AttentionShape&) override;
  void kv_copy(Context&, const KvPages&, int32_t, int32_t, int32_t, const AttentionShape&) override;
  void attention_forward(Context&, const Tensor&, float*, const Tensor&, const KvPages&,
                         const AttentionBatch&, const AttentionShape&) override;
  void attention_backward(Context&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                          const float*, const Tensor&, const Tensor&, const Tensor&, const AttentionBatch&,
                          const AttentionShape&) override;
  void swiglu_forward(Context&, const Tensor&, const Tensor&) override;
  void swiglu_backward(Context&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) override;
  void add_forward(Context&, const Tensor&, const Tensor&, const Tensor&) override;
  void gather_rows(Context&, const Tensor&, const Tensor&, const int32_t*) override;
  void sample(Context&, int32_t*, float*, float*, float*, const Tensor&, const Parameter&, const SampleKey*,
              const SampleParams*) override;
  void sum_of_squares(Context&, double*, const float*, int64_t) override;
  void adamw_step(Context&, AdamwStats*, float*, const float*, float*, float*, int64_t,
                  const AdamwParams&) override;

 private:
  template <typename T>
  void run_policy_loss(PolicyLossStats* stats, T* g_lp, T* g_entropy, const T* lp, const T* entropy,
                       const T* old_lp, const T* ref_lp, const T* advantage, const T* norm,
                       const int32_t* offsets, int64_t sequences, const PolicyLossParams& params);

  int device_;
  char architecture_[16];
  cudaStream_t stream_ = nullptr;
  void* sequence_stats_ = nullptr;  // of one launch of policy_loss
};

}  // namespace coppice
