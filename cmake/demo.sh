#!/bin/sh
# demo.sh: starts a node of the release build with an empty state folder, deploys models/filetype, asks it about real files
# of this checkout and system, and stops it. Leaves nothing behind but build/.
cd "$(dirname "$0")/.." || exit 1
tidepool=build/release/tidepool
folder=$(mktemp -d)
socket=$folder/tidepool.sock
node=

finish() {
  status=$?
  [ -n "$node" ] && kill "$node" 2>/dev/null && wait "$node"
  [ $status = 0 ] || { [ -f "$folder/log" ] && cat "$folder/log" >&2; }
  rm -rf "$folder"
  exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM

# Until it answers, 10 s at most.
wait_for_node() {
  for _ in $(seq 100); do
    "$tidepool" status --address "$socket" >/dev/null 2>&1 && return 0
    kill -0 "$node" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

set -e
echo "demo: fetching the model (once; kept in build/cache)"
"$tidepool" fetch models/filetype >/dev/null
"$tidepool" serve --listen "$socket" --state "$folder/state" 2>"$folder/log" &
node=$!
wait_for_node
"$tidepool" deploy models/filetype --address "$socket"

files=
for file in README.md LICENSE Makefile core/main.c core/device/device.h lua/tidepool/cli/init.lua cmake/demo.sh \
  CMakePresets.json CMakeLists.txt spec/models/filetype_reference.py build/models/filetype/filetype.onnx \
  build/cache/magika-*.whl build/release/tidepool build/release/libbase.a /etc/passwd /usr/include/stdio.h \
  /usr/share/common-licenses/GPL-3 /usr/lib/x86_64-linux-gnu/libc.so.6 /usr/share/perl/5.36/strict.pm \
  /usr/share/zoneinfo/UTC /var/log/dpkg.log; do
  [ -f "$file" ] && files="$files $file"
done
luajit models/filetype/demo.lua "$socket" $files
