#!/bin/bash
# SPDX-License-Identifier: MIT
# layers.sh - includes name the layer and point only downward: nodes -> lib/io -> lib/core -> lib/base.
# The headers of foreign libraries that do I/O appear in lib/io alone.
set -u
cd "$(dirname "$0")/../.." || exit 2
faults=0

fault() { # place, sentence
    echo "$1: $2"
    faults=$((faults + 1))
}

# Regular expression of the quoted includes a file may have.
allowed_in() {
    local node
    case $1 in
    lib/base/*) echo '^base/' ;;
    lib/core/*) echo '^(base|core)/' ;;
    lib/io/*) echo '^(base|core|io)/' ;;
    nodes/*/core/*) node=${1#nodes/}; echo "^(base|core|${node%%/*}/core)/" ;;
    nodes/*/*) node=${1#nodes/}; echo "^(base|core|io|${node%%/*})/" ;;
    tools/bridgectl/rebuild* | tools/bridgectl/audit*) echo '^(base|core|io|reducer|orchestrator)/|^[a-z_]+\.h$' ;; # the nodes' own code, linked
    tools/*) echo '^(base|core|io)/|^[a-z_]+\.h$' ;;
    tests/unit/*) echo '^(base|core|[a-z-]+/core|tests/fuzz)/|^[a-z_]+\.h$' ;;
    tests/fuzz/*) echo '^(base|core|[a-z-]+/core)/|^[a-z_]+\.h$' ;;
    *) echo '.' ;;
    esac
}

is_pure() {
    case $1 in
    lib/base/* | lib/core/* | nodes/*/core/* | tests/unit/*) return 0 ;;
    esac
    return 1
}

while IFS= read -r file; do
    [ -f "$file" ] || continue
    allowed=$(allowed_in "$file")
    while IFS=: read -r line name; do
        if ! [[ $name =~ $allowed ]]; then
            fault "$file:$line" "includes \"$name\", allowed here: $allowed"
        fi
    done < <(grep -nE '^#include "' "$file" | sed -E 's/^([0-9]+):#include "([^"]*)".*/\1:\2/')
    while IFS=: read -r line name; do
        case $file:$name in
        lib/io/*:*) ;;
        *:libpq* | *:librdkafka/* | *:rdkafka* | *:curl/* | *:civetweb*)
            fault "$file:$line" "includes <$name>, which belongs to lib/io" ;;
        esac
        if is_pure "$file"; then
            case $name in
            pthread.h | sys/socket.h | netinet/* | arpa/* | sys/epoll.h | poll.h | sys/random.h)
                fault "$file:$line" "includes <$name>: pure code has no threads, sockets or randomness" ;;
            esac
        fi
    done < <(grep -nE '^#include <' "$file" | sed -E 's/^([0-9]+):#include <([^>]*)>.*/\1:\2/')
    # None of the foreign types appears in a header that others include.
    case $file in
    lib/io/*_internal.h) ;;
    lib/io/*.h)
        while IFS=: read -r line name; do
            fault "$file:$line" "a public header shows <$name>"
        done < <(grep -nE '^#include <(libpq|librdkafka|curl|civetweb)' "$file" | sed -E 's/^([0-9]+):#include <([^>]*)>.*/\1:\2/') ;;
    esac
done < <(git ls-files 'lib/*.[ch]' 'lib/*.def' 'nodes/*.[ch]' 'tools/*.[ch]' 'tests/*.[ch]')

[ "$faults" -eq 0 ] && echo "layers: ok" && exit 0
echo "layers: $faults faults"
exit 1
