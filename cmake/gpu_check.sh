#!/bin/bash
# gpu_check.sh [--dry-run | --standin]: proves the cuda device on a machine with a GPU and the CUDA Toolkit: builds, compares
# every operator with host, measures swapping and serving with PyTorch and ONNX Runtime beside us where they are installed,
# runs compute-sanitizer on the kernels and ONNX's own tests on the GPU. What is worth most comes first, each part is bounded
# in time and hides no other, and all together end within 8 minutes (SECONDS_IN_ALL). One table at the end; OUT
# (build/gpu-check unless set) gets summary.json, a log a part, and what was measured as JSON lines. Libraries that the machine
# lacks come from build/gpu-carry (cmake/gpu_carry.sh), cuDNN and cuBLASLt maybe from Python packages. Exit status 0: no part
# failed or was cut off.
#
# --dry-run: says what this machine lacks and what would run; exit status 1 where something is missing.
# --standin: the same parts where there is no GPU, on the stand-in for CUDA, in four times the time: shows that they run, and
# says nothing of a GPU.
# Environment: OUT, JOBS, CARRY, ZOO (a folder with models that are there already), PYTHON (that has PyTorch), PARTS (some of
# them), ARCHITECTURE (what kernels are compiled for; given, PARTS="unpack build" needs no GPU, and what it has built runs on a
# machine without nvcc).
cd "$(dirname "$0")/.." || exit 1
OUT=${OUT:-build/gpu-check}
JOBS=${JOBS:-$(nproc)}
CARRY=${CARRY:-build/gpu-carry}
ROOT=$PWD/build/gpu-root
ZOO=${ZOO:-build/gpu-zoo}
# This GPU's. As the driver names it, since what CMake calls native wants a program of its own run.
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d '. ')
ARCHITECTURE=${ARCHITECTURE:-${capability:+$capability-real}}
ARCHITECTURE=${ARCHITECTURE:-native}
# Where specs' packages were installed (cmake/setup.sh), that one.
[ -x build/venv/bin/python3 ] && PYTHON=${PYTHON:-build/venv/bin/python3}
PYTHON=${PYTHON:-python3}
PATH=$PATH:/usr/local/cuda/bin
BUILD=build/cuda
MODELS="resnet152 bert_large densenet169 efficientnet_b0"
SAMPLES=30
SECONDS_IN_ALL=480
# What bounds are multiplied by.
SLOW=1
mode=$1
# Two samples of two small models, and more time for all: the stand-in computes in plain loops.
if [ "$mode" = --standin ]; then
  BUILD=build/dev/standin
  export STANDIN_MEMORY=$((8 << 30))
  MODELS="mobilenet_v2 efficientnet_b0"
  SAMPLES=2
  SLOW=4
  SECONDS_IN_ALL=$((SECONDS_IN_ALL * SLOW))
fi
runner=$BUILD/spec-runner
export PATH OUT JOBS CARRY ROOT ZOO ARCHITECTURE PYTHON BUILD MODELS SAMPLES SLOW mode runner

# part NAME SECONDS [last]: runs the function of that name, bounded by that and by what is left of all; its output goes to
# OUT/NAME.log, what became of it to OUT/parts.tsv. The bounds of all but the last fit SECONDS_IN_ALL.
part() {
  local name=$1 bound=$(($2 * SLOW)) from=$SECONDS left=$((SECONDS_IN_ALL - SECONDS)) rc why last
  [[ -n $PARTS && " $PARTS " != *" $name "* ]] && return
  if [ "$mode" = --dry-run ]; then
    if [ "$3" = last ]; then
      printf '  %-12s what is left, up to %3d s\n' "$name" "$bound"
    else
      printf '  %-12s at most %3d s\n' "$name" "$bound"
    fi
    return
  fi
  [ "$left" -lt "$bound" ] && bound=$left
  if [ "$bound" -le 0 ]; then
    why="cut off: no time left"
    : >"$OUT/$name.log"
  else
    timeout -k 5 "$bound" bash -c "$name" >"$OUT/$name.log" 2>&1
    rc=$?
    case $rc in
    0) why=passed ;;
    77) why="left out" ;;
    124 | 137) why="cut off at $bound s" ;;
    *) why="failed ($rc)" ;;
    esac
  fi
  last=$(tail -n 1 "$OUT/$name.log" | tr '\t' ' ' | cut -c1-90)
  printf '%s\t%s\t%d\t%s\n' "$name" "$why" $((SECONDS - from)) "$last" >>"$OUT/parts.tsv"
  printf '%-12s %-18s %4d s  %s\n' "$name" "$why" $((SECONDS - from)) "$last"
}

