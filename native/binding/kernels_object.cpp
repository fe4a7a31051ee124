#include "binding/kernels_object.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "binding/arguments.h"
#include "binding/kernel_ops.h"
#include "binding/kernel_timing.h"
#include "binding/open_job.h"
#include "binding/options.h"

namespace coppice::binding {
namespace {

// Sizes whose products stay far from the end of 64 bits.
constexpr int64_t kMaxSize = int64_t{1} << 30;

int64_t read_size(const Napi::Value& value, const char* name) {
  return read_integer(value, name, 1, kMaxSize);
}

void require_elements(const ArrayArgument<float>& array, int64_t rows, int64_t cols, const char* name) {
  if (array.length == static_cast<size_t>(rows * cols)) return;
  fail(ErrorCode::kShapeMismatch, "%s: expected %lld x %lld values; received %zu", name,
       static_cast<long long>(rows), static_cast<long long>(cols), array.length);
}

// How many rows of `cols` an array has.
int64_t rows_of(const ArrayArgument<float>& array, int64_t cols, const char* name) {
  if (array.length == 0 || array.length % static_cast<size_t>(cols) != 0) {
    fail(ErrorCode::kShapeMismatch, "%s: expected rows of %lld values; received %zu values", name,
         static_cast<long long>(cols), array.length);
  }
  return static_cast<int64_t>(array.length) / cols;
}

}  // namespace

Napi::Function KernelsObject::define(Napi::Env env) {
  return DefineClass(
      env, "Kernels",
      {InstanceAccessor<&KernelsObject::info>("info"), InstanceMethod<&KernelsObject::dispose>("dispose"),
       InstanceMethod<&KernelsObject::matmul>("matmul"), InstanceMethod<&KernelsObject::rmsnorm>("rmsnorm"),
       InstanceMethod<&KernelsObject::swiglu>("swiglu"),
       InstanceMethod<&KernelsObject::attention>("attention"),
       InstanceMethod<&KernelsObject::logprob_gather>("logprobGather"),
       InstanceMethod<&KernelsObject::time>("time"), InstanceMethod<&KernelsObject::peaks>("peaks")});
}

Napi::Value KernelsObject::open(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const BackendOptions options = read_backend_options(info[0]);
    const std::shared_ptr<Environment> environment = Environment::of(info.Env());
    const auto worker = std::make_shared<KernelsWorker>(environment);
    worker->start();
    return worker->submit(std::make_unique<OpenJob>(
        info.Env(), worker, [worker = worker.get(), options] { worker->open(options); },
        [environment, worker]() -> Napi::Value {
          environment->handed_over = worker;
          return environment->kernels_class.New({});
        }));
  });
}

KernelsObject::KernelsObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info),
      environment_(Environment::of(info.Env())),
      worker_(std::dynamic_pointer_cast<KernelsWorker>(std::exchange(environment_->handed_over, nullptr))) {
  if (worker_ == nullptr) throw Napi::TypeError::New(info.Env(), "kernels are made by openKernels");
}

KernelsObject::~KernelsObject() {
  if (worker_ != nullptr) worker_->retire(nullptr);
}

Napi::Value KernelsObject::info(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), worker_->info());
}

Napi::Value KernelsObject::dispose(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    std::unique_ptr<Job> last = make_job(info.Env(), [](StopFlag&) {});
    const Napi::Promise promise = last->promise();
    worker_->retire(std::move(last));
    return promise;
  });
}

template <typename Work>
std::unique_ptr<Job> KernelsObject::make_op(Napi::Env env, size_t elements, Work work) {
  const auto block = std::make_shared<Block>();
  return make_job(
      env, nullptr,
      [worker = worker_.get(), block, elements, work = std::move(work)](StopFlag&) {
        *block = allocate_block(elements * sizeof(float));
        work(worker->backend(), block->at<float>(0));
      },
      [environment = environment_, block](Napi::Env e) -> Napi::Value {
        return to_float32_array(e, *environment, std::move(*block));
      });
}

Napi::Value KernelsObject::submit(std::unique_ptr<Job> job) {
  job->keep(Value());
  return worker_->submit(std::move(job));
}

