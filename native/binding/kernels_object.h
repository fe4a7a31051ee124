// NativeKernels of src/native/types.ts: a backend on a thread of its own, for single ops on typed arrays.
#pragma once

#include <napi.h>

#include <memory>

#include "bench/machine_peaks.h"
#include "binding/backend_info.h"
#include "binding/native_memory.h"
#include "binding/worker.h"

namespace coppice::binding {

class KernelsWorker final : public Worker {
 public:
  using Worker::Worker;
  void open(const BackendOptions& options) {
    backend_ = open_backend(options);
    info_ = info_of(*backend_);
  }
  Backend& backend() { return *backend_; }
  // Measured once for each worker; DEVICE_UNAVAILABLE where the device is no CPU.
  bench::MachinePeaks& peaks() {
    if (peaks_ == nullptr) peaks_ = std::make_unique<bench::MachinePeaks>(*backend_);
    return *peaks_;
  }
  const BackendInfo& info() const { return info_; }
  void publish() override {
    if (backend_ != nullptr) set_held_bytes(static_cast<int64_t>(backend_->held_bytes()));
  }

 protected:
  void free_all() override {
    peaks_ = nullptr;
    backend_ = nullptr;
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<bench::MachinePeaks> peaks_;
  BackendInfo info_;
};

class KernelsObject final : public Napi::ObjectWrap<KernelsObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // openKernels(options): Promise<NativeKernels>
  static Napi::Value open(const Napi::CallbackInfo& info);

  // Only `open` can make one.
  explicit KernelsObject(const Napi::CallbackInfo& info);
  ~KernelsObject() override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  Napi::Value matmul(const Napi::CallbackInfo& info);
  Napi::Value rmsnorm(const Napi::CallbackInfo& info);
  Napi::Value swiglu(const Napi::CallbackInfo& info);
  Napi::Value attention(const Napi::CallbackInfo& info);
  Napi::Value logprob_gather(const Napi::CallbackInfo& info);
  Napi::Value time(const Napi::CallbackInfo& info);
  Napi::Value peaks(const Napi::CallbackInfo& info);

  // Runs `work(backend, out)` on the thread; resolves with the `elements` floats that it wrote.
  template <typename Work>
  std::unique_ptr<Job> make_op(Napi::Env env, size_t elements, Work work);
  Napi::Value submit(std::unique_ptr<Job> job);

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<KernelsWorker> worker_;
};

}  // namespace coppice::binding
