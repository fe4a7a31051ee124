// What one core can do at best with each instruction set. isa/peak.cpp is compiled once for each.
#pragma once

#include <cstdint>

namespace coppice::avx512bf16 {
double fma_chains(int64_t rounds);
}
namespace coppice::avx512 {
double fma_chains(int64_t rounds);
}
namespace coppice::avx2 {
double fma_chains(int64_t rounds);
}
namespace coppice::neon {
double fma_chains(int64_t rounds);
}
namespace coppice::portable {
double fma_chains(int64_t rounds);
}