has() { command -v "$1" >/dev/null; }
imports() { $PYTHON -c "import $1" 2>/dev/null; }
left_out() {
  echo "$1"
  exit 77
}
built() { [ -x $runner ] || left_out "nothing was built"; }

missing() {
  local lacks=0 tool
  [ -e /dev/nvidiactl ] || [ "$ARCHITECTURE" != native ] || { echo "missing: a GPU (/dev/nvidiactl)"; lacks=1; }
  # What was built elsewhere needs none of these.
  for tool in nvcc cmake ninja; do
    has $tool || [ -x $runner ] || { echo "missing: $tool"; lacks=1; }
  done
  pkg-config --exists luajit libuv 2>/dev/null || ls "$CARRY"/*.deb >/dev/null 2>&1 ||
    { echo "missing: LuaJIT, libuv and other libraries, and no $CARRY (cmake/gpu_carry.sh makes it)"; lacks=1; }
  has compute-sanitizer || echo "left out then: compute-sanitizer is not installed"
  imports torch || echo "left out then: PyTorch is not installed"
  imports onnxruntime || echo "left out then: ONNX Runtime is not installed"
  return $lacks
}

# --- what is needed ----------------------------------------------------------------------------------------------------

# The carried packages beside the build. pkg-config's files name /usr.
unpack_packages() {
  ls "$CARRY"/*.deb >/dev/null 2>&1 || { echo "nothing carried: the machine's own libraries"; return; }
  mkdir -p "$ROOT"
  local package
  for package in "$CARRY"/*.deb; do dpkg-deb -x "$package" "$ROOT" || return 1; done
  # Links that name /usr or /lib, too.
  local link to
  find "$ROOT/usr" -lname '/*' | while read -r link; do
    to=$(readlink "$link")
    [ -e "$ROOT$to" ] && ln -sf "$ROOT$to" "$link"
  done
  find "$ROOT" -name '*.pc' -exec sed -i "s|^prefix=/usr|prefix=$ROOT/usr|; s|=/usr/|=$ROOT/usr/|" {} +
  echo "$(ls "$CARRY"/*.deb | wc -l) packages unpacked"
}

# cuDNN (with what it compiles kernels by) and cuBLASLt of the Python packages that PyTorch brings, under the names that a linker looks for; the toolkit's own
# are found before them.
link_python_libraries() {
  local packages name file
  packages=$($PYTHON -c 'import nvidia; print(*nvidia.__path__)' 2>/dev/null) || return 0
  mkdir -p "$ROOT/python/lib" "$ROOT/python/include"
  for name in libcudnn libcublasLt; do
    # shellcheck disable=SC2086
    find $packages -name "${name%Lt}*.so.*" -exec ln -sf {} "$ROOT/python/lib/" \;
    file=$(ls "$ROOT/python/lib/$name".so.* 2>/dev/null | head -1)
    [ -n "$file" ] && ln -sf "$file" "$ROOT/python/lib/$name.so"
  done
  # shellcheck disable=SC2086
  find $packages -name 'libnv*.so.*' -exec ln -sf {} "$ROOT/python/lib/" \;
  # shellcheck disable=SC2086
  find $packages \( -name 'cudnn*.h' -o -name 'cublas*.h' \) -exec ln -sf {} "$ROOT/python/include/" \;
}

unpack() {
  [ "$mode" = --standin ] && left_out "the stand-in is built of what is installed"
  link_python_libraries
  unpack_packages
}

# Where compilers, loaders and interpreters look for what was unpacked.
look_there() {
  [ -d "$ROOT" ] && [ "$mode" != --standin ] || return
  local libraries=$ROOT/usr/lib/x86_64-linux-gnu
  export PATH=$ROOT/usr/bin:$PATH CMAKE_PREFIX_PATH=$ROOT/usr:$ROOT/python
  export LD_LIBRARY_PATH=$libraries:$LD_LIBRARY_PATH:$ROOT/python/lib
  export PKG_CONFIG_PATH=$libraries/pkgconfig:$ROOT/usr/lib/pkgconfig:$ROOT/usr/share/pkgconfig
  export LUA_PATH="$ROOT/usr/share/lua/5.1/?.lua;$ROOT/usr/share/lua/5.1/?/init.lua;$(ls -d "$ROOT"/usr/share/luajit-*)/?.lua;;"
  export LUA_CPATH="$libraries/lua/5.1/?.so;;"
  [ -f "$ROOT/usr/share/lua/5.1/argparse.lua" ] && export lua_files=-DARGPARSE_LUA=$ROOT/usr/share/lua/5.1/argparse.lua
  [ -d "$ROOT/usr/share/libonnx-testdata" ] && export TIDEPOOL_ONNX_DATA=$ROOT/usr/share/libonnx-testdata/data
}

# What a log alone is to tell: the machine, and the libraries that the module will find.
machine() {
  nvidia-smi 2>&1 | head -n 25
  nvidia-smi --format=csv \
    --query-gpu=name,driver_version,compute_cap,pci.bus_id,pcie.link.gen.current,pcie.link.width.current,clocks.max.sm,mig.mode.current 2>&1
  nvidia-smi topo -m 2>&1 | head -n 20
  nvcc --version 2>&1 | tail -n 2
  cmake --version 2>&1 | head -n 1
  uname -a
  free -g | head -n 2
  ulimit -a | grep -E 'locked|open files|processes'
  echo "for $ARCHITECTURE with $JOBS jobs; LD_LIBRARY_PATH $LD_LIBRARY_PATH"
  $PYTHON - <<'LIBRARIES'
import ctypes
versions = {"libcudnn.so.9": "cudnnGetVersion", "libcublasLt.so.13": "cublasLtGetVersion"}
for name in *versions, "libcuda.so.1", "libnvrtc.so.13", "libnvidia-ml.so.1":
    try:
        library = ctypes.CDLL(name)
        print(name, getattr(library, versions[name])() if name in versions else "loads")
    except OSError as error:
        print(name, "does not load:", error)
LIBRARIES
  nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>&1 | head -n 1
}

build() {
  [ "$mode" = --standin ] || has nvcc || [ ! -x $runner ] || left_out "no nvcc here: what was built elsewhere"
  if [ "$mode" = --standin ]; then
    cmake --preset dev && cmake --build --preset dev -j "$JOBS" --target standin && echo "built with the stand-in for CUDA"
    return
  fi
  # Other compilers than ours have other warnings, which are not to end it all.
  # shellcheck disable=SC2086
  cmake --preset cuda -DCMAKE_CUDA_ARCHITECTURES="$ARCHITECTURE" -DTIDEPOOL_WERROR=OFF $lua_files &&
    cmake --build --preset cuda -j "$JOBS" --target tidepool spec-runner tidepool-cuda &&
    echo "built for $(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/CUDA \1/p')"
}

# --- is it right? ------------------------------------------------------------------------------------------------------

# Each case is named before it runs: of one that hangs or crashes the log's last line tells.
spec() { TIDEPOOL_SPEC_DEVICE=cuda $runner spec/support/run.lua --output=gtest "$@"; }

devices() { built && spec spec/device/device_spec.lua && spec spec/exec/program_spec.lua; }

parity() {
  built
  local figures=bench result=0 last='' next
  [ "$mode" = --standin ] && figures=
  set -o pipefail
  : >"$OUT/operators.txt"
  # A case that loses the GPU or crashes ends its process: another one goes on behind it.
  for _ in 1 2 3 4 5 6 7 8; do
    TIDEPOOL_PARITY=$figures TIDEPOOL_PARITY_AFTER=$last spec spec/parity/parity_spec.lua 2>&1 | tee "$OUT/parity.run" || result=1
    grep -a '^parity:' "$OUT/parity.run" >>"$OUT/operators.txt"
    grep -aq '^\[==========\] .* ran' "$OUT/parity.run" && break
    next=$(sed -n 's/^\[ RUN .*: parity with host on [a-z]* of //p' "$OUT/parity.run" | tail -n 1)
    [ -n "$next" ] && [ "$next" != "$last" ] || break
    echo "the process ended in '$next'; another goes on behind it"
    last=$next
  done
  echo "$(tail -n 1 "$OUT/parity.run"), $(grep -ac ' host .* us ' "$OUT/operators.txt") operators timed"
  return $result
}

conformance() {
  built
  TIDEPOOL_CONFORMANCE_ONLY='^node/' spec spec/conformance/conformance_spec.lua
}

sanitizer() {
  built
  local tool="compute-sanitizer --tool memcheck --target-processes all --launch-timeout 60 --error-exitcode 9 --print-limit 20"
  has compute-sanitizer || tool=
  [ -n "$tool" ] || [ "$mode" = --standin ] || left_out "compute-sanitizer is not installed"
  # shellcheck disable=SC2086
  TIDEPOOL_SPEC_DEVICE=cuda TIDEPOOL_PARITY_ONLY='[SGTRC][oaren][fdpat] MatMulInteger attention' $tool $runner \
    spec/support/run.lua --output=gtest spec/parity/parity_spec.lua
}

# --- is it fast? -------------------------------------------------------------------------------------------------------

# Built side by side where they are not there yet; the largest is 1.3 GB.
zoo() {
  built
  mkdir -p "$ZOO"
  local name failed=0 jobs=()
  for name in $MODELS; do
    [ -f "$ZOO/$name.onnx" ] && continue
    { $runner models/zoo/init.lua "$name" "$ZOO/$name.onnx.part" && mv "$ZOO/$name.onnx.part" "$ZOO/$name.onnx"; } &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  echo "$(for name in $MODELS; do ls "$ZOO/$name.onnx"; done | wc -l) models"
  return $failed
}

# The models that are there, in the order of MODELS.
models() {
  local name
  for name in $MODELS; do [ -f "$ZOO/$name.onnx" ] && echo "$ZOO/$name.onnx"; done
}

swap() {
  built
  set -o pipefail
  # shellcheck disable=SC2046
  $runner spec/bench/gpu_bench.lua --samples "$SAMPLES" $(models) | tee "$OUT/swap.json" || return
  measured swap
}

# The last line of a part that wrote an object a model.
measured() { echo "$(grep -o '"model": *"[^"]*"' "$OUT/$1.json" | sort -u | wc -l) models measured"; }

# A node on the GPU, calls of each model from one client.
serving() {
  built
  # shellcheck disable=SC2046
  $BUILD/tidepool bench --json model $(models) --device cuda --samples "$SAMPLES" >"$OUT/serving.json" || return 1
  echo "$(grep -o '"model"' "$OUT/serving.json" | wc -l) models served"
}

# Models that convolve, with channels second and last.
layout() {
  built
  set -o pipefail
  # shellcheck disable=SC2046
  $runner spec/bench/layout_bench.lua --samples "$SAMPLES" --within $((20 * SLOW)) $(models) | tee "$OUT/layout.json" || return
  measured layout
}

torch() {
  imports torch || left_out "PyTorch is not installed"
  set -o pipefail
  # shellcheck disable=SC2086
  $PYTHON spec/bench/torch_bench.py "$SAMPLES" $MODELS | tee "$OUT/torch.json" || return
  measured torch
}

ort() {
  imports onnxruntime || left_out "ONNX Runtime is not installed"
  set -o pipefail
  # shellcheck disable=SC2046
  $PYTHON spec/bench/ort_bench.py "$SAMPLES" $(models) | tee "$OUT/ort.json" || return
  measured ort
}

# --- all of it ---------------------------------------------------------------------------------------------------------

mkdir -p "$OUT" build
export -f has imports left_out built unpack_packages link_python_libraries unpack machine build spec devices parity conformance \
  sanitizer zoo models measured swap serving layout torch ort
case $mode in
--dry-run)
  missing
  lacks=$?
  echo "would run:"
  ;;
--standin) ;;
*) missing || exit 1 ;;
esac
[ "$mode" = --dry-run ] || rm -f "$OUT"/parts.tsv "$OUT"/*.json

SECONDS=0
part unpack 20
look_there
part machine 10
part build 150
part parity 40
part zoo 30
part swap 45
part serving 30
part layout 30
part torch 45
part ort 25
part devices 15
part sanitizer 40
# The last one: all that is left.
part conformance 110 last
[ "$mode" = --dry-run ] && exit $lacks
$PYTHON cmake/gpu_table.py "$OUT" "$mode"
! cut -f 2 "$OUT/parts.tsv" | grep -qE '^(failed|cut)'
