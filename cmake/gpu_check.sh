#!/bin/bash
# gpu_check.sh [--dry-run]: proves the cuda device on a machine with a GPU and the CUDA Toolkit: builds, compares every
# operator with host, runs ONNX's own tests and the device specs on the GPU, compute-sanitizer on the kernels, measures
# swapping and serving, and PyTorch beside us where it is installed. Each part is bounded in time and hides no other; all
# take at most about 8 minutes. One table at the end; OUT (build/gpu-check unless set) gets summary.json, a log a part, and
# what was measured as JSON lines. Libraries that the machine lacks come from build/gpu-carry (cmake/gpu_carry.sh).
# Environment: OUT, JOBS, CARRY. --dry-run: says what of this machine is missing and what would run; exit status 1 then.
cd "$(dirname "$0")/.." || exit 1
OUT=${OUT:-build/gpu-check}
JOBS=${JOBS:-$(nproc)}
CARRY=${CARRY:-build/gpu-carry}
ROOT=$PWD/build/gpu-root
PATH=$PATH:/usr/local/cuda/bin
export PATH
dry=
[ "$1" = --dry-run ] && dry=1
mkdir -p "$OUT" build
results=()

# part NAME SECONDS COMMAND…: runs it, bounded; its output goes to OUT/NAME.log.
part() {
  local name=$1 bound=$2 from=$SECONDS rc why
  shift 2
  if [ -n "$dry" ]; then
    printf '  %-14s at most %3d s\n' "$name" "$bound"
    return
  fi
  timeout -k 5 "$bound" "$@" >"$OUT/$name.log" 2>&1
  rc=$?
  why=passed
  [ $rc = 77 ] && why="left out"
  [ $rc = 124 ] && why="cut off at $bound s"
  [ $rc != 0 ] && [ $rc != 77 ] && [ $rc != 124 ] && why="failed ($rc)"
  results+=("$name|$why|$((SECONDS - from))|$(tail -n 1 "$OUT/$name.log" | tr -d '"|\\' | cut -c1-90)")
  printf '%-14s %-18s %4d s  %s\n' "$name" "$why" $((SECONDS - from)) "$(tail -n 1 "$OUT/$name.log" | cut -c1-90)"
}

has() { command -v "$1" >/dev/null; }

missing() {
  local lacks=0
  [ -e /dev/nvidiactl ] || { echo "missing: a GPU (/dev/nvidiactl)"; lacks=1; }
  has nvcc || { echo "missing: the CUDA Toolkit (nvcc)"; lacks=1; }
  has cmake || { echo "missing: cmake"; lacks=1; }
  has ninja || { echo "missing: ninja"; lacks=1; }
  pkg-config --exists luajit libuv 2>/dev/null || ls "$CARRY"/*.deb >/dev/null 2>&1 ||
    { echo "missing: LuaJIT, libuv and other libraries, and no $CARRY (cmake/gpu_carry.sh makes it)"; lacks=1; }
  has compute-sanitizer || echo "left out then: compute-sanitizer is not installed"
  python3 -c 'import torch' 2>/dev/null || echo "left out then: PyTorch is not installed"
  return $lacks
}

# The carried packages beside the build, and where compilers and loaders look for them.
unpack() {
  ls "$CARRY"/*.deb >/dev/null 2>&1 || { echo "nothing carried: the machine's own libraries"; return; }
  mkdir -p "$ROOT"
  for package in "$CARRY"/*.deb; do dpkg-deb -x "$package" "$ROOT" || return 1; done
  # pkg-config's files name /usr.
  find "$ROOT" -name '*.pc' -exec sed -i "s|^prefix=/usr|prefix=$ROOT/usr|; s|=/usr/|=$ROOT/usr/|" {} +
  echo "$(ls "$CARRY"/*.deb | wc -l) packages unpacked"
}

look_there() {
  [ -d "$ROOT" ] || return
  local libraries=$ROOT/usr/lib/x86_64-linux-gnu
  export PATH=$ROOT/usr/bin:$PATH LD_LIBRARY_PATH=$libraries:$LD_LIBRARY_PATH
  export PKG_CONFIG_PATH=$libraries/pkgconfig:$ROOT/usr/share/pkgconfig CMAKE_PREFIX_PATH=$ROOT/usr
  export LUA_PATH="$ROOT/usr/share/lua/5.1/?.lua;$ROOT/usr/share/lua/5.1/?/init.lua;;"
  export LUA_CPATH="$libraries/lua/5.1/?.so;;"
  lua_files=-DARGPARSE_LUA=$ROOT/usr/share/lua/5.1/argparse.lua
}

build() {
  cmake --preset cuda $lua_files && cmake --build --preset cuda -j "$JOBS" --target tidepool spec-runner tidepool-cuda &&
    echo "built for $(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/CUDA \1/p')"
}

runner=build/cuda/spec-runner
spec() { TIDEPOOL_SPEC_DEVICE=cuda $runner spec/support/run.lua "$@"; }

parity() { TIDEPOOL_PARITY=bench spec spec/parity/parity_spec.lua | tee "$OUT/operators.txt" | grep -v '^parity:'; }
conformance() { spec spec/conformance/conformance_spec.lua; }
devices() { spec spec/device/device_spec.lua && spec spec/exec/program_spec.lua; }

sanitizer() {
  has compute-sanitizer || { echo "compute-sanitizer is not installed"; return 77; }
  TIDEPOOL_SPEC_DEVICE=cuda TIDEPOOL_PARITY_ONLY='[SGTRC][oaren][fdpat]' compute-sanitizer --tool memcheck \
    --error-exitcode 9 $runner spec/support/run.lua spec/parity/parity_spec.lua
}

zoo() {
  for name in resnet152 bert_large densenet169 efficientnet_b0; do
    [ -f "build/gpu-zoo/$name.onnx" ] && continue
    mkdir -p build/gpu-zoo
    $runner models/zoo/init.lua "$name" "build/gpu-zoo/$name.onnx" || return 1
  done
  ls build/gpu-zoo/*.onnx | wc -l | sed 's/$/ models/'
}

swap() { $runner spec/bench/gpu_bench.lua build/gpu-zoo/*.onnx | tee "$OUT/swap.json"; return "${PIPESTATUS[0]}"; }

# A node on the GPU, calls of each model from one client.
serving() {
  build/cuda/tidepool bench --json model build/gpu-zoo/*.onnx --device cuda --samples 30 >"$OUT/serving.json" || return 1
  echo "$(grep -o '"model"' "$OUT/serving.json" | wc -l) models served"
}

peers() {
  python3 -c 'import torch' 2>/dev/null || { echo "PyTorch is not installed"; return 77; }
  python3 spec/bench/torch_bench.py 30 | tee "$OUT/torch.json"
}

summary() {
  local row name why seconds last comma=
  {
    printf '{"date":"%s","gpu":"%s","parts":[' "$(date -u +%FT%TZ)" \
      "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -1)"
    for row in "${results[@]}"; do
      IFS='|' read -r name why seconds last <<<"$row"
      printf '%s{"part":"%s","result":"%s","seconds":%s,"last":"%s"}' "$comma" "$name" "$why" "$seconds" "$last"
      comma=,
    done
    printf ']}\n'
  } >"$OUT/summary.json"
  echo "-- $OUT/summary.json"
  python3 cmake/gpu_table.py "$OUT"
}

export -f unpack build spec parity conformance devices sanitizer zoo swap serving peers has
if [ -n "$dry" ]; then
  missing
  lacks=$?
  echo "would run:"
else
  missing || exit 1
fi
run() { part "$1" "$2" bash -c "$1"; }
export OUT CARRY ROOT JOBS runner
run unpack 60
look_there
export lua_files
run build 200
run devices 30
run parity 60
run conformance 60
run zoo 40
run swap 60
run serving 40
run peers 60
run sanitizer 60
[ -n "$dry" ] && exit $lacks
summary
printf '%s\n' "${results[@]}" | grep -qE '\|(failed|cut)' && exit 1
exit 0
