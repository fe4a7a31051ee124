#include "binding/worker.h"

#include <optional>
#include <system_error>
#include <utility>

#include "binding/environment.h"

namespace coppice::binding {

Failure disposed_failure() {
  return {ErrorCode::kDisposed, "it has been disposed"};
}

Worker::Worker(std::shared_ptr<Environment> environment) : environment_(std::move(environment)) {}
Worker::~Worker() = default;

void Worker::start() {
  try {
    thread_ = std::thread([this] { loop(); });
  } catch (const std::system_error& error) {
    retired_ = true;
    fail(ErrorCode::kOutOfMemory, "the system refused a thread: %s", error.what());
  }
  environment_->add(shared_from_this());
}

Napi::Promise Worker::submit(std::unique_ptr<Job> job) {
  const Napi::Promise promise = job->promise();
  environment_->note_submitted();
  if (retired_) {
    job->fail(disposed_failure());
    complete(std::move(job));
    return promise;
  }
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(job), nullptr});
  }
  wake_.notify_one();
  return promise;
}

void Worker::post(std::function<void(Worker&)> message) {
  if (retired_) return;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({nullptr, std::move(message)});
  }
  wake_.notify_one();
}

void Worker::drop_stopped() {
  std::deque<std::unique_ptr<Job>> dropped;
  {
    const std::lock_guard lock(mutex_);
    for (Item& item : queue_) {
      if (item.job != nullptr && item.job->stop().load()) dropped.push_back(std::move(item.job));
    }
    std::erase_if(queue_, [](const Item& item) { return item.job == nullptr && item.message == nullptr; });
  }
  for (std::unique_ptr<Job>& job : dropped) {
    job->skip();
    complete(std::move(job));
  }
}

void Worker::retire(std::unique_ptr<Job> last) {
  if (last != nullptr) environment_->note_submitted();
  if (retired_) {
    if (last != nullptr) complete(std::move(last));
    return;
  }
  retired_ = true;
  {
    const std::lock_guard lock(mutex_);
    last_ = std::move(last);
    stopping_.store(true);
    if (running_stop_ != nullptr) running_stop_->store(true);
  }
  wake_.notify_one();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::complete(std::unique_ptr<Job> job) {
  environment_->complete(std::move(job));
}

void Worker::loop() {
  for (;;) {
    std::optional<Item> item;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping() || !queue_.empty() || has_idle_work(); });
      if (stopping()) break;
      if (!queue_.empty()) {
        item = std::move(queue_.front());
        queue_.pop_front();
        running_stop_ = item->job == nullptr ? nullptr : item->job->shared_stop();
      }
    }
    if (item.has_value()) {
      run(*std::move(item));
    } else {
      idle_step();
      publish();
    }
  }
  std::deque<Item> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(queue_);
  }
  for (Item& item : waiting) {
    if (item.job == nullptr) continue;
    item.job->fail(disposed_failure());
    complete(std::move(item.job));
  }
  free_all();
  set_held_bytes(0);
  environment_->thread_ended(shared_from_this(), std::move(last_));
}

void Worker::run(Item item) {
  if (item.job == nullptr) {
    item.message(*this);
    publish();
    return;
  }
  Job& job = *item.job;
  job.perform(std::move(item.job), *this);
  const std::lock_guard lock(mutex_);
  running_stop_ = nullptr;
}

}  // namespace coppice::binding
