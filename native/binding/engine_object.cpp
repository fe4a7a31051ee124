#include "binding/engine_object.h"

#include <utility>

#include "binding/arguments.h"
#include "binding/native_memory.h"
#include "binding/open_job.h"
#include "binding/options.h"

// Opening, describing and disposing an engine, and what reads and writes its parameters. The work on rollouts
// is in engine_work.cpp.

namespace coppice::binding {
Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {InstanceAccessor<&EngineObject::info>("info"),
                      InstanceAccessor<&EngineObject::tensors>("tensors"),
                      InstanceAccessor<&EngineObject::allocated_bytes>("allocatedBytes"),
                      InstanceAccessor<&EngineObject::version>("version"),
                      InstanceAccessor<&EngineObject::optimizer_step>("optimizerStep"),
                      InstanceAccessor<&EngineObject::has_optimizer_state>("hasOptimizerState"),
                      InstanceMethod<&EngineObject::dispose>("dispose"),
                      InstanceMethod<&EngineObject::init_random>("initRandom"),
                      InstanceMethod<&EngineObject::load>("load"),
                      InstanceMethod<&EngineObject::save>("save"),
                      InstanceMethod<&EngineObject::read_tensor>("readTensor"),
                      InstanceMethod<&EngineObject::write_tensor>("writeTensor"),
                      InstanceMethod<&EngineObject::save_gradients>("saveGradients"),
                      InstanceMethod<&EngineObject::read_gradient>("readGradient"),
                      InstanceMethod<&EngineObject::save_optimizer>("saveOptimizer"),
                      InstanceMethod<&EngineObject::load_optimizer>("loadOptimizer"),
                      InstanceMethod<&EngineObject::read_moments>("readMoments"),
                      InstanceMethod<&EngineObject::write_moments>("writeMoments"),
                      InstanceMethod<&EngineObject::score>("score"),
                      InstanceMethod<&EngineObject::top_log_probs>("topLogprobs"),
                      InstanceMethod<&EngineObject::grad>("grad"),
                      InstanceMethod<&EngineObject::values>("values"),
                      InstanceMethod<&EngineObject::update>("update"),
                      InstanceMethod<&EngineObject::generate>("generate"),
                      InstanceMethod<&EngineObject::plan>("plan"),
                      InstanceMethod<&EngineObject::reserve>("reserve")});
}

Napi::Value EngineObject::open(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    ModelConfig config = read_model_config(info[0]);
    config.heads = read_heads(info[1]);
    const BackendOptions options = read_backend_options(info[1]);
    const DType dtype = read_compute_dtype(info[1]);
    const std::shared_ptr<Environment> environment = Environment::of(info.Env());
    const auto worker = std::make_shared<EngineWorker>(environment);
    worker->start();
    return worker->submit(std::make_unique<OpenJob>(
        info.Env(), worker,
        [worker = worker.get(), config, options, dtype] { worker->open(config, options, dtype); },
        [environment, worker]() -> Napi::Value {
          environment->handed_over = worker;
          return environment->engine_class.New({});
        }));
  });
}

EngineObject::EngineObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info),
      environment_(Environment::of(info.Env())),
      worker_(std::dynamic_pointer_cast<EngineWorker>(std::exchange(environment_->handed_over, nullptr))) {
  if (worker_ == nullptr) throw Napi::TypeError::New(info.Env(), "an engine is made by openEngine");
}

// Collected without dispose(): nothing can be under way, since every job keeps its engine alive.
EngineObject::~EngineObject() {
  if (worker_ != nullptr) worker_->retire(nullptr);
}

Napi::Value EngineObject::info(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), worker_->description().backend);
}

Napi::Value EngineObject::tensors(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::vector<TensorSpec>& specs = worker_->description().tensors;
  Napi::Array tensors = Napi::Array::New(env, specs.size());
  for (uint32_t i = 0; i < specs.size(); ++i) {
    Napi::Array shape = Napi::Array::New(env, specs[i].shape.size());
    for (uint32_t d = 0; d < specs[i].shape.size(); ++d) shape.Set(d, static_cast<double>(specs[i].shape[d]));
    Napi::Object tensor = Napi::Object::New(env);
    tensor.Set("name", specs[i].name);
    tensor.Set("shape", shape);
    tensors.Set(i, tensor);
  }
  return tensors;
}

Napi::Value EngineObject::allocated_bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(worker_->held_bytes()));
}

Napi::Value EngineObject::version(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(worker_->facts().version.load()));
}

Napi::Value EngineObject::optimizer_step(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(worker_->facts().optimizer_step.load()));
}

Napi::Value EngineObject::has_optimizer_state(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), worker_->facts().has_optimizer_state.load());
}

Napi::Value EngineObject::dispose(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    std::unique_ptr<Job> last = make_job(info.Env(), [](StopFlag&) {});
    const Napi::Promise promise = last->promise();
    worker_->retire(std::move(last));
    return promise;
  });
}

