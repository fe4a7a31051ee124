// The seam between the engine and a device: memory, and about thirty ops. What each op computes, its shapes,
// and what its backward accumulates stands in ops/ops.h, which also checks arguments; a backend may assume
// that they are right.
//
// Rules for every backend
// - Ops never allocate and never synchronise with the host, except where ops.h says that a result is a host
// value.
// - Scratch is an argument: Context::scratch must hold what the op's x_scratch_bytes asks for.
// - Row independence and fixed reduction orders (ARCHITECTURE.md) hold for every op whose context says exact.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/rng.h"
#include "base/tensor.h"

namespace coppice {

class Backend;

// Keys are cached and attended to in blocks of this many absolute positions.
inline constexpr int64_t kKeyBlock = 64;
// Products accumulate in blocks of this depth, and sums over the vocabulary in blocks of so many columns
// (ops/ops.h).
inline constexpr int64_t kProductDepth = 256;
inline constexpr int64_t kVocabBlock = 1024;

struct Scratch {
  void* data = nullptr;
  size_t bytes = 0;
};

// What an op runs in.
struct Context {
  Backend* backend = nullptr;
  Scratch scratch;
  bool exact = true;
};

enum class ParameterKind : uint8_t {
  kVector,  // [1, cols]: norm scales and biases; plain storage, usable as a Tensor
  kMatrix,  // [rows, cols]: a linear map x -> x W^T, or an embedding table; storage is the backend's own
};

// A parameter in the backend's storage. Masters, gradients and moments are plain float arrays; this is the
// compute copy. In bf16 every value is a bf16 number; matrices store two bytes for each, vectors a float.
struct Parameter {
  std::string name;
  ParameterKind kind = ParameterKind::kVector;
  int64_t rows = 0;
  int64_t cols = 0;
  DType dtype = DType::kF32;
  void* storage = nullptr;
  size_t storage_bytes = 0;
};

// A piece of a sequence whose tokens stand together in a packed batch. A sequence is a path from a root to a
// leaf. Parents come before their children, and a tree's segments are contiguous; segments stand in the order
// of their rows, which follow each other without a gap. A child begins where its parent ends: position_begin
// == parent.position_begin + parent.length.
struct Segment {
  int32_t token_begin = 0;     // first row of the packed batch
  int32_t length = 0;          // rows
  int32_t parent = -1;         // index of a segment, or -1
  int32_t position_begin = 0;  // absolute position of its first token
  int32_t page_begin =
      0;  // where its page list begins in `page_table`: one page for each key block 0 .. last
};

// A packed batch as attention sees it. Arrays are host memory on the CPU and device memory on CUDA.
struct AttentionBatch {
  const Segment* segments = nullptr;
  int32_t segment_count = 0;
  const int32_t* page_table =
      nullptr;  // page ids; a segment's pages cover positions [0, position_begin + length)
};

// Keys and values of one layer in pages of kKeyBlock positions.
// k: [page][kv_head][head_dim][kKeyBlock], d-major, so that one query and a tile of queries run the same code
// v: [page][kv_head][kKeyBlock][head_dim]
struct KvPages {
  void* k = nullptr;
  void* v = nullptr;
  DType dtype = DType::kF32;
};

struct AttentionShape {
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;
  int32_t head_dim = 0;
  float scale = 0.0f;  // on q k^T; 1 / sqrt(head_dim)
  int32_t window = 0;  // a query sees its last `window` keys, its own included; 0 = all
};

// The items a head works on, one for each predicted token; independent of rows, so that several items may
// read one row (the last row of a shared prompt predicts the first token of all its samples).
struct HeadItems {
  const int32_t* row_index = nullptr;  // [count] rows of `hidden`
  const int32_t* target = nullptr;     // [count] token ids
  const float* temperature = nullptr;  // [count] > 0
  int64_t count = 0;
};

// What stands between the head's forward and its backward.
class HeadLoss {
 public:
  // From lp and entropy of items [begin, end), which are there, their g_lp (and g_entropy); lp and entropy of
  // the items before them are there too. Called on the op's own thread, for ranges that follow each other and
  // cover all items; the op's scratch is taken.
  virtual void differentiate(int64_t begin, int64_t end) = 0;
  // Whether an item's gradient may depend on items of other ranges: all items are then one range.
  virtual bool needs_all_items() const = 0;

