#!/usr/bin/env bash
# The verifier `math` beside math-verify (PyPI) on the labelled pairs, one after the other on the same machine: errors kind by
# kind, milliseconds a pair. How math-verify is called stands in docs/grading.md. Its packages are kept in
# $COPPICE_ORACLE_CACHE/grading.
#   bash bench/grading/compare.sh [--save FILE]      --save appends the rows to FILE as JSON lines
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/python-environment.sh
cache=${COPPICE_ORACLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coppice/oracle}/grading
python_environment "$cache" bench/grading/requirements.txt
export PYTHONDONTWRITEBYTECODE=1
verdicts=$(mktemp)
trap 'rm -f "$verdicts"' EXIT
"$cache/venv/bin/python" bench/grading/math_verify_verdicts.py test/verifiers/math/*.jsonl >"$verdicts"
node --import tsx bench/grading/comparison.ts "$verdicts" "$@"
