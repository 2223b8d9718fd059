#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tests/integration/run.sh PYTEST... - runs this pytest command TEST_JOBS times side by side (as many as there
# are processors, 2 at most, unless set); the runs share the modules out among themselves.
#
# Most of the time of these tests is waiting. What the runs say is printed one after the other, then the sum.
set -uo pipefail

processors=$(nproc)
jobs=${TEST_JOBS:-$((processors < 2 ? 1 : 2))}
if [ "$jobs" -le 1 ]; then
    exec "$@"
fi
share=$(mktemp -d)
trap 'rm -rf "$share"' EXIT
pids=()
for ((n = 1; n <= jobs; n++)); do
    TEST_SHARE=$share "$@" >"$share/$n.log" 2>&1 &
    pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
    wait "$pid" || status=1
done
cat "$share"/*.log
sum() {
    grep -hE ' in [0-9.]+s' "$share"/*.log | grep -oE "[0-9]+ $1" | awk '{ n += $1 } END { print n + 0 }'
}
broken=$(($(sum failed) + $(sum error)))
echo "$( ((broken)) && echo "$broken failed, ")$(sum passed) passed in $jobs runs side by side"
exit $status
