#include "bench/op_case.h"

#include <algorithm>

#include "base/error.h"

namespace coppice::bench {
namespace {

// Bytes of anything that is as large as all sizes multiplied still fit into 64 bits.
constexpr double kMaxProduct = 0x1p56;

std::vector<OpCase> all_cases() {
  std::vector<OpCase> all;
  for (const auto& cases : {product_cases(), row_cases(), attention_cases(), head_cases(), update_cases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

template <typename List, typename Name>
std::string joined(const List& list, const Name& name_of) {
  std::string text;
  for (const auto& item : list) {
    if (!text.empty()) text += ", ";
    text += name_of(item);
  }
  return text;
}

void check(const OpCase& op_case, const OpShape& shape) {
  const auto expected = [&] { return joined(op_case.sizes, [](const char* name) { return name; }); };
  double product = 1;
  for (const char* name : op_case.sizes) {
    const auto found = shape.find(name);
    if (found == shape.end()) {
      fail(ErrorCode::kInvalidArgument, "shape of %s: '%s' is missing; expected %s", op_case.op, name,
           expected().c_str());
    }
    if (found->second < 1) {
      fail(ErrorCode::kInvalidArgument, "shape of %s: %s: expected 1 or more; received %lld", op_case.op,
           name, static_cast<long long>(found->second));
    }
    product *= static_cast<double>(found->second);
  }
  for (const auto& [name, size] : shape) {
    const bool known = std::any_of(op_case.sizes.begin(), op_case.sizes.end(),
                                   [&](const char* size_name) { return name == size_name; });
    if (known) continue;
    fail(ErrorCode::kInvalidArgument, "shape of %s: '%s' is not a size of it; expected %s", op_case.op,
         name.c_str(), expected().c_str());
  }
  if (product > kMaxProduct) {
    fail(ErrorCode::kInvalidArgument, "shape of %s: expected sizes with a product below 2^56; received %g",
         op_case.op, product);
  }
}

}  // namespace

OpShape OpCase::shape_of(const std::vector<int64_t>& values) const {
  OpShape shape;
  for (size_t i = 0; i < sizes.size(); ++i) shape[sizes[i]] = values.at(i);
  return shape;
}

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> all = all_cases();
  return all;
}

const OpCase& op_case(const std::string& op) {
  const std::vector<OpCase>& all = op_cases();
  const auto found = std::find_if(all.begin(), all.end(), [&](const OpCase& c) { return op == c.op; });
  if (found != all.end()) return *found;
  fail(ErrorCode::kInvalidArgument, "op '%s': expected one of %s", op.c_str(),
       joined(all, [](const OpCase& c) { return c.op; }).c_str());
}

ReadyOp prepare(const OpCase& op_case, CaseMemory& memory, const OpShape& shape) {
  check(op_case, shape);
  return op_case.prepare(memory, shape);
}

}  // namespace coppice::bench
