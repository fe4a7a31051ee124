#include "binding/kernels_object.h"

#include <utility>

#include "binding/kernel_arguments.h"
#include "binding/open_job.h"
#include "binding/options.h"

namespace coppice::binding {

Napi::Function KernelsObject::define(Napi::Env env) {
  return DefineClass(
      env, "Kernels",
      {InstanceAccessor<&KernelsObject::info>("info"), InstanceMethod<&KernelsObject::dispose>("dispose"),
       InstanceMethod<&KernelsObject::linear>("linear"), InstanceMethod<&KernelsObject::rmsnorm>("rmsnorm"),
       InstanceMethod<&KernelsObject::swiglu>("swiglu"), InstanceMethod<&KernelsObject::rope>("rope"),
       InstanceMethod<&KernelsObject::attention>("attention"),
       InstanceMethod<&KernelsObject::logprob_gather>("logprobGather"),
       InstanceMethod<&KernelsObject::linear_backward>("linearBackward"),
       InstanceMethod<&KernelsObject::rmsnorm_backward>("rmsnormBackward"),
       InstanceMethod<&KernelsObject::swiglu_backward>("swigluBackward"),
       InstanceMethod<&KernelsObject::attention_backward>("attentionBackward"),
       InstanceMethod<&KernelsObject::logprob_gather_backward>("logprobGatherBackward"),
       InstanceMethod<&KernelsObject::adamw>("adamw"), InstanceMethod<&KernelsObject::time>("time"),
       InstanceMethod<&KernelsObject::peaks>("peaks")});
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

Napi::Value KernelsObject::run_op(Napi::Env env, std::vector<Output> outputs,
                                  std::function<void(Backend&, const std::vector<float*>&)> work) {
  const auto blocks = std::make_shared<std::vector<Block>>();
  return submit(make_job(
      env, nullptr,
      [worker = worker_.get(), blocks, outputs, work = std::move(work)](StopFlag&) {
        std::vector<float*> arrays;
        for (const Output& output : outputs) {
          blocks->push_back(allocate_block(output.elements * sizeof(float)));
          arrays.push_back(blocks->back().at<float>(0));
        }
        work(worker->backend(), arrays);
      },
      [environment = environment_, blocks, outputs](Napi::Env e) -> Napi::Value {
        if (outputs.size() == 1) return to_float32_array(e, *environment, std::move(blocks->front()));
        Napi::Object result = Napi::Object::New(e);
        for (size_t i = 0; i < outputs.size(); ++i) {
          result.Set(outputs[i].name, to_float32_array(e, *environment, std::move((*blocks)[i])));
        }
        return result;
      }));
}

Napi::Value KernelsObject::submit(std::unique_ptr<Job> job) {
  job->keep(Value());
  return worker_->submit(std::move(job));
}

// linear(inp, weight, bias or undefined, rows, cols, inner)
Napi::Value KernelsObject::linear(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const int64_t rows = read_size(info[3], "rows"), cols = read_size(info[4], "cols"),
                  inner = read_size(info[5], "inner");
    std::vector<float> bias;
    if (!info[2].IsUndefined()) bias = read_matrix(info[2], "bias", 1, cols);
    return run_op(
        info.Env(), {{"out", static_cast<size_t>(rows * cols)}},
        [inp = read_matrix(info[0], "inp", rows, inner), weight = read_matrix(info[1], "weight", cols, inner),
         bias = std::move(bias), rows, cols, inner](Backend& backend, const std::vector<float*>& out) {
          run_linear(backend, out[0], inp.data(), weight.data(), bias.empty() ? nullptr : bias.data(), rows,
                     cols, inner);
        });
  });
}

// rmsnorm(inp, weight, rows, eps)
Napi::Value KernelsObject::rmsnorm(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto weight = read_array<float>(info[1], "weight");
    const int64_t rows = read_size(info[2], "rows"), cols = static_cast<int64_t>(weight.length);
    const double eps = read_number(info[3], "eps");
    return run_op(info.Env(), {{"out", static_cast<size_t>(rows * cols)}},
                  [inp = read_matrix(info[0], "inp", rows, cols), weight = weight.values(), rows, cols, eps](
                      Backend& backend, const std::vector<float*>& out) {
                    run_rmsnorm(backend, out[0], inp.data(), weight.data(), rows, cols,
                                static_cast<float>(eps));
                  });
  });
}

// swiglu(gateUp, rows)
Napi::Value KernelsObject::swiglu(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto given = read_array<float>(info[0], "gateUp");
    const int64_t rows = read_size(info[1], "rows");
    const int64_t cols = static_cast<int64_t>(given.length) / rows / 2;
    return run_op(info.Env(), {{"out", static_cast<size_t>(rows * cols)}},
                  [gate_up = read_matrix(info[0], "gateUp", rows, 2 * cols), rows, cols](
                      Backend& backend, const std::vector<float*>& out) {
                    run_swiglu(backend, out[0], gate_up.data(), rows, cols);
                  });
  });
}

// rope(inp, cosSin, rows, headDim, inverse)
Napi::Value KernelsObject::rope(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto given = read_array<float>(info[0], "inp");
    const int64_t rows = read_size(info[2], "rows"), head_dim = read_integer(info[3], "headDim", 1, 1 << 20);
    const bool inverse = read_bool(info[4], "inverse");
    const int64_t cols = static_cast<int64_t>(given.length) / rows;
    return run_op(info.Env(), {{"out", given.length}},
                  [inp = read_matrix(info[0], "inp", rows, cols),
                   cos_sin = read_matrix(info[1], "cosSin", rows, head_dim), rows, cols, head_dim,
                   inverse](Backend& backend, const std::vector<float*>& out) {
                    run_rope(backend, out[0], inp.data(), cos_sin.data(), rows, cols,
                             static_cast<int32_t>(head_dim), inverse);
                  });
  });
}

// attention(q, k, v, offsets, shape)
Napi::Value KernelsObject::attention(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    AttentionArguments given = read_attention(info, 0);
    const size_t elements = given.q.size();
    return run_op(info.Env(), {{"out", elements}},
                  [given = std::move(given)](Backend& backend, const std::vector<float*>& out) {
                    run_attention(backend, out[0], given.view());
                  });
  });
}

// logprobGather(hidden, head, targets, temperature or undefined, hiddenSize)
Napi::Value KernelsObject::logprob_gather(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    HeadArguments given = read_head(info, 0);
    const size_t count = given.targets.size();
    return run_op(info.Env(), {{"logprobs", count}, {"entropies", count}},
                  [given = std::move(given)](Backend& backend, const std::vector<float*>& out) {
                    run_logprob_gather(backend, out[0], out[1], given.view());
                  });
  });
}

}  // namespace coppice::binding
