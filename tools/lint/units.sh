#!/bin/bash
# SPDX-License-Identifier: MIT
# units.sh PROGRAM... - unit tests link pure objects only: none of the libraries that do I/O.
set -u
faults=0
for program in "$@"; do
    while IFS= read -r library; do
        echo "$program: is linked with $library"
        faults=$((faults + 1))
    done < <(readelf -d "$program" | grep NEEDED | grep -oE 'lib(pq|rdkafka|curl|civetweb)[^]]*')
done
[ "$faults" -eq 0 ] && echo "units: ok ($# programs)" && exit 0
echo "units: $faults faults"
exit 1
