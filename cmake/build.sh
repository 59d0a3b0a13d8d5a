#!/bin/sh
# build.sh: the release build of tidepool; one at a time in a checkout. Environment: JOBS (2).
cd "$(dirname "$0")/.." || exit 1
mkdir -p build
exec 9>build/lock
flock -n 9 || {
  echo "build: another make builds in this folder; waiting for it"
  flock 9
}
# What CMake remembers of a compiler or a folder that did not work would be used for ever.
cmake --preset release >build/release.log 2>&1 || {
  cat build/release.log >&2
  rm -rf build/release/CMakeCache.txt build/release/CMakeFiles
  echo "build: nothing could be configured; the message above says why. What was remembered of it is forgotten" >&2
  exit 1
}
exec cmake --build --preset release --target tidepool -j "${JOBS:-2}"
