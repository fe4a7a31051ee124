// Tensor bodies inside files: read and written at byte offsets as F32, BF16 or F16, in pieces. Headers are
// TypeScript's business.
#pragma once

#include <cstdint>
#include <string>

#include "base/tensor.h"

namespace coppice {

// An open file; every failure names it. Not copyable, closed at the end of its scope.
class TensorFile {
 public:
  enum class Mode { kRead, kWrite };  // kWrite opens an existing file
  TensorFile(const std::string& path, Mode mode);
  ~TensorFile();
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  const std::string& path() const { return path_; }
  // `count` elements of `dtype` at byte `offset`, widened to fp32. CHECKPOINT_CORRUPT when the file ends
  // early.
  void read(uint64_t offset, DType dtype, int64_t count, float* values) const;
  // Narrowed to nearest even.
  void write(uint64_t offset, DType dtype, int64_t count, const float* values) const;
  void flush() const;  // to the disk

 private:
  std::string path_;
  int descriptor_;
};

float widen_bf16(uint16_t bits);
float widen_f16(uint16_t bits);
uint16_t narrow_bf16(float value);
uint16_t narrow_f16(float value);

}  // namespace coppice
