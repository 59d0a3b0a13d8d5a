#!/bin/bash
# test.sh [STEP...]: builds, checks and runs everything that `make test` stands for, or only the steps named. Steps: lint
# dev asan tsan fuzz cuda. Goes on after a failure; ends with one line that counts the tests of all runs.
# Environment: JOBS (2), AT_ONCE (JOBS + 1, files of specs), FUZZ_SECONDS (20, a target), SPEC_SECONDS (600, a file of
# specs), TSAN_PARITY (below).
cd "$(dirname "$0")/.." || exit 1
JOBS=${JOBS:-2}
FUZZ_SECONDS=${FUZZ_SECONDS:-20}
export SPEC_SECONDS=${SPEC_SECONDS:-600}
# What the sanitizer builds run: everything but the specs of models, benches and the command line, which start much work.
core_specs="spec/base spec/device spec/exec spec/image spec/model spec/net spec/script spec/text spec/path
  spec/config_spec.lua"
# What runs on the cuda device too, through the stand-in for CUDA (spec/standin/README.md).
standin_specs="spec/standin spec/device/device_spec.lua spec/parity spec/path/swap_spec.lua spec/path/devices_spec.lua
  spec/path/recovery_spec.lua"
# The part of it that ends in time under ThreadSanitizer.
standin_tsan_specs="spec/standin spec/device/device_spec.lua spec/path/devices_spec.lua spec/parity/parity_spec.lua
  spec/path/recovery_spec.lua"
# Of parity, kernels whose threads share memory or update the same; TSAN_PARITY="" runs all of it.
TSAN_PARITY=${TSAN_PARITY-Scatter Reduce Softmax Norm TopK,.7.of.300 TopK.along CumSum.of.300 CumSum.of.4097,.exclusive.1,.reverse.0 Arg LSTM Transpose
  Dynamic Unpool Loss NonMaxSuppression,.few ConvInteger.of.types.2.and.3 type.10,.heads.of.12$}
# More, where nothing slows it down.
standin_dev_specs="spec/conformance spec/path/direct_spec.lua spec/path/function_spec.lua spec/path/fusion_spec.lua spec/path/methods_spec.lua
  spec/path/ops_spec.lua spec/path/policy_spec.lua spec/path/reload_spec.lua spec/path/state_spec.lua"
# Files of specs at a time, their beginnings: those that take long, and those that bound times and so run alone.
AT_ONCE=${AT_ONCE:-$((JOBS + 1))}
long='spec/(conformance/conf|path/(ocr|stress|hostile|swap|embed|narrow)|parity/parity|exec/hostile|script/worker|conformance/outputs)'
timed='spec/(script/policy|device/host|model/churn|net/client|cli/bench)_spec'
passed=0 failed=0 skipped=0 again= took=

say() { printf '\n== %s (%d s)\n' "$*" $SECONDS; }

# One check that counts as one test.
check() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
  fi
}

# build PRESET [TARGET]
build() {
  {
    cmake --preset "$1" && cmake --build --preset "$1" -j "$JOBS" ${2:+--target "$2"}
  } >"build/$1.log" 2>&1 || { tail -40 "build/$1.log"; return 1; }
}

# run_specs: runs the files that lines "BUILD FILE" of standard input name, each in a process of its own, since a zygote is
# forked from what the process has become. Most files wait more than they compute and run AT_ONCE at a time, the longest first; then
# those of $timed, one by one. Machines that others use too are late now and then: a file that fails is run once more, by
# itself, and the end of all says which were.
run_specs() {
  local list results
  list=$(mktemp) results=$(mktemp)
  grep . >"$list"
  { grep -E "$long" "$list"; grep -vE "$long|$timed" "$list"; } | xargs -r -P "$AT_ONCE" -L 1 cmake/spec_file.sh "$results"
  grep -E "$timed" "$list" | xargs -r -L 1 cmake/spec_file.sh "$results"
  awk '$4 != 0 { print $1, $2 }' "$results" >"$list"
  if [ -s "$list" ]; then
    again="$again $(tr ' \n' '/ ' <"$list")"
    awk '$4 == 0' "$results" >"$results.kept"
    mv "$results.kept" "$results"
    echo "-- once more: $(tr ' \n' '/ ' <"$list")"
    xargs -L 1 cmake/spec_file.sh "$results" <"$list"
  fi
  echo "longest: $(sort -k6nr "$results" | head -5 | awk '{ printf "%s/%s %d s  ", $1, $2, $6 }')"
  local p f s
  while read -r _ _ p f s _; do
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done <"$results"
  rm -f "$list" "$results"
}

