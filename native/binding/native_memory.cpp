#include "binding/native_memory.h"

#include <cstring>
#include <new>
#include <utility>

namespace coppice::binding {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

void FreeBlock::operator()(void* data) const noexcept {
  ::operator delete(data, kAlignment);
}

Block allocate_block(size_t bytes) {
  if (bytes == 0) return {};
  return {std::unique_ptr<void, FreeBlock>(::operator new(bytes, kAlignment)), bytes};
}

Napi::ArrayBuffer to_array_buffer(Napi::Env env, Environment& environment, Block block) {
  if (block.bytes > 0 && environment.external_buffers) {
    napi_value buffer = nullptr;
    const auto free_block = [](napi_env, void* data, void*) { FreeBlock()(data); };
    const napi_status status =
        napi_create_external_arraybuffer(env, block.data.get(), block.bytes, free_block, nullptr, &buffer);
    if (status == napi_ok) {
      block.data.release();
      return Napi::ArrayBuffer(env, buffer);
    }
    if (status != napi_no_external_buffers_allowed) {
      throw Napi::Error::New(env, "an ArrayBuffer over native memory could not be made");
    }
    environment.external_buffers = false;
  }
  Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, block.bytes);
  if (block.bytes > 0) std::memcpy(copy.Data(), block.data.get(), block.bytes);
  return copy;
}

Napi::Float32Array to_float32_array(Napi::Env env, Environment& environment, Block block) {
  const size_t length = block.bytes / sizeof(float);
  return Napi::Float32Array::New(env, length, to_array_buffer(env, environment, std::move(block)), 0);
}

Napi::Int32Array to_int32_array(Napi::Env env, Environment& environment, Block block) {
  const size_t length = block.bytes / sizeof(int32_t);
  return Napi::Int32Array::New(env, length, to_array_buffer(env, environment, std::move(block)), 0);
}

}  // namespace coppice::binding
