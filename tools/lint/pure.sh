#!/bin/bash
# SPDX-License-Identifier: MIT
# pure.sh OBJECT... - pure objects (lib/base, lib/core, nodes/*/core) use only the outside names that
# tools/lint/pure-symbols.txt allows: no clock, no threads, no sockets, no files.
set -u
here=$(dirname "$0")
allowed=$here/pure-symbols.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Patterns: a name, a prefix with "*", or "name  object.o" for one object alone.
sed -e 's/#.*//' -e 's/[[:space:]]*$//' "$allowed" | grep -v '^$' >"$work/rules"
grep -v ' ' "$work/rules" | sed -e 's/\./\\./g' -e 's/\*/.*/' -e 's/^/^/' -e 's/$/$/' >"$work/general"
nm -g --defined-only "$@" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$work/own"

faults=0
for object in "$@"; do
    # Fortified and versioned names of libc stand for the plain ones.
    while IFS= read -r symbol; do
        plain=$(sed -E -e 's/^__isoc(99|23)_//' -e 's/^__(.*)_chk$/\1/' -e 's/@.*//' <<<"$symbol")
        grep -qxF "$symbol" "$work/own" && continue
        grep -qf "$work/general" <<<"$plain" && continue
        grep -qE "^$plain +${object##*/}\$" "$work/rules" && continue
        echo "$object: uses $symbol, which tools/lint/pure-symbols.txt does not allow"
        faults=$((faults + 1))
    done < <(nm -u "$object" | awk '{ print $NF }')
done

[ "$faults" -eq 0 ] && echo "pure: ok ($# objects)" && exit 0
echo "pure: $faults faults"
exit 1
