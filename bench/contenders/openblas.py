"""OpenBLAS as a contender for products."""

from native_gemm import main

if __name__ == "__main__":
    main("openblas", "openblas_gemm.cpp", "cblas.h", "openblas", "libopenblas-dev")
