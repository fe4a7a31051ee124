// Times single ops on random data, for benchmarks: memory is made and parameters are packed before the clock
// starts.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace coppice::binding {

// Sizes of an op by name, e.g. { "rows": 256, "cols": 1024, "inner": 256 }.
using OpShape = std::map<std::string, int64_t>;

// Seconds of each of `repeats` runs after `warmup` further ones; fewer when `stop` is set meanwhile.
// INVALID_ARGUMENT for an op or a size that is not known, with those that are.
//   linear, linear_backward_input, linear_backward_weight    rows cols inner
//   rmsnorm, rmsnorm_backward, swiglu, swiglu_backward       rows cols
//   attention, attention_backward                            sequences length num_heads num_kv_heads head_dim
//   head, head_backward                                      rows vocab cols
//   sample                                                   rows vocab cols
//   adamw                                                    elements
// dtype: of the parameters.
std::vector<double> time_op(Backend& backend, const std::string& op, const OpShape& shape, DType dtype,
                            int64_t repeats, int64_t warmup, const std::atomic<bool>& stop);

}  // namespace coppice::binding
