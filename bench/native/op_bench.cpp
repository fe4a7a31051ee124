// op_bench: how long each op takes, and what share of this machine's own peak that is. Ops and shapes are the
// list of native/bench.
//
//   op_bench [--device NAME] [--isa NAME] [--dtype f32|bf16] [--threads N] [--op NAME [--shape AxBxC]]
//            [--seconds S] [--quick] [--json]
//
// --device: cpu (default), or a CUDA device, whose peaks nobody measures: there is no share then.
// --shape:  sizes of --op in the order in which the list has them.
// --quick:  every op a few times at the first of its shapes, to see that it runs.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "bench/machine_peaks.h"
#include "bench/time_op.h"

namespace {

using coppice::DType;
using coppice::bench::OpCase;
using coppice::bench::TimedOp;

struct Options {
  coppice::BackendOptions backend;
  DType dtype = DType::kF32;
  coppice::bench::TimingPlan plan;
  std::string op;
  std::vector<int64_t> shape;
  bool quick = false, json = false;
};

// False after a message where an argument is not understood.
bool read(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const bool has_value = i + 1 < argc;
    if (flag == "--json") {
      options->json = true;
    } else if (flag == "--quick") {
      options->quick = true;
    } else if (flag == "--device" && has_value) {
      options->backend.device = argv[++i];
    } else if (flag == "--shape" && has_value) {
      std::istringstream sizes(argv[++i]);
      for (std::string size; std::getline(sizes, size, 'x');)
        options->shape.push_back(std::atoll(size.c_str()));
    } else if (flag == "--isa" && has_value) {
      options->backend.instruction_set = argv[++i];
    } else if (flag == "--dtype" && has_value) {
      options->dtype = std::string(argv[++i]) == "bf16" ? DType::kBF16 : DType::kF32;
    } else if (flag == "--threads" && has_value) {
      options->backend.threads = std::atoi(argv[++i]);
    } else if (flag == "--op" && has_value) {
      options->op = argv[++i];
    } else if (flag == "--seconds" && has_value) {
      options->plan.seconds = std::atof(argv[++i]);
    } else {
      std::fprintf(stderr, "%s: unknown, or without its value\n", flag.c_str());
      return false;
    }
  }
  if (!options->shape.empty() && options->op.empty()) {
    std::fprintf(stderr, "--shape: expected --op beside it\n");
    return false;
  }
  if (options->quick) options->plan.repeats = 1;
  return true;
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

class Report {
 public:
  Report(coppice::Backend& backend, const Options& options) : backend_(backend), options_(options) {
    if (std::strcmp(backend.name(), "cpu") == 0)
      peaks_ = std::make_unique<coppice::bench::MachinePeaks>(backend);
    commit_ = first_line_of("git rev-parse --short HEAD 2>/dev/null");
    machine_ = processor_name() + ", " + std::to_string(coppice::available_cores()) + " cores";
    if (options_.json) return;
    if (peaks_ != nullptr) {
      std::printf("%s, %s, %d threads: %.0f GFLOP/s in %s, %.1f GB/s read from memory\n", machine_.c_str(),
                  backend_.instruction_set(), backend_.threads(), peaks_->gflops(options_.dtype),
                  peak_name(options_.dtype), peaks_->gbytes(peaks_->memory_bytes()));
    } else {
      std::printf("%s, %s %s\n", machine_.c_str(), backend_.name(), backend_.instruction_set());
    }
    std::printf("%-26s %-28s %10s %10s %10s %8s %7s %6s\n", "op", "shape", "p20 ms", "p50 ms", "p80 ms",
                "GFLOP/s", "GB/s", "share");
  }

  void row(const OpCase& op_case, const std::vector<int64_t>& shape, TimedOp timed) {
    std::sort(timed.seconds.begin(), timed.seconds.end());
    const auto at = [&](double share) {
      return timed.seconds[static_cast<size_t>(share * static_cast<double>(timed.seconds.size() - 1))];
    };
    const double p50 = at(0.5), gflops = timed.flops / p50 / 1e9, gbytes = timed.bytes / p50 / 1e9;
    std::string sizes;
    for (const int64_t size : shape) {
      if (!sizes.empty()) sizes += 'x';
      sizes += std::to_string(size);
    }
    if (options_.json) {
      std::printf("{\"op\":\"%s\",\"shape\":\"%s\",\"dtype\":\"%s\",\"device\":\"%s-%s\",\"threads\":%d,",
                  op_case.op, sizes.c_str(), coppice::dtype_name(options_.dtype), backend_.name(),
                  backend_.instruction_set(), backend_.threads());
      std::printf("\"p20_ms\":%.6g,\"p50_ms\":%.6g,\"p80_ms\":%.6g,\"gflops\":%.4g,\"gbytes_per_s\":%.4g,",
                  1e3 * at(0.2), 1e3 * p50, 1e3 * at(0.8), gflops, gbytes);
      if (peaks_ != nullptr) {
        const coppice::bench::Floor floor = floor_of(*peaks_, timed);
        std::printf("\"peak_share\":%.3f,\"peak_of\":\"%s\",", floor.seconds / p50, floor.peak_of);
      }
      std::printf("\"commit\":\"%s\",\"machine\":\"%s\"}\n", commit_.c_str(), machine_.c_str());
    } else {
      std::printf("%-26s %-28s %10.4f %10.4f %10.4f %8.1f %7.1f", op_case.op, sizes.c_str(), 1e3 * at(0.2),
                  1e3 * p50, 1e3 * at(0.8), gflops, gbytes);
      if (peaks_ != nullptr) {
        const coppice::bench::Floor floor = floor_of(*peaks_, timed);
        std::printf(" %5.1f%% of %s", 100.0 * floor.seconds / p50, floor.peak_of);
      }
      std::printf("\n");
    }
    std::fflush(stdout);
  }

 private:
  const char* peak_name(DType dtype) const {
    return dtype == DType::kBF16 && peaks_->has_bf16() ? "bf16" : "f32";
  }

  coppice::Backend& backend_;
  const Options& options_;
  std::unique_ptr<coppice::bench::MachinePeaks> peaks_;  // of the CPU
  std::string commit_, machine_;
};

void run(const Options& options) {
  // Before anything is measured: an op that is not known.
  const OpCase* const only = options.op.empty() ? nullptr : &coppice::bench::op_case(options.op);
  const auto backend = coppice::open_backend(options.backend);
  Report report(*backend, options);
  const auto time_case = [&](const OpCase& op_case) {
    const std::vector<std::vector<int64_t>> asked = {options.shape};
    for (const std::vector<int64_t>& shape : options.shape.empty() ? op_case.shapes : asked) {
      const std::atomic<bool> stop{false};
      report.row(op_case, shape,
                 coppice::bench::time_op(*backend, op_case.op, op_case.shape_of(shape), options.dtype,
                                         options.plan, stop));
      if (options.quick) return;
    }
  };
  if (only != nullptr) return time_case(*only);
  for (const OpCase& op_case : coppice::bench::op_cases()) time_case(op_case);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!read(argc, argv, &options)) return 2;
  try {
    run(options);
    return 0;
  } catch (const coppice::Error& error) {
    std::fprintf(stderr, "%s: %s\n", coppice::error_code_name(error.code()), error.what());
    return 1;
  }
}
