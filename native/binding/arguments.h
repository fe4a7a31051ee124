// Single arguments from JavaScript, checked before anything native sees them. Every refusal is a
// coppice::Error that names the argument, what was expected and what was received. JavaScript thread only.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "binding/job.h"

namespace coppice::binding {

// Runs the body of a function that JavaScript calls; what it throws becomes a JavaScript error with a code.
template <typename Body>
Napi::Value guarded(const Napi::CallbackInfo& info, const Body& body) {
  Napi::Value result = info.Env().Undefined();
  std::optional<Napi::Error> thrown;
  const std::optional<Failure> failure = catch_all([&] {
    try {
      result = body();
    } catch (const Napi::Error& error) {
      thrown = error;
    }
  });
  if (thrown.has_value()) throw *thrown;
  if (failure.has_value()) throw to_js_error(info.Env(), *failure);
  return result;
}

// The memory of a typed array, for as long as the call from JavaScript lasts and no longer: its owner can
// transfer, resize or free it at any time afterwards. What another thread needs is copied out of it with
// values().
template <typename T>
struct ArrayArgument {
  T* data = nullptr;
  size_t length = 0;
  bool given = false;

  std::vector<T> values() const { return std::vector<T>(data, data + length); }
};

// T: float, double, int32_t. Refuses anything but a typed array of exactly this element type over an
// ArrayBuffer that is neither shared with another thread nor resizable.
template <typename T>
ArrayArgument<T> read_array(const Napi::Value& value, const char* name);
// undefined and null give one that is not given.
template <typename T>
ArrayArgument<T> read_optional_array(const Napi::Value& value, const char* name);

double read_number(const Napi::Value& value, const char* name);
int64_t read_integer(const Napi::Value& value, const char* name, int64_t min, int64_t max);
uint64_t read_uint64(const Napi::Value& value, const char* name);  // a BigInt
bool read_bool(const Napi::Value& value, const char* name);
std::string read_string(const Napi::Value& value, const char* name);
Napi::Object read_object(const Napi::Value& value, const char* name);

void require_length(size_t received, size_t expected, const char* name, const char* one_for);

// Offsets [rows + 1]: copied, not falling, from 0 or more, the last within `values`.
std::vector<int32_t> read_offsets(const Napi::Value& value, const char* name, size_t values);

inline constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;
inline constexpr int64_t kMaxInt32 = INT32_MAX;

}  // namespace coppice::binding
