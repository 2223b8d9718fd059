#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make bench: workflows per commit and events per read, what they cost, and how far it scales.

    tests/bench/run.py [pure] [workflows] [waiting] [takeover] [reducer]      all unless some are named
    tests/bench/run.py outage      a service away for BENCH_OUTAGE_SECONDS (60): only when it is named

Variables: MODE (release), BENCH_SECONDS of each load (8), BENCH_ROUNDS (3), REDUCER_EVENTS (2000000),
RECORD=1 writes the figures into docs/benchmarks.md too, KEEP=1 keeps the directory with logs.
Ends with 1 when a ratio is so low that the architecture must be wrong.
"""

import os
import shutil
import signal
import sys

import pure
import report
from outage import Outage
from reducer import Reducer
from session import ROOT, Session
from takeover import Takeover
from waiting import Waiting
from workflows import Workflows

YARDSTICK_SECONDS = 5
PURE_SECONDS = 2


def number(name: str, fallback: int) -> int:
    return int(os.environ.get(name) or fallback)


def measure_workflows(session: Session, rounds: int) -> dict:
    workflows = Workflows(session, number("BENCH_SECONDS", 8))
    try:
        workflows.start()
        return {
            "idle": workflows.measure_idle(),
            "load": workflows.measure(rounds, YARDSTICK_SECONDS),
        }
    finally:
        workflows.close()


def measure_waiting(session: Session) -> dict:
    waiting = Waiting(session)
    try:
        waiting.start()
        return waiting.measure()
    finally:
        waiting.close()


def measure_takeover(session: Session, rounds: int) -> dict:
    takeover = Takeover(session)
    try:
        takeover.start()
        return takeover.measure(rounds)
    finally:
        takeover.close()


def measure_outage(session: Session) -> dict:
    outage = Outage(session, number("BENCH_OUTAGE_SECONDS", 60))
    try:
        outage.start()
        return outage.measure()
    finally:
        outage.close()


def measure_reducer(session: Session, rounds: int) -> dict:
    reducer = Reducer(session, number("REDUCER_EVENTS", 2000000))
    try:
        reducer.start()
        return {
            "loads": reducer.measure(rounds),
            "restart": reducer.measure_restart(),
            "idle": reducer.measure_idle(),
            "orchestrator_start_ms": reducer.measure_orchestrator_start(),
        }
    finally:
        reducer.close()


def main() -> int:
    known = ("pure", "workflows", "waiting", "takeover", "reducer")
    wanted = sys.argv[1:] or known
    if not set(wanted) <= {*known, "outage"}:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rounds = number("BENCH_ROUNDS", 3)
    session, measured = Session(), {}
    try:
        if "pure" in wanted:
            measured["pure"] = pure.measure(session, rounds, PURE_SECONDS)
        if "workflows" in wanted:
            measured["workflows"] = measure_workflows(session, rounds)
        if "waiting" in wanted:
            measured["waiting"] = measure_waiting(session)
        if "takeover" in wanted:
            measured["takeover"] = measure_takeover(session, rounds)
        if "outage" in wanted:
            measured["outage"] = measure_outage(session)
        if "reducer" in wanted:
            measured["reducer"] = measure_reducer(session, rounds)
    finally:
        session.close()
        if not os.environ.get("KEEP"):
            shutil.rmtree(session.directory, ignore_errors=True)
    figures = report.table(measured)
    print("\n" + figures)
    record = os.environ.get("RECORD") == "1"
    for path in report.write(ROOT / "build" / "bench", figures, session.lines, record):
        print(f"written: {path.relative_to(ROOT)}")
    wrong = report.outside_budget(measured)
    for sentence in wrong:
        print(f"outside its budget: {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
