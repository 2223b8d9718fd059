# SPDX-License-Identifier: MIT
"""The pure parts alone (tests/bench/transitions.c, counting.c): transitions and events per second of one core,
and instructions."""

import json
import pathlib
import re
import subprocess

from session import ROOT, Session, program
import parts

CASES = pathlib.Path(__file__).resolve().parent / "cases"
LEVELS = ("interpreter", "workflow")
COUNTED = 500  # workflows whose instructions are counted
MAP_SIZES = (1000, 10000)
TIMED_EVENTS = 500000
COUNTED_EVENTS = 50000  # whose instructions are counted
CACHEGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def run(name: str, *arguments: str, under: tuple = ()) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [*under, str(program(f"tests/bench/{name}")), *arguments],
        cwd=ROOT,
        env=parts.clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr}")
    return done


def figures(case: pathlib.Path, level: str, *arguments: str) -> dict:
    return json.loads(run("transitions", str(case), level, *arguments).stdout)


def counted(name: str, *arguments: str) -> int:
    """Instructions that a run executes, as valgrind counts them."""
    done = run(name, *arguments, under=CACHEGRIND)
    return int(re.search(r"I\s+refs:\s+([\d,]+)", done.stderr).group(1).replace(",", ""))


def instructions(case: pathlib.Path, level: str) -> float:
    """Of one workflow: the start of the program and the reading of the contract cancel out."""
    many, one = (
        counted("transitions", str(case), level, "--workflows", str(count)) for count in (COUNTED + 1, 1)
    )
    return (many - one) / COUNTED


def measure_counting(rounds: int) -> dict:
    """Events through the reducer's core; making them cancels out of the instructions."""
    runs = [
        json.loads(run("counting", "contracts", "--events", str(TIMED_EVENTS)).stdout)
        for _ in range(rounds)
    ]
    all_of_it, made = (
        counted("counting", "contracts", "--events", str(COUNTED_EVENTS), *more)
        for more in ((), ("--idle",))
    )
    return {"runs": runs, "instructions": (all_of_it - made) / COUNTED_EVENTS}


def map_case(directory: pathlib.Path, items: int) -> pathlib.Path:
    path = directory / f"map-{items}.json"
    case = {
        "contract": "tests/bench/contracts/workflows/map_calls.yaml",
        "input": {"items": [{"number": n, "text": "a text"} for n in range(items)]},
        "results": {"call": {"StatusCode": 200, "Headers": {}, "ResponseBody": {"ok": True}}},
    }
    path.write_text(json.dumps(case), encoding="utf-8")
    return path


def measure(session: Session, rounds: int, seconds: float) -> dict:
    stamping, measured = CASES / "stamping.json", {}
    for level in LEVELS:
        runs = [figures(stamping, level, "--seconds", str(seconds)) for _ in range(rounds)]
        measured[level] = {"runs": runs, "instructions": instructions(stamping, level)}
        best = max(one["transitions_per_second"] for one in runs)
        session.say(
            f"pure, {level}: {best:,.0f} transitions/s at most,"
            f" {measured[level]['instructions']:,.0f} instructions per workflow"
        )
    measured["map"] = {}
    for items in MAP_SIZES:
        case = map_case(session.directory, items)
        runs = [
            figures(case, "workflow", "--workflows", str(MAP_SIZES[-1] // items))
            for _ in range(rounds)
        ]
        measured["map"][items] = [one["ns_per_transition"] / 1000 for one in runs]
        session.say(f"pure, Map of {items:,}: {min(measured['map'][items]):.2f} us per item at least")
    measured["counting"] = measure_counting(rounds)
    least = min(one["ns_per_event"] for one in measured["counting"]["runs"])
    session.say(
        f"pure, counting: {least:,.0f} ns per event at least,"
        f" {measured['counting']['instructions']:,.0f} instructions per event"
    )
    return measured
