// The checks that ops.cpp is made of. Each throws an Error that names the op and the argument, what was
// expected and what was received; SHAPE_MISMATCH for sizes, INVALID_ARGUMENT for everything else.
#pragma once

#include "backend/backend.h"

namespace coppice::ops {

inline constexpr int64_t kAny = -1;

// A present fp32 tensor [rows, cols]; kAny where the size is free.
void check_tensor(const char* op, const char* name, const Tensor& tensor, int64_t rows, int64_t cols);
// A parameter of that kind with storage, [rows, cols]; kAny where the size is free.
void check_parameter(const char* op, const char* name, const Parameter& parameter, ParameterKind kind,
                     int64_t rows, int64_t cols);
// A pointer that may be null only where there is nothing to point at.
void check_array(const char* op, const char* name, const void* data, int64_t count);
void check_scratch(const char* op, const Context& context, size_t bytes);
void check_heads(const char* op, const AttentionShape& shape);
void check_batch(const char* op, const AttentionBatch& batch, int64_t rows);
void check_pages(const char* op, const KvPages& pages);
// `condition` with the rule in words, e.g. "eps must be positive".
void check_that(const char* op, bool condition, const char* rule);

}  // namespace coppice::ops
