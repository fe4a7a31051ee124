// Every op as something to time: what it is called, its sizes, and what one run of it has to do at least. The
// list is op_bench's and the addon's.
//
// To add an op: write its `prepare` in the file of its kind (product_cases.cpp, row_cases.cpp,
// attention_cases.cpp, head_cases.cpp, update_cases.cpp), which makes its operands and counts, and add its
// OpCase to that file's list. A case is named after the method of Backend that it times, without `_forward`
// and `_step`; a test compares the list with backend.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/case_memory.h"

namespace coppice::bench {

// An op with everything it works on. The counts make its floor: it cannot take less time than its operations
// at the machine's peak, nor than its operands at the rates at which they can be read and written. They are
// the work's own: what an implementation computes twice is not counted twice.
struct ReadyOp {
  double flops = 0;                // floating-point operations, where they are what counts
  double bytes = 0;                // operands, each read or written once
  double written = 0;              // of these bytes
  double memory = 0;               // what the operands take, where some are both read and written
  DType arithmetic = DType::kF32;  // what the operations multiply
  std::function<void()> run;

  double working_set() const { return memory > 0 ? memory : bytes; }
};

// Sizes by name, e.g. { "rows": 256, "cols": 1024, "inner": 256 }.
using OpShape = std::map<std::string, int64_t>;

struct OpCase {
  const char* op;
  std::vector<const char*> sizes;
  // Operands live in `memory`. `shape` has exactly the sizes of this case.
  ReadyOp (*prepare)(CaseMemory& memory, const OpShape& shape);
  // What is timed by default, values in the order of `sizes`, the least work first.
  std::vector<std::vector<int64_t>> shapes;

  OpShape shape_of(const std::vector<int64_t>& values) const;
};

const std::vector<OpCase>& op_cases();
// INVALID_ARGUMENT with the names that there are.
const OpCase& op_case(const std::string& op);
// The case's operands at a shape. INVALID_ARGUMENT for a size that is missing, unknown, below 1, or where the
// sizes together are beyond counting; SHAPE_MISMATCH where they do not go together.
ReadyOp prepare(const OpCase& op_case, CaseMemory& memory, const OpShape& shape);

// One list for each kind of op.
std::vector<OpCase> product_cases();
std::vector<OpCase> row_cases();
std::vector<OpCase> attention_cases();
std::vector<OpCase> head_cases();
std::vector<OpCase> update_cases();

}  // namespace coppice::bench
