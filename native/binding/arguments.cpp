#include "binding/arguments.h"

#include <cmath>

#include "binding/environment.h"

namespace coppice::binding {
namespace {

template <typename T>
struct ArrayKind;
template <>
struct ArrayKind<float> {
  static constexpr napi_typedarray_type kType = napi_float32_array;
  static constexpr const char* kName = "Float32Array";
};
template <>
struct ArrayKind<double> {
  static constexpr napi_typedarray_type kType = napi_float64_array;
  static constexpr const char* kName = "Float64Array";
};
template <>
struct ArrayKind<int32_t> {
  static constexpr napi_typedarray_type kType = napi_int32_array;
  static constexpr const char* kName = "Int32Array";
};

const char* array_type_name(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
      return "Int8Array";
    case napi_uint8_array:
      return "Uint8Array";
    case napi_uint8_clamped_array:
      return "Uint8ClampedArray";
    case napi_int16_array:
      return "Int16Array";
    case napi_uint16_array:
      return "Uint16Array";
    case napi_int32_array:
      return "Int32Array";
    case napi_uint32_array:
      return "Uint32Array";
    case napi_float32_array:
      return "Float32Array";
    case napi_float64_array:
      return "Float64Array";
    case napi_bigint64_array:
      return "BigInt64Array";
    case napi_biguint64_array:
      return "BigUint64Array";
    default:
      return "an array of another type";
  }
}

const char* type_name(const Napi::Value& value) {
  if (value.IsTypedArray()) return array_type_name(value.As<Napi::TypedArray>().TypedArrayType());
  if (value.IsArray()) return "an array";
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "a boolean";
    case napi_number:
      return "a number";
    case napi_string:
      return "a string";
    case napi_symbol:
      return "a symbol";
    case napi_object:
      return "an object";
    case napi_function:
      return "a function";
    case napi_external:
      return "an external value";
    case napi_bigint:
      return "a bigint";
  }
  return "something else";
}

[[noreturn]] void refuse(const char* name, const char* expected, const Napi::Value& value) {
  fail(ErrorCode::kInvalidArgument, "%s: expected %s; received %s", name, expected, type_name(value));
}

}  // namespace

template <typename T>
ArrayArgument<T> read_array(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != ArrayKind<T>::kType) {
    refuse(name, ArrayKind<T>::kName, value);
  }
  void* data = nullptr;
  size_t length = 0;
  napi_value buffer = nullptr;
  const napi_env env = value.Env();
  if (napi_get_typedarray_info(env, value, nullptr, &length, &data, &buffer, nullptr) != napi_ok) {
    fail(ErrorCode::kInvalidArgument, "%s: its memory cannot be read", name);
  }
  const Napi::Value array_buffer(env, buffer);
  if (!array_buffer.IsArrayBuffer()) {
    fail(ErrorCode::kInvalidArgument,
         "%s: expected an array over an ArrayBuffer; received one over a SharedArrayBuffer", name);
  }
  if (Environment::of(env)->is_resizable(array_buffer)) {
    fail(ErrorCode::kInvalidArgument, "%s: expected an ArrayBuffer of fixed length; received a resizable one",
         name);
  }
  return {static_cast<T*>(data), length, true};
}

template <typename T>
ArrayArgument<T> read_optional_array(const Napi::Value& value, const char* name) {
  if (value.IsUndefined() || value.IsNull()) return {};
  return read_array<T>(value, name);
}

template ArrayArgument<float> read_array(const Napi::Value&, const char*);
template ArrayArgument<double> read_array(const Napi::Value&, const char*);
template ArrayArgument<int32_t> read_array(const Napi::Value&, const char*);
template ArrayArgument<float> read_optional_array(const Napi::Value&, const char*);
template ArrayArgument<double> read_optional_array(const Napi::Value&, const char*);
template ArrayArgument<int32_t> read_optional_array(const Napi::Value&, const char*);

double read_number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse(name, "a number", value);
  return value.As<Napi::Number>().DoubleValue();
}

int64_t read_integer(const Napi::Value& value, const char* name, int64_t min, int64_t max) {
  const double number = read_number(value, name);
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) ||
      number != std::floor(number)) {
    fail(ErrorCode::kInvalidArgument, "%s: expected a whole number from %lld to %lld; received %g", name,
         static_cast<long long>(min), static_cast<long long>(max), number);
  }
  return static_cast<int64_t>(number);
}

uint64_t read_uint64(const Napi::Value& value, const char* name) {
  if (!value.IsBigInt()) refuse(name, "a bigint", value);
  bool lossless = false;
  const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) fail(ErrorCode::kInvalidArgument, "%s: expected a bigint from 0 to 2^64 - 1", name);
  return number;
}

bool read_bool(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) refuse(name, "true or false", value);
  return value.As<Napi::Boolean>().Value();
}

std::string read_string(const Napi::Value& value, const char* name) {
  if (!value.IsString()) refuse(name, "a string", value);
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object read_object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) refuse(name, "an object", value);
  return value.As<Napi::Object>();
}

void require_length(size_t received, size_t expected, const char* name, const char* one_for) {
  if (received == expected) return;
  fail(ErrorCode::kShapeMismatch, "%s: expected one value %s, %zu; received %zu", name, one_for, expected,
       received);
}

std::vector<int32_t> read_offsets(const Napi::Value& value, const char* name, size_t values) {
  const ArrayArgument<int32_t> given = read_array<int32_t>(value, name);
  if (given.length == 0)
    fail(ErrorCode::kShapeMismatch, "%s: expected rows + 1 offsets; received none", name);
  std::vector<int32_t> offsets = given.values();
  int32_t previous = 0;
  for (size_t i = 0; i < offsets.size(); ++i) {
    if (offsets[i] < previous || static_cast<size_t>(offsets[i]) > values) {
      fail(ErrorCode::kInvalidArgument,
           "%s: entry %zu: expected an offset from %d to %zu, the number of values; received %d", name, i,
           previous, values, offsets[i]);
    }
    previous = offsets[i];
  }
  return offsets;
}

}  // namespace coppice::binding
