// policyLoss of src/native/types.ts: the op on host arrays, at once, on the JavaScript thread.
#pragma once

#include <napi.h>

namespace coppice::binding {

Napi::Value policy_loss(const Napi::CallbackInfo& info);

}  // namespace coppice::binding
