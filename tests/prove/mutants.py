#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make prove-mutants: one protection is removed at a time, and `make prove` must notice within its minute.

Each mutant is one replacement in a copy of this tree; nodes and migrations come from there, everything that
judges (bridgectl, the script) from here. Prints a table: the protection, what the auditor found. Exits 1 when a
mutant is not noticed. Names as arguments choose some.
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = (7, 8, 9)  # one that is not noticed is tried with the next: a minute holds few of some faults

Mutant = collections.namedtuple("Mutant", "name protection path old new")

MUTANTS = (
    Mutant(
        "epoch",
        "shard_fence raises for a stale owner",
        "migrations/0001_core.up.sql",
        "IF matched <> cardinality(p_shards) THEN",
        "IF false THEN",
    ),
    Mutant(
        "offset",
        "reducer_fence raises for a stale reader",
        "migrations/0003_reducer.up.sql",
        "IF matched <> cardinality(p_partitions) THEN",
        "IF false THEN",
    ),
    Mutant(
        "repeat",
        "the reducer knows a repeat by its lane's number",
        "nodes/reducer/core/reducer.c",
        "if (identity.has_lane && identity.seq <= identity.last_seq) {",
        "if (identity.has_lane && identity.seq < 0) {",
    ),
    Mutant(
        "save-before-publish",
        "events are published after their commit",
        "nodes/orchestrator/worker_batch.c",
        '    CRASH_POINT("commit_unsent");\n',
        "    publisher_commit(worker->orchestrator->publisher, &worker->flying.events);\n"
        '    CRASH_POINT("commit_unsent");\n',
    ),
    Mutant(
        "save-before-reply",
        "clients are answered after the commit",
        "nodes/orchestrator/worker_batch.c",
        '    CRASH_POINT("commit_unsent");\n',
        "    for (size_t i = 0; i < batch->replies_count; i++)\n"
        "        give(&batch->replies[i]);\n"
        "    batch->replies_count = 0;\n"
        '    CRASH_POINT("commit_unsent");\n',
    ),
    Mutant(
        "key",
        "one idempotency key, one workflow: the unique key",
        "migrations/0001_core.up.sql",
        "PRIMARY KEY (shard, namespace, key)\n",
        "PRIMARY KEY (shard, namespace, key, workflow_id)\n",
    ),
    Mutant(
        "outbox",
        "a new owner publishes again from published_seq on",
        "nodes/orchestrator/publisher.c",
        "    lane->committed_seq = next_seq - 1;\n    set_backlog(lane);\n",
        "    lane->committed_seq = lane->published_seq = next_seq - 1;\n    set_backlog(lane);\n",
    ),
)


def copy_tree(target: pathlib.Path) -> None:
    """Sources and what is built of them, with their times, so that little is compiled again."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for mode in ("release", "prove"):
        shutil.copytree(ROOT / "build" / mode, target / "build" / mode, symlinks=True)


def build(tree: pathlib.Path) -> None:
    nodes = ["build/prove/bridge-orchestrator", "build/prove/bridge-reducer"]
    for arguments in (["MODE=release", "build/release/libpure.a"], ["MODE=prove", *nodes]):
        done = subprocess.run(
            ["make", "-s", "-j2", *arguments], cwd=tree, text=True, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"the mutant does not build:\n{done.stdout}{done.stderr}")


def notice(tree: pathlib.Path, seed: int) -> str:
    """What prove found, "" when nothing."""
    command = [sys.executable, str(ROOT / "tests" / "prove" / "prove.py")]
    command += ["--minutes", "1", "--seed", str(seed)]
    environment = {**os.environ, "PROVE_TREE": str(tree), "TMPDIR": str(tree)}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    if done.returncode == 0:
        return ""
    found = re.search(r"^found: (.+)$", done.stdout, re.MULTILINE)
    other = [line for line in done.stdout.splitlines() if line.startswith("failed: ")]
    return found.group(1) if found else (other or done.stderr.splitlines() or ["?"])[-1]


def run(mutant: Mutant) -> str:
    tree = pathlib.Path(tempfile.mkdtemp(prefix="bridge-mutant-"))
    tree.chmod(0o711)
    try:
        copy_tree(tree)
        path = tree / mutant.path
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.name}: {mutant.path} has changed; mend the list of mutants")
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        build(tree)
        for seed in SEEDS:
            found = notice(tree, seed)
            if found:
                return found
        return ""
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def main() -> int:
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or mutant.name in sys.argv[1:]]
    missed = 0
    for mutant in chosen:
        found = run(mutant)
        missed += not found
        print(f"{mutant.name:20} {mutant.protection:50} {found or 'NOT NOTICED'}", flush=True)
    print(f"{len(chosen) - missed} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
