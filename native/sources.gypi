{
  "variables": {
    "native_sources": [
      "native/base/available_cores.cpp",
      "native/base/error.cpp",
      "native/base/float_environment.cpp",
      "native/base/tensor.cpp",
      "native/base/thread_pool.cpp",
      "native/ops/argument_checks.cpp",
      "native/ops/composites.cpp",
      "native/ops/ops.cpp",
      "native/cpu/cpu_backend_base.cpp",
      "native/cpu/instruction_set.cpp",
      "native/open_backend.cpp"
    ],
    "native_isa_sources": [
      "native/cpu/cpu_backend.cpp"
    ],
    "native_engine_sources": [
      "native/engine/batch.cpp",
      "native/engine/engine.cpp",
      "native/engine/generator.cpp",
      "native/engine/kv_cache.cpp",
      "native/engine/learner.cpp",
      "native/engine/memory.cpp",
      "native/engine/model_config.cpp",
      "native/engine/parameters.cpp",
      "native/engine/tensor_file.cpp",
      "native/engine/transformer.cpp"
    ],
    "native_binding_sources": [
    ]
  }
}
