#!/bin/bash
# SPDX-License-Identifier: MIT
# generated.sh [--write] BRIDGECTL - holds the documents that are made from tables against the tree, or
# writes them. Also: the API descriptions name the program's version.
set -u
write=false
[ "${1:-}" = --write ] && write=true && shift
program=$(realpath "$1") || exit 2
cd "$(dirname "$0")/../.." || exit 2
faults=0

document() { # name, path
    if $write; then
        mkdir -p "$(dirname "$2")"
        "$program" docs "$1" >"$2.new" && mv "$2.new" "$2" || faults=$((faults + 1))
    elif ! "$program" docs "$1" | diff -u "$2" - >&2; then
        echo "$2: differs from the tables; run \`make docs\`"
        faults=$((faults + 1))
    fi
}

document env .env.example
document configuration docs/reference/configuration.md
document metrics docs/reference/metrics.md
document errors docs/reference/errors.md

version=$(cat VERSION)
for file in nodes/*/openapi.json; do
    if ! grep -q "\"version\": \"$version\"" "$file"; then
        echo "$file: info.version is not $version"
        faults=$((faults + 1))
    fi
done

[ "$faults" -eq 0 ] && echo "generated: ok" && exit 0
echo "generated: $faults faults"
exit 1
