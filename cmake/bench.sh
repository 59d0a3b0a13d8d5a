#!/bin/sh
# bench.sh: calls and cold starts, as docs/measurements.md has them, with the release build on this machine.
cd "$(dirname "$0")/.." || exit 1
tidepool=build/release/tidepool
set -e
echo "== $(nproc) cores: $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1); $(date -u +%Y-%m-%d)"
echo "== bench rpc"
$tidepool bench rpc
echo "== bench coldstart"
$tidepool bench coldstart
