#!/usr/bin/env bash
# Holds templates and tokenizers (templates_live.py), the cache of the hub (hub_live.py), then the command line against PyTorch and transformers (live.py;
# arguments are passed on). The packages of requirements.txt are kept in $COPPICE_ORACLE_CACHE and installed again only
# when that file changes.
set -euo pipefail
cd "$(dirname "$0")"
source ../../scripts/python-environment.sh
cache=${COPPICE_ORACLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coppice/oracle}
python_environment "$cache" requirements.txt
export PYTHONDONTWRITEBYTECODE=1
"$cache/venv/bin/python" templates_live.py
"$cache/venv/bin/python" hub_live.py
exec "$cache/venv/bin/python" live.py "$@"
