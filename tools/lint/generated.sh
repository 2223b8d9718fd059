#!/bin/bash
# SPDX-License-Identifier: MIT
# generated.sh [--write] BRIDGECTL - holds the documents that are made from tables against the tree, or
# writes them; so too the pictures of contracts in pages. Also: the API descriptions name the program's
# version.
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

# After each line "<!-- picture: FILE -->" of a page comes the Mermaid drawing of that contract, which
# lies beside the page.
pictures() { # path
    local drawn
    if ! drawn=$(awk -v program="$program" -v folder="$(dirname "$1")" '
        drawing && /^```$/ { drawing = 0; next }
        drawing || (after && /^$/) { next }
        after && /^```mermaid$/ { drawing = 1; after = 0; next }
        after { print ""; after = 0 }
        { print }
        /^<!-- picture: [a-z_.]+ -->$/ {
            print "\n```mermaid"
            if (system("\"" program "\" contracts graph " folder "/" $3)) exit 1
            print "```"
            after = 1
        }' "$1"); then
        echo "$1: a contract cannot be drawn"
        faults=$((faults + 1))
    elif $write; then
        printf '%s\n' "$drawn" >"$1.new" && mv "$1.new" "$1" || faults=$((faults + 1))
    elif ! diff -u "$1" <(printf '%s\n' "$drawn") >&2; then
        echo "$1: a picture differs from its contract; run \`make docs\`"
        faults=$((faults + 1))
    fi
}

pictures contracts/examples/README.md

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