Napi::Value EngineObject::submit(std::unique_ptr<Job> job) {
  job->keep(Value());
  return worker_->submit(std::move(job));
}

// ---- parameters, gradients and moments ----

Napi::Value EngineObject::init_random(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    worker_->require_no_generation("initRandom");
    const uint64_t seed = read_uint64(info[0], "seed");
    return submit(make_job(
        info.Env(), [worker = worker_.get(), seed](StopFlag&) { worker->engine().init_random(seed); }));
  });
}

Napi::Value EngineObject::load(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    worker_->require_no_generation("load");
    const bool with_masters = read_bool(info[1], "withMasters");
    return submit(
        make_job(info.Env(), [worker = worker_.get(), tensors = read_tensors(info[0]),
                              with_masters](StopFlag&) { worker->engine().load(tensors, with_masters); }));
  });
}

Napi::Value EngineObject::save(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return submit(make_job(info.Env(), [worker = worker_.get(), tensors = read_tensors(info[0])](StopFlag&) {
      worker->engine().save(tensors);
    }));
  });
}

Napi::Value EngineObject::save_gradients(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    return submit(make_job(info.Env(), [worker = worker_.get(), tensors = read_tensors(info[0])](StopFlag&) {
      worker->engine().save_gradients(tensors);
    }));
  });
}

Napi::Value EngineObject::read_tensor(const Napi::CallbackInfo& info) {
  return read_values(info, &Engine::read_tensor);
}

Napi::Value EngineObject::read_gradient(const Napi::CallbackInfo& info) {
  return read_values(info, &Engine::read_gradient);
}

Napi::Value EngineObject::read_moments(const Napi::CallbackInfo& info) {
  return read_values(info, &Engine::read_moments, 2);
}

Napi::Value EngineObject::read_values(const Napi::CallbackInfo& info, ReadValues read, size_t arrays) {
  return guarded(info, [&]() -> Napi::Value {
    const std::string name = read_string(info[0], "name");
    const auto bytes = arrays * static_cast<size_t>(worker_->tensor(name).elements()) * sizeof(float);
    const auto block = std::make_shared<Block>();
    return submit(make_job(
        info.Env(), nullptr,
        [worker = worker_.get(), name, bytes, block, read](StopFlag&) {
          *block = allocate_block(bytes);
          (worker->engine().*read)(name, block->at<float>(0));
        },
        [environment = environment_, block](Napi::Env env) -> Napi::Value {
          return to_float32_array(env, *environment, std::move(*block));
        }));
  });
}

Napi::Value EngineObject::write_tensor(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    worker_->require_no_generation("writeTensor");
    const std::string name = read_string(info[0], "name");
    const ArrayArgument<float> values = read_array<float>(info[1], "values");
    require_length(values.length, static_cast<size_t>(worker_->tensor(name).elements()), name.c_str(),
                   "an element");
    return submit(make_job(info.Env(), [worker = worker_.get(), name, values = values.values()](StopFlag&) {
      worker->engine().write_tensor(name, values.data());
    }));
  });
}

Napi::Value EngineObject::write_moments(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    worker_->require_no_generation("writeMoments");
    const std::string name = read_string(info[0], "name");
    const ArrayArgument<float> values = read_array<float>(info[1], "values");
    require_length(values.length, 2 * static_cast<size_t>(worker_->tensor(name).elements()), name.c_str(),
                   "an element and moment");
    const int64_t step = read_integer(info[2], "step", 0, kMaxSafeInteger);
    return submit(
        make_job(info.Env(), [worker = worker_.get(), name, values = values.values(), step](StopFlag&) {
          worker->engine().write_moments(name, values.data(), step);
        }));
  });
}

Napi::Value EngineObject::save_optimizer(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const std::string path = read_string(info[0], "path");
    const auto m = static_cast<uint64_t>(read_integer(info[1], "mOffset", 0, kMaxSafeInteger));
    const auto v = static_cast<uint64_t>(read_integer(info[2], "vOffset", 0, kMaxSafeInteger));
    return submit(make_job(info.Env(), [worker = worker_.get(), path, m, v](StopFlag&) {
      worker->engine().save_optimizer(path, m, v);
    }));
  });
}

Napi::Value EngineObject::load_optimizer(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    worker_->require_no_generation("loadOptimizer");
    const std::string path = read_string(info[0], "path");
    const auto m = static_cast<uint64_t>(read_integer(info[1], "mOffset", 0, kMaxSafeInteger));
    const auto v = static_cast<uint64_t>(read_integer(info[2], "vOffset", 0, kMaxSafeInteger));
    const int64_t step = read_integer(info[3], "step", 0, kMaxSafeInteger);
    return submit(make_job(info.Env(), [worker = worker_.get(), path, m, v, step](StopFlag&) {
      worker->engine().load_optimizer(path, m, v, step);
    }));
  });
}

}  // namespace coppice::binding
