#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make bench: workflows per commit and events per read, with what they cost.

    tests/bench/run.py [workflows] [reducer]      both unless one is named

Variables: MODE (release), BENCH_SECONDS of each load (8), BENCH_ROUNDS (3), REDUCER_EVENTS (2000000),
RECORD=1 writes the figures into docs/benchmarks.md too, KEEP=1 keeps the directory with logs.
Ends with 1 when a ratio is so low that the architecture must be wrong.
"""

import os
import shutil
import signal
import sys

import report
from reducer import Reducer
from session import ROOT, Session
from workflows import Workflows

YARDSTICK_SECONDS = 5


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


def measure_reducer(session: Session, rounds: int) -> dict:
    events = number("REDUCER_EVENTS", 2000000)
    reducer = Reducer(session, events)
    try:
        reducer.start()
        return {
            "events": events,
            "load": reducer.measure(rounds),
            "idle": reducer.measure_idle(),
            "orchestrator_start_ms": reducer.measure_orchestrator_start(),
        }
    finally:
        reducer.close()


def main() -> int:
    wanted = sys.argv[1:] or ["workflows", "reducer"]
    if not set(wanted) <= {"workflows", "reducer"}:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rounds = number("BENCH_ROUNDS", 3)
    session = Session()
    try:
        workflows = measure_workflows(session, rounds) if "workflows" in wanted else None
        reducer = measure_reducer(session, rounds) if "reducer" in wanted else None
    finally:
        session.close()
        if not os.environ.get("KEEP"):
            shutil.rmtree(session.directory, ignore_errors=True)
    figures = report.table(workflows, reducer)
    print("\n" + figures)
    record = os.environ.get("RECORD") == "1"
    for path in report.write(ROOT / "build" / "bench", figures, session.lines, record):
        print(f"written: {path.relative_to(ROOT)}")
    low = report.under_budget(workflows, reducer)
    for sentence in low:
        print(f"too low: {sentence}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
