// Parameters between their masters and the backend's storage. A kVector is stored as it is; a kMatrix as
// panels (gemm.h).
#include "base/error.h"
#include "cpu/cpu_backend.h"
#include "cpu/gemm.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

float* element(const Parameter& parameter, int64_t row, int64_t col) {
  return static_cast<float*>(parameter.storage) + ((row / kPanel) * parameter.cols + col) * kPanel +
         row % kPanel;
}

// Rows [row, row + n) of one group of 16 that begins at a multiple of 16; `host` is where row `row` begins.
void write_rows(const Parameter& parameter, int64_t row, int64_t n, const float* host) {
  const int64_t cols = parameter.cols;
  if (n < kLanes) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t k = 0; k < cols; ++k) *element(parameter, row + i, k) = host[i * cols + k];
    }
    return;
  }
  for (int64_t k = 0; k < cols; k += kLanes) {
    const int width = static_cast<int>(smaller(kLanes, cols - k));
    Vec block[16];
    for (int i = 0; i < 16; ++i) block[i] = load_lanes(host + i * cols + k, width);
    transpose16(block);
    for (int i = 0; i < width; ++i) store(element(parameter, row, k + i), block[i]);
  }
}

// The rows that pad the last panel.
void clear_padding(const Parameter& parameter) {
  for (int64_t row = parameter.rows; row < round_up(parameter.rows, kPanel); ++row) {
    for (int64_t k = 0; k < parameter.cols; ++k) *element(parameter, row, k) = 0.0f;
  }
}

void copy_floats(float* to, const float* from, int64_t count) {
  __builtin_memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

}  // namespace

size_t CpuBackend::parameter_storage_bytes(ParameterKind kind, int64_t rows, int64_t cols,
                                           DType dtype) const {
  if (dtype != DType::kF32) {
    fail(ErrorCode::kInvalidArgument, "parameters: the CPU backend computes in f32, received %s",
         dtype_name(dtype));
  }
  const int64_t stored_rows = kind == ParameterKind::kMatrix ? round_up(rows, kPanel) : rows;
  return static_cast<size_t>(stored_rows * cols) * sizeof(float);
}

void CpuBackend::parameter_upload(Parameter& parameter, int64_t row_begin, int64_t rows, const float* host) {
  if (row_begin < 0 || rows < 0 || row_begin + rows > parameter.rows) {
    fail(ErrorCode::kShapeMismatch, "parameter %s: expected rows within [0, %lld), received [%lld, %lld)",
         parameter.name.c_str(), static_cast<long long>(parameter.rows), static_cast<long long>(row_begin),
         static_cast<long long>(row_begin + rows));
  }
  const int64_t cols = parameter.cols;
  if (parameter.kind == ParameterKind::kVector) {
    copy_floats(static_cast<float*>(parameter.storage) + row_begin * cols, host, rows * cols);
    return;
  }
  const int64_t first_group = row_begin / kLanes, row_end = row_begin + rows;
  team().parallel_for(ceil_div(row_end, kLanes) - first_group, [&](int64_t task, int) {
    const int64_t group = (first_group + task) * kLanes;
    const int64_t begin = larger(group, row_begin), end = smaller(group + kLanes, row_end);
    write_rows(parameter, begin, end - begin, host + (begin - row_begin) * cols);
  });
  if (row_end == parameter.rows) clear_padding(parameter);
}

void CpuBackend::parameter_download(const Parameter& parameter, int64_t row_begin, int64_t rows,
                                    float* host) const {
  const int64_t cols = parameter.cols;
  if (row_begin < 0 || rows < 0 || row_begin + rows > parameter.rows) {
    fail(ErrorCode::kShapeMismatch, "parameter %s: expected rows within [0, %lld), received [%lld, %lld)",
         parameter.name.c_str(), static_cast<long long>(parameter.rows), static_cast<long long>(row_begin),
         static_cast<long long>(row_begin + rows));
  }
  if (parameter.kind == ParameterKind::kVector) {
    copy_floats(host, static_cast<const float*>(parameter.storage) + row_begin * cols, rows * cols);
    return;
  }
  team().parallel_for(rows, [&](int64_t i, int) {
    const float* source = element(parameter, row_begin + i, 0);
    for (int64_t k = 0; k < cols; ++k) host[i * cols + k] = source[k * kPanel];
  });
}

void CpuBackend::parameter_pack(Parameter& parameter, const float* master) {
  parameter_upload(parameter, 0, parameter.rows, master);
}

}  // namespace COPPICE_ISA
}  // namespace coppice
