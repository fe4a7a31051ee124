#include "binding/device_memory.h"

namespace coppice::binding {

DeviceSequences::Host::Host(const std::vector<int32_t>& offsets) {
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int32_t length = offsets[i + 1] - offsets[i];
    if (length == 0) continue;
    segments.push_back({offsets[i], length, -1, 0, static_cast<int32_t>(page_table.size())});
    for (int64_t block = 0; block * kKeyBlock < length; ++block) {
      page_table.push_back(static_cast<int32_t>(page_table.size()));
    }
  }
}

DeviceSequences::DeviceSequences(Backend& backend, const std::vector<int32_t>& offsets, int64_t kv_cols)
    : DeviceSequences(backend, Host(offsets), kv_cols) {}

DeviceSequences::DeviceSequences(Backend& backend, const Host& host, int64_t kv_cols)
    : segment_count_(static_cast<int32_t>(host.segments.size())),
      segments_(backend, host.segments),
      page_table_(backend, host.page_table),
      keys_(backend, host.page_rows(), kv_cols),
      values_(backend, host.page_rows(), kv_cols) {
  // Slots past a sequence's last position are never read for their value, but must hold finite numbers.
  keys_.zero();
  values_.zero();
}

}  // namespace coppice::binding
