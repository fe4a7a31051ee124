// What the addon exports: NativeAddon of src/native/types.ts.
#include <napi.h>

#include <string>

#include "backend/backend.h"
#include "base/thread_pool.h"
#include "binding/arguments.h"
#include "binding/engine_object.h"
#include "binding/environment.h"
#include "binding/generation_object.h"
#include "binding/kernels_object.h"
#include "binding/options.h"
#include "binding/policy_loss_binding.h"
#include "binding/stop_flag_object.h"

namespace coppice::binding {
namespace {

// machine(): NativeMachine
Napi::Value machine(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    Napi::Array sets = Napi::Array::New(env);
    const std::string names = available_instruction_sets();
    for (size_t begin = 0; begin < names.size();) {
      const size_t end = std::min(names.find(", ", begin), names.size());
      sets.Set(sets.Length(), names.substr(begin, end - begin));
      begin = end + 2;
    }
    Napi::Object machine = Napi::Object::New(env);
    machine.Set("cores", available_cores());
    machine.Set("instructionSets", sets);
#if defined(COPPICE_CUDA)
    machine.Set("cuda", true);
#else
    machine.Set("cuda", false);
#endif
    machine.Set("externalBuffers", Environment::of(env)->external_buffers);
    return machine;
  });
}

// planMemory(config, options, request): what `plan` of such an engine would say. It allocates little and is
// done at once.
Napi::Value plan_memory_of(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    ModelConfig config = read_model_config(info[0]);
    config.heads = read_heads(info[1]);
    const MemoryPlan plan = plan_memory(config, read_backend_options(info[1]), read_compute_dtype(info[1]),
                                        read_memory_request(info[2]));
    return plan_to_js(info.Env(), plan);
  });
}

// addressOf(view): bigint. For the tests that prove that nothing is copied.
Napi::Value address_of(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    if (!info[0].IsTypedArray()) fail(ErrorCode::kInvalidArgument, "addressOf: expected a typed array");
    void* data = nullptr;
    napi_get_typedarray_info(info.Env(), info[0], nullptr, nullptr, &data, nullptr, nullptr);
    return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(reinterpret_cast<uintptr_t>(data)));
  });
}

// useExternalBuffers(boolean): false gives what runtimes that forbid them get, a copy.
Napi::Value use_external_buffers(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    Environment::of(info.Env())->external_buffers = read_bool(info[0], "useExternalBuffers");
    return info.Env().Undefined();
  });
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  Environment::attach(env);
  Environment& environment = *Environment::of(env);
  const Napi::Function stop_flag = StopFlagObject::define(env);
  environment.stop_flag_class = Napi::Persistent(stop_flag);
  environment.engine_class = Napi::Persistent(EngineObject::define(env));
  environment.generation_class = Napi::Persistent(GenerationObject::define(env));
  environment.kernels_class = Napi::Persistent(KernelsObject::define(env));
  exports.Set("StopFlag", stop_flag);
  exports.Set("openEngine", Napi::Function::New<EngineObject::open>(env, "openEngine"));
  exports.Set("openKernels", Napi::Function::New<KernelsObject::open>(env, "openKernels"));
  exports.Set("benchmarkOps", Napi::Function::New<benchmark_ops>(env, "benchmarkOps"));
  exports.Set("policyLoss", Napi::Function::New<policy_loss>(env, "policyLoss"));
  exports.Set("planMemory", Napi::Function::New<plan_memory_of>(env, "planMemory"));
  exports.Set("machine", Napi::Function::New<machine>(env, "machine"));
  exports.Set("addressOf", Napi::Function::New<address_of>(env, "addressOf"));
  exports.Set("useExternalBuffers", Napi::Function::New<use_external_buffers>(env, "useExternalBuffers"));
  exports.Set("version", COPPICE_VERSION);
  return exports;
}

NODE_API_MODULE(coppice, initialise)

}  // namespace
}  // namespace coppice::binding
