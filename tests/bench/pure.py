# SPDX-License-Identifier: MIT
"""The pure parts alone (tests/bench/transitions.c): transitions per second of one core, and instructions."""

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


def run(case: pathlib.Path, level: str, *arguments: str, under: tuple = ()) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [*under, str(program("tests/bench/transitions")), str(case), level, *arguments],
        cwd=ROOT,
        env=parts.clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"transitions: {done.stderr}")
    return done


def figures(case: pathlib.Path, level: str, *arguments: str) -> dict:
    return json.loads(run(case, level, *arguments).stdout)


def counted(case: pathlib.Path, level: str, workflows: int) -> int:
    """Instructions that a run of so many workflows executes, as valgrind counts them."""
    tool = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    done = run(case, level, "--workflows", str(workflows), under=tool)
    return int(re.search(r"I\s+refs:\s+([\d,]+)", done.stderr).group(1).replace(",", ""))


def instructions(case: pathlib.Path, level: str) -> float:
    """Of one workflow: the start of the program and the reading of the contract cancel out."""
    return (counted(case, level, COUNTED + 1) - counted(case, level, 1)) / COUNTED


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
    return measured
