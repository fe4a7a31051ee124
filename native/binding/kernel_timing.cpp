#include "binding/kernel_timing.h"

#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "binding/device_memory.h"
#include "ops/ops.h"

namespace coppice::binding {
namespace {

// An op with everything it works on; the memory lives as long as the function.
using ReadyOp = std::function<void()>;

std::vector<float> random_values(int64_t count, uint32_t stream) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    const PhiloxBlock block = philox4x32(0, static_cast<uint32_t>(i), stream, 0, 0);
    values[i] = static_cast<float>(2.0 * uniform_from_words(block.word[0], block.word[1]) - 1.0);
  }
  return values;
}

class Sizes {
 public:
  Sizes(const std::string& op, const OpShape& shape) : op_(op), shape_(shape) {}
  int64_t operator[](const char* name) const {
    const auto found = shape_.find(name);
    if (found != shape_.end()) return found->second;
    fail(ErrorCode::kInvalidArgument, "shape of %s: '%s' is missing", op_.c_str(), name);
  }

 private:
  const std::string& op_;
  const OpShape& shape_;
};

// Makes the memory of one op and keeps it.
class Bench {
 public:
  Bench(Backend& backend, DType dtype) : backend_(backend), dtype_(dtype) {}

  const Tensor& matrix(int64_t rows, int64_t cols) {
    const std::vector<float> values = random_values(rows * cols, stream_++);
    return own<DeviceMatrix>(backend_, values.data(), rows, cols).view();
  }
  const Parameter& parameter(ParameterKind kind, int64_t rows, int64_t cols) {
    const std::vector<float> values = random_values(rows * cols, stream_++);
    return own<DeviceParameter>(backend_, kind, values.data(), rows, cols, dtype_).view();
  }
  template <typename T>
  T* array(const std::vector<T>& values) {
    return own<DeviceArray<T>>(backend_, values).data();
  }
  float* floats(int64_t count, float value) {
    return array(std::vector<float>(static_cast<size_t>(count), value));
  }
  Context& context(size_t scratch_bytes) { return own<OwnContext>(backend_, scratch_bytes).get(); }
  Backend& backend() { return backend_; }
  DType dtype() const { return dtype_; }  // of parameters

  template <typename T, typename... Args>
  T& own(Args&&... args) {
    const auto kept = std::make_shared<T>(std::forward<Args>(args)...);
    kept_.push_back(kept);
    return *kept;
  }

 private:
  Backend& backend_;
  DType dtype_;
  uint32_t stream_ = 0;
  std::vector<std::shared_ptr<void>> kept_;
};

ReadyOp linear_op(Bench& bench, const Sizes& size, const std::string& op) {
  const int64_t rows = size["rows"], cols = size["cols"], inner = size["inner"];
  const size_t scratch = std::max({bench.backend().linear_scratch_bytes(rows, cols, inner, bench.dtype()),
                                   bench.backend().linear_scratch_bytes(rows, inner, cols, bench.dtype()),
                                   bench.backend().linear_scratch_bytes(cols, inner, rows, bench.dtype())});
  Context& context = bench.context(scratch);
  const Parameter& weight = bench.parameter(ParameterKind::kMatrix, cols, inner);
  const Tensor &inp = bench.matrix(rows, inner), &out = bench.matrix(rows, cols);
  if (op == "linear") return [&] { ops::linear_forward(context, out, inp, weight, nullptr); };
  if (op == "linear_backward_input") return [&] { ops::linear_backward_input(context, inp, out, weight); };
  float* const dweight = bench.floats(cols * inner, 0);
  return [&context, dweight, &out, &inp, dtype = bench.dtype()] {
    ops::linear_backward_weight(context, dweight, nullptr, out, inp, dtype);
  };
}

