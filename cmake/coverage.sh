#!/bin/bash
# coverage.sh: how much of the cuda device's own code the specs reach on the stand-in for CUDA (spec/standin/README.md): a line
# a file, then every line that was not executed. Environment: JOBS (2).
cd "$(dirname "$0")/.." || exit 1
out=build/coverage
specs="spec/standin spec/device/device_spec.lua spec/parity spec/path/swap_spec.lua spec/path/devices_spec.lua spec/path/recovery_spec.lua"

mkdir -p build
cmake --preset coverage >build/coverage.log 2>&1 &&
  cmake --build --preset coverage -j "${JOBS:-2}" --target standin >>build/coverage.log 2>&1 || { tail -40 build/coverage.log; exit 1; }
find $out -name '*.gcda' -delete
for file in $(find $specs -name '*_spec.lua' | sort); do
  $out/standin/spec-runner spec/support/run.lua "$file" >"$out/spec.log" 2>&1 || { echo "FAILED: $file"; tail -20 "$out/spec.log"; }
done

objects=$PWD/$out/CMakeFiles/standin-cuda.dir
total=0 reached=0
for source in core/device/cuda*.c core/exec/cuda/*.c; do
  (cd $out && gcov "$objects/$source.gcda" >/dev/null 2>&1) || continue
  report=$out/$(basename "$source").gcov
  [ -f "$report" ] || continue
  missed=$(grep -c '^ *#####:' "$report")
  lines=$((missed + $(grep -cE '^ *[0-9]+\*?:' "$report")))
  total=$((total + lines)) reached=$((reached + lines - missed))
  printf '%-36s %4d of %4d lines\n' "$source" $((lines - missed)) "$lines"
done
echo "$reached of $total lines of the cuda device were executed"
for source in core/device/cuda*.c; do
  report=$out/$(basename "$source").gcov
  grep '^ *#####:' "$report" | sed -E "s|^ *#####: *([0-9]+):|$source:\1: |"
done
