#include "cpu/instruction_set.h"

#include "base/error.h"
#include "cpu/cpu_backend_base.h"

namespace coppice {
namespace {

struct InstructionSet {
  const char* name;
  bool (*supported)();
  Backend* (*create)(int threads);
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
     avx512bf16::new_cpu_backend},
    {"avx512", has_avx512, avx512::new_cpu_backend},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     avx2::new_cpu_backend},
#elif defined(__aarch64__)
    {"neon", [] { return true; }, neon::new_cpu_backend},
#endif
    {"portable", [] { return true; }, portable::new_cpu_backend},
};

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
  for (const InstructionSet& set : kSets) {
    if (set.supported() && (instruction_set.empty() || instruction_set == set.name))
      return set.create(threads);
  }
  fail(ErrorCode::kDeviceUnavailable, "instruction set \"%s\": this build and machine have %s",
       instruction_set.c_str(), available_instruction_sets().c_str());
}

}  // namespace coppice
