#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/run-tests.sh TARGET... - runs targets of the Makefile one after the other, quietly.
#
# One line for each; the end of the output of one that failed; then a last line that says it all.
# Everything that was printed is kept in build/<mode>/test-logs/. Exits 1 when any target failed.
set -uo pipefail

mode=${MODE:-release}
logs=build/$mode/test-logs
mkdir -p "$logs"
failed=()
started=$SECONDS
for target in "$@"; do
    begun=$SECONDS
    if make --no-print-directory MODE="$mode" "$target" >"$logs/$target.log" 2>&1 </dev/null; then
        summary=$(grep -E '^[0-9]+ passed|, [0-9]+ passed|^100%' "$logs/$target.log" | tail -n 1)
        printf '  ok      %-18s %4d s  %s\n' "$target" $((SECONDS - begun)) "$summary"
    else
        failed+=("$target")
        printf '  FAILED  %-18s %4d s  the end of %s:\n' "$target" $((SECONDS - begun)) "$logs/$target.log"
        tail -n 80 "$logs/$target.log" | sed 's/^/    /'
    fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "tests (MODE=$mode): FAILED: ${failed[*]}"
    exit 1
fi
echo "tests (MODE=$mode): all passed in $((SECONDS - started)) s"
