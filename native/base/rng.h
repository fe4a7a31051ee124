// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC'11). A draw depends on what it is for and on nothing else, so there is no generator state to save, share
// or get out of order.
#pragma once

#include <cstdint>

#include "base/host_device.h"

namespace coppice {

struct PhiloxBlock {
  uint32_t word[4];
};

COPPICE_ON_BOTH inline PhiloxBlock philox4x32(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2,
                                              uint32_t c3) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0,
                   n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// What one sampled token's noise is keyed by. `prompt` is the prompt's global index in the run, not its place
// in a batch.
struct SampleKey {
  uint64_t seed = 0;
  uint32_t step = 0;
  uint32_t prompt = 0;
  uint32_t sample = 0;
  uint32_t position = 0;  // index of the token inside its completion
};

// Uniform in [0, 1) with 53 random bits.
COPPICE_ON_BOTH inline double uniform_from_words(uint32_t high, uint32_t low) {
  return static_cast<double>((uint64_t{high} << 21) ^ (low >> 11)) * 0x1.0p-53;
}

COPPICE_ON_BOTH inline double uniform(const SampleKey& key) {
  const PhiloxBlock block = philox4x32(key.seed, key.position, key.sample, key.prompt, key.step);
  return uniform_from_words(block.word[0], block.word[1]);
}

}  // namespace coppice
