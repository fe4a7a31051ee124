// Device memory that the host cannot touch: a range of addresses whose pages are open only while a kernel or
// a copy of a guarded device runs, so that a host that reads a device pointer dies on the spot, as it would
// on a machine with a card. Opening costs more than a small kernel, so one device of several is guarded.
#pragma once

#include <cstddef>
#include <map>

namespace coppice::on_host {

class DeviceArena {
 public:
  DeviceArena();
  // Null where the memory is at its limit.
  void* allocate(size_t bytes);
  bool release(void* data);
  void limit(size_t bytes) { limit_ = bytes; }

  // Pages are open as long as one of these lives, and after one that is not guarded.
  class Open {
   public:
    Open(DeviceArena& arena, bool guarded) : arena_(arena), guarded_(guarded) { arena_.protect(true); }
    ~Open() {
      if (guarded_) arena_.protect(false);
    }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    DeviceArena& arena_;
    bool guarded_;
  };

 private:
  void protect(bool open);

  char* base_;
  size_t used_ = 0;       // up to the end of the last piece that was ever handed out
  size_t opened_ = 0;     // of these, from the begin
  size_t allocated_ = 0;  // bytes
  size_t limit_;
  std::map<size_t, size_t> pieces_;  // offset to bytes
};

}  // namespace coppice::on_host
