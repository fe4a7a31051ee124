#!/usr/bin/env bash
# Holds the sources to their form: biome and the types, clang-format, and the API's documentation, which must come without a
# warning. Another clang-format than the pinned one formats otherwise, so the pinned one is kept in $COPPICE_CACHE unless
# it stands in PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
version=19.1.7
cache=${COPPICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coppice}
is_pinned() { "$1" --version 2>/dev/null | grep -qwF "version $version"; }

if ! is_pinned clang-format; then
  venv="$cache/clang-format-$version"
  if ! is_pinned "$venv/bin/clang-format"; then
    python=${PYTHON:-python3}
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "clang-format $version is installed into a Python with venv (Debian: apt-get install python3-venv)" >&2
      exit 1
    fi
    rm -rf "$venv"
    mkdir -p "$cache"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "clang-format==$version"
  fi
  export PATH="$venv/bin:$PATH"
fi

npm run --silent lint
node scripts/format-native.mjs --check
npm run --silent docs
