#include "binding/stop_flag_object.h"

#include "base/error.h"
#include "binding/environment.h"

namespace coppice::binding {
namespace {

// Another class's object is a thrown error and never a wrong pointer.
constexpr napi_type_tag kTag = {0x8d1f5a6c0b7e4f21, 0xa3c94e7712d05b68};

}  // namespace

Napi::Function StopFlagObject::define(Napi::Env env) {
  return DefineClass(env, "StopFlag", {InstanceMethod<&StopFlagObject::set>("set")});
}

StopFlagObject::StopFlagObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

SharedStop StopFlagObject::read(const Napi::Value& value) {
  if (value.IsUndefined()) return nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    fail(ErrorCode::kInvalidArgument, "stop: expected a StopFlag");
  }
  return Unwrap(value.As<Napi::Object>())->flag_;
}

void StopFlagObject::set(const Napi::CallbackInfo& info) {
  flag_->store(true);
  Environment::of(info.Env())->drop_stopped();
}

}  // namespace coppice::binding
