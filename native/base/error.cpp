#include "base/error.h"

#include <cstdarg>
#include <cstdio>
#include <utility>

namespace coppice {

const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case ErrorCode::kShapeMismatch:
      return "SHAPE_MISMATCH";
    case ErrorCode::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case ErrorCode::kDeviceUnavailable:
      return "DEVICE_UNAVAILABLE";
    case ErrorCode::kDeviceFault:
      return "DEVICE_FAULT";
    case ErrorCode::kNonFinite:
      return "NON_FINITE";
    case ErrorCode::kCheckpointCorrupt:
      return "CHECKPOINT_CORRUPT";
    case ErrorCode::kDataCorrupt:
      return "DATA_CORRUPT";
    case ErrorCode::kDisposed:
      return "DISPOSED";
    case ErrorCode::kBusy:
      return "BUSY";
    case ErrorCode::kInternal:
      return "INTERNAL";
  }
  return "INTERNAL";
}

Error::Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
Error::~Error() = default;

void fail(ErrorCode code, const char* format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  throw Error(code, text);
}

}  // namespace coppice
