// What the executables of the engine's tests count and print.
#pragma once

#include <cstdio>
#include <string>

namespace coppice {

inline int failures = 0;

inline void expect(bool good, const std::string& what) {
  if (good) return;
  std::printf("FAIL %s\n", what.c_str());
  ++failures;
}

}  // namespace coppice
