#!/bin/bash
# SPDX-License-Identifier: MIT
# guarantees.sh - what docs/guarantees.md names exists: the files of its mechanisms, and its tests by name.
set -u
cd "$(dirname "$0")/../.." || exit 2
page=docs/guarantees.md
faults=0
tests=0

fault() {
    echo "$page: $1"
    faults=$((faults + 1))
}

# A test of Check, or a function at the beginning of a line.
has_name() { # file, name
    case $1 in
    *.c) grep -qE "^START_TEST\($2\)|^[a-z].*\b$2\(" "$1" ;;
    *.py) grep -qE "^ *def $2\(" "$1" ;;
    *) return 1 ;;
    esac
}

while IFS= read -r test; do
    file=tests/${test%%::*}
    tests=$((tests + 1))
    [ -f "$file" ] || { fault "there is no $file" && continue; }
    has_name "$file" "${test#*::}" || fault "$file has no ${test#*::}"
done < <(grep -oE '`[a-z]+/[a-z_0-9/]+\.(c|py)::[a-z_0-9]+`' $page | tr -d '`' | sort -u)

while IFS= read -r file; do
    [ -f "$file" ] || fault "there is no $file"
done < <(grep -oE '`(lib|nodes|migrations|contracts|tools)/[A-Za-z_0-9./-]+`' $page | tr -d '`' | sort -u)

[ "$tests" -ge 1 ] || fault "names no test"
[ "$faults" -eq 0 ] && echo "guarantees: ok ($tests tests)" && exit 0
echo "guarantees: $faults faults"
exit 1
