// NativeKernels of src/native/types.ts: a backend on a thread of its own, for single ops on typed arrays.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <vector>

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

// Methods by what they do: kernels_object.cpp has the forward ops, kernels_gradients.cpp the gradients and
// the optimiser, kernels_timing.cpp timing and peaks.
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

  Napi::Value linear(const Napi::CallbackInfo& info);
  Napi::Value rmsnorm(const Napi::CallbackInfo& info);
  Napi::Value swiglu(const Napi::CallbackInfo& info);
  Napi::Value rope(const Napi::CallbackInfo& info);
  Napi::Value attention(const Napi::CallbackInfo& info);
  Napi::Value logprob_gather(const Napi::CallbackInfo& info);

  Napi::Value linear_backward(const Napi::CallbackInfo& info);
  Napi::Value rmsnorm_backward(const Napi::CallbackInfo& info);
  Napi::Value swiglu_backward(const Napi::CallbackInfo& info);
  Napi::Value attention_backward(const Napi::CallbackInfo& info);
  Napi::Value logprob_gather_backward(const Napi::CallbackInfo& info);
  Napi::Value adamw(const Napi::CallbackInfo& info);

  Napi::Value time(const Napi::CallbackInfo& info);
  Napi::Value peaks(const Napi::CallbackInfo& info);

  // An array of floats that an op gives back, by its name in the result.
  struct Output {
    const char* name;
    size_t elements;
  };
  // Runs `work(backend, arrays)` on the thread; resolves with the arrays that it wrote by name, or with the
  // array itself where there is but one.
  Napi::Value run_op(Napi::Env env, std::vector<Output> outputs,
                     std::function<void(Backend&, const std::vector<float*>&)> work);
  Napi::Value submit(std::unique_ptr<Job> job);

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<KernelsWorker> worker_;
};

// benchmarkOps(): every op that `time` takes, { op, sizes, shapes }.
Napi::Value benchmark_ops(const Napi::CallbackInfo& info);

}  // namespace coppice::binding
