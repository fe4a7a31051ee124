// The only place that chooses a device.
#include <cstdlib>

#include "backend/backend.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "cpu/instruction_set.h"

#if defined(COPPICE_CUDA)
namespace coppice {
// Defined under kernels/. DEVICE_UNAVAILABLE when there is no such device.
std::unique_ptr<Backend> open_cuda_backend(int device);
}  // namespace coppice
#endif

namespace coppice {
namespace {

std::unique_ptr<Backend> open_cpu(const BackendOptions& options) {
  std::string set = options.instruction_set;
  if (set.empty()) {
    const char* forced = std::getenv("COPPICE_ISA");
    if (forced != nullptr) set = forced;
  }
  const int threads = options.threads > 0 ? options.threads : available_cores();
  return std::unique_ptr<Backend>(new_cpu_backend(set, threads));
}

// 0 for "cuda", n for "cuda:n", -1 for anything else.
int cuda_device(const std::string& name) {
  if (name == "cuda") return 0;
  if (name.rfind("cuda:", 0) != 0 || name.size() < 6 || name.size() > 8) return -1;
  int device = 0;
  for (const char digit : name.substr(5)) {
    if (digit < '0' || digit > '9') return -1;
    device = 10 * device + (digit - '0');
  }
  return device;
}

}  // namespace

std::unique_ptr<Backend> open_backend(const BackendOptions& options) {
  if (options.threads < 0) {
    fail(ErrorCode::kInvalidArgument, "threads: expected 0 (every core) or more, received %d",
         options.threads);
  }
  if (options.device == "cpu") return open_cpu(options);
#if defined(COPPICE_CUDA)
  if (options.device == "auto") {
    try {
      return open_cuda_backend(0);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kDeviceUnavailable) throw;
      return open_cpu(options);
    }
  }
  if (const int device = cuda_device(options.device); device >= 0) return open_cuda_backend(device);
#else
  if (options.device == "auto") return open_cpu(options);
  if (cuda_device(options.device) >= 0) {
    fail(ErrorCode::kDeviceUnavailable, "device \"%s\": this build has no CUDA", options.device.c_str());
  }
#endif
  fail(ErrorCode::kInvalidArgument,
       "device: expected \"cpu\", \"cuda\", \"cuda:<n>\" or \"auto\", received \"%s\"",
       options.device.c_str());
}

}  // namespace coppice
