// Keys and values of all layers in reference-counted pages of kKeyBlock positions. A page id means the same
// place in every layer.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/memory.h"
#include "engine/model_config.h"

namespace coppice {

class KvCache {
 public:
  KvCache(Backend& backend, const ModelConfig& config, int32_t page_count);

  // Bytes of one page over `layers` layers.
  static uint64_t page_bytes(const ModelConfig& config, int32_t layers);

  int32_t page_count() const { return page_count_; }
  int32_t free_pages() const { return static_cast<int32_t>(free_.size()); }
  int32_t take();            // a page with one reference; INTERNAL when none is free (callers reserve first)
  void share(int32_t page);  // one more reference
  void drop(int32_t page);
  void drop_all();  // back to empty, whatever is referenced

  const std::vector<KvPages>& layers() const { return layers_; }
  // Copies the first `slots` positions of a page in every layer.
  void copy_slots(Context& context, int32_t to_page, int32_t from_page, int32_t slots) const;

 private:
  AttentionShape shape_;
  int32_t page_count_;
  Buffer memory_;
  std::vector<KvPages> layers_;
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;
};

// Blocks that `positions` positions take.
inline int32_t blocks_of(int64_t positions) {
  return static_cast<int32_t>((positions + kKeyBlock - 1) / kKeyBlock);
}

// Carves one layer's pages for a batch whose keys are read inside the layer only (training, scoring).
KvPages carve_pages(Carver& carver, const ModelConfig& config, int32_t page_count);

}  // namespace coppice
