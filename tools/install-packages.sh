#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The one place that lists the Debian packages this project needs. Installs those that are missing.
#
#   tools/install-packages.sh [--check] GROUP...      groups: build run test lint kafka valgrind optional
#
# Says what is missing, uses sudo when it is not run by root, and is silent when nothing is missing.
# --check only tells (exit status 1 when something is missing).
set -euo pipefail

build=(gcc make pkg-config libcivetweb-dev libcurl4-openssl-dev libpq-dev librdkafka-dev libfyaml-dev
    libcjson-dev libpcre2-dev libssl-dev libxxhash-dev uthash-dev librust-blake3-dev)
run=(python3 postgresql git curl)
test=(check libsubunit-dev json-schema-test-suite python3-pytest python3-psycopg2 kcat)
lint=(clang clang-format binutils)
valgrind=(valgrind)
kafka=(maven openjdk-17-jre-headless)
optional=(spin graphviz) # for bridgectl contracts verify, and graph --graphviz

usage() {
    sed -n '3,8s/^# \{0,1\}//p' "$0"
    exit 2
}

check=no
wanted=()
[ $# -gt 0 ] || usage
for argument in "$@"; do
    case $argument in
        --check) check=yes ;;
        build) wanted+=("${build[@]}") ;;
        run) wanted+=("${run[@]}") ;;
        test) wanted+=("${test[@]}") ;;
        lint) wanted+=("${lint[@]}") ;;
        valgrind) wanted+=("${valgrind[@]}") ;;
        kafka) wanted+=("${kafka[@]}") ;;
        optional) wanted+=("${optional[@]}") ;;
        *) usage ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    echo "install-packages: this is not Debian or Ubuntu; needed: ${wanted[*]}" >&2
    exit 0
fi

# A package counts as there when dpkg says installed, or when another one provides it.
missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | head -n 1 || true)
    [ "$status" = installed ] && continue
    case $package in
        openjdk-17-jre-headless) command -v java >/dev/null && continue ;;
        maven) command -v mvn >/dev/null && continue ;;
    esac
    missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "install-packages: missing: ${missing[*]}" >&2
[ $check = no ] || exit 1

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install-packages: run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null
}
echo "install-packages: installing ${#missing[@]} packages" >&2
if ! install; then
    "${as_root[@]}" apt-get update >>"$log" 2>&1 </dev/null || true
    if ! install; then
        tail -n 20 "$log" >&2
        echo "install-packages: apt-get could not install: ${missing[*]}" >&2
        exit 1
    fi
fi
