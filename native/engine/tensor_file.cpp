#include "engine/tensor_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace coppice {

float widen_bf16(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}

uint16_t narrow_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return static_cast<uint16_t>((bits >> 16) | 0x40);  // keep it a NaN when the low half is cut
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

float widen_f16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16, exponent = (bits >> 10) & 31, mantissa = bits & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t narrow_f16(float value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7E00;
  if (magnitude >= 65520.0f) return sign | 0x7C00;
  if (magnitude < 0x1.0p-14f) {  // subnormal: a multiple of 2^-24, to nearest even
    return sign | static_cast<uint16_t>(std::nearbyintf(magnitude * 0x1.0p24f));
  }
  const uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  const uint32_t rounded = bits + 0xFFF + ((bits >> 13) & 1);
  return sign | static_cast<uint16_t>((rounded >> 13) - (112u << 10));
}

TensorFile::TensorFile(const std::string& path, Mode mode)
    : path_(path), descriptor_(::open(path.c_str(), (mode == Mode::kRead ? O_RDONLY : O_RDWR) | O_CLOEXEC)) {
  if (descriptor_ < 0) {
    fail(ErrorCode::kInvalidArgument, "%s: cannot be opened: %s", path.c_str(), std::strerror(errno));
  }
}

TensorFile::~TensorFile() {
  ::close(descriptor_);
}

namespace {

constexpr int64_t kPiece = int64_t{1} << 18;  // elements converted at a time

void read_fully(int descriptor, const std::string& path, void* to, size_t bytes, uint64_t offset) {
  char* at = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      fail(ErrorCode::kCheckpointCorrupt, "%s: cannot be read: %s", path.c_str(), std::strerror(errno));
    if (got == 0) {
      fail(ErrorCode::kCheckpointCorrupt, "%s: ends early: %zu more bytes were expected at offset %llu",
           path.c_str(), bytes, static_cast<unsigned long long>(offset));
    }
    at += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<size_t>(got);
  }
}

void write_fully(int descriptor, const std::string& path, const void* from, size_t bytes, uint64_t offset) {
  const char* at = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t put = ::pwrite(descriptor, at, bytes, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0)
      fail(ErrorCode::kInvalidArgument, "%s: cannot be written: %s", path.c_str(), std::strerror(errno));
    at += put;
    offset += static_cast<uint64_t>(put);
    bytes -= static_cast<size_t>(put);
  }
}

}  // namespace

void TensorFile::read(uint64_t offset, DType dtype, int64_t count, float* values) const {
  if (dtype == DType::kF32) {
    read_fully(descriptor_, path_, values, static_cast<size_t>(count) * sizeof(float), offset);
    return;
  }
  std::vector<uint16_t> piece;
  for (int64_t done = 0; done < count;) {
    const int64_t now = std::min(kPiece, count - done);
    piece.resize(static_cast<size_t>(now));
    read_fully(descriptor_, path_, piece.data(), piece.size() * 2, offset + static_cast<uint64_t>(done) * 2);
    std::transform(piece.begin(), piece.end(), values + done, dtype == DType::kBF16 ? widen_bf16 : widen_f16);
    done += now;
  }
}

void TensorFile::write(uint64_t offset, DType dtype, int64_t count, const float* values) const {
  if (dtype == DType::kF32) {
    write_fully(descriptor_, path_, values, static_cast<size_t>(count) * sizeof(float), offset);
    return;
  }
  std::vector<uint16_t> piece;
  for (int64_t done = 0; done < count;) {
    const int64_t now = std::min(kPiece, count - done);
    piece.resize(static_cast<size_t>(now));
    std::transform(values + done, values + done + now, piece.begin(),
                   dtype == DType::kBF16 ? narrow_bf16 : narrow_f16);
    write_fully(descriptor_, path_, piece.data(), piece.size() * 2, offset + static_cast<uint64_t>(done) * 2);
    done += now;
  }
}

void TensorFile::flush() const {
  if (::fsync(descriptor_) != 0) {
    fail(ErrorCode::kInvalidArgument, "%s: cannot be flushed: %s", path_.c_str(), std::strerror(errno));
  }
}

}  // namespace coppice
