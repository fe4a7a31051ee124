// op_bench: how long each op takes, and what share of this machine's own peak that is.
//
//   op_bench [--isa NAME] [--dtype f32|bf16] [--threads N] [--op NAME] [--seconds S] [--json]
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "native/bench.h"

namespace {

int run(int argc, char** argv) {
  coppice::BackendOptions options;
  std::string op;
  double seconds = 0.2;
  bool json = false;
  coppice::DType dtype = coppice::DType::kF32;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const bool has_value = i + 1 < argc;
    if (flag == "--json") {
      json = true;
    } else if (flag == "--isa" && has_value) {
      options.instruction_set = argv[++i];
    } else if (flag == "--dtype" && has_value) {
      dtype = std::string(argv[++i]) == "bf16" ? coppice::DType::kBF16 : coppice::DType::kF32;
    } else if (flag == "--threads" && has_value) {
      options.threads = std::atoi(argv[++i]);
    } else if (flag == "--op" && has_value) {
      op = argv[++i];
    } else if (flag == "--seconds" && has_value) {
      seconds = std::atof(argv[++i]);
    } else {
      std::fprintf(stderr, "%s: unknown, or without its value\n", flag.c_str());
      return 2;
    }
  }
  coppice::bench::Bench bench(coppice::open_backend(options), dtype, json, op, seconds);
  coppice::bench::bench_products(bench);
  coppice::bench::bench_rows(bench);
  coppice::bench::bench_attention(bench);
  coppice::bench::bench_head(bench);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const coppice::Error& error) {
    std::fprintf(stderr, "%s: %s\n", coppice::error_code_name(error.code()), error.what());
    return 1;
  }
}
