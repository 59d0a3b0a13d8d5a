#!/bin/bash
# spec_file.sh RESULTS BUILD FILE: runs a file of specs with build/BUILD/spec-runner, prints what it said in one piece and adds the
# line "BUILD FILE passed failed skipped seconds" to RESULTS. A run that ends without counts (a crash, or $SPEC_SECONDS gone) is a
# failure; so is an exit status that no spec explains, since a sanitizer speaks through it alone.
results=$1 build=$2 file=$3
counts=$(mktemp) said=$(mktemp)
# Also what a run that is killed leaves behind.
export TMPDIR=$(mktemp -d)
trap 'rm -rf "$counts" "$said" "$TMPDIR"' EXIT

{
  echo "-- $build $file"
  TIDEPOOL_COUNTS=$counts timeout -k 10 "${SPEC_SECONDS:-600}" \
    "build/$build/spec-runner" spec/support/run.lua -o spec.support.report "$file"
  status=$?
} >"$said" 2>&1
if read -r passed failed skipped <"$counts"; then
  [ $status != 0 ] && [ "$failed" = 0 ] && { failed=1; echo "FAILED: passed its specs and ended with status $status" >>"$said"; }
else
  passed=0 failed=1 skipped=0
  echo "FAILED: ended with status $status and no report" >>"$said"
fi
exec 9>>"$results"
flock 9
cat "$said"
echo "$build $file $passed $failed $skipped $SECONDS" >&9
