// What a worker computes on, for NativeEngineInfo of src/native/types.ts.
#pragma once

#include <napi.h>

#include <string>

#include "backend/backend.h"

namespace coppice::binding {

struct BackendInfo {
  std::string device;
  std::string instruction_set;
  int threads = 0;
};

inline BackendInfo info_of(const Backend& backend) {
  return {backend.name(), backend.instruction_set(), backend.threads()};
}

inline Napi::Object to_js(Napi::Env env, const BackendInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("device", info.device);
  object.Set("isa", info.instruction_set);
  object.Set("threads", info.threads);
  return object;
}

}  // namespace coppice::binding
