#!/bin/bash
# test.sh [STEP...]: builds, checks and runs everything that `make test` stands for, or only the steps named. Steps: lint
# dev asan tsan fuzz cuda. Goes on after a failure; ends with one line that counts the tests of all runs.
# Environment: JOBS (2), FUZZ_SECONDS (20, a target), SPEC_SECONDS (600, a file of specs), TSAN_PARITY (below).
cd "$(dirname "$0")/.." || exit 1
JOBS=${JOBS:-2}
FUZZ_SECONDS=${FUZZ_SECONDS:-20}
SPEC_SECONDS=${SPEC_SECONDS:-600}
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
TSAN_PARITY=${TSAN_PARITY-Scatter Reduce Softmax Norm TopK CumSum Arg LSTM Transpose Dynamic Unpool Loss NonMax Integer attention}
# More, where nothing slows it down.
standin_dev_specs="spec/conformance spec/path/direct_spec.lua spec/path/function_spec.lua spec/path/methods_spec.lua
  spec/path/ops_spec.lua spec/path/policy_spec.lua spec/path/reload_spec.lua spec/path/state_spec.lua"
passed=0 failed=0 skipped=0 again=

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

build() { cmake --preset "$1" >"build/$1.log" 2>&1 && cmake --build --preset "$1" -j "$JOBS" >>"build/$1.log" 2>&1 || { tail -40 "build/$1.log"; return 1; }; }

# run_once RUNNER FILE: sets p, f and s to that run's counts; one that ends without counts (a crash, or $SPEC_SECONDS gone) is
# a failure.
run_once() {
  local counts rc
  counts=$(mktemp)
  TIDEPOOL_COUNTS=$counts timeout -k 10 "$SPEC_SECONDS" "$1" spec/support/run.lua -o spec.support.report "$2"
  rc=$?
  read -r p f s <"$counts" || { p=0 f=1 s=0; echo "FAILED: $1 $2 ended with status $rc and no report"; }
  rm -f "$counts"
  # A sanitizer speaks through the exit status alone.
  [ $rc != 0 ] && [ "$f" = 0 ] && { f=1; echo "FAILED: $1 $2 passed its specs and ended with status $rc"; }
}

# run_specs BUILD FILE: adds that file's counts. Some specs bound times, and machines that others use too are late now and
# then: a file that fails is run once more, and the end says which were.
run_specs() {
  local runner=build/$1/spec-runner p f s
  echo "-- $2"
  run_once "$runner" "$2"
  if [ "$f" != 0 ]; then
    echo "-- $2, once more"
    again="$again $1/$2"
    run_once "$runner" "$2"
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# specs BUILD PATH...: each file in a process of its own, since a zygote is forked from what the process has become. Those
# of spec/standin need the stand-in, and are run where they are named.
specs() {
  local preset=$1 file
  shift
  for file in $(find "$@" -path spec/standin -prune -o -name '*_spec.lua' -print | sort); do run_specs "$preset" "$file"; done
}

# on_standin BUILD PATH...: the same on the cuda device.
on_standin() {
  local preset=$1 file
  shift
  for file in $(find "$@" -name '*_spec.lua' | sort); do run_specs "$preset/standin" "$file"; done
}

step_lint() { check lint cmake/lint.sh; }

step_dev() {
  check "build dev" build dev
  # Models that specs run and the source tree does not hold; from build/cache after the first time.
  local model
  for model in filetype embed ocr vad; do check "fetch $model" build/dev/tidepool fetch "models/$model"; done
  specs dev spec
  on_standin dev $standin_specs $standin_dev_specs
}

# sanitized BUILD STANDIN_PATH...
sanitized() {
  local preset=$1
  shift
  specs "$preset" $core_specs
  on_standin "$preset" "$@"
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

# Each target with a copy of its seeds, for a bounded time. A target TARGET has its seeds in spec/fuzz/seeds/TARGET.
step_fuzz() {
  [ -f spec/fuzz/CMakeLists.txt ] || { echo "no fuzz targets"; return; }
  check "build fuzz" build fuzz
  for target in build/fuzz/spec/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    local name corpus
    name=$(basename "$target")
    corpus=build/fuzz/corpus/${name#fuzz_}
    rm -rf "$corpus"
    mkdir -p "$corpus"
    [ -d "spec/fuzz/seeds/${name#fuzz_}" ] && cp -r "spec/fuzz/seeds/${name#fuzz_}/." "$corpus"
    check "$name" run_fuzz "$target" "$corpus"
  done
}

run_fuzz() {
  "$1" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/" \
    -print_final_stats=1 "$2" 2>&1 | grep -E 'ERROR|SUMMARY|stat::number_of_executed|Test unit|panic' | sed "s|^|$(basename "$1"): |"
  return "${PIPESTATUS[0]}"
}

# Compiled and linked wherever there is a CUDA compiler; needs no GPU.
step_cuda() {
  if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
    skipped=$((skipped + 1))
    echo "no CUDA compiler: the cuda build is skipped"
    return
  fi
  check "build cuda" build cuda
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
    "step_$each"
  done
done
say done
[ -n "$again" ] && echo "run twice, since they failed at first:$again"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
