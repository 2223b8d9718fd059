#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the conformance cases of the States Language and shows each difference.

    tests/cases/run.py [--program build/release/bridgectl] [--only TEXT] [FILE...]

Without FILE all *.jsonl beside this script. Exits 1 when any case differs. README.md tells what a
case looks like.
"""
import argparse
import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
SHOWN_CHARACTERS_MAX = 1500
TIMEOUT_S = 300
EXPECT_MEMBERS = {"status", "output", "error", "cause", "states", "in_order", "anywhere", "never",
                  "count", "max_open", "invalid", "codes", "either"}


def same(expected, got):
    """JSON equality: 1 and 1.0 are the same number, true and 1 are not."""
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, (int, float)) and isinstance(got, (int, float)):
        return expected == got
    if type(expected) is not type(got):
        return False
    if isinstance(expected, dict):
        return expected.keys() == got.keys() and all(same(v, got[k]) for k, v in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(got) and all(same(e, g) for e, g in zip(expected, got))
    return expected == got


def fits(wanted, event):
    """Whether an event is [event, name] or [event, name, data]."""
    data = event.get("input") if event["event"] == "Entered" else event.get("output")
    return (wanted[0] == event["event"] and wanted[1] == event["name"]
            and (len(wanted) < 3 or same(wanted[2], data)))


def open_at_once(events, name):
    """The largest number of visits to a state that were open at one time."""
    now = most = 0
    for event in events:
        if event["name"] == name:
            now += 1 if event["event"] == "Entered" else -1
            most = max(most, now)
    return most


def differences_of_events(expect, events):
    entered = [e["name"] for e in events if e["event"] == "Entered"]
    if "states" in expect and not (len(events) == len(expect["states"])
                                   and all(map(fits, expect["states"], events))):
        yield "states"
    rest = iter(events)
    if not all(any(fits(wanted, e) for e in rest) for wanted in expect.get("in_order", [])):
        yield "in_order"
    if not all(any(fits(wanted, e) for e in events) for wanted in expect.get("anywhere", [])):
        yield "anywhere"
    for name in expect.get("never", []):
        if name in entered:
            yield "never %s" % name
    for name, count in expect.get("count", {}).items():
        if entered.count(name) != count:
            yield "count of %s: %d" % (name, entered.count(name))
    for name, most in expect.get("max_open", {}).items():
        if open_at_once(events, name) > most:
            yield "max_open of %s: %d" % (name, open_at_once(events, name))


def differences(expect, answer):
    """What of the answer is not as expected, as a list of names."""
    unknown = expect.keys() - EXPECT_MEMBERS
    if unknown:
        return ["expect has no member " + name for name in sorted(unknown)]
    if "either" in expect:
        tried = [differences(one, answer) for one in expect["either"]]
        return [] if [] in tried else tried[0]
    if "invalid" in expect or answer.get("invalid"):
        if not ("invalid" in expect and answer.get("invalid")):
            return ["invalid"]
        codes = [f["code"] for f in answer.get("findings", []) if f.get("severity") == "error"]
        return ["code " + code for code in expect.get("codes", []) if code not in codes]
    found = [] if answer.get("status") == expect["status"] else ["status"]
    for member in ("output", "error", "cause"):
        if member in expect and not same(expect[member], answer.get(member)):
            found.append(member)
    return found + list(differences_of_events(expect, answer.get("states") or []))


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + " ..."


def run_file(program, path, only):
    """Yields (case, differences, answer) for each case of a file."""
    with open(path, encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines if line.strip()]
    cases = [case for case in cases if only in case["id"]]
    stream = "".join(json.dumps({k: v for k, v in case.items() if k not in ("says", "expect")},
                                ensure_ascii=False) + "\n" for case in cases)
    process = subprocess.run([program, "contracts", "run", "--cases", "-"], input=stream.encode(),
                             stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
    answers = {}
    for line in process.stdout.splitlines():
        try:
            answer = json.loads(line)
            answers[answer.get("id")] = answer
        except ValueError:
            print("not JSON: %r" % line[:200])
    for case in cases:
        answer = answers.get(case["id"])
        if answer is None:
            yield case, ["no answer (the program ended with %d)" % process.returncode], None
        else:
            yield case, differences(case["expect"], answer), answer


def named_but_missing(ids):
    """The cases that README.md names and nobody wrote."""
    names = re.findall(r"`([a-z-]+/[\w*-]+)`", (FOLDER / "README.md").read_text(encoding="utf-8"))
    return [name for name in names if not fnmatch.filter(ids, name)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/%s/bridgectl" % os.environ.get("MODE", "release"))
    parser.add_argument("--only", default="", help="only cases whose id holds this text")
    parser.add_argument("files", nargs="*", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    totals = []
    seen = set()
    for path in options.files or sorted(FOLDER.glob("*.jsonl")):
        passed = failed = 0
        for case, found, answer in run_file(options.program, path, options.only):
            if case["id"] in seen:
                found = found + ["the id is used twice"]
            seen.add(case["id"])
            if not found:
                passed += 1
                continue
            failed += 1
            print("%s: differs: %s\n    rule      %s\n    expected  %s\n    got       %s" % (
                case["id"], ", ".join(found), case["says"], short(case["expect"]), short(answer)))
        totals.append((path.stem, passed, failed))
    missing = [] if options.files or options.only else named_but_missing(seen)
    for name in missing:
        print("README.md names %s, and there is no such case" % name)
    for topic, passed, failed in totals:
        print("%-20s %5d passed %5d differ" % (topic, passed, failed))
    all_passed, all_failed = (sum(row[i] for row in totals) for i in (1, 2))
    print("%d passed, %d differ" % (all_passed, all_failed))
    return 1 if all_failed or missing or not all_passed else 0


if __name__ == "__main__":
    sys.exit(main())