Napi::Value KernelsObject::matmul(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto inp = read_array<float>(info[0], "inp"), weight = read_array<float>(info[1], "weight");
    const int64_t rows = read_size(info[2], "rows"), cols = read_size(info[3], "cols"),
                  inner = read_size(info[4], "inner");
    require_elements(inp, rows, inner, "inp");
    require_elements(weight, cols, inner, "weight");
    std::unique_ptr<Job> job = make_op(
        info.Env(), static_cast<size_t>(rows * cols),
        [inp = inp.values(), weight = weight.values(), rows, cols, inner](Backend& backend, float* out) {
          run_matmul(backend, out, inp.data(), weight.data(), rows, cols, inner);
        });
    return submit(std::move(job));
  });
}

Napi::Value KernelsObject::rmsnorm(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto inp = read_array<float>(info[0], "inp"), weight = read_array<float>(info[1], "weight");
    const int64_t rows = read_size(info[2], "rows");
    const double eps = read_number(info[3], "eps");
    const auto cols = static_cast<int64_t>(weight.length);
    require_elements(inp, rows, cols, "inp");
    std::unique_ptr<Job> job = make_op(
        info.Env(), inp.length,
        [inp = inp.values(), weight = weight.values(), rows, cols, eps](Backend& backend, float* out) {
          run_rmsnorm(backend, out, inp.data(), weight.data(), rows, cols, static_cast<float>(eps));
        });
    return submit(std::move(job));
  });
}

Napi::Value KernelsObject::swiglu(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto gate_up = read_array<float>(info[0], "gateUp");
    const int64_t rows = read_size(info[1], "rows");
    const int64_t cols = static_cast<int64_t>(gate_up.length) / rows / 2;
    require_elements(gate_up, rows, 2 * cols, "gateUp");
    std::unique_ptr<Job> job =
        make_op(info.Env(), static_cast<size_t>(rows * cols),
                [gate_up = gate_up.values(), rows, cols](Backend& backend, float* out) {
                  run_swiglu(backend, out, gate_up.data(), rows, cols);
                });
    return submit(std::move(job));
  });
}

Napi::Value KernelsObject::attention(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto q = read_array<float>(info[0], "q"), k = read_array<float>(info[1], "k"),
               v = read_array<float>(info[2], "v");
    const Napi::Object given = read_object(info[4], "shape");
    AttentionShape shape;
    shape.num_heads = static_cast<int32_t>(read_integer(given.Get("numHeads"), "shape.numHeads", 1, 1 << 20));
    shape.num_kv_heads =
        static_cast<int32_t>(read_integer(given.Get("numKvHeads"), "shape.numKvHeads", 1, 1 << 20));
    shape.head_dim = static_cast<int32_t>(read_integer(given.Get("headDim"), "shape.headDim", 1, 1 << 10));
    shape.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
    const int64_t rows = rows_of(q, int64_t{shape.num_heads} * shape.head_dim, "q");
    require_elements(k, rows, int64_t{shape.num_kv_heads} * shape.head_dim, "k");
    require_elements(v, rows, int64_t{shape.num_kv_heads} * shape.head_dim, "v");
    std::vector<int32_t> offsets = read_offsets(info[3], "offsets", static_cast<size_t>(rows));
    if (offsets.front() != 0 || offsets.back() != rows) {
      fail(ErrorCode::kShapeMismatch,
           "offsets: expected entries from 0 to %lld, the number of rows; received %d to %d",
           static_cast<long long>(rows), offsets.front(), offsets.back());
    }
    std::unique_ptr<Job> job =
        make_op(info.Env(), q.length,
                [q = q.values(), k = k.values(), v = v.values(), offsets = std::move(offsets), shape](
                    Backend& backend, float* out) {
                  run_attention(backend, out, q.data(), k.data(), v.data(), offsets, shape);
                });
    return submit(std::move(job));
  });
}

