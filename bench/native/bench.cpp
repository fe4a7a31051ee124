#include "native/bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/thread_pool.h"
#include "bench/machine_peaks.h"

namespace coppice::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string first_line_of(const char* command) {
  std::FILE* pipe = popen(command, "r");
  if (pipe == nullptr) return "";
  char text[256] = "";
  if (std::fgets(text, sizeof text, pipe) == nullptr) text[0] = 0;
  pclose(pipe);
  text[std::strcspn(text, "\n")] = 0;
  return text;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

Bench::Bench(std::unique_ptr<Backend> backend, DType dtype, bool json, std::string only_op, double seconds)
    : backend_(std::move(backend)),
      dtype_(dtype),
      json_(json),
      only_op_(std::move(only_op)),
      seconds_(seconds) {
  commit_ = first_line_of("git rev-parse --short HEAD 2>/dev/null");
  machine_ = processor_name() + ", " + std::to_string(available_cores()) + " cores";
  MachinePeaks peaks(*backend_);
  gflops_ = peaks.gflops(dtype_);
  gbytes_ = peaks.gbytes(peaks.memory_bytes());
  if (json_) return;
  std::printf("%s, %s, %d threads: %.0f GFLOP/s in multiply-adds, %.1f GB/s read\n", machine_.c_str(),
              backend_->instruction_set(), backend_->threads(), gflops_, gbytes_);
  std::printf("%-24s %-20s %10s %10s %10s %9s %7s\n", "op", "shape", "p20 ms", "p50 ms", "p80 ms", "rate",
              "share");
}

Bench::~Bench() {
  release();
}

void Bench::release() {
  for (void* data : memory_) backend_->release(data);
  memory_.clear();
}

float* Bench::floats(int64_t count) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  memory_.push_back(backend_->allocate(bytes));
  std::vector<float> values(static_cast<size_t>(count));
  uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
  }
  backend_->upload(memory_.back(), values.data(), bytes);
  return static_cast<float*>(memory_.back());
}

int32_t* Bench::integers(const std::vector<int32_t>& values) {
  memory_.push_back(backend_->allocate(values.size() * sizeof(int32_t)));
  backend_->upload(memory_.back(), values.data(), values.size() * sizeof(int32_t));
  return static_cast<int32_t*>(memory_.back());
}

Context Bench::context(size_t scratch_bytes) {
  memory_.push_back(backend_->allocate(scratch_bytes));
  return {backend_.get(), {memory_.back(), scratch_bytes}, true};
}

Parameter Bench::parameter(ParameterKind kind, int64_t rows, int64_t cols) {
  Parameter parameter{"weight", kind, rows, cols, dtype_, nullptr, 0};
  parameter.storage_bytes = backend_->parameter_storage_bytes(kind, rows, cols, dtype_);
  memory_.push_back(backend_->allocate(parameter.storage_bytes));
  parameter.storage = memory_.back();
  backend_->parameter_pack(parameter, floats(rows * cols));
  return parameter;
}

Quantiles Bench::measure(const std::function<void()>& call) {
  call();
  // Samples of at least a tenth of a millisecond, so that the clock does not count.
  auto start = Clock::now();
  int calls = 0;
  do {
    call();
    ++calls;
    backend_->synchronize();
  } while (seconds_since(start) < 0.01);
  const double once = seconds_since(start) / calls;
  const int per_sample = std::max(1, static_cast<int>(1e-4 / once));
  std::vector<double> samples;
  const auto begin = Clock::now();
  do {
    start = Clock::now();
    for (int i = 0; i < per_sample; ++i) call();
    backend_->synchronize();
    samples.push_back(seconds_since(start) * 1e3 / per_sample);
  } while (seconds_since(begin) < seconds_ || samples.size() < 5);
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double q) {
    return samples[static_cast<size_t>(q * static_cast<double>(samples.size() - 1))];
  };
  return {at(0.2), at(0.5), at(0.8)};
}

void Bench::row(const char* op, const std::string& shape, double flops, double bytes,
                const std::function<void()>& call) {
  const Quantiles time = measure(call);
  const double gflops = flops / (time.p50_ms * 1e6), gbytes = bytes / (time.p50_ms * 1e6);
  const double share = flops > 0 ? gflops / gflops_ : gbytes / gbytes_;
  if (json_) {
    std::printf("{\"op\":\"%s\",\"shape\":\"%s\",\"dtype\":\"%s\",\"device\":\"%s-%s\",\"threads\":%d,", op,
                shape.c_str(), dtype_name(dtype_), backend_->name(), backend_->instruction_set(),
                backend_->threads());
    std::printf("\"p20_ms\":%.6g,\"p50_ms\":%.6g,\"p80_ms\":%.6g,", time.p20_ms, time.p50_ms, time.p80_ms);
    std::printf(flops > 0 ? "\"gflops\":%.4g," : "\"gbytes_per_s\":%.4g,", flops > 0 ? gflops : gbytes);
    std::printf("\"peak_share\":%.3f,\"commit\":\"%s\",\"machine\":\"%s\"}\n", share, commit_.c_str(),
                machine_.c_str());
  } else {
    std::printf("%-24s %-20s %10.4f %10.4f %10.4f %9.1f %6.1f%% %s\n", op, shape.c_str(), time.p20_ms,
                time.p50_ms, time.p80_ms, flops > 0 ? gflops : gbytes, 100.0 * share,
                flops > 0 ? "of GFLOP/s" : "of GB/s");
  }
  std::fflush(stdout);
}

std::string shape_of(std::initializer_list<int64_t> sizes) {
  std::string text;
  for (const int64_t size : sizes) {
    if (!text.empty()) text += 'x';
    text += std::to_string(size);
  }
  return text;
}

}  // namespace coppice::bench
