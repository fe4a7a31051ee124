// op_test: every op of a backend against plain double references. See harness.h for what a case is.
//
//   op_test [--backend NAMES] [--isa NAME] [--threads N] [--op NAME] [--small] [--list]
//     --backend  cpu (default), or one or more CUDA devices, cuda,cuda:1, which must agree bit for bit
//     --isa      one instruction set (default: every one that this machine has)
//     --threads  one number of threads (default: 1, 2, 3 and 4, which must agree bit for bit)
//     --op       only the cases of this op
//     --small    without the largest shapes
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cpu/instruction_set.h"
#include "native/harness.h"

namespace coppice::test {
namespace {

struct Options {
  std::vector<std::string> devices = {"cpu"};
  std::vector<std::string> instruction_sets;
  std::vector<int> threads = {1, 2, 3, 4};
  std::string op;
  bool small = false;
  bool list = false;
};

struct Totals {
  int passed = 0;
  int failed = 0;
  int absent = 0;
};

[[noreturn]] void usage(const char* problem) {
  std::fprintf(stderr,
               "%s\nop_test [--backend NAMES] [--isa NAME] [--threads N] [--op NAME] [--small] [--list]\n",
               problem);
  std::exit(2);
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream text(list);
  for (std::string name; std::getline(text >> std::ws, name, ',');) names.push_back(name);
  return names;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--list" || flag == "--small") {
      (flag == "--list" ? options.list : options.small) = true;
      continue;
    }
    if (i + 1 >= argc) usage(("a flag without its value, or an unknown one: " + flag).c_str());
    const std::string value = argv[++i];
    if (flag == "--backend") {
      options.devices = names_in(value);
      if (options.devices.empty()) usage("--backend: expected a name");
    } else if (flag == "--isa") {
      options.instruction_sets = {value};
    } else if (flag == "--threads") {
      options.threads = {std::atoi(value.c_str())};
      if (options.threads[0] < 1) usage("--threads: expected 1 or more");
    } else if (flag == "--op") {
      options.op = value;
    } else {
      usage(("unknown flag " + flag).c_str());
    }
  }
  if (options.devices.front() != "cpu") {
    options.instruction_sets = {""};
    options.threads = {1};
  } else if (options.instruction_sets.empty()) {
    options.instruction_sets = names_in(available_instruction_sets());
  }
  return options;
}

// The seed is the case's own, so that a case alone draws what it draws among all.
uint64_t seed_of(const Case& test) {
  uint64_t hash = 1469598103934665603u;
  for (const char* text : {test.op, test.name}) {
    for (; *text != 0; ++text) hash = (hash ^ static_cast<unsigned char>(*text)) * 1099511628211u;
  }
  return hash;
}

std::vector<std::string> differences(const Recordings& got, const Recordings& want, const std::string& than) {
  std::vector<std::string> problems;
  if (got.size() != want.size()) problems.push_back("recorded other outputs than " + than);
  for (const auto& [name, values] : got) {
    const auto other = want.find(name);
    if (other == want.end()) continue;
    const bool same = values.size() == other->second.size() &&
                      std::memcmp(values.data(), other->second.data(), values.size() * sizeof(float)) == 0;
    if (!same) problems.push_back(name + ": other bits than " + than);
  }
  return problems;
}

struct Outcome {
  std::vector<std::string> failures;
  Recordings recordings;
  bool absent = false;
};

Outcome run_case(const Case& test, const std::vector<std::unique_ptr<Backend>>& backends, bool small) {
  Outcome outcome;
  const auto described = [&](const std::unique_ptr<Backend>& backend) {
    if (std::strcmp(backend->name(), "cpu") == 0) return std::to_string(backend->threads()) + " threads";
    return std::string("device ") + std::to_string(&backend - backends.data());
  };
  for (const std::unique_ptr<Backend>& backend : backends) {
    const std::string place = described(backend) + ": ";
    Run run(*backend, seed_of(test), small);
    try {
      test.body(run);
      run.finish();
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kDeviceUnavailable && std::strcmp(backend->name(), "cpu") != 0) {
        outcome.absent = true;
        return outcome;
      }
      run.finish();
      outcome.failures.push_back(place + error_code_name(error.code()) + ": " + error.what());
    }
    for (const std::string& failure : run.failures()) outcome.failures.push_back(place + failure);
    if (backend == backends.front()) {
      outcome.recordings = run.recordings();
    } else {
      const std::string than = "with " + described(backends.front());
      for (const std::string& problem : differences(run.recordings(), outcome.recordings, than)) {
        outcome.failures.push_back(place + problem);
      }
    }
  }
  return outcome;
}

int run_all(const Options& options) {
  Totals totals;
  std::map<const Case*, Recordings> avx512;
  for (const std::string& set : options.instruction_sets) {
    std::vector<std::unique_ptr<Backend>> backends;
    for (const std::string& device : options.devices) {
      for (const int threads : options.threads)
        backends.push_back(open_backend({.device = device, .instruction_set = set, .threads = threads}));
    }
    const std::string place = backends.front()->instruction_set();
    for (const Case* test : all_cases()) {
      if (!options.op.empty() && options.op != test->op) continue;
      Outcome outcome = run_case(*test, backends, options.small);
      if (place == "avx512") avx512[test] = outcome.recordings;
      if (place == "avx2" && avx512.contains(test)) {
        for (const std::string& problem : differences(outcome.recordings, avx512[test], "under avx512")) {
          outcome.failures.push_back(problem);
        }
      }
      if (outcome.absent) {
        ++totals.absent;
        continue;
      }
      ++(outcome.failures.empty() ? totals.passed : totals.failed);
      if (outcome.failures.empty()) continue;
      std::printf("FAIL %s: %s (%s)\n", test->op, test->name, place.c_str());
      for (const std::string& failure : outcome.failures) std::printf("     %s\n", failure.c_str());
    }
  }
  if (totals.passed + totals.failed == 0) std::printf("FAIL no case ran\n");
  if (totals.absent > 0) std::printf("%d cases of ops that this backend does not have\n", totals.absent);
  std::printf("%d passed, %d failed\n", totals.passed, totals.failed);
  return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace coppice::test

int main(int argc, char** argv) {
  using namespace coppice::test;
  const Options options = parse(argc, argv);
  if (options.list) {
    for (const Case* test : all_cases()) std::printf("%s: %s\n", test->op, test->name);
    return 0;
  }
  try {
    return run_all(options);
  } catch (const coppice::Error& error) {
    std::fprintf(stderr, "%s: %s\n", coppice::error_code_name(error.code()), error.what());
    return 1;
  }
}