 protected:
  ~HeadLoss() = default;
};

// kSequenceToken: the value of the sequence's ratio, with each token's own gradient.
enum class Importance : uint8_t { kNone, kToken, kSequence, kSequenceToken };
// What is made of ratio and advantage; formulas in ops.h.
enum class Surrogate : uint8_t { kClip, kCispo, kGmpo, kSapo, kTopr };
enum class KlKind : uint8_t { kK1, kK2, kK3 };

struct PolicyLossParams {
  Importance importance = Importance::kToken;
  bool clip = true;
  double clip_low = 0.2;
  double clip_high = 0.2;
  double dual_clip = 0.0;  // bound of the loss at advantage < 0 in units of |advantage|; 0 switches it off
  KlKind kl_kind = KlKind::kK3;
  double kl_coef = 0.0;
  double entropy_coef = 0.0;
  Surrogate surrogate = Surrogate::kClip;
  double sapo_temperature_pos = 1.0;
  double sapo_temperature_neg = 1.05;
  // Weight of |lp - old_lp| at the tokens whose mask is not 0: one number a token, needed unless this is 0.
  double old_kl_coef = 0.0;
  const float* old_kl_mask = nullptr;
};

// Sums over active tokens (norm != 0), so that micro-batches add up.
struct PolicyLossStats {
  double loss = 0;
  int64_t active_tokens = 0;
  // Tokens whose gradient the lower or upper bound removed; where the ratio is a constant, those whose ratio
  // it cut.
  int64_t clipped_low = 0;
  int64_t clipped_high = 0;
  double kl_sum = 0;  // of the chosen kind, against ref_lp; 0 without ref_lp
  double entropy_sum = 0;
  double ratio_sum = 0;  // of exp(lp - old_lp)
  double max_abs_log_ratio = 0;
};

struct SampleParams {
  float temperature =
      1.0f;            // 0 = greedy: the smallest id among the largest logits; log-probs at temperature 1
  int32_t top_k = 0;   // 0 = off
  float top_p = 1.0f;  // 1 = off
  float min_p = 0.0f;  // 0 = off
};

struct AdamwParams {
  double learning_rate = 1e-6;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  int64_t step = 1;         // 1-based, for bias correction
  double grad_scale = 1.0;  // applied to every gradient: the global-norm clip
};

struct AdamwStats {
  int64_t changed = 0;       // elements whose fp32 master moved
  int64_t lost_in_bf16 = 0;  // of those, the ones whose bf16 rounding did not move
};

class Backend {
 public:
  Backend();
  virtual ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // ---- memory ----
  virtual const char* name() const = 0;             // "cpu", "cuda"
  virtual const char* instruction_set() const = 0;  // "avx512", "avx2", "neon", "portable", "sm_90" ...
  virtual int threads() const = 0;                  // 1 on a device
  virtual void* allocate(size_t bytes) = 0;         // aligned to 64; OUT_OF_MEMORY when it cannot
  virtual void release(void* data) noexcept = 0;
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;
  virtual void copy(void* to, const void* from, size_t bytes) = 0;
  virtual void zero(void* data, size_t bytes) = 0;
  virtual void synchronize() = 0;
  // Bytes in owned buffers (engine/memory.h), for the memory plan and the host's garbage collector. Any
  // thread may ask.
  uint64_t held_bytes() const { return held_bytes_.load(std::memory_order_relaxed); }
  void note_held(int64_t delta) {
    held_bytes_.fetch_add(static_cast<uint64_t>(delta), std::memory_order_relaxed);
  }

  // ---- parameters ----
  virtual size_t parameter_storage_bytes(ParameterKind kind, int64_t rows, int64_t cols,
                                         DType dtype) const = 0;
  // Rows [row_begin, row_begin + rows) from host floats [rows, cols] (kVector: row 0).
  virtual void parameter_upload(Parameter& parameter, int64_t row_begin, int64_t rows, const float* host) = 0;
  virtual void parameter_download(const Parameter& parameter, int64_t row_begin, int64_t rows,
                                  float* host) const = 0;
  // The whole parameter from fp32 masters [rows, cols] in backend memory.
  virtual void parameter_pack(Parameter& parameter, const float* master) = 0;

