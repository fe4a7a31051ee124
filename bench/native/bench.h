// The harness of op_bench: times a call, and says what share of this machine's own peak, measured in the same
// run, it had.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace coppice::bench {

struct Quantiles {
  double p20_ms, p50_ms, p80_ms;
};

class Bench {
 public:
  // dtype: of parameters.
  Bench(std::unique_ptr<Backend> backend, DType dtype, bool json, std::string only_op, double seconds);
  ~Bench();

  Backend& backend() { return *backend_; }
  DType dtype() const { return dtype_; }
  Context context(size_t scratch_bytes);
  // Memory of the backend with small random numbers in it; freed when the next op begins.
  float* floats(int64_t count);
  Tensor tensor(int64_t rows, int64_t cols) { return {floats(rows * cols), rows, cols}; }
  int32_t* integers(const std::vector<int32_t>& values);
  Parameter parameter(ParameterKind kind, int64_t rows, int64_t cols);

  bool wants(const char* op) const { return only_op_.empty() || only_op_ == op; }
  // One row. `flops` floating-point operations, or else `bytes` moved, make the rate.
  void row(const char* op, const std::string& shape, double flops, double bytes,
           const std::function<void()>& call);
  void release();

 private:
  Quantiles measure(const std::function<void()>& call);

  std::unique_ptr<Backend> backend_;
  DType dtype_;
  bool json_;
  std::string only_op_;
  double seconds_;
  std::vector<void*> memory_;
  double gflops_ = 0, gbytes_ = 0;
  std::string commit_, machine_;
};

// "4096x1024x256"
std::string shape_of(std::initializer_list<int64_t> sizes);

void bench_products(Bench& bench);
void bench_rows(Bench& bench);
void bench_attention(Bench& bench);
void bench_head(Bench& bench);

}  // namespace coppice::bench
