#!/bin/bash
# SPDX-License-Identifier: MIT
# files.sh - each source has its SPDX line first and no tabs or trailing spaces; shell and Python parse;
# the JSON files are JSON. Warns of files longer than 700 lines.
set -u
cd "$(dirname "$0")/../.." || exit 2
faults=0
LINES_MAX=700

fault() {
    echo "$1: $2"
    faults=$((faults + 1))
}

# The SPDX line is the first, or the second after an interpreter line or a document type.
check_licence() {
    head -n 2 "$1" | grep -q 'SPDX-License-Identifier: MIT' || fault "$1:1" "has no SPDX line"
}

while IFS= read -r file; do
    [ -f "$file" ] || continue
    case $file in
    *.c | *.h | *.def | *.sh | *.py | *.sql | *.html | *.yaml | *.yml) check_licence "$file" ;;
    esac
    case $file in
    *.c | *.h | *.def)
        line=$(grep -nP '\t' "$file" | head -n 1 | cut -d: -f1)
        [ -z "$line" ] || fault "$file:$line" "has a tab"
        ;;
    esac
    case $file in
    *.c | *.h | *.def | *.sh | *.py | *.sql | *.md | Makefile)
        line=$(grep -nE ' +$' "$file" | head -n 1 | cut -d: -f1)
        [ -z "$line" ] || fault "$file:$line" "has spaces at the end"
        ;;
    esac
    case $file in
    *.c | *.h | *.py)
        lines=$(wc -l <"$file")
        [ "$lines" -le $LINES_MAX ] || echo "warning: $file has $lines lines, more than $LINES_MAX"
        ;;
    *.sh) bash -n "$file" || fault "$file" "is not valid shell" ;;
    tests/contracts/broken/*) ;; # are meant to be wrong
    *.json) python3 -c 'import json, sys; json.load(open(sys.argv[1], encoding="utf-8"))' "$file" || fault "$file" "is not JSON" ;;
    esac
    case $file in
    *.py) python3 -c 'import ast, sys; ast.parse(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1])' "$file" ||
        fault "$file" "is not valid Python" ;;
    esac
done < <(git ls-files)

# Links between the documents lead somewhere.
while IFS=: read -r file line link; do
    case $link in
    http://* | https://* | \#* | mailto:*) continue ;;
    esac
    [ -e "$(dirname "$file")/${link%%#*}" ] || echo "warning: $file:$line: the link to $link leads nowhere"
done < <(git ls-files '*.md' | xargs grep -noE '\]\([^)]+\)' | sed -E 's/\]\(([^)]*)\)$/\1/')

[ "$faults" -eq 0 ] && echo "files: ok" && exit 0
echo "files: $faults faults"
exit 1