ReadyOp rmsnorm_op(Bench& bench, const Sizes& size, const std::string& op) {
  const int64_t rows = size["rows"], cols = size["cols"];
  Context& context = bench.context(bench.backend().linear_scratch_bytes(rows, cols, cols, bench.dtype()));
  const Parameter& weight = bench.parameter(ParameterKind::kVector, 1, cols);
  const Tensor &inp = bench.matrix(rows, cols), &out = bench.matrix(rows, cols),
               &dinp = bench.matrix(rows, cols);
  float* const rstd = bench.floats(rows, 1);
  if (op == "rmsnorm")
    return [&context, &out, rstd, &inp, &weight] {
      ops::rmsnorm_forward(context, out, rstd, inp, weight, 1e-6f);
    };
  float* const dweight = bench.floats(cols, 0);
  return [&context, &dinp, dweight, &out, &inp, &weight, rstd] {
    ops::rmsnorm_backward(context, dinp, dweight, out, inp, weight, rstd, false);
  };
}

ReadyOp swiglu_op(Bench& bench, const Sizes& size, const std::string& op) {
  const int64_t rows = size["rows"], cols = size["cols"];
  Context& context = bench.context(0);
  const Tensor &gate_up = bench.matrix(rows, 2 * cols), &out = bench.matrix(rows, cols),
               &dgate_up = bench.matrix(rows, 2 * cols);
  if (op == "swiglu") return [&] { ops::swiglu_forward(context, out, gate_up); };
  const Tensor& dout = bench.matrix(rows, cols);
  return [&] { ops::swiglu_backward(context, dgate_up, out, dout, gate_up); };
}

ReadyOp attention_op(Bench& bench, const Sizes& size, const std::string& op) {
  const int64_t sequences = size["sequences"], length = size["length"], rows = sequences * length;
  const AttentionShape shape{static_cast<int32_t>(size["num_heads"]),
                             static_cast<int32_t>(size["num_kv_heads"]),
                             static_cast<int32_t>(size["head_dim"]),
                             static_cast<float>(1.0 / std::sqrt(static_cast<double>(size["head_dim"])))};
  const int64_t q_cols = int64_t{shape.num_heads} * shape.head_dim,
                kv_cols = int64_t{shape.num_kv_heads} * shape.head_dim;
  std::vector<int32_t> offsets;
  for (int64_t i = 0; i <= sequences; ++i) offsets.push_back(static_cast<int32_t>(i * length));
  Context& context = bench.context(bench.backend().attention_scratch_bytes(shape, rows));
  const DeviceSequences& packed = bench.own<DeviceSequences>(bench.backend(), offsets, kv_cols);
  const Tensor &q = bench.matrix(rows, q_cols), &k = bench.matrix(rows, kv_cols),
               &v = bench.matrix(rows, kv_cols);
  const Tensor& out = bench.matrix(rows, q_cols);
  float* const lse = bench.floats(rows * shape.num_heads, 0);
  const auto forward = [&context, &packed, &q, &k, &v, &out, lse, shape] {
    ops::kv_write(context, packed.pages(), k, v, packed.batch(), shape);
    ops::attention_forward(context, out, lse, q, packed.pages(), packed.batch(), shape);
  };
  if (op == "attention") return forward;
  forward();
  const Tensor &dout = bench.matrix(rows, q_cols), &dq = bench.matrix(rows, q_cols);
  const Tensor &dk = bench.matrix(rows, kv_cols), &dv = bench.matrix(rows, kv_cols);
  return [&context, &packed, &q, &k, &v, &out, lse, shape, &dout, &dq, &dk, &dv] {
    ops::attention_backward(context, dq, dk, dv, dout, out, lse, q, k, v, packed.batch(), shape);
  };
}

