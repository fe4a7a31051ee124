#include "binding/kernel_ops.h"

#include <numeric>

#include "base/error.h"
#include "base/float_environment.h"
#include "engine/memory.h"
#include "ops/ops.h"

namespace coppice::binding {
namespace {

size_t bytes_of(int64_t elements) { return static_cast<size_t>(elements) * sizeof(float); }

// A matrix in the backend's memory.
class DeviceMatrix {
 public:
  DeviceMatrix(Backend& backend, int64_t rows, int64_t cols)
      : backend_(backend), buffer_(backend, bytes_of(rows * cols)), view_(buffer_.data(), rows, cols) {}
  DeviceMatrix(Backend& backend, const float* host, int64_t rows, int64_t cols) : DeviceMatrix(backend, rows, cols) {
    backend_.upload(buffer_.data(), host, bytes_of(rows * cols));
  }
  const Tensor& view() const { return view_; }
  float* data() const { return buffer_.f32(); }
  void download(float* host) const { backend_.download(host, buffer_.data(), bytes_of(view_.rows * view_.cols)); }

 private:
  Backend& backend_;
  Buffer buffer_;
  Tensor view_;
};

class DeviceParameter {
 public:
  DeviceParameter(Backend& backend, ParameterKind kind, const float* host, int64_t rows, int64_t cols)
      : buffer_(backend, backend.parameter_storage_bytes(kind, rows, cols, DType::kF32)),
        parameter_{"weight", kind, rows, cols, DType::kF32, buffer_.data(), buffer_.bytes()} {
    backend.parameter_upload(parameter_, 0, rows, host);
  }
  const Parameter& view() const { return parameter_; }

 private:
  Buffer buffer_;
  Parameter parameter_;
};

class DeviceInts {
 public:
  DeviceInts(Backend& backend, const std::vector<int32_t>& host) : buffer_(backend, host.size() * sizeof(int32_t)) {
    upload(backend, buffer_.data(), host);
  }
  const int32_t* data() const { return static_cast<const int32_t*>(buffer_.data()); }

 private:
  Buffer buffer_;
};

// A context with scratch of its own.
class OwnContext {
 public:
  OwnContext(Backend& backend, size_t scratch_bytes)
      : scratch_(backend, scratch_bytes), context_{&backend, {scratch_.data(), scratch_bytes}, true} {}
  Context& get() { return context_; }

 private:
  ScopedFloatEnvironment environment_;
  Buffer scratch_;
  Context context_;
};

}  // namespace

void run_matmul(Backend& backend, float* out, const float* inp, const float* weight, int64_t rows, int64_t cols,
                int64_t inner) {
  OwnContext context(backend, backend.linear_scratch_bytes(rows, cols, inner));
  const DeviceMatrix input(backend, inp, rows, inner), output(backend, rows, cols);
  const DeviceParameter matrix(backend, ParameterKind::kMatrix, weight, cols, inner);
  ops::linear_forward(context.get(), output.view(), input.view(), matrix.view(), nullptr);
  output.download(out);
}

void run_rmsnorm(Backend& backend, float* out, const float* inp, const float* weight, int64_t rows, int64_t cols,
                 float eps) {
  OwnContext context(backend, 0);
  const DeviceMatrix input(backend, inp, rows, cols), output(backend, rows, cols), rstd(backend, rows, 1);
  const DeviceParameter scale(backend, ParameterKind::kVector, weight, 1, cols);
  ops::rmsnorm_forward(context.get(), output.view(), rstd.data(), input.view(), scale.view(), eps);
  output.download(out);
}

void run_swiglu(Backend& backend, float* out, const float* gate_up, int64_t rows, int64_t cols) {
  OwnContext context(backend, 0);
  const DeviceMatrix input(backend, gate_up, rows, 2 * cols), output(backend, rows, cols);
  ops::swiglu_forward(context.get(), output.view(), input.view());
  output.download(out);
}

void run_attention(Backend& backend, float* out, const float* q, const float* k, const float* v,
                   const std::vector<int32_t>& offsets, const AttentionShape& shape) {
  const int64_t rows = offsets.back();
  const int64_t q_cols = int64_t{shape.num_heads} * shape.head_dim, kv_cols = int64_t{shape.num_kv_heads} * shape.head_dim;
  std::vector<Segment> segments;
  std::vector<int32_t> page_table;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int32_t length = offsets[i + 1] - offsets[i];
    if (length == 0) continue;
    segments.push_back({offsets[i], length, -1, 0, static_cast<int32_t>(page_table.size())});
    for (int32_t block = 0; block * kKeyBlock < length; ++block) {
      page_table.push_back(static_cast<int32_t>(page_table.size()));
    }
  }
  OwnContext context(backend, backend.attention_scratch_bytes(shape, rows));
  const DeviceMatrix queries(backend, q, rows, q_cols), keys(backend, k, rows, kv_cols), values(backend, v, rows, kv_cols);
  const DeviceMatrix output(backend, rows, q_cols);
  const int64_t page_rows = static_cast<int64_t>(page_table.size()) * kKeyBlock;
  const DeviceMatrix key_pages(backend, page_rows, kv_cols), value_pages(backend, page_rows, kv_cols);
  backend.zero(key_pages.data(), bytes_of(page_rows * kv_cols));
  backend.zero(value_pages.data(), bytes_of(page_rows * kv_cols));
  const DeviceInts pages_of(backend, page_table);
  const Buffer segment_buffer(backend, segments.size() * sizeof(Segment));
  upload(backend, segment_buffer.data(), segments);
  const AttentionBatch batch{static_cast<const Segment*>(segment_buffer.data()), static_cast<int32_t>(segments.size()),
                             pages_of.data()};
  const KvPages pages{key_pages.data(), value_pages.data(), DType::kF32};
  ops::kv_write(context.get(), pages, keys.view(), values.view(), batch, shape);
  ops::attention_forward(context.get(), output.view(), nullptr, queries.view(), pages, batch, shape);
  output.download(out);
}

void run_logprob_gather(Backend& backend, float* lp, float* entropy, const float* hidden, const float* head,
                        const int32_t* targets, const float* temperature, int64_t count, int64_t vocab, int64_t cols) {
  std::vector<int32_t> target(targets, targets + count), row(static_cast<size_t>(count));
  std::iota(row.begin(), row.end(), 0);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t id = target[static_cast<size_t>(i)];
    if (id < 0 || id >= vocab) {
      fail(ErrorCode::kInvalidArgument, "targets: entry %lld: expected an id in [0, %lld); received %d",
           static_cast<long long>(i), static_cast<long long>(vocab), id);
    }
  }
  OwnContext context(backend, backend.head_scratch_bytes(count, vocab, cols));
  const DeviceMatrix input(backend, hidden, count, cols), temperatures(backend, temperature, count, 1);
  const DeviceParameter matrix(backend, ParameterKind::kMatrix, head, vocab, cols);
  const DeviceInts rows(backend, row), ids(backend, target);
  const DeviceMatrix lp_out(backend, count, 1), entropy_out(backend, count, 1), lse(backend, count, 1);
  ops::head_forward(context.get(), lp_out.data(), entropy_out.data(), lse.data(), input.view(), matrix.view(),
                    {rows.data(), ids.data(), temperatures.data(), count});
  lp_out.download(lp);
  entropy_out.download(entropy);
}

}  // namespace coppice::binding
