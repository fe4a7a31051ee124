#include "native/harness.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <numbers>
#include <utility>

namespace coppice::test {
namespace {

constexpr uint32_t kGuardWord = 0x5AFEC0DE;
constexpr uint32_t kUnwritten = 0x7FC0DEAD;  // a NaN

std::vector<const Case*>& registry() {
  static std::vector<const Case*> cases;
  return cases;
}

float guard_float() {
  float value;
  std::memcpy(&value, &kGuardWord, sizeof value);
  return value;
}

}  // namespace

Context Run::context(size_t scratch_bytes) {
  scratch_.push_back(std::make_shared<Guarded>(*this, "scratch", scratch_bytes));
  return {&backend, {scratch_.back()->data(), scratch_bytes}, true};
}

void Run::finish() {
  scratch_.clear();
}

double Run::uniform() {
  const PhiloxBlock block = philox4x32(seed_, drawn_++, 0, 0, 0);
  return uniform_from_words(block.word[0], block.word[1]);
}

int64_t Run::below(int64_t limit) {
  return static_cast<int64_t>(uniform() * static_cast<double>(limit));
}

float Run::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * uniform()));
}

std::vector<float> Run::normals(int64_t count, float scale) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = scale * normal();
  return values;
}

void Run::expect(bool condition, const char* format, ...) {
  if (condition) return;
  char text[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  failures_.push_back(text);
}

void Run::expect_close(const std::string& name, const std::vector<float>& got,
                       const std::vector<double>& want, double tolerance) {
  expect(got.size() == want.size(), "%s: %zu values, expected %zu", name.c_str(), got.size(), want.size());
  if (got.size() != want.size()) return;
  double scale = 0.0;
  for (const double value : want) scale = std::fmax(scale, std::fabs(value));
  for (size_t i = 0; i < got.size(); ++i) {
    const bool finite = std::isfinite(got[i]) && std::isfinite(want[i]);
    if (finite && std::fabs(static_cast<double>(got[i]) - want[i]) <= tolerance * scale) continue;
    expect(false, "%s[%zu]: %.9g, expected %.9g (largest %.3g, tolerance %.1g)", name.c_str(), i,
           static_cast<double>(got[i]), want[i], scale, tolerance);
    return;
  }
}

void Run::expect_same_bits(const std::string& name, const std::vector<float>& got,
                           const std::vector<float>& want) {
  expect(got.size() == want.size(), "%s: %zu values, expected %zu", name.c_str(), got.size(), want.size());
  if (got.size() != want.size()) return;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::memcmp(&got[i], &want[i], sizeof(float)) == 0) continue;
    expect(false, "%s[%zu]: %.9g, expected the same bits as %.9g", name.c_str(), i,
           static_cast<double>(got[i]), static_cast<double>(want[i]));
    return;
  }
}

void Run::expect_error(ErrorCode code, const std::string& word, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    expect(error.code() == code, "expected %s, received %s: %s", error_code_name(code),
           error_code_name(error.code()), error.what());
    expect(std::strstr(error.what(), word.c_str()) != nullptr, "the message \"%s\" does not contain \"%s\"",
           error.what(), word.c_str());
    return;
  }
  expect(false, "expected %s (%s), but nothing was thrown", error_code_name(code), word.c_str());
}

void Run::expect_rows_independent(
    const std::string& name, int64_t rows, int64_t cols,
    const std::function<std::vector<float>(int64_t begin, int64_t count)>& compute) {
  const std::vector<float> together = compute(0, rows);
  for (int64_t row = 0; row < rows; ++row) {
    expect_same_bits(name + ", row " + std::to_string(row) + " alone", compute(row, 1),
                     rows_of(together, cols, row, 1));
  }
  for (int64_t cut = 1; cut < rows; ++cut) {
    expect_same_bits(name + ", rows up to " + std::to_string(cut), compute(0, cut),
                     rows_of(together, cols, 0, cut));
    expect_same_bits(name + ", rows from " + std::to_string(cut), compute(cut, rows - cut),
                     rows_of(together, cols, cut, rows - cut));
  }
}

void Run::record(const std::string& name, std::vector<float> values) {
  expect(recordings_.emplace(name, std::move(values)).second, "recorded twice: %s", name.c_str());
}

Guarded::Guarded(Run& run, std::string name, size_t bytes)
    : run_(run), name_(std::move(name)), bytes_(bytes), base_(run.backend.allocate(bytes + 2 * kGuardBytes)) {
  std::vector<char> image(bytes + 2 * kGuardBytes);
  for (size_t i = 0; i < image.size(); ++i) {
    const bool inside = i >= kGuardBytes && i < kGuardBytes + bytes;
    const uint32_t word = inside ? kUnwritten : kGuardWord;
    image[i] = static_cast<char>(word >> (8 * (i % 4)));
  }
  run_.backend.upload(base_, image.data(), image.size());
}

