#!/usr/bin/env bash
# Compiles the native tests for 64-bit ARM with a cross compiler into build-neon and runs them under an emulator: the ops, and
# some tokens on policy. Installs both on Debian as root; where they are missing it says so and ends with 3.
#   scripts/test-neon.sh [--tokens N] [--op NAME]
set -euo pipefail
cd "$(dirname "$0")/.."
tokens=5000 ops=()
while [ $# -gt 0 ]; do
  case $1 in
    --tokens) tokens=$2 ;;
    --op) ops=("$2") ;;
    *) echo "unknown flag $1" >&2; exit 2 ;;
  esac
  shift 2
done
have() { command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; }
if ! have && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing g++-aarch64-linux-gnu and qemu-user"
  install=(apt-get install -y -qq g++-aarch64-linux-gnu qemu-user)
  "${install[@]}" >/dev/null 2>&1 || { apt-get update -qq && "${install[@]}" >/dev/null; } || true
fi
if ! have; then
  echo "NOT RUN: NEON was neither compiled nor run: needs aarch64-linux-gnu-g++ and qemu-aarch64"
  exit 3
fi
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
# Static, so that the emulator needs no ARM system around it.
cmake -S . -B build-neon -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_EXE_LINKER_FLAGS=-static \
  -DCOPPICE_CUDA=OFF -DCOPPICE_TESTS=ON ${launcher[@]+"${launcher[@]}"} >/dev/null
cmake --build build-neon --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" --target op_test exact_on_policy_test
# Not the thread pool's cases: a fork of a process with threads is too much for the emulator, which ends the child.
if [ ${#ops[@]} = 0 ]; then
  list=$(qemu-aarch64 build-neon/op_test --list | cut -d: -f1 | sort -u | grep -vx thread_pool)
  mapfile -t ops <<<"$list"
fi
failed=0
for op in "${ops[@]}"; do
  echo "$op"
  qemu-aarch64 build-neon/op_test --isa neon --op "$op" || failed=1
done
qemu-aarch64 build-neon/exact_on_policy_test --isa neon --tokens "$tokens" || failed=1
exit $failed