# specs BUILD PATH...: the lines for run_specs. Those of spec/standin need the stand-in, and are named with it alone.
specs() {
  local build=$1
  shift
  find "$@" -path spec/standin -prune -o -name '*_spec.lua' -printf "$build %p\n" | sort
}

# on_standin BUILD PATH...: the same on the cuda device.
on_standin() {
  local build=$1
  shift
  find "$@" -name '*_spec.lua' -printf "$build/standin %p\n" | sort
}

step_lint() { check lint cmake/lint.sh; }

step_dev() {
  check "build dev" build dev
  # Models that specs run and the source tree does not hold; from build/cache after the first time.
  local model
  for model in filetype embed ocr vad; do check "fetch $model" build/dev/tidepool fetch "models/$model"; done
  run_specs < <(specs dev spec; on_standin dev $standin_specs $standin_dev_specs)
}

# sanitized BUILD STANDIN_PATH...
sanitized() {
  local build=$1
  shift
  run_specs < <(specs "$build" $core_specs; on_standin "$build" "$@")
}

step_asan() {
  check "build asan" build asan
  ASAN_OPTIONS=detect_leaks=1:suppressions=spec/support/asan.supp \
    LSAN_OPTIONS=suppressions=spec/support/lsan.supp:print_suppressions=0 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 sanitized asan $standin_specs
}

step_tsan() {
  check "build tsan" build tsan
  TIDEPOOL_PARITY_ONLY=$TSAN_PARITY \
    TSAN_OPTIONS=suppressions=spec/support/tsan.supp:halt_on_error=0:exitcode=66 sanitized tsan $standin_tsan_specs
}

# Each target from a copy of its seeds, for a bounded time, as many at a time as there are cores. A target fuzz_NAME has its
# seeds in spec/fuzz/seeds/NAME.
step_fuzz() {
  check "build fuzz" build fuzz fuzzers
  local target name results
  results=$(mktemp -d)
  for target in build/fuzz/spec/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=$(basename "$target")
    while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n; done
    { run_fuzz "$target" && touch "$results/passed_$name"; } >"$results/said_$name" 2>&1 &
  done
  wait
  for target in "$results"/said_*; do
    name=${target##*/said_}
    cat "$target"
    check "$name" test -f "$results/passed_$name"
  done
  rm -rf "$results"
}

run_fuzz() {
  local name corpus
  name=$(basename "$1")
  corpus=build/fuzz/corpus/${name#fuzz_}
  rm -rf "$corpus"
  mkdir -p "$corpus"
  [ -d "spec/fuzz/seeds/${name#fuzz_}" ] && cp -r "spec/fuzz/seeds/${name#fuzz_}/." "$corpus"
  "$1" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/" \
    -print_final_stats=1 "$corpus" 2>&1 | grep -E 'ERROR|SUMMARY|stat::number_of_executed|Test unit|panic' | sed "s|^|$name: |"
  return "${PIPESTATUS[0]}"
}

# Compiled and linked wherever there is a CUDA compiler; needs no GPU.
step_cuda() {
  if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
    skipped=$((skipped + 1))
    echo "no CUDA compiler: the cuda build is skipped"
    return
  fi
  # The module alone: the rest is what dev compiles.
  check "build cuda" build cuda tidepool-cuda
  check "no kernel spills registers" no_spills
}

# ptxas told of every kernel in the build's log; a spill store of any is too much.
no_spills() {
  local kernels
  cmake --build --preset cuda -j "$JOBS" --target spills >build/spills.log 2>&1 || { tail -5 build/spills.log; return 1; }
  kernels=$(grep -ac 'bytes spill stores' build/spills.log)
  echo "$kernels kernels, $(grep -a 'bytes spill stores' build/spills.log | grep -vc ' 0 bytes spill stores') with spills"
  [ "$kernels" -gt 0 ] && ! grep -a 'bytes spill stores' build/spills.log | grep -qv ' 0 bytes spill stores'
}

mkdir -p build
for step in "${@:-lint dev asan tsan fuzz cuda}"; do
  for each in $step; do
    say "$each"
    began=$SECONDS
    "step_$each"
    took="$took $each $((SECONDS - began)) s,"
  done
done
say done
echo "steps:${took%,}"
[ -n "$again" ] && echo "run twice, since they failed at first:$again"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
