#!/usr/bin/env bash
# On a machine with an NVIDIA card: builds the native tests and benches (no Node), runs op parity, exactness, the sanitizer
# and the benches, and PyTorch on the same sizes, within ten minutes. The table comes last; what could not be run says NOT RUN
# and why. Rows as JSON go to $OUT/cuda-card.jsonl (default build-card/results), logs beside them.
#   [SECONDS_IN_ALL=570] [CARD_BUILD=folder with the executables] [PYTHON=python3] [OUT=folder] bash scripts/cuda-card.sh
set -uo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-build-card/results}
build=${CARD_BUILD:-build-card}
python=${PYTHON:-python3}
end=$((SECONDS + ${SECONDS_IN_ALL:-570}))
mkdir -p "$out"
rows=$out/cuda-card.jsonl
: >"$rows"
table=()
failed=0

card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -1)

# say NAME STATE DETAIL: a line of the table, and a row.
say() {
  table+=("$(printf '%-34s %-8s %s' "$1" "$2" "$3")")
  printf '{"card":"%s","driver":"%s","check":"%s","state":"%s","detail":"%s"}\n' "$card" "$driver" "$1" "$2" "${3//\"/\'}" >>"$rows"
  [ "$2" != FAILED ] || failed=1
}

# check NAME LIMIT COMMAND...: ok by its exit status, with the last line that it printed.
check() {
  local name=$1 limit=$2 log="$out/${1// /-}.log" left=$((end - SECONDS)) begin=$SECONDS status
  shift 2
  if [ "$left" -lt 5 ]; then say "$name" "NOT RUN" "no time left"; return 1; fi
  if ! command -v "$1" >/dev/null; then say "$name" "NOT RUN" "$1 is not here"; return 1; fi
  timeout $((left < limit ? left : limit)) "$@" >"$log" 2>&1
  status=$?
  if [ $status = 0 ]; then
    say "$name" ok "$(tail -1 "$log") ($((SECONDS - begin)) s)"
  elif [ $status = 124 ]; then
    say "$name" "NOT RUN" "not done in $((SECONDS - begin)) s"
  else
    say "$name" FAILED "exit $status: $(tail -1 "$log")"
  fi
  return $status
}

# bench NAME COMMAND...: rows that a bench prints as JSON, with the card's name.
bench() {
  local name=$1 log="$out/${1// /-}.log" left=$((end - SECONDS))
  shift
  if [ "$left" -lt 5 ]; then say "$name" "NOT RUN" "no time left"; return; fi
  if ! timeout $((left < 60 ? left : 60)) "$@" >"$log" 2>"$log.err"; then
    say "$name" FAILED "$(tail -1 "$log.err")"
    return
  fi
  sed "s/^{/{\"card\":\"$card\",\"driver\":\"$driver\",/" "$log" >>"$rows"
  while read -r line; do
    table+=("$(printf '%-34s %-8s %s' "$name" ok "$(grep -oE '"(shape|p50_ms|gflops|gbytes_per_s|p50_seconds|tokens_per_second)":"?[^,"}]*' <<<"$line" | tr -d '"' | tr '\n' ' ')")")
  done <"$log"
}

# contender NAME SCRIPT CASE: the median of its runs.
contender() {
  local name=$1 log="$out/${1// /-}.log" left=$((end - SECONDS)) line median
  if [ "$left" -lt 5 ]; then say "$name" "NOT RUN" "no time left"; return; fi
  if ! command -v "$python" >/dev/null; then say "$name" "NOT RUN" "$python is not here"; return; fi
  timeout $((left < 90 ? left : 90)) "$python" "bench/contenders/$2.py" --case "$3" >"$log" 2>"$log.err"
  line=$(tail -1 "$log")
  if grep -q '"not_run"' <<<"$line"; then
    say "$name" "NOT RUN" "$(sed 's/.*"not_run": "//; s/"}*$//' <<<"$line")"
  elif ! grep -q '"seconds"' <<<"$line"; then
    say "$name" "NOT RUN" "$(tail -1 "$log.err")"
  else
    sed "s/^{/{\"card\": \"$card\", \"driver\": \"$driver\", /" <<<"$line" >>"$rows"
    median=$(grep -oE '"seconds": \[[^]]*' <<<"$line" | sed 's/.*\[//' | tr ',' '\n' | sort -g | awk '{ all[NR] = $1 } END { print 1000 * all[int((NR + 1) / 2)] }')
    table+=("$(printf '%-34s %-8s %s' "$name" ok "p50_ms:$median")")
  fi
}

