// The harness of op_test. A case is one op on one set of shapes: it fills guarded buffers, calls the op, and
// compares with a plain double reference. To add one, write in cases/<op>_cases.cpp
//
//   static const Case odd_shapes("swiglu_forward", "odd shapes", [](Run& run) { ... });
//
// What the harness does by itself
// - every buffer stands between guard words, and between its rows where it has a stride; outputs begin as NaN
// - every case runs with each number of threads, and what it passes to record() must come out with the same
// bits each time;
//   AVX2 and AVX-512 must agree bit for bit too
// - an op that the backend does not have (DEVICE_UNAVAILABLE) is reported as absent, not as passed
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"

namespace coppice::test {

using Recordings = std::map<std::string, std::vector<float>>;

class Run {
 public:
  Run(Backend& backend, uint64_t seed, bool small) : backend(backend), small(small), seed_(seed) {}

  Backend& backend;
  // Shapes whose size alone tells them from others are left out: kernels run on the host are slow.
  const bool small;

  // With guarded scratch of exactly so many bytes, which lives as long as the run.
  Context context(size_t scratch_bytes = 0);

  // Numbers that depend on the case alone.
  double uniform();              // [0, 1)
  int64_t below(int64_t limit);  // [0, limit)
  float normal();
  std::vector<float> normals(int64_t count, float scale = 1.0f);

  [[gnu::format(printf, 3, 4)]] void expect(bool condition, const char* format, ...);
  // max |got - want| <= tolerance * max |want|, nothing infinite or NaN on either side.
  void expect_close(const std::string& name, const std::vector<float>& got, const std::vector<double>& want,
                    double tolerance);
  void expect_same_bits(const std::string& name, const std::vector<float>& got,
                        const std::vector<float>& want);
  // The call throws an Error with this code whose message contains `word`.
  void expect_error(ErrorCode code, const std::string& word, const std::function<void()>& call);
  // compute(begin, count) gives the outputs of rows [begin, begin + count) computed by themselves, `cols`
  // floats a row. Every row alone, and every cut in two, must give the bits of all rows together.
  void expect_rows_independent(
      const std::string& name, int64_t rows, int64_t cols,
      const std::function<std::vector<float>(int64_t begin, int64_t count)>& compute);
  void record(const std::string& name, std::vector<float> values);

  const std::vector<std::string>& failures() const { return failures_; }
  const Recordings& recordings() const { return recordings_; }
  void finish();  // checks and frees scratch

 private:
  friend class Guarded;
  uint64_t seed_;
  uint32_t drawn_ = 0;
  std::vector<std::string> failures_;
  Recordings recordings_;
  std::vector<std::shared_ptr<class Guarded>> scratch_;
};

// Bytes in the backend's memory between guards; begins as NaN words.
class Guarded {
 public:
  Guarded(Run& run, std::string name, size_t bytes);
  ~Guarded();
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  void* data() const { return static_cast<char*>(base_) + kGuardBytes; }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kGuardBytes = 256;
  Run& run_;
  std::string name_;
  size_t bytes_;
  void* base_;
};

template <typename T>
class Array {
 public:
  Array(Run& run, std::string name, int64_t count)
      : run_(run), count_(count), memory_(run, std::move(name), static_cast<size_t>(count) * sizeof(T)) {}
  Array(Run& run, std::string name, const std::vector<T>& values)
      : Array(run, std::move(name), static_cast<int64_t>(values.size())) {
    if (!values.empty()) run_.backend.upload(data(), values.data(), memory_.bytes());
  }
  T* data() const { return static_cast<T*>(memory_.data()); }
  std::vector<T> values() const {
    std::vector<T> values(static_cast<size_t>(count_));
    run_.backend.synchronize();
    if (count_ > 0) run_.backend.download(values.data(), data(), memory_.bytes());
    return values;
  }

 private:
  Run& run_;
  int64_t count_;
  Guarded memory_;
};

// A matrix with `gap` guard words after each row.
class Matrix {
 public:
  Matrix(Run& run, std::string name, int64_t rows, int64_t cols, int64_t gap = 3);
  Matrix(Run& run, std::string name, int64_t rows, int64_t cols, const std::vector<float>& values,
         int64_t gap = 3);
  ~Matrix();
  Tensor tensor() const { return {array_.data(), rows_, cols_, cols_ + gap_, DType::kF32}; }
  std::vector<float> values() const;  // without the gaps

 private:
  Run& run_;
  std::string name_;
  int64_t rows_, cols_, gap_;
  Array<float> array_;
};

class TestParameter {
 public:
  TestParameter(Run& run, std::string name, ParameterKind kind, int64_t rows, int64_t cols,
                const std::vector<float>& values, DType dtype = DType::kF32);
  const Parameter& operator*() const { return parameter_; }
  const Parameter* operator->() const { return &parameter_; }
  Parameter& mutable_parameter() { return parameter_; }

 private:
  Guarded storage_;
  Parameter parameter_;
};

// Central differences of f in double at x, every coordinate.
std::vector<double> numeric_gradient(const std::function<double(const std::vector<double>&)>& f,
                                     std::vector<double> x, double step = 1e-5);
std::vector<double> to_double(const std::vector<float>& values);
double dot(const std::vector<double>& a, const std::vector<float>& b);
// What is left of the values in a parameter of this type: themselves in f32, to nearest even in bf16.
std::vector<float> rounded(std::vector<float> values, DType dtype);
// "10x20x30", for the names of a case's outputs.
std::string sizes(std::initializer_list<int64_t> values);
// Rows [begin, begin + count) of a matrix with `cols` columns.
std::vector<float> rows_of(const std::vector<float>& values, int64_t cols, int64_t begin, int64_t count);

// The body of a case for parameters of one type.
inline std::function<void(Run&)> with_dtype(void (*body)(Run&, DType), DType dtype) {
  return [body, dtype](Run& run) { body(run, dtype); };
}

struct Case {
  Case(const char* op, const char* name, std::function<void(Run&)> body);
  const char* op;
  const char* name;
  std::function<void(Run&)> body;
};
const std::vector<const Case*>& all_cases();

}  // namespace coppice::test
