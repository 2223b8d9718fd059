# SPDX-License-Identifier: MIT
"""make up, status and down as a user has them: own ports, idempotent, stack.env, clear refusals.

Runs the scripts of a clone-like copy (links to tools, build and so on), so that a stack that the
developer has running in this tree is left alone.
"""

import os
import pathlib
import signal
import socket
import subprocess

import harness
import pytest
import web
from harness import ROOT, deadline_factor
from process import start_time

LINKED = ("contracts", "migrations", "tools/kafka", "tools/bridgectl")


def base_with_free_ports() -> int:
    """A PORT_BASE whose first 20 ports are free now, below the range of outgoing connections."""
    for base in range(21000 + os.getpid() % 500 * 20, 32000, 20):
        probes = []
        try:
            for port in range(base, base + 20):
                probe = socket.socket()
                probes.append(probe)
                probe.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
    raise AssertionError("no free range of ports")


class Clone:
    """A tree of its own around the built programs."""

    def __init__(self, directory: pathlib.Path):
        self.root = directory / "clone"
        self.base = base_with_free_ports()
        (self.root / "build").mkdir(parents=True)
        (self.root / "tools" / "stack").mkdir(parents=True)
        for script in (ROOT / "tools" / "stack").glob("*.py"):
            (self.root / "tools" / "stack" / script.name).write_text(
                script.read_text(encoding="utf-8"), encoding="utf-8"
            )
        for name in LINKED:
            (self.root / name).symlink_to(ROOT / name)
        (self.root / "build" / harness.MODE).symlink_to(harness.PROGRAMS)

    def stack(self, command: str, check: bool = True, **variables) -> subprocess.CompletedProcess:
        environment = {
            **os.environ,
            "MODE": harness.MODE,
            "PORT_BASE": str(self.base),
            "HTTP_THREADS": "64",
            **variables,
        }
        done = subprocess.run(
            ["/usr/bin/python3", str(self.root / "tools/stack/stack.py"), command],
            cwd=self.root,
            env=environment,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=600 * deadline_factor(),
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    @property
    def environment(self) -> dict:
        text = (self.root / "build/run/stack.env").read_text(encoding="utf-8")
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def clone(directory):
    tree = Clone(directory)
    yield tree
    tree.stack("down", check=False, PURGE="1")


def is_up(pid: str) -> bool:
    return start_time(int(pid)) != 0


def test_up_is_ready_idempotent_and_down_ends_all(clone):
    clone.stack("up")
    first = clone.environment
    for name in ("ORCHESTRATOR_URL", "REDUCER_URL", "STAMPING_URL", "ONEXTREE_URL"):
        assert web.is_ready(first[name]), name
    for name in ("ORCHESTRATOR_METRICS_URL", "REDUCER_METRICS_URL"):
        assert web.get(first[name] + "/metrics").status == 200, name
    pids = {name: value for name, value in first.items() if name.endswith("_PID")}
    assert set(pids) == {
        "ORCHESTRATOR_PID",
        "REDUCER_PID",
        "STAMPING_PID",
        "ONEXTREE_PID",
        "POSTGRES_PID",
        "BROKER_PID",
    }
    program = os.readlink(f"/proc/{first['ORCHESTRATOR_PID']}/exe")
    assert program.endswith("/bridge-orchestrator"), "the PID is the process itself"

    clone.stack("up")
    assert clone.environment == first, "a second `up` starts nothing anew"
    status = clone.stack("status")
    assert status.stdout.count(" ready ") == 6, status.stdout

    clone.stack("down")
    assert not any(is_up(pid) for pid in pids.values())
    assert clone.stack("status", check=False).returncode == 1
    assert clone.stack("down").returncode == 0, "down twice is fine"


def test_up_brings_back_what_was_killed(clone):
    clone.stack("up")
    before = clone.environment
    os.kill(int(before["REDUCER_PID"]), signal.SIGKILL)
    harness.wait_until(lambda: not is_up(before["REDUCER_PID"]), 10, "the reducer's death")
    status = clone.stack("status", check=False)
    assert status.returncode == 1 and "stopped" in status.stdout, status.stdout
    clone.stack("up")
    after = clone.environment
    assert after["REDUCER_PID"] != before["REDUCER_PID"]
    assert after["ORCHESTRATOR_PID"] == before["ORCHESTRATOR_PID"]
    assert web.is_ready(after["REDUCER_URL"])


def test_up_after_the_broker_died_restarts_the_nodes_on_the_new_address(clone):
    clone.stack("up")
    before = clone.environment
    os.kill(int(before["BROKER_PID"]), signal.SIGKILL)
    harness.wait_until(lambda: not is_up(before["BROKER_PID"]), 10, "the broker's death")
    clone.stack("up")
    after = clone.environment
    for name in ("BROKER_PID", "ORCHESTRATOR_PID", "REDUCER_PID"):
        assert after[name] != before[name], name
    for name in ("POSTGRES_PID", "STAMPING_PID", "ONEXTREE_PID"):
        assert after[name] == before[name], name
    answer = web.call(
        "POST",
        after["ORCHESTRATOR_URL"] + "/api/v1/workflows?wait=60000",
        {"content": "after the broker came back"},
        timeout=90,
    )
    assert answer.status == 200 and answer.json["state"] == "COMPLETED", answer


def test_more_instances_have_names_urls_and_pids(clone):
    clone.stack("up", ORCHESTRATORS="2", REDUCERS="2")
    environment = clone.environment
    for name in ("ORCHESTRATOR_2", "REDUCER_2"):
        assert web.is_ready(environment[f"{name}_URL"])
        assert is_up(environment[f"{name}_PID"])


def test_variables_reach_the_nodes(clone):
    clone.stack("up", LOG_LEVEL="debug", AGGREGATION_WINDOW_SIZE_MS="1234")
    environment = (
        pathlib.Path(f"/proc/{clone.environment['REDUCER_PID']}/environ").read_bytes().split(b"\0")
    )
    assert b"LOG_LEVEL=debug" in environment
    assert b"AGGREGATION_WINDOW_SIZE_MS=1234" in environment


def test_a_busy_port_names_who_holds_it_and_starts_nothing(clone):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", clone.base + 2))
        holder.listen(1)
        done = clone.stack("up", check=False)
    assert done.returncode != 0
    assert f"port {clone.base + 2} for reducer is held by" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert "PORT_BASE" in done.stderr
    assert clone.stack("status", check=False).returncode == 1


@pytest.mark.parametrize(
    "variables, said",
    [
        ({"PORT_BASE": "eighty"}, "PORT_BASE"),
        ({"ORCHESTRATORS": "0"}, "from 1 to 9"),
        ({"BROKER": "rabbit"}, "embedded or kafka"),
    ],
)
def test_a_wrong_variable_is_one_sentence(clone, variables, said):
    done = clone.stack("up", check=False, **variables)
    assert done.returncode == 1
    assert said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_node_that_cannot_start_is_told_with_its_reason(clone):
    done = clone.stack("up", check=False, REDUCER_WORKERS="many")
    assert done.returncode == 1
    assert (
        "reducer ended with exit status 2" in done.stderr and "REDUCER_WORKERS" in done.stderr
    ), done.stderr


def test_run_stamps_a_directory_and_the_totals_agree(clone, directory):
    tree = directory / "documents"
    (tree / "sub").mkdir(parents=True)
    for n in range(25):
        (tree / ("sub" if n % 2 else ".") / f"{n}.md").write_text(
            f"# Document {n}\n" + "word " * n, encoding="utf-8"
        )
    (tree / "empty.txt").write_text("", encoding="utf-8")
    (tree / "picture.bin").write_bytes(b"\x89PNG\0\0\xff")
    done = clone.stack("run", DIR=str(tree))
    assert "submitted 25, completed 25, failed 0" in done.stdout, done.stdout + done.stderr
    assert "every file is stamped and counted" in done.stdout
    assert clone.stack("status").returncode == 0, "it is left running"
