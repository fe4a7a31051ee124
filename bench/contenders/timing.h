// What the programs of one product share: sizes from the command line, times and memory as one line of JSON.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace contenders {

struct Product {
  std::string op, dtype, variant;
  int64_t rows, cols, inner;
  double seconds;
};

inline Product read_product(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(stderr, "usage: %s OP DTYPE VARIANT ROWS COLS INNER SECONDS\n", argv[0]);
    std::exit(2);
  }
  return {argv[1],           argv[2], argv[3], std::atoll(argv[4]), std::atoll(argv[5]), std::atoll(argv[6]),
          std::atof(argv[7])};
}

inline std::vector<float> random_values(int64_t count) {
  static std::mt19937 generator(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(generator);
  return values;
}

inline double peak_rss_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::atof(line.c_str() + 6) / 1024;
  }
  return 0;
}

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Three runs that do not count, then as many as fit; runs shorter than half a millisecond are repeated within
// a sample.
inline void time_and_print(double seconds, const std::string& version, const std::function<void()>& run) {
  for (int i = 0; i < 3; ++i) run();
  const double first = now();
  run();
  const int repeats = std::max(1, static_cast<int>(5e-4 / std::max(now() - first, 1e-7)));
  std::vector<double> samples;
  const double end = now() + seconds;
  while (samples.size() < 3 || (now() < end && samples.size() < 2000)) {
    const double begin = now();
    for (int i = 0; i < repeats; ++i) run();
    samples.push_back((now() - begin) / repeats);
  }
  std::printf("{\"version\": \"%s\", \"peak_rss_mib\": %.1f, \"seconds\": [", version.c_str(),
              peak_rss_mib());
  for (size_t i = 0; i < samples.size(); ++i) std::printf("%s%.9g", i == 0 ? "" : ", ", samples[i]);
  std::printf("]}\n");
}

inline int not_run(const std::string& why) {
  std::printf("{\"not_run\": \"%s\"}\n", why.c_str());
  return 0;
}

}  // namespace contenders
