// Opens what a new worker works with and hands the wrapped object to JavaScript; a worker that could not open
// is retired.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "binding/worker.h"

namespace coppice::binding {

class OpenJob final : public Job {
 public:
  OpenJob(Napi::Env env, std::shared_ptr<Worker> worker, std::function<void()> open,
          std::function<Napi::Value()> wrap)
      : Job(env, nullptr), worker_(std::move(worker)), open_(std::move(open)), wrap_(std::move(wrap)) {}

 private:
  void execute() override { open_(); }
  Napi::Value result(Napi::Env) override { return wrap_(); }
  void on_failure() override { worker_->retire(nullptr); }

  std::shared_ptr<Worker> worker_;
  std::function<void()> open_;
  std::function<Napi::Value()> wrap_;
};

}  // namespace coppice::binding
