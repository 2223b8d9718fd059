#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make fuzz: each target for some seconds, then a table. Ends with 1 when one of them found something.

    tests/fuzz/run.py SECONDS TARGET...

A target starts from its seeds (tests/fuzz/corpus/TARGET) and from what earlier runs learnt
(build/fuzz/corpus/TARGET), with the words of tests/fuzz/TARGET.dict where there are any. What breaks it is kept in
build/fuzz/findings/; the whole of what it printed is in build/fuzz/logs/.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "fuzz"
INPUT_BYTES_MAX = 4096
INPUT_SECONDS_MAX = 120  # of one input, by the clock; the machine may be busy
MEMORY_MB_MAX = 2048
BLANK = "-"


def last(pattern: str, text: str) -> str:
    found = re.findall(pattern, text, re.MULTILINE)
    return found[-1] if found else BLANK


def run(target: str, seconds: int) -> tuple[list[str], Path | None, str]:
    """The row of the table, the finding if there is one, and how the output ends."""
    seeds = ROOT / "tests" / "fuzz" / "corpus" / target
    words = ROOT / "tests" / "fuzz" / f"{target}.dict"
    learnt, findings = BUILD / "corpus" / target, BUILD / "findings"
    for directory in (learnt, findings, BUILD / "logs"):
        directory.mkdir(parents=True, exist_ok=True)
    command = [str(BUILD / target), f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}",
               f"-timeout={INPUT_SECONDS_MAX}", f"-report_slow_units={INPUT_SECONDS_MAX}",
               f"-rss_limit_mb={MEMORY_MB_MAX}", "-print_final_stats=1",
               f"-artifact_prefix={findings}/{target}-", str(learnt), str(seeds)]
    if words.exists():
        command.insert(1, f"-dict={words}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    (BUILD / "logs" / f"{target}.log").write_text(output, encoding="utf-8")
    kept = last(r"Test unit written to (\S+)", output)
    row = [target, last(r"^stat::number_of_executed_units:\s*(\d+)", output),
           last(r"^stat::average_exec_per_sec:\s*(\d+)", output), last(r"cov: (\d+)", output),
           str(len(list(seeds.glob("*")))), str(len(list(learnt.glob("*")))),
           "0" if done.returncode == 0 else "1"]
    if row[1] == BLANK:  # it broke on the way: what it had done is in its last line of progress
        row[1] = last(r"^#(\d+)", output)
    broken = done.returncode != 0
    return row, Path(kept) if broken and kept != BLANK else None, output if broken else ""


def show(rows: list[list[str]]) -> None:
    head = ["target", "executions", "per second", "coverage", "seeds", "learnt", "findings"]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, len(head)))]))


def tell(target: str, finding: Path | None, output: str) -> None:
    lines = [line for line in output.splitlines() if not re.match(r"^#\d+\t", line)]
    print(f"\n{target}:", *lines[-40:], sep="\n  ")
    if finding:
        print(f"to see it again:  build/fuzz/{target} {finding.relative_to(ROOT)}\n"
              f"once it is fixed: a unit test, and the input as tests/fuzz/corpus/{target}/<what was wrong>")


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not arguments[0].isdigit():
        print(__doc__)
        return 2
    seconds, rows, broken = int(arguments[0]), [], []
    for target in arguments[1:]:
        row, finding, output = run(target, seconds)
        rows.append(row)
        if output:
            broken.append((target, finding, output))
    show(rows)
    for target, finding, output in broken:
        tell(target, finding, output)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
