#!/usr/bin/env bash
# Compiles kernels/*.cu for every architecture that ships, warnings as errors, and keeps the
# registers-and-spills report in build-cuda/ptxas.txt. No card is needed; without nvcc it says so and ends with 3.
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=$(command -v nvcc || true)
[ -x /usr/local/cuda/bin/nvcc ] && nvcc=/usr/local/cuda/bin/nvcc
[ -n "${CUDA_HOME:-}" ] && nvcc=$CUDA_HOME/bin/nvcc
if [ -z "$nvcc" ]; then
  echo "NOT RUN: the CUDA sources were not compiled: no nvcc in CUDA_HOME, /usr/local/cuda or PATH"
  exit 3
fi
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake -S . -B build-cuda "${generator[@]}" -DCOPPICE_CUDA=ON -DCOPPICE_NVCC="$nvcc" -DCOPPICE_TESTS=OFF \
  -DCMAKE_CUDA_FLAGS="-Xptxas=-v" "${launcher[@]}" >build-cuda.configure.log 2>&1 || { cat build-cuda.configure.log; exit 1; }
mv build-cuda.configure.log build-cuda/configure.log
cmake --build build-cuda --parallel "$(nproc)" --target coppice_cuda 2>&1 | tee build-cuda/build.log | grep -E "error|warning" || true
[ "${PIPESTATUS[0]}" = 0 ] || { tail -40 build-cuda/build.log; exit 1; }
grep -E "Compiling entry|registers|spill" build-cuda/build.log >build-cuda/ptxas.txt || true
echo "CUDA sources compiled for sm_80, sm_90a and PTX of compute_80; none of it was run: no card here"
if grep -E " [1-9][0-9]* bytes spill" build-cuda/ptxas.txt; then echo "registers spill: see build-cuda/ptxas.txt"; fi
