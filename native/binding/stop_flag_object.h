// StopFlag of src/native/types.ts: asks jobs to end early.
#pragma once

#include <napi.h>

#include "binding/job.h"

namespace coppice::binding {

class StopFlagObject final : public Napi::ObjectWrap<StopFlagObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // The flag of a StopFlag; null for undefined. INVALID_ARGUMENT for anything else.
  static SharedStop read(const Napi::Value& value);

  explicit StopFlagObject(const Napi::CallbackInfo& info);

 private:
  void set(const Napi::CallbackInfo& info);

  SharedStop flag_ = std::make_shared<StopFlag>(false);
};

}  // namespace coppice::binding
