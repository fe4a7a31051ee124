#include "cpu/cpu_backend.h"

namespace coppice {
namespace COPPICE_ISA {

const char* CpuBackend::instruction_set() const {
  return kInstructionSet;
}

Backend* new_cpu_backend(int threads) {
  return new CpuBackend(threads);
}

}  // namespace COPPICE_ISA
}  // namespace coppice
