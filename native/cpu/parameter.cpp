// Parameters between their masters and the backend's storage. A kVector is stored as it is; a kMatrix as
// panels (gemm.h).
#include "base/error.h"
#include "cpu/cpu_backend.h"
#include "cpu/gemm.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// Where row `row` keeps its step `k` of a product: a float or a word.
float* element(const Parameter& parameter, int64_t row, int64_t k) {
  const int64_t depth = product_depth(parameter.dtype, parameter.cols);
  return static_cast<float*>(parameter.storage) + ((row / kPanel) * depth + k) * kPanel + row % kPanel;
}

// Rows [row, row + n) of one group of 16 that begins at a multiple of 16; `host` is where row `row` begins.
void write_rows(const Parameter& parameter, int64_t row, int64_t n, const float* host) {
  const int64_t cols = parameter.cols, depth = product_depth(parameter.dtype, cols);
  const bool words = parameter.dtype == DType::kBF16;
  for (int64_t k = 0; k < depth; k += kLanes) {
    const int width = static_cast<int>(smaller(kLanes, depth - k));
    Vec block[16];
    for (int i = 0; i < 16; ++i) {
      block[i] = zero();
      if (i >= n) continue;
      const float* from = host + i * cols;
      if (words) {
        float buffer[kLanes] = {};
        round_row(buffer, from + 2 * k, smaller(2 * kLanes, cols - 2 * k));
        block[i] = load(buffer);
      } else {
        block[i] = load_lanes(from + k, width);
      }
    }
    transpose16(block);
    // Only these n lanes: the others are rows that may be written at the same time.
    for (int i = 0; i < width; ++i)
      store_first(element(parameter, row, k + i), block[i], static_cast<int>(n));
  }
}

// The same rows of the group, back to `host`.
void read_rows(const Parameter& parameter, int64_t row, int64_t n, float* host) {
  const int64_t cols = parameter.cols, depth = product_depth(parameter.dtype, cols);
  for (int64_t k = 0; k < depth; k += kLanes) {
    const int width = static_cast<int>(smaller(kLanes, depth - k));
    Vec block[16];
    for (int i = 0; i < 16; ++i) {
      block[i] = i < width ? load_first(element(parameter, row, k + i), static_cast<int>(n)) : zero();
    }
    transpose16(block);
    for (int64_t i = 0; i < n; ++i) {
      float* to = host + i * cols;
      if (parameter.dtype == DType::kF32) {
        store_lanes(to + k, block[i], width);
        continue;
      }
      Vec low = first_of_pair(block[i]), high = second_of_pair(block[i]);
      interleave(low, high);
      const int64_t left = cols - 2 * k;
      store_lanes(to + 2 * k, low, static_cast<int>(smaller(kLanes, left)));
      if (left > kLanes)
        store_lanes(to + 2 * k + kLanes, high, static_cast<int>(smaller(kLanes, left - kLanes)));
    }
  }
}

// body(first row, rows) for the groups of 16 rows that [row_begin, row_begin + rows) reaches into.
template <typename Body>
void for_groups(const ThreadTeam& team, int64_t row_begin, int64_t rows, const Body& body) {
  const int64_t first_group = row_begin / kLanes, row_end = row_begin + rows;
  team.parallel_for(ceil_div(row_end, kLanes) - first_group, [&](int64_t task, int) {
    const int64_t group = (first_group + task) * kLanes;
    const int64_t begin = larger(group, row_begin), end = smaller(group + kLanes, row_end);
    body(begin, end - begin);
  });
}

// The rows that pad the last panel.
void clear_padding(const Parameter& parameter) {
  for (int64_t row = parameter.rows; row < round_up(parameter.rows, kPanel); ++row) {
    const int64_t depth = product_depth(parameter.dtype, parameter.cols);
    for (int64_t k = 0; k < depth; ++k) *element(parameter, row, k) = 0.0f;
  }
}

void copy_vector(const Parameter& parameter, float* to, const float* from, int64_t count) {
  for_lanes(count, [&](int64_t j, int n) {
    const Vec values = load_lanes(from + j, n);
    store_lanes(to + j, parameter.dtype == DType::kBF16 ? round_to_bf16(values) : values, n);
  });
}

}  // namespace

size_t CpuBackend::parameter_storage_bytes(ParameterKind kind, int64_t rows, int64_t cols,
                                           DType dtype) const {
  if (dtype == DType::kF16) {
    fail(ErrorCode::kInvalidArgument, "parameters: the CPU backend computes in f32 or bf16, received %s",
         dtype_name(dtype));
  }
  const int64_t stored =
      kind == ParameterKind::kMatrix ? round_up(rows, kPanel) * product_depth(dtype, cols) : rows * cols;
  return static_cast<size_t>(stored) * sizeof(float);
}

void CpuBackend::parameter_upload(Parameter& parameter, int64_t row_begin, int64_t rows, const float* host) {
  if (row_begin < 0 || rows < 0 || row_begin + rows > parameter.rows) {
    fail(ErrorCode::kShapeMismatch, "parameter %s: expected rows within [0, %lld), received [%lld, %lld)",
         parameter.name.c_str(), static_cast<long long>(parameter.rows), static_cast<long long>(row_begin),
         static_cast<long long>(row_begin + rows));
  }
  const int64_t cols = parameter.cols;
  if (parameter.kind == ParameterKind::kVector) {
    copy_vector(parameter, static_cast<float*>(parameter.storage) + row_begin * cols, host, rows * cols);
    return;
  }
  for_groups(team(), row_begin, rows, [&](int64_t begin, int64_t n) {
    write_rows(parameter, begin, n, host + (begin - row_begin) * cols);
  });
  if (row_begin + rows == parameter.rows) clear_padding(parameter);
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
    copy_vector(parameter, host, static_cast<const float*>(parameter.storage) + row_begin * cols,
                rows * cols);
    return;
  }
  for_groups(team(), row_begin, rows, [&](int64_t begin, int64_t n) {
    read_rows(parameter, begin, n, host + (begin - row_begin) * cols);
  });
}

void CpuBackend::parameter_pack(Parameter& parameter, const float* master) {
  parameter_upload(parameter, 0, parameter.rows, master);
}

}  // namespace COPPICE_ISA
}  // namespace coppice
