#include "engine/device_memory.h"

#include "engine/kv_cache.h"

namespace coppice {

int32_t PackedForest::add(int32_t length, int32_t parent, int32_t position) {
  const int32_t page_begin = static_cast<int32_t>(page_table.size());
  const int64_t shared_blocks = parent < 0 ? 0 : position / kKeyBlock;
  for (int64_t block = 0; block < blocks_of(position + length); ++block) {
    const bool shared = block < shared_blocks;
    page_table.push_back(
        shared ? page_table[static_cast<size_t>(segments[static_cast<size_t>(parent)].page_begin + block)]
               : pages++);
  }
  segments.push_back({rows, length, parent, position, page_begin});
  rows += length;
  return static_cast<int32_t>(segments.size()) - 1;
}

PackedForest PackedForest::of_sequences(const std::vector<int32_t>& offsets) {
  PackedForest forest;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    if (offsets[i + 1] > offsets[i]) forest.add(offsets[i + 1] - offsets[i]);
  }
  return forest;
}

DevicePages::DevicePages(Backend& backend, const PackedForest& forest, int64_t kv_cols)
    : segment_count_(static_cast<int32_t>(forest.segments.size())),
      segments_(backend, forest.segments),
      page_table_(backend, forest.page_table),
      keys_(backend, forest.pages * kKeyBlock, kv_cols),
      values_(backend, forest.pages * kKeyBlock, kv_cols) {
  // Slots past a sequence's last position are never read for their value, but must hold finite numbers.
  keys_.zero();
  values_.zero();
}

}  // namespace coppice
