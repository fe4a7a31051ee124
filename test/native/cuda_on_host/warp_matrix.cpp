#include "native/cuda_on_host/warp_matrix.h"

#include <cmath>
#include <cstring>

#include "native/cuda_on_host/block.h"

namespace coppice::on_host {
namespace {

constexpr unsigned kFullMask = 0xFFFFFFFFu;

template <typename T>
T left_by(const Deposit* deposits, unsigned lane) {
  T value;
  std::memcpy(&value, &deposits[lane], sizeof value);
  return value;
}

float widened(uint32_t bits) {
  bits <<= 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float half_of(uint32_t pair, unsigned index) {
  return widened(index == 0 ? pair & 0xFFFFu : pair >> 16);
}

struct Fragments {
  uint32_t a[4], b[2];
};

}  // namespace

void load_matrices(uint32_t (&result)[4], const void* line, bool transposed) {
  const unsigned lane = linear_thread() % 32, line_of_lane = lane / 4, first = 2 * (lane % 4);
  if (reinterpret_cast<uintptr_t>(line) % 16 != 0) break_block();
  const Deposit* deposits = exchange(kFullMask, &line, sizeof line);
  const auto number = [&](unsigned matrix, unsigned at_line, unsigned at) {
    return left_by<const uint16_t*>(deposits, 8 * matrix + at_line)[at];
  };
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    const uint32_t low =
        transposed ? number(matrix, first, line_of_lane) : number(matrix, line_of_lane, first);
    const uint32_t high =
        transposed ? number(matrix, first + 1, line_of_lane) : number(matrix, line_of_lane, first + 1);
    result[matrix] = low | high << 16;
  }
  exchange(kFullMask, nullptr, 0);  // no lane goes on to overwrite what another still reads
}

void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const Fragments mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  const unsigned lane = linear_thread() % 32;
  const Deposit* deposits = exchange(kFullMask, &mine, sizeof mine);
  for (unsigned element = 0; element < 4; ++element) {
    const unsigned low_row = element / 2, column = 2 * (lane % 4) + element % 2;
    float sum = c[element];
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned quad = k % 8 / 2, half = k / 8;
      const Fragments left = left_by<Fragments>(deposits, lane / 4 * 4 + quad),
                      right = left_by<Fragments>(deposits, column * 4 + quad);
      sum = std::fma(half_of(left.a[low_row + 2 * half], k % 2), half_of(right.b[half], k % 2), sum);
    }
    c[element] = sum;
  }
}

}  // namespace coppice::on_host
