#include "cpu/instruction_set.h"

#include "base/error.h"
#include "cpu/cpu_backend_base.h"

namespace coppice {
namespace {

struct InstructionSet {
  const char* name;
  bool (*supported)();
  Backend* (*create)(int threads);
  PeakLoops (*peak)();
};

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("fma");
}
#endif

// Best first. The checks include whether the operating system saves the registers.
const InstructionSet kSets[] = {
#if defined(__x86_64__)
    {"avx512bf16", [] { return has_avx512() && __builtin_cpu_supports("avx512bf16"); },
     avx512bf16::new_cpu_backend, avx512bf16::peak_loops},
    {"avx512", has_avx512, avx512::new_cpu_backend, avx512::peak_loops},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     avx2::new_cpu_backend, avx2::peak_loops},
#elif defined(__aarch64__)
    {"neon", [] { return true; }, neon::new_cpu_backend, neon::peak_loops},
#endif
    {"portable", [] { return true; }, portable::new_cpu_backend, portable::peak_loops},
};

// The named set, or the best where no name is given.
const InstructionSet& set_of(const std::string& name) {
  for (const InstructionSet& set : kSets) {
    if (set.supported() && (name.empty() || name == set.name)) return set;
  }
  fail(ErrorCode::kDeviceUnavailable, "instruction set \"%s\": this build and machine have %s", name.c_str(),
       available_instruction_sets().c_str());
}

}  // namespace

std::string available_instruction_sets() {
  std::string names;
  for (const InstructionSet& set : kSets) {
    if (!set.supported()) continue;
    if (!names.empty()) names += ", ";
    names += set.name;
  }
  return names;
}

Backend* new_cpu_backend(const std::string& instruction_set, int threads) {
  return set_of(instruction_set).create(threads);
}

PeakLoops peak_loops(const std::string& instruction_set) {
  return set_of(instruction_set).peak();
}

}  // namespace coppice
