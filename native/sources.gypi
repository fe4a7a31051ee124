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
      "native/cpu/adamw.cpp",
      "native/cpu/attention.cpp",
      "native/cpu/attention_backward.cpp",
      "native/cpu/attention_keys.cpp",
      "native/cpu/cpu_backend.cpp",
      "native/cpu/elementwise.cpp",
      "native/cpu/embedding.cpp",
      "native/cpu/gemm.cpp",
      "native/cpu/gemm_tile.cpp",
      "native/cpu/head.cpp",
      "native/cpu/head_logits.cpp",
      "native/cpu/linear.cpp",
      "native/cpu/pack.cpp",
      "native/cpu/parameter.cpp",
      "native/cpu/policy_loss.cpp",
      "native/cpu/rmsnorm.cpp",
      "native/cpu/rope.cpp",
      "native/cpu/sample.cpp",
      "native/cpu/sample_select.cpp",
      "native/cpu/swiglu.cpp"
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
    "native_binding_sources": []
  }
}
