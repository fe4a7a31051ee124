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

// Deals out segments' work on their kv heads: all heads of a piece together where there are many segments.
// They lie behind each other in a page, and one thread then reads them in order, as the processor fetches
// them ahead; few segments are dealt out head by head.
class HeadDealer {
 public:
  HeadDealer(int64_t lane, int64_t lanes, int64_t segments)
      : dealer_(lane, lanes), together_(segments >= 4 * lanes) {}

  // Heads of one piece must be asked for in order, beginning at `first`.
  COPPICE_INLINE bool mine(bool first) {
    if (first || !together_) mine_ = dealer_.mine();
    return mine_;
  }

 private:
  Dealer dealer_;
  bool together_;
  bool mine_ = false;
};

}  // namespace COPPICE_ISA
}  // namespace coppice
