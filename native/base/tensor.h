// A view of a row-major matrix in a backend's memory. It owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace coppice {

enum class DType : uint8_t { kF32, kBF16, kF16 };

constexpr size_t dtype_bytes(DType dtype) {
  return dtype == DType::kF32 ? 4 : 2;
}
const char* dtype_name(DType dtype);

struct Tensor {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // elements from one row to the next; cols when contiguous
  DType dtype = DType::kF32;

  Tensor() = default;
  Tensor(void* data_, int64_t rows_, int64_t cols_, DType dtype_ = DType::kF32)
      : data(data_), rows(rows_), cols(cols_), stride(cols_), dtype(dtype_) {}
  Tensor(void* data_, int64_t rows_, int64_t cols_, int64_t stride_, DType dtype_)
      : data(data_), rows(rows_), cols(cols_), stride(stride_), dtype(dtype_) {}

  float* f32() const { return static_cast<float*>(data); }
  bool empty() const { return rows == 0 || cols == 0; }
  // Columns [begin, begin + count) of every row.
  Tensor columns(int64_t begin, int64_t count) const {
    return {static_cast<char*>(data) + static_cast<size_t>(begin) * dtype_bytes(dtype), rows, count, stride,
            dtype};
  }
  // Rows [begin, begin + count).
  Tensor row_range(int64_t begin, int64_t count) const {
    return {static_cast<char*>(data) + static_cast<size_t>(begin * stride) * dtype_bytes(dtype), count, cols,
            stride, dtype};
  }
};

}  // namespace coppice
