#pragma once

#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// Lanes for `threads` threads: a few each, so that a thread that is done early can take over some of
// another's.
inline int64_t dealt_lanes(int threads) {
  return threads == 1 ? 1 : 4 * threads;
}

// Deals pieces of work out to lanes in turn, while every lane walks over all of them. It needs no list of the
// pieces, and lanes stay even where the work of neighbours grows steadily, as under a causal mask.
class Dealer {
 public:
  Dealer(int64_t lane, int64_t lanes) : until_mine_(lane), lanes_(lanes) {}

  // Whether the next piece is this lane's.
  COPPICE_INLINE bool mine() {
    if (until_mine_-- > 0) return false;
    until_mine_ = lanes_ - 1;
    return true;
  }

 private:
  int64_t until_mine_;
  int64_t lanes_;
};

}  // namespace COPPICE_ISA
}  // namespace coppice
