// The one exception type of native code. It carries the same closed set of codes as src/errors.ts; native
// code throws it and never exits or aborts, because it lives inside somebody's Node process.
#pragma once

#include <exception>
#include <string>

namespace coppice {

enum class ErrorCode {
  kInvalidArgument,
  kShapeMismatch,
  kOutOfMemory,
  kDeviceUnavailable,
  kDeviceFault,
  kNonFinite,
  kCheckpointCorrupt,
  kDataCorrupt,
  kDisposed,
  kBusy,
  kInternal,
};

// The word that src/errors.ts knows, e.g. "INVALID_ARGUMENT".
const char* error_code_name(ErrorCode code);

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message);
  ~Error() override;
  const char* what() const noexcept override { return message_.c_str(); }
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
  std::string message_;
};

// Throws Error with a printf-formatted message: name the thing, what was expected, what was received.
[[noreturn, gnu::format(printf, 2, 3)]] void fail(ErrorCode code, const char* format, ...);

}  // namespace coppice
