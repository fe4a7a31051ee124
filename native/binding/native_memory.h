// Blocks of native memory that JavaScript sees as ArrayBuffers without a copy.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>

#include "binding/environment.h"

namespace coppice::binding {

struct FreeBlock {
  void operator()(void* data) const noexcept;
};

// Aligned to 64 bytes, so that any typed array may begin at any multiple of 64 in it.
struct Block {
  std::unique_ptr<void, FreeBlock> data;
  size_t bytes = 0;

  template <typename T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(static_cast<char*>(data.get()) + offset);
  }
};

Block allocate_block(size_t bytes);

// The block becomes the ArrayBuffer's, which frees it; where the runtime forbids that, its bytes are copied.
Napi::ArrayBuffer to_array_buffer(Napi::Env env, Environment& environment, Block block);

// The whole of a block as floats, or as whole numbers.
Napi::Float32Array to_float32_array(Napi::Env env, Environment& environment, Block block);
Napi::Int32Array to_int32_array(Napi::Env env, Environment& environment, Block block);

}  // namespace coppice::binding
