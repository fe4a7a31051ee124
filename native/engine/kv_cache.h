// Keys and values of all layers in reference-counted pages of kKeyBlock positions. A page id means the same
// place in every layer.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/memory.h"
#include "engine/model_config.h"

namespace coppice {

// Memory that one generation leaves for the next: fetching and clearing hundreds of megabytes of cache anew
// costs as much as many decoding steps. What lies in it is finite, as slots that are not yet written must be.
class KeptMemory {
 public:
  explicit KeptMemory(Backend& backend) : backend_(&backend) {}
  Buffer take(size_t bytes);
  void give_back(Buffer memory);
  void reserve(size_t bytes) { give_back(take(bytes)); }

 private:
  Backend* backend_;
  Buffer kept_;
};

class KvCache {
 public:
  KvCache(KeptMemory& source, const ModelConfig& config, int32_t page_count);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  // Bytes of one page over `layers` layers.
  static uint64_t page_bytes(const ModelConfig& config, int32_t layers);

  int32_t free_pages() const { return static_cast<int32_t>(free_.size()); }
  int32_t take();            // a page with one reference; INTERNAL when none is free (callers reserve first)
  void share(int32_t page);  // one more reference
  void drop(int32_t page);
  void drop_all();  // back to empty, whatever is referenced
  // Something that is not finite was computed: the memory is not to be used again.
  void spoil() { spoiled_ = true; }

  const std::vector<KvPages>& layers() const { return layers_; }
  // Copies the first `slots` positions of a page in every layer.
  void copy_slots(Context& context, int32_t to_page, int32_t from_page, int32_t slots) const;

 private:
  AttentionShape shape_;
  int32_t page_count_;
  KeptMemory& source_;
  Buffer memory_;
  bool spoiled_ = false;
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
