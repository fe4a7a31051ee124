#!/usr/bin/env bash
# Holds templates and tokenizers (templates_live.py), the cache of the hub (hub_live.py), then the command line against PyTorch and transformers (live.py;
# arguments are passed on). The packages of requirements.txt are kept in $COPPICE_ORACLE_CACHE and installed again only
# when that file changes.
set -euo pipefail
cd "$(dirname "$0")"
cache=${COPPICE_ORACLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coppice/oracle}
python=${PYTHON:-python3}
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  echo "the live oracle needs Python 3.10 or newer with venv (Debian: apt-get install python3-venv)" >&2
  exit 1
fi
stamp="$cache/requirements.txt"
if ! cmp -s requirements.txt "$stamp"; then
  rm -rf "$cache/venv"
  mkdir -p "$cache"
  "$python" -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$stamp"
fi
export PYTHONDONTWRITEBYTECODE=1
"$cache/venv/bin/python" templates_live.py
"$cache/venv/bin/python" hub_live.py
exec "$cache/venv/bin/python" live.py "$@"
