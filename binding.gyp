# The addon by node-gyp, for the CPU only: for machines without CMake. CMakeLists.txt is the full build; both read the one list of
# files in native/sources.gypi.
{
  "includes": ["native/sources.gypi"],
  "target_defaults": {
    "include_dirs": ["native"],
    # What a result's bits rest on: no contraction of products and sums, no reordering.
    "cflags": ["-Wall", "-Wextra", "-Wpedantic", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"],
    "cflags!": ["-fno-exceptions"],
    "cflags_cc": ["-std=c++20", "-fvisibility-inlines-hidden"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "xcode_settings": {
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_ENABLE_CPP_RTTI": "YES",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "CLANG_CXX_LIBRARY": "libc++",
      "MACOSX_DEPLOYMENT_TARGET": "12.0",
      "OTHER_CFLAGS": ["-ffp-contract=off", "-fno-math-errno"]
    }
  },
  "targets": [
    {
      "target_name": "coppice_cpu_portable",
      "type": "static_library",
      "sources": ["<@(native_isa_sources)"],
      "defines": ["COPPICE_ISA=portable", "COPPICE_PORTABLE"]
    },
    {
      "target_name": "coppice",
      "sources": [
        "<@(native_sources)",
        "<@(native_engine_sources)",
        "<@(native_bench_sources)",
        "<@(native_binding_sources)"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=9",
        "NAPI_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "COPPICE_VERSION=\"<!(node -p \"require('./package.json').version\")\""
      ],
      "dependencies": ["coppice_cpu_portable"],
      "conditions": [
        ["target_arch=='x64'", {"dependencies": ["coppice_cpu_avx2", "coppice_cpu_avx512", "coppice_cpu_avx512bf16"]}],
        ["target_arch=='arm64'", {"dependencies": ["coppice_cpu_neon"]}]
      ]
    }
  ],
  "conditions": [
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "coppice_cpu_avx2",
          "type": "static_library",
          "sources": ["<@(native_isa_sources)"],
          "defines": ["COPPICE_ISA=avx2"],
          "cflags": ["-mavx2", "-mfma"],
          "xcode_settings": {"OTHER_CFLAGS": ["-mavx2", "-mfma"]}
        },
        {
          "target_name": "coppice_cpu_avx512",
          "type": "static_library",
          "sources": ["<@(native_isa_sources)"],
          "defines": ["COPPICE_ISA=avx512"],
          "cflags": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
          "xcode_settings": {
            "OTHER_CFLAGS": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"]
          }
        },
        {
          "target_name": "coppice_cpu_avx512bf16",
          "type": "static_library",
          "sources": ["<@(native_isa_sources)"],
          "defines": ["COPPICE_ISA=avx512bf16"],
          "cflags": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512bf16", "-mavx2", "-mfma"],
          "xcode_settings": {
            "OTHER_CFLAGS": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512bf16", "-mavx2", "-mfma"]
          }
        }
      ]
    }],
    ["target_arch=='arm64'", {
      "targets": [
        {
          "target_name": "coppice_cpu_neon",
          "type": "static_library",
          "sources": ["<@(native_isa_sources)"],
          "defines": ["COPPICE_ISA=neon"]
        }
      ]
    }]
  ]
}