Guarded::~Guarded() {
  std::vector<char> image(bytes_ + 2 * kGuardBytes);
  run_.backend.synchronize();
  run_.backend.download(image.data(), base_, image.size());
  for (size_t i = 0; i < image.size(); ++i) {
    if (i >= kGuardBytes && i < kGuardBytes + bytes_) continue;
    if (image[i] == static_cast<char>(kGuardWord >> (8 * (i % 4)))) continue;
    run_.expect(false, "%s: a byte was written %lld bytes from its begin (it has %zu)", name_.c_str(),
                static_cast<long long>(i) - static_cast<long long>(kGuardBytes), bytes_);
    break;
  }
  run_.backend.release(base_);
}

Matrix::Matrix(Run& run, std::string name, int64_t rows, int64_t cols, int64_t gap)
    : run_(run), name_(name), rows_(rows), cols_(cols), gap_(gap), array_(run, name, rows * (cols + gap)) {
  std::vector<float> image = array_.values();
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < gap; ++j) image[static_cast<size_t>(i * (cols + gap) + cols + j)] = guard_float();
  }
  if (!image.empty()) run.backend.upload(array_.data(), image.data(), image.size() * sizeof(float));
}

Matrix::Matrix(Run& run, std::string name, int64_t rows, int64_t cols, const std::vector<float>& values,
               int64_t gap)
    : Matrix(run, std::move(name), rows, cols, gap) {
  for (int64_t i = 0; i < rows && cols > 0; ++i) {
    run.backend.upload(array_.data() + i * (cols + gap), values.data() + i * cols,
                       static_cast<size_t>(cols) * sizeof(float));
  }
}

Matrix::~Matrix() {
  const std::vector<float> image = array_.values();
  for (int64_t i = 0; i < rows_; ++i) {
    for (int64_t j = 0; j < gap_; ++j) {
      const float value = image[static_cast<size_t>(i * (cols_ + gap_) + cols_ + j)];
      if (std::memcmp(&value, &kGuardWord, sizeof value) == 0) continue;
      run_.expect(false, "%s: the gap after row %lld was written", name_.c_str(), static_cast<long long>(i));
      return;
    }
  }
}

std::vector<float> Matrix::values() const {
  const std::vector<float> image = array_.values();
  std::vector<float> values;
  for (int64_t i = 0; i < rows_; ++i) {
    const auto row = image.begin() + i * (cols_ + gap_);
    values.insert(values.end(), row, row + cols_);
  }
  return values;
}

TestParameter::TestParameter(Run& run, std::string name, ParameterKind kind, int64_t rows, int64_t cols,
                             const std::vector<float>& values, DType dtype)
    : storage_(run, name, run.backend.parameter_storage_bytes(kind, rows, cols, dtype)),
      parameter_{std::move(name), kind, rows, cols, dtype, storage_.data(), storage_.bytes()} {
  run.backend.parameter_upload(parameter_, 0, rows, values.data());
}

std::vector<float> rounded(std::vector<float> values, DType dtype) {
  if (dtype == DType::kF32) return values;
  for (float& value : values) {
    if (value == 0.0f || !std::isfinite(value)) continue;
    const double place = std::ldexp(1.0, std::ilogb(value) - 7);  // of the last of eight bits
    value = static_cast<float>(std::nearbyint(static_cast<double>(value) / place) * place);
  }
  return values;
}

std::vector<double> numeric_gradient(const std::function<double(const std::vector<double>&)>& f,
                                     std::vector<double> x, double step) {
  std::vector<double> gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double here = x[i];
    x[i] = here + step;
    const double above = f(x);
    x[i] = here - step;
    const double below = f(x);
    x[i] = here;
    gradient[i] = (above - below) / (2.0 * step);
  }
  return gradient;
}

std::vector<double> to_double(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

double dot(const std::vector<double>& a, const std::vector<float>& b) {
  double total = 0.0;
  for (size_t i = 0; i < a.size(); ++i) total += a[i] * static_cast<double>(b[i]);
  return total;
}

std::string sizes(std::initializer_list<int64_t> values) {
  std::string text;
  for (const int64_t value : values) {
    if (!text.empty()) text += 'x';
    text += std::to_string(value);
  }
  return text;
}

std::vector<float> rows_of(const std::vector<float>& values, int64_t cols, int64_t begin, int64_t count) {
  return {values.begin() + begin * cols, values.begin() + (begin + count) * cols};
}

Case::Case(const char* op, const char* name, std::function<void(Run&)> body)
    : op(op), name(name), body(std::move(body)) {
  registry().push_back(this);
}

const std::vector<const Case*>& all_cases() {
  return registry();
}

}  // namespace coppice::test
