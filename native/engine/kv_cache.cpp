#include "engine/kv_cache.h"

#include <utility>

#include "base/error.h"
#include "ops/ops.h"

namespace coppice {
namespace {

// Elements of a page's keys (and as many of its values) in one layer.
size_t page_elements(const ModelConfig& config) {
  return static_cast<size_t>(config.kv_cols()) * static_cast<size_t>(kKeyBlock);
}

}  // namespace

uint64_t KvCache::page_bytes(const ModelConfig& config, int32_t layers) {
  return uint64_t{2} * page_elements(config) * sizeof(float) * static_cast<uint64_t>(layers);
}

Buffer KeptMemory::take(size_t bytes) {
  if (kept_.bytes() >= bytes) return std::move(kept_);
  kept_ = Buffer();  // freed first: the two need not fit side by side
  Buffer memory(*backend_, bytes);
  backend_->zero(memory.data(), memory.bytes());
  return memory;
}

void KeptMemory::give_back(Buffer memory) {
  if (memory.bytes() > kept_.bytes()) kept_ = std::move(memory);
}

KvCache::~KvCache() {
  if (!spoiled_) source_.give_back(std::move(memory_));
}

KvCache::KvCache(KeptMemory& source, const ModelConfig& config, int32_t page_count)
    : shape_(config.attention_shape(0)),
      page_count_(page_count),
      source_(source),
      memory_(source.take(page_bytes(config, config.num_layers) * static_cast<size_t>(page_count))),
      references_(static_cast<size_t>(page_count), 0) {
  const size_t half = page_elements(config) * static_cast<size_t>(page_count);
  for (int32_t l = 0; l < config.num_layers; ++l) {
    float* keys = memory_.f32() + 2 * half * static_cast<size_t>(l);
    layers_.push_back({keys, keys + half, DType::kF32});
  }
  drop_all();
}

int32_t KvCache::take() {
  if (free_.empty()) fail(ErrorCode::kInternal, "key/value cache: no free page of %d", page_count_);
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void KvCache::share(int32_t page) {
  ++references_[static_cast<size_t>(page)];
}

void KvCache::drop(int32_t page) {
  if (--references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

void KvCache::drop_all() {
  free_.clear();
  for (int32_t page = page_count_ - 1; page >= 0; --page) {
    free_.push_back(page);
    references_[static_cast<size_t>(page)] = 0;
  }
}

void KvCache::copy_slots(Context& context, int32_t to_page, int32_t from_page, int32_t slots) const {
  for (const KvPages& pages : layers_) ops::kv_copy(context, pages, to_page, from_page, slots, shape_);
}

KvPages carve_pages(Carver& carver, const ModelConfig& config, int32_t page_count) {
  const int64_t elements = static_cast<int64_t>(page_elements(config)) * page_count;
  float* keys = carver.floats(elements);
  float* values = carver.floats(elements);
  return {keys, values, DType::kF32};
}

}  // namespace coppice
