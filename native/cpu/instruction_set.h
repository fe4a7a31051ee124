// Which of the compiled instruction sets this machine can run.
#pragma once

#include <string>

#include "backend/backend.h"
#include "cpu/peak.h"

namespace coppice {

// Names of the sets that are compiled in and that this machine and its system support, best first; "portable"
// is last. Separated by ", ".
std::string available_instruction_sets();

// The backend of the named set; "" takes the best. DEVICE_UNAVAILABLE, naming what there is, for anything
// else.
Backend* new_cpu_backend(const std::string& instruction_set, int threads);
// What that set can do at best; the same names, the same refusal.
PeakLoops peak_loops(const std::string& instruction_set);

}  // namespace coppice
