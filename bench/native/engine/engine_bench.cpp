// engine_bench: how long fixed pieces of the engine's work take (workloads.h).
//
//   engine_bench [--device NAME] [--isa NAME] [--threads N] [--seconds S] [--json] [WORKLOAD ...]
//                                            default: every workload but those of a card, card_...
//   engine_bench --list                      one workload a line: its name, a tab, its sizes
//   engine_bench [--isa NAME] --once WORKLOAD   two runs on one thread; `measured_run` is the second, for
//   tools
//                                            that count what one function does
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "workloads.h"

namespace coppice::bench {
namespace {

using Clock = std::chrono::steady_clock;

#if defined(__clang__)
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

struct Flags {
  BackendOptions backend;
  double seconds = 1;
  bool json = false, list = false, once = false;
  std::vector<const Workload*> chosen;
};

const Workload* find(const std::string& name) {
  for (const std::vector<Workload>* list : {&workloads(), &card_workloads()}) {
    const auto found =
        std::find_if(list->begin(), list->end(), [&](const Workload& w) { return name == w.name; });
    if (found != list->end()) return &*found;
  }
  return nullptr;
}

// False after a message where an argument is not known.
bool parse(int argc, char** argv, Flags* flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--json") {
      flags->json = true;
    } else if (argument == "--list") {
      flags->list = true;
    } else if (argument == "--once") {
      flags->once = true;
    } else if (argument == "--device" && has_value) {
      flags->backend.device = argv[++i];
    } else if (argument == "--isa" && has_value) {
      flags->backend.instruction_set = argv[++i];
    } else if (argument == "--threads" && has_value) {
      flags->backend.threads = std::atoi(argv[++i]);
    } else if (argument == "--seconds" && has_value) {
      flags->seconds = std::atof(argv[++i]);
    } else if (const Workload* workload = find(argument)) {
      flags->chosen.push_back(workload);
    } else {
      std::fprintf(stderr, "%s: unknown, or without its value\n", argv[i]);
      return false;
    }
  }
  if (flags->once && flags->chosen.size() != 1) {
    std::fprintf(stderr, "--once: expected one workload, received %zu\n", flags->chosen.size());
    return false;
  }
  if (flags->chosen.empty()) {
    for (const Workload& workload : workloads()) flags->chosen.push_back(&workload);
  }
  return true;
}

}  // namespace

// A function of its own under a name that tools find: neither inlined nor cloned.
extern "C" __attribute__((noinline, used)) void measured_run(Work* work) {
  work->run();
}

namespace {

void time_workload(const Workload& workload, const Flags& flags) {
  const std::unique_ptr<Work> work = workload.open(flags.backend);
  work->run();
  std::vector<double> samples;
  const Clock::time_point begin = Clock::now();
  double total = 0;
  do {
    const Clock::time_point start = Clock::now();
    measured_run(work.get());
    samples.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total = std::chrono::duration<double>(Clock::now() - begin).count();
  } while (total < flags.seconds || samples.size() < 3);
  std::sort(samples.begin(), samples.end());
  const double median = samples[samples.size() / 2];
  const auto runs = static_cast<double>(samples.size());
  const double rate = static_cast<double>(work->tokens()) * runs / total;
  const Backend& backend = work->backend();
  if (flags.json) {
    std::printf("{\"workload\":\"%s\",\"sizes\":\"%s\",\"isa\":\"%s\",\"threads\":%d,\"compiler\":\"%s\",",
                workload.name, workload.sizes, backend.instruction_set(), backend.threads(), kCompiler);
    std::printf("\"runs\":%zu,\"seconds\":%.6g,\"p50_seconds\":%.6g,\"tokens_per_second\":%.6g}\n",
                samples.size(), total, median, rate);
  } else {
    std::printf("%-14s %9.3f ms %10.0f tokens/s  %s\n", workload.name, median * 1e3, rate, workload.sizes);
  }
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  Flags flags;
  if (!parse(argc, argv, &flags)) return 2;
  if (flags.list) {
    for (const Workload& workload : workloads()) std::printf("%s\t%s\n", workload.name, workload.sizes);
    return 0;
  }
  if (flags.once) {
    flags.backend.threads = 1;
    const std::unique_ptr<Work> work = flags.chosen[0]->open(flags.backend);
    work->run();
    measured_run(work.get());
    std::printf("{\"workload\":\"%s\",\"isa\":\"%s\",\"compiler\":\"%s\"}\n", flags.chosen[0]->name,
                work->backend().instruction_set(), kCompiler);
    return 0;
  }
  for (const Workload* workload : flags.chosen) time_workload(*workload, flags);
  return 0;
}

}  // namespace
}  // namespace coppice::bench

int main(int argc, char** argv) {
  try {
    return coppice::bench::run(argc, argv);
  } catch (const coppice::Error& error) {
    std::fprintf(stderr, "%s: %s\n", coppice::error_code_name(error.code()), error.what());
    return 1;
  }
}
