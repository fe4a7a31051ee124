#!/usr/bin/env bash
# Builds the contender llama.cpp with cmake and a C++ compiler into coppice's cache folder, once: a quarter of an hour on two cores.
#   bash bench/contenders/prepare-llama-cpp.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/python-environment.sh
# The library alone, for the processor that it is built on.
export CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF"
folder=${XDG_CACHE_HOME:-$HOME/.cache}/coppice/contenders/llama-cpp
python_environment "$folder" bench/contenders/llama-cpp/requirements.txt
echo "$folder/venv/bin/python has llama.cpp"
