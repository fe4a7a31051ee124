#include "ops/argument_checks.h"

#include <cstdio>
#include <string>

#include "base/error.h"

namespace coppice::ops {
namespace {

std::string size_word(int64_t size) {
  return size == kAny ? std::string("any") : std::to_string(size);
}

bool has_shape(int64_t rows, int64_t cols, int64_t expected_rows, int64_t expected_cols) {
  return rows >= 0 && cols >= 0 && (expected_rows == kAny || rows == expected_rows) &&
         (expected_cols == kAny || cols == expected_cols);
}

void check_shape(const char* op, const char* name, int64_t rows, int64_t cols, int64_t expected_rows,
                 int64_t expected_cols) {
  if (has_shape(rows, cols, expected_rows, expected_cols)) return;
  fail(ErrorCode::kShapeMismatch, "%s: %s: expected [%s, %s], received [%lld, %lld]", op, name,
       size_word(expected_rows).c_str(), size_word(expected_cols).c_str(), static_cast<long long>(rows),
       static_cast<long long>(cols));
}

void check_dtype(const char* op, const char* name, DType dtype) {
  if (dtype == DType::kF32) return;
  fail(ErrorCode::kInvalidArgument, "%s: %s: expected f32, received %s", op, name, dtype_name(dtype));
}

}  // namespace

void check_tensor(const char* op, const char* name, const Tensor& tensor, int64_t rows, int64_t cols) {
  check_shape(op, name, tensor.rows, tensor.cols, rows, cols);
  check_dtype(op, name, tensor.dtype);
  check_array(op, name, tensor.data, tensor.rows * tensor.cols);
  if (tensor.rows > 1 && tensor.stride < tensor.cols) {
    fail(ErrorCode::kShapeMismatch, "%s: %s: expected a stride of at least %lld, received %lld", op, name,
         static_cast<long long>(tensor.cols), static_cast<long long>(tensor.stride));
  }
}

void check_parameter(const char* op, const char* name, const Parameter& parameter, ParameterKind kind,
                     int64_t rows, int64_t cols) {
  // A token step checks tens of parameters: the name is put together for an error alone, since it allocates.
  if (parameter.kind == kind && has_shape(parameter.rows, parameter.cols, rows, cols) &&
      parameter.dtype != DType::kF16 &&
      (parameter.storage != nullptr || parameter.rows * parameter.cols == 0)) {
    return;
  }
  const std::string full_name =
      parameter.name.empty() ? name : std::string(name) + " (" + parameter.name + ")";
  if (parameter.kind != kind) {
    fail(ErrorCode::kInvalidArgument, "%s: %s: expected a %s parameter", op, full_name.c_str(),
         kind == ParameterKind::kVector ? "vector" : "matrix");
  }
  check_shape(op, full_name.c_str(), parameter.rows, parameter.cols, rows, cols);
  if (parameter.dtype == DType::kF16) {
    fail(ErrorCode::kInvalidArgument, "%s: %s: expected f32 or bf16, received %s", op, full_name.c_str(),
         dtype_name(parameter.dtype));
  }
  check_array(op, full_name.c_str(), parameter.storage, parameter.rows * parameter.cols);
}

void check_array(const char* op, const char* name, const void* data, int64_t count) {
  if (count < 0) {
    fail(ErrorCode::kShapeMismatch, "%s: %s: expected a length of 0 or more, received %lld", op, name,
         static_cast<long long>(count));
  }
  if (data == nullptr && count > 0)
    fail(ErrorCode::kInvalidArgument, "%s: %s: expected an array, received null", op, name);
}

void check_scratch(const char* op, const Context& context, size_t bytes) {
  if (context.scratch.bytes >= bytes && (context.scratch.data != nullptr || bytes == 0)) return;
  fail(ErrorCode::kInvalidArgument, "%s: scratch: expected %zu bytes, received %zu", op, bytes,
       context.scratch.data == nullptr ? size_t{0} : context.scratch.bytes);
}

void check_heads(const char* op, const AttentionShape& shape) {
  check_that(op, shape.window >= 0, "a window must not be negative");
  const bool right = shape.num_heads > 0 && shape.num_kv_heads > 0 && shape.head_dim > 0 &&
                     shape.num_heads % shape.num_kv_heads == 0;
  if (right) return;
  fail(ErrorCode::kShapeMismatch,
       "%s: expected heads in whole groups of kv heads, received %d heads, %d kv heads, head_dim %d", op,
       shape.num_heads, shape.num_kv_heads, shape.head_dim);
}

void check_batch(const char* op, const AttentionBatch& batch, int64_t rows) {
  check_array(op, "segments", batch.segments, batch.segment_count);
  if (rows > 0) check_that(op, batch.segment_count > 0, "a batch with rows must have segments");
}

void check_pages(const char* op, const KvPages& pages) {
  check_dtype(op, "pages", pages.dtype);
  check_that(op, pages.k != nullptr && pages.v != nullptr, "pages must be present");
}

void check_that(const char* op, bool condition, const char* rule) {
  if (!condition) fail(ErrorCode::kInvalidArgument, "%s: %s", op, rule);
}

}  // namespace coppice::ops
