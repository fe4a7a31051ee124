// What the CPU backends of all instruction sets share: threads and memory. Compiled without instruction-set
// flags, because the standard library's inline functions must not be (see cpu/simd.h).
#pragma once

#include <memory>

#include "backend/backend.h"
#include "base/thread_pool.h"

namespace coppice {

class CpuBackendBase : public Backend {
 public:
  explicit CpuBackendBase(int threads);
  ~CpuBackendBase() override;

  const char* name() const final;
  int threads() const final;
  void* allocate(size_t bytes) final;
  void release(void* data) noexcept final;
  void upload(void* device, const void* host, size_t bytes) final;
  void download(void* host, const void* device, size_t bytes) final;
  void copy(void* to, const void* from, size_t bytes) final;
  void zero(void* data, size_t bytes) final;
  void synchronize() final;

 protected:
  const ThreadTeam& team() const { return team_; }

 private:
  ThreadTeam team_;
  struct Mappings;
  std::unique_ptr<Mappings> mappings_;
};

// Each is compiled with its own flags; the caller owns the result. A set that this build lacks is not linked.
namespace avx512bf16 {
Backend* new_cpu_backend(int threads);
}
namespace avx512 {
Backend* new_cpu_backend(int threads);
}
namespace avx2 {
Backend* new_cpu_backend(int threads);
}
namespace neon {
Backend* new_cpu_backend(int threads);
}
namespace portable {
Backend* new_cpu_backend(int threads);
}

}  // namespace coppice