  // ---- scratch, in bytes, for a weight of `dtype`; none shrinks when a size grows. rmsnorm_backward needs
  // linear_scratch_bytes(rows, 1, n, kF32). ----
  virtual size_t linear_scratch_bytes(int64_t rows, int64_t out_cols, int64_t in_cols, DType dtype) const = 0;
  virtual size_t attention_scratch_bytes(const AttentionShape& shape, int64_t rows) const = 0;
  virtual size_t head_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden, DType dtype) const = 0;
  // Of head_forward_backward, which head_forward and head_backward may be given as well.
  virtual size_t head_forward_backward_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden,
                                                     DType dtype) const;
  virtual size_t sample_scratch_bytes(int64_t rows, int64_t vocab, int64_t hidden, DType dtype) const = 0;

  // ---- ops: see ops/ops.h ----
  virtual void embedding_forward(Context&, const Tensor& out, const Parameter& weight,
                                 const int32_t* tokens) = 0;
  virtual void embedding_backward(Context&, float* dweight, int64_t vocab, const Tensor& dout,
                                  const int32_t* tokens) = 0;
  virtual void linear_forward(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                              const Parameter* bias) = 0;
  virtual void linear_backward_input(Context&, const Tensor& dinp, const Tensor& dout,
                                     const Parameter& weight) = 0;
  virtual void linear_backward_weight(Context&, float* dweight, float* dbias, const Tensor& dout,
                                      const Tensor& inp, DType dtype) = 0;
  virtual void rmsnorm_forward(Context&, const Tensor& out, float* rstd, const Tensor& inp,
                               const Parameter& weight, float eps) = 0;
  virtual void rmsnorm_backward(Context&, const Tensor& dinp, float* dweight, const Tensor& dout,
                                const Tensor& inp, const Parameter& weight, const float* rstd,
                                bool accumulate) = 0;
  virtual void rope_forward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                            int32_t head_dim) = 0;
  virtual void rope_backward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                             int32_t head_dim) = 0;
  virtual void kv_write(Context&, const KvPages& pages, const Tensor& k, const Tensor& v,
                        const AttentionBatch& batch, const AttentionShape& shape) = 0;
  virtual void kv_copy(Context&, const KvPages& pages, int32_t to_page, int32_t from_page, int32_t slots,
                       const AttentionShape& shape) = 0;
  virtual void attention_forward(Context&, const Tensor& out, float* lse, const Tensor& q,
                                 const KvPages& pages, const AttentionBatch& batch,
                                 const AttentionShape& shape) = 0;
  virtual void attention_backward(Context&, const Tensor& dq, const Tensor& dk, const Tensor& dv,
                                  const Tensor& dout, const Tensor& out, const float* lse, const Tensor& q,
                                  const Tensor& k, const Tensor& v, const AttentionBatch& batch,
                                  const AttentionShape& shape) = 0;
  virtual void swiglu_forward(Context&, const Tensor& out, const Tensor& gate_up) = 0;
  virtual void swiglu_backward(Context&, const Tensor& dgate_up, const Tensor& out, const Tensor& dout,
                               const Tensor& gate_up) = 0;
  virtual void add_forward(Context&, const Tensor& out, const Tensor& a, const Tensor& b) = 0;
  virtual void gather_rows(Context&, const Tensor& out, const Tensor& inp, const int32_t* row_index) = 0;
  virtual void head_forward(Context&, float* lp, float* entropy, float* lse, const Tensor& hidden,
                            const Parameter& weight, const HeadItems& items) = 0;
  virtual void head_backward(Context&, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                             const Parameter& weight, const HeadItems& items, const float* lse,
                             const float* entropy, const float* g_lp, const float* g_entropy) = 0;
  virtual void policy_loss(Context&, PolicyLossStats* stats, float* g_lp, float* g_entropy, const float* lp,
                           const float* entropy, const float* old_lp, const float* ref_lp,
                           const float* advantage, const float* norm, const int32_t* offsets,
                           int64_t sequences, const PolicyLossParams& params) = 0;
  virtual void policy_loss_f64(Context&, PolicyLossStats* stats, double* g_lp, double* g_entropy,
                               const double* lp, const double* entropy, const double* old_lp,
                               const double* ref_lp, const double* advantage, const double* norm,
                               const int32_t* offsets, int64_t sequences, const PolicyLossParams& params) = 0;
  virtual void sample(Context&, int32_t* token, float* lp, float* sampler_lp, float* entropy,
                      const Tensor& hidden, const Parameter& weight, const SampleKey* keys,
                      const SampleParams* params) = 0;
  virtual void sum_of_squares(Context&, double* result, const float* values, int64_t count) = 0;
  virtual void adamw_step(Context&, AdamwStats* stats, float* master, const float* grad, float* m, float* v,
                          int64_t count, const AdamwParams& params) = 0;

  // ---- composites: a default body of the ops above, which is the oracle of whatever overrides it ----
  // out = residual + inp W^T. out may be residual itself; `staging` is [rows, out cols].
  virtual void linear_residual(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                               const Tensor& residual, const Tensor& staging);
  // kv_write, attention_forward.
  virtual void kv_write_attention(Context&, const Tensor& out, float* lse, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const KvPages& pages, const AttentionBatch& batch,
                                  const AttentionShape& shape);
  // gate_up = inp W^T, out = swiglu of it; and the way back through the linear map behind it.
  virtual void linear_swiglu(Context&, const Tensor& out, const Tensor& gate_up, const Tensor& inp,
                             const Parameter& weight);
  virtual void linear_swiglu_backward(Context&, const Tensor& gate_up, const Tensor& out, const Tensor& dout,
                                      const Parameter& weight);
  // head_forward, loss.differentiate, head_backward.
  virtual void head_forward_backward(Context&, const Tensor& dhidden, float* dweight, float* lp,
                                     float* entropy, float* lse, const Tensor& hidden,
                                     const Parameter& weight, const HeadItems& items, const float* g_lp,
                                     const float* g_entropy, HeadLoss& loss);

 private:
  std::atomic<uint64_t> held_bytes_{0};
};

struct BackendOptions {
  std::string device = "cpu";        // "cpu", "cuda", "cuda:1", "auto"
  std::string instruction_set = "";  // CPU: "" = the best this machine has, or the value of COPPICE_ISA
  int threads = 0;                   // CPU: 0 = every core this process may use
};

// Declared here, implemented in open_backend.cpp, the only place that chooses a device.
std::unique_ptr<Backend> open_backend(const BackendOptions& options);

// The CPU instruction sets that this build has and this machine can run, best first, separated by ", ".
std::string available_instruction_sets();

}  // namespace coppice