ReadyOp head_op(Bench& bench, const Sizes& size, const std::string& op) {
  const int64_t rows = size["rows"], vocab = size["vocab"], cols = size["cols"];
  const size_t scratch = std::max(bench.backend().head_scratch_bytes(rows, vocab, cols, bench.dtype()),
                                  bench.backend().sample_scratch_bytes(rows, vocab, cols, bench.dtype()));
  Context& context = bench.context(scratch);
  const Tensor& hidden = bench.matrix(rows, cols);
  const Parameter& weight = bench.parameter(ParameterKind::kMatrix, vocab, cols);
  float *const lp = bench.floats(rows, 0), *const entropy = bench.floats(rows, 0),
               *const lse = bench.floats(rows, 0);
  std::vector<int32_t> row(static_cast<size_t>(rows)), target(static_cast<size_t>(rows));
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < target.size(); ++i)
    target[i] = static_cast<int32_t>(static_cast<int64_t>(i * 7919) % vocab);
  if (op == "sample") {
    int32_t* const token = bench.array(target);
    SampleKey* const keys = bench.array(std::vector<SampleKey>(static_cast<size_t>(rows)));
    SampleParams* const params = bench.array(std::vector<SampleParams>(static_cast<size_t>(rows)));
    return [=, &context, &hidden, &weight] {
      ops::sample(context, token, lp, lse, entropy, hidden, weight, keys, params);
    };
  }
  const HeadItems items{bench.array(row), bench.array(target), bench.floats(rows, 1), rows};
  const auto forward = [=, &context, &hidden, &weight] {
    ops::head_forward(context, lp, entropy, lse, hidden, weight, items);
  };
  if (op == "head") return forward;
  forward();
  const Tensor& dhidden = bench.matrix(rows, cols);
  float *const dweight = bench.floats(vocab * cols, 0), *const g_lp = bench.floats(rows, 1);
  return [=, &context, &hidden, &weight, &dhidden] {
    ops::head_backward(context, dhidden, dweight, hidden, weight, items, lse, entropy, g_lp, nullptr);
  };
}

ReadyOp adamw_op(Bench& bench, const Sizes& size, const std::string&) {
  const int64_t elements = size["elements"];
  Context& context = bench.context(0);
  float *const master = bench.floats(elements, 0.5f), *const grad = bench.floats(elements, 0.1f);
  float *const m = bench.floats(elements, 0), *const v = bench.floats(elements, 0);
  return [=, &context] {
    AdamwStats stats;
    ops::adamw_step(context, &stats, master, grad, m, v, elements, {});
  };
}

const std::map<std::string, ReadyOp (*)(Bench&, const Sizes&, const std::string&)> kOps = {
    {"linear", linear_op},
    {"linear_backward_input", linear_op},
    {"linear_backward_weight", linear_op},
    {"rmsnorm", rmsnorm_op},
    {"rmsnorm_backward", rmsnorm_op},
    {"swiglu", swiglu_op},
    {"swiglu_backward", swiglu_op},
    {"attention", attention_op},
    {"attention_backward", attention_op},
    {"head", head_op},
    {"head_backward", head_op},
    {"sample", head_op},
    {"adamw", adamw_op},
};

}  // namespace

std::vector<double> time_op(Backend& backend, const std::string& op, const OpShape& shape, DType dtype,
                            int64_t repeats, int64_t warmup, const std::atomic<bool>& stop) {
  const auto found = kOps.find(op);
  if (found == kOps.end()) {
    std::string known;
    for (const auto& [name, make] : kOps) known += (known.empty() ? "" : ", ") + name;
    fail(ErrorCode::kInvalidArgument, "op '%s': expected one of %s", op.c_str(), known.c_str());
  }
  Bench bench(backend, dtype);
  const ReadyOp run = found->second(bench, Sizes(op, shape), op);
  std::vector<double> seconds;
  for (int64_t i = 0; i < warmup + repeats && !stop.load(std::memory_order_relaxed); ++i) {
    backend.synchronize();
    const auto begin = std::chrono::steady_clock::now();
    run();
    backend.synchronize();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    if (i >= warmup) seconds.push_back(taken.count());
  }
  return seconds;
}

}  // namespace coppice::binding
