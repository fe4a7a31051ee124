#include "bench/machine_peaks.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "cpu/instruction_set.h"
#include "engine/memory.h"

#if defined(__linux__)
#include <unistd.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace coppice::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kSmallestArray = size_t{64} << 10;
constexpr size_t kLargestArray = size_t{1} << 30;
// Of a processor that does not say.
constexpr size_t kUnknownCache = size_t{64} << 20;
// A sample reads at least so much: a region of threads takes microseconds to open.
constexpr size_t kBytesPerSample = size_t{16} << 20;
// A thread's share begins and ends with a cache line.
constexpr int64_t kLineFloats = 16;
constexpr int64_t kRounds = 20000;
constexpr int64_t kProductRounds = 200;  // as long
constexpr double kSeconds = 0.05;
constexpr size_t kMinSamples = 8;

size_t last_level_cache() {
  int64_t bytes = 0;
#if defined(__linux__) && defined(_SC_LEVEL3_CACHE_SIZE)
  bytes = std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE));
#elif defined(__APPLE__)
  size_t size = sizeof bytes;
  if (sysctlbyname("hw.l3cachesize", &bytes, &size, nullptr, 0) != 0) {
    sysctlbyname("hw.l2cachesize", &bytes, &size, nullptr, 0);
  }
#endif
  return bytes > 0 ? static_cast<size_t>(bytes) : kUnknownCache;
}

// Seconds of many runs, fastest first.
template <typename Run>
std::vector<double> time_runs(const Run& run) {
  run();
  std::vector<double> samples;
  const auto begin = Clock::now();
  auto start = begin;
  while (samples.size() < kMinSamples || std::chrono::duration<double>(start - begin).count() <= kSeconds) {
    run();
    const auto end = Clock::now();
    samples.push_back(std::chrono::duration<double>(end - start).count());
    start = end;
  }
  std::sort(samples.begin(), samples.end());
  return samples;
}

PeakLoops loops_of(const Backend& backend) {
  if (std::string(backend.name()) != "cpu") {
    fail(ErrorCode::kDeviceUnavailable, "peaks: expected the device \"cpu\"; received \"%s\"",
         backend.name());
  }
  return peak_loops(backend.instruction_set());
}

}  // namespace

MachinePeaks::MachinePeaks(Backend& backend)
    : backend_(backend),
      loops_(loops_of(backend)),
      team_(ThreadPool::shared(backend.threads()), backend.threads()),
      memory_bytes_(std::min(4 * last_level_cache(), kLargestArray)) {}

double MachinePeaks::gflops(DType dtype) {
  const bool pairs = dtype == DType::kBF16 && has_bf16();
  double& rate = gflops_[pairs ? DType::kBF16 : DType::kF32];
  if (rate == 0) rate = measure_flops(pairs ? loops_.dot_pairs : loops_.fma, kRounds, 0);
  return rate;
}

double MachinePeaks::product_gflops() {
  if (product_gflops_ == 0) product_gflops_ = measure_flops(loops_.product, kProductRounds, 0.5);
  return product_gflops_;
}

size_t MachinePeaks::array_bytes(size_t bytes) const {
  if (bytes >= memory_bytes_) return memory_bytes_;
  size_t size = kSmallestArray;
  while (2 * size <= bytes) size *= 2;
  return size;
}

double MachinePeaks::gbytes(size_t bytes) {
  const size_t size = array_bytes(bytes);
  double& rate = gbytes_[size];
  if (rate == 0) {
    rate = measure_array(size, [this](float* values, int64_t count) {
      volatile float sink = loops_.read(values, count);
      (void)sink;
    });
  }
  return rate;
}

double MachinePeaks::gbytes_moved(size_t bytes) {
  const size_t size = array_bytes(bytes);
  double& rate = gbytes_moved_[size];
  if (rate == 0) rate = 2 * measure_array(size, loops_.update);
  return std::max(rate, gbytes(bytes));
}

double MachinePeaks::measure_flops(double (*loop)(int64_t rounds), int64_t rounds, double share) const {
  const double operations = loop(rounds) * team_.threads();
  const std::vector<double> seconds =
      time_runs([&] { team_.parallel_for(team_.threads(), [&](int64_t, int) { loop(rounds); }); });
  return operations / seconds[static_cast<size_t>(share * static_cast<double>(seconds.size() - 1))] / 1e9;
}

template <typename Loop>
double MachinePeaks::measure_array(size_t bytes, const Loop& loop) const {
  const int64_t threads = team_.threads();
  const int64_t share = static_cast<int64_t>(bytes / sizeof(float)) / threads / kLineFloats * kLineFloats;
  const int64_t passes = static_cast<int64_t>(std::max<size_t>(1, kBytesPerSample / bytes));
  // From the backend, as what its ops read is; written to, or there would be no memory behind it.
  const Buffer array(backend_, bytes);
  backend_.zero(array.data(), bytes);
  const std::vector<double> seconds = time_runs([&] {
    team_.parallel_for(threads, [&](int64_t part, int) {
      for (int64_t pass = 0; pass < passes; ++pass) loop(array.f32() + part * share, share);
    });
  });
  return static_cast<double>(passes * threads * share) * sizeof(float) / seconds[0] / 1e9;
}

}  // namespace coppice::bench
