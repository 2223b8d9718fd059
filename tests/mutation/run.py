#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Removes one protection at a time from a copy of the tree and shows that a check notices within a minute of work.

    tests/mutation/run.py                 all of mutations.py
    tests/mutation/run.py --only epoch    those whose name contains the word

A mutation that nothing notices is a protection without a test: the last line says so, and the exit status is 1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from mutations import MUTATIONS, SIM  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 600
CHECK_SECONDS = 600  # of a loaded machine; the seeds are about a minute of work
SEEDS = 1500


def copy_tree(target):
    """The tracked files as they are, and what is built: make then compiles the changed file alone."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in names.decode().split("\0"):
        source = ROOT / name
        if not name or not (source.exists() or source.is_symlink()):
            continue
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place, follow_symlinks=False)
    mode = os.environ.get("MODE", "release")
    built = ROOT / "build" / mode
    if built.is_dir():
        shutil.copytree(built, target / "build" / mode, symlinks=True,
                        ignore=shutil.ignore_patterns("io", "bench", "test-logs"))


def build(tree, program):
    mode = os.environ.get("MODE", "release")
    done = subprocess.run(["make", "-s", "-j2", f"MODE={mode}", f"build/{mode}/{program}"], cwd=tree,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS)
    return done.returncode == 0, done.stdout


def replace(tree, mutation):
    path = tree / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        return None
    path.write_text(text.replace(mutation.old, mutation.new))
    return text


def look(tree, mutation):
    """(noticed, what was said, seconds)"""
    mode = os.environ.get("MODE", "release")
    began = time.monotonic()
    command = [str(tree / "build" / mode / mutation.check)]
    if mutation.check == SIM:
        command += ["--first", "--seeds", str(SEEDS)]
    try:
        done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=dict(os.environ, CK_FORK="no"), timeout=CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        return False, "nothing noticed", CHECK_SECONDS
    said = [line for line in done.stdout.splitlines() if "FAILED" in line or ":F:" in line or "bug:" in line]
    return done.returncode != 0, said[0] if said else done.stdout.strip()[-150:], time.monotonic() - began


def try_one(tree, mutation):
    before = replace(tree, mutation)
    if before is None:
        return "GONE", f"{mutation.file} no longer has the text that is to be changed", 0
    try:
        fine, told = build(tree, mutation.check)
        if not fine:
            return "NO BUILD", told.strip().splitlines()[-1] if told.strip() else "", 0
        noticed, said, seconds = look(tree, mutation)
        return "noticed" if noticed else "UNNOTICED", said, seconds
    finally:
        (tree / mutation.file).write_text(before)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    wish = parser.parse_args()
    chosen = [m for m in MUTATIONS if wish.only in m.name]
    tree = ROOT / "build" / "mutation"
    shutil.rmtree(tree, ignore_errors=True)
    copy_tree(tree)
    fine, told = build(tree, "tests/sim/sim")
    if not fine:
        print(told)
        return 1
    bad = 0
    print(f"{'protection removed':<44} {'result':<10} {'s':>5}  noticed by")
    for mutation in chosen:
        result, said, seconds = try_one(tree, mutation)
        bad += result != "noticed"
        print(f"{mutation.name:<44} {result:<10} {seconds:5.1f}  {said[:150]}", flush=True)
    shutil.rmtree(tree, ignore_errors=True)
    print(f"mutations: {len(chosen) - bad} of {len(chosen)} noticed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
