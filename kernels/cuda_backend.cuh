// The CUDA backend: every op of ops/ops.h, file for file with native/cpu. Work goes to one stream in order,
// and the host waits for it where it moves data, and where an op's result is a host value.
#pragma once

#include "backend/backend.h"
#include "index_check.cuh"
#include "launch.cuh"
#include "narrow.cuh"

namespace coppice {

// Blocks of `threads` columns along x, rows along y: a kernel goes on in steps of gridDim.y rows.
inline dim3 element_grid(const Tensor& tensor, int threads) {
  return {blocks_for(tensor.cols, threads), static_cast<unsigned>(tensor.rows < 65535 ? tensor.rows : 65535)};
}

// Numbers from one row of a matrix to the next in its storage.
inline int64_t matrix_stride(const Parameter& matrix) {
  return matrix.dtype == DType::kBF16 ? bf16_stride(matrix.cols) : matrix.cols;
}

// Throws DEVICE_UNAVAILABLE, in one line, where the device cannot be used: no driver, an old one, no such
// device, or one that this build has no code for.
cudaDeviceProp check_device(int device);

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

  void embedding_forward(Context&, const Tensor& out, const Parameter& weight,
                         const int32_t* tokens) override;
  void embedding_backward(Context&, float* dweight, int64_t vocab, const Tensor& dout,
                          const int32_t* tokens) override;
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
  void sample(Context&, int32_t* token, float* lp, float* sampler_lp, float* entropy, const Tensor& hidden,
              const Parameter& weight, const SampleKey* keys, const SampleParams* params) override;
  void sum_of_squares(Context&, double* result, const float* values, int64_t count) override;
  void adamw_step(Context&, AdamwStats* stats, float* master, const float* grad, float* m, float* v,
                  int64_t count, const AdamwParams& params) override;

 private:
  template <typename T>
  void run_policy_loss(PolicyLossStats* stats, T* g_lp, T* g_entropy, const T* lp, const T* entropy,
                       const T* old_lp, const T* ref_lp, const T* advantage, const T* norm,
                       const int32_t* offsets, int64_t sequences, const PolicyLossParams& params);

  // Of items, for kernels that follow on the stream.
  void check_items(const char* op, const HeadItems& items, int64_t rows, int64_t vocab);
  // gather_rows by an index that was checked.
  void gather_checked(const Tensor& out, const Tensor& inp, const int32_t* row_index);
  // The same as HeadRows (head_tile.cuh) of a weight's type.
  void gather_head_rows(void* to, const Tensor& hidden, const int32_t* row_index, int64_t count, DType dtype);
  // download, without the look for bad indices.
  void fetch(void* host, const void* device, size_t bytes) const;
  void free_all() noexcept;

  static constexpr int kSumChunks = 256;
  static constexpr int64_t kSequencesAtOnce = 4096;  // of policy_loss

  char architecture_[16];
  Stream stream_;
  IndexFault* index_fault_ = nullptr;          // of the device
  IndexFault* index_fault_seen_ = nullptr;     // of the host, for a copy of it
  void* host_values_ = nullptr;                // of the device, what becomes a host value: kSumChunks doubles
  PolicyLossStats* sequence_stats_ = nullptr;  // of the device, kSequencesAtOnce
};

}  // namespace coppice