Napi::Value KernelsObject::logprob_gather(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto hidden = read_array<float>(info[0], "hidden"), head = read_array<float>(info[1], "head");
    const auto targets = read_array<int32_t>(info[2], "targets");
    const auto temperature = read_optional_array<float>(info[3], "temperature");
    const int64_t cols = read_size(info[4], "hiddenSize");
    const auto count = static_cast<int64_t>(targets.length);
    require_elements(hidden, count, cols, "hidden");
    const int64_t vocab = rows_of(head, cols, "head");
    std::vector<float> temperatures(targets.length, 1.0f);
    if (temperature.given) {
      require_length(temperature.length, targets.length, "temperature", "a target");
      temperatures = temperature.values();
    }
    for (size_t i = 0; i < temperatures.size(); ++i) {
      if (temperatures[i] > 0.0f && std::isfinite(temperatures[i])) continue;
      fail(ErrorCode::kInvalidArgument, "temperature: entry %zu: expected a finite number > 0; received %g",
           i, static_cast<double>(temperatures[i]));
    }
    const auto logprobs = std::make_shared<Block>(), entropies = std::make_shared<Block>();
    std::unique_ptr<Job> job = make_job(
        info.Env(), nullptr,
        [worker = worker_.get(), logprobs, entropies, hidden = hidden.values(), head = head.values(),
         targets = targets.values(), temperatures = std::move(temperatures), count, vocab, cols](StopFlag&) {
          *logprobs = allocate_block(temperatures.size() * sizeof(float));
          *entropies = allocate_block(temperatures.size() * sizeof(float));
          if (count == 0) return;
          run_logprob_gather(worker->backend(), logprobs->at<float>(0), entropies->at<float>(0),
                             hidden.data(), head.data(), targets.data(), temperatures.data(), count, vocab,
                             cols);
        },
        [environment = environment_, logprobs, entropies](Napi::Env env) -> Napi::Value {
          Napi::Object result = Napi::Object::New(env);
          result.Set("logprobs", to_float32_array(env, *environment, std::move(*logprobs)));
          result.Set("entropies", to_float32_array(env, *environment, std::move(*entropies)));
          return result;
        });
    return submit(std::move(job));
  });
}

Napi::Value KernelsObject::time(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const std::string op = read_string(info[0], "op");
    const Napi::Object given = read_object(info[1], "shape");
    OpShape shape;
    const Napi::Array names = given.GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); ++i) {
      const std::string name = read_string(names.Get(i), "shape");
      shape[name] = read_size(given.Get(name), ("shape." + name).c_str());
    }
    const int64_t repeats = read_size(info[2], "repeats"),
                  warmup = read_integer(info[3], "warmup", 0, kMaxSize);
    const DType dtype = read_compute_dtype(info[4]);
    const auto seconds = std::make_shared<std::vector<double>>();
    return submit(make_job(
        info.Env(), nullptr,
        [worker = worker_.get(), op, shape, dtype, repeats, warmup, seconds](StopFlag& stop) {
          *seconds = time_op(worker->backend(), op, shape, dtype, repeats, warmup, stop);
        },
        [seconds](Napi::Env env) -> Napi::Value {
          Napi::Float64Array array = Napi::Float64Array::New(env, seconds->size());
          std::copy(seconds->begin(), seconds->end(), array.Data());
          return array;
        }));
  });
}

Napi::Value KernelsObject::peaks(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const int64_t bytes = info[0].IsUndefined()
                              ? kMaxSafeInteger
                              : read_integer(info[0], "workingSetBytes", 1, kMaxSafeInteger);
    struct Rates {
      double gflops, gflops_bf16, gbytes;
      bool has_bf16;
    };
    const auto rates = std::make_shared<Rates>();
    return submit(make_job(
        info.Env(), nullptr,
        [worker = worker_.get(), bytes, rates](StopFlag&) {
          bench::MachinePeaks& peaks = worker->peaks();
          *rates = {peaks.gflops(DType::kF32), peaks.gflops(DType::kBF16),
                    peaks.gbytes(static_cast<size_t>(bytes)), peaks.has_bf16()};
        },
        [rates](Napi::Env env) -> Napi::Value {
          Napi::Object result = Napi::Object::New(env);
          result.Set("gflops", rates->gflops);
          result.Set("gflopsBf16", rates->gflops_bf16);
          result.Set("hasBf16", rates->has_bf16);
          result.Set("gbytes", rates->gbytes);
          return result;
        }));
  });
}

}  // namespace coppice::binding
