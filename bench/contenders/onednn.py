"""oneDNN as a contender for products."""

from native_gemm import main

if __name__ == "__main__":
    main("onednn", "onednn_gemm.cpp", "oneapi/dnnl/dnnl.hpp", "dnnl", "libdnnl-dev")
