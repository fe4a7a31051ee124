// Matrix instructions by the fibers of a warp (kernels/tensor_core.cuh says what they
// do). A card adds the products of one step in an order of its own, and rounds otherwise; here they are a
// chain of fma.
#pragma once

#include <cstdint>

namespace coppice::on_host {

// `line` points at eight numbers of 16 bits.
void load_matrices(uint32_t (&result)[4], const void* line, bool transposed);
void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

}  // namespace coppice::on_host