build_here() {
  local nvcc=${CUDA_HOME:-/usr/local/cuda}/bin/nvcc
  [ -x "$nvcc" ] || nvcc=$(command -v nvcc) || return 1
  local ninja=()
  command -v ninja >/dev/null && ninja=(-G Ninja)
  check configure 60 cmake -S . -B "$build" "${ninja[@]}" -DCMAKE_BUILD_TYPE=Release -DCOPPICE_CUDA=ON -DCOPPICE_NVCC="$nvcc" \
    -DCMAKE_CUDA_ARCHITECTURES="$([ "$capability" = 90 ] && echo 90a-real || echo "$capability-real")" &&
    check build 300 cmake --build "$build" --parallel "$(nproc)" \
      --target op_test exact_on_policy_test memory_test op_bench engine_bench
}

run_tests() {
  # A card and itself: what is there twice must be the same bits. The modes are f32 and bf16, which the cases hold, and the
  # rows alone, in parts and together, which they compare.
  check "op parity" 120 "$build/op_test" --backend cuda
  check "op parity, twice the same bits" 120 "$build/op_test" --backend cuda,cuda --small
  check "exact on-policy f32" 60 "$build/exact_on_policy_test" --device cuda --dtype f32 --tokens 4000
  check "exact on-policy bf16" 60 "$build/exact_on_policy_test" --device cuda --dtype bf16 --tokens 4000
  check "memory plan" 60 "$build/memory_test" cuda
  local tool
  for tool in memcheck racecheck; do
    check "sanitizer $tool" 75 compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/op_test" --backend cuda --small --op linear_forward
    check "sanitizer $tool, head" 45 compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/op_test" --backend cuda --small --op sample
  done
}

run_benches() {
  local op
  for op in linear linear_backward_input linear_backward_weight; do
    bench "$op bf16" "$build/op_bench" --device cuda --dtype bf16 --op "$op" --shape 8192x4096x4096 --seconds 1 --json
  done
  bench "linear bf16, 16 rows" "$build/op_bench" --device cuda --dtype bf16 --op linear --shape 16x4096x4096 --seconds 1 --json
  bench "head bf16" "$build/op_bench" --device cuda --dtype bf16 --op head --shape 4096x32000x1024 --seconds 1 --json
  bench "head_backward bf16" "$build/op_bench" --device cuda --dtype bf16 --op head_backward --shape 4096x32000x1024 --seconds 1 --json
  bench "step" "$build/engine_bench" --device cuda --seconds 5 --json card_step_bf16
  bench "decode" "$build/engine_bench" --device cuda --seconds 5 --json card_decode_bf16
}

run_contenders() {
  local config='"config":{"model_type":"llama","hidden_size":1024,"num_hidden_layers":16,"num_attention_heads":16,"num_key_value_heads":16,"intermediate_size":2816,"vocab_size":32000,"max_position_embeddings":512,"rms_norm_eps":1e-6,"tie_word_embeddings":true}'
  local common='"device":"cuda","dtype":"bf16","threads":1,"seconds":3'
  local gemm='"sizes":{"rows":8192,"cols":4096,"inner":4096}' op variant
  for op in linear linear_backward_input linear_backward_weight; do
    contender "torch $op" pytorch "{\"kind\":\"op\",\"op\":\"$op\",\"variant\":\"eager\",$gemm,$common}"
  done
  for variant in "all rows" liger; do
    contender "torch head, $variant" pytorch "{\"kind\":\"head\",\"variant\":\"$variant\",\"sizes\":{\"rows\":4096,\"vocab\":32000,\"cols\":1024},$common}"
  done
  contender "torch step, SDPA, compiled" pytorch "{\"kind\":\"step\",\"variant\":\"compiled\",\"sizes\":{\"rows\":32,\"length\":384},$config,$common}"
  contender "torch decode, compiled" pytorch "{\"kind\":\"generate\",\"variant\":\"compiled\",\"sizes\":{\"prompts\":64,\"prompt_length\":128,\"completion_length\":128},$config,$common}"
  contender "transformers generate" hf_transformers "{\"kind\":\"generate\",\"variant\":\"static cache, compiled\",\"sizes\":{\"prompts\":64,\"prompt_length\":128,\"completion_length\":128},$config,$common}"
}

if [ -z "$card" ]; then
  say "everything" "NOT RUN" "nvidia-smi finds no card"
elif [ -x "$build/op_test" ] || build_here; then
  run_tests
  run_benches
  run_contenders
elif [ ${#table[@]} = 0 ]; then
  say "everything" "NOT RUN" "no nvcc in CUDA_HOME, /usr/local/cuda or PATH, and no executables in $build"
fi
echo "${card:-no card}, driver ${driver:-none}; rows in $rows"
printf '%s\n' "${table[@]}"
[ $failed = 0 ] || exit 1
# Nothing run is not success.
grep -q '"state":"ok"' "$rows" || exit 3
