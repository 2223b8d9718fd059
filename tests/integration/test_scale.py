# SPDX-License-Identifier: MIT
"""Many workflows that wait, and a Map of many items. FULL=1 is the full size: 100,000 and 10,000."""

import os
import signal
import threading

import pytest
import scale
from harness import SANITIZED, deadline_factor, scaled, wait_until

FULL = os.environ.get("FULL") == "1"
SLEEPERS = 100000 if FULL else scaled(3000)
ITEMS = 10000 if FULL else scaled(1000)
CONCURRENCY = 100  # of the Map in map_calls.yaml
RESTART_SECONDS = 2.0 if FULL else 60  # FULL is run on a machine that does nothing else
IDLE_SHARE_MAX = 0.02  # of one core
SLEEPER_BYTES_MAX = 4096
MAP_MIB_MAX = 96


@pytest.fixture
def scale_bridge(empty_bridge):
    empty_bridge.environment.update(
        CONTRACTS_DIR=str(scale.CONTRACTS),
        ORCHESTRATOR_WORKERS="2",
        MAX_WORKFLOW_QUEUE_SIZE="10000",
    )
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    return empty_bridge


def test_workflows_in_wait_cost_nothing_and_survive_restarts(scale_bridge):
    bridge = scale_bridge
    server = bridge.start_orchestrator()
    empty_mib = scale.memory_mib(server.process.pid)
    ids = scale.submit_all(bridge, scale.sleeping(SLEEPERS))
    due = scale.submit_all(bridge, scale.sleeping(20, seconds=6, namespace="due"))
    assert scale.waiting(bridge) == SLEEPERS + len(due)
    share = settled_cost(server)
    each_bytes = (scale.memory_mib(server.process.pid) - empty_mib) * 1048576 / SLEEPERS
    print(f"\n{SLEEPERS:,} in Wait: {share:.3f} of a core, {each_bytes:,.0f} octets each")
    assert share <= IDLE_SHARE_MAX * deadline_factor()
    if FULL and not SANITIZED:
        assert each_bytes <= SLEEPER_BYTES_MAX

    for number in (signal.SIGTERM, signal.SIGKILL):
        times = scale.restart(server, number)
        cancel(bridge, ids.pop())  # at once, while most are still being loaded
        scale.wait_loaded(server, times)
        print(
            f"{number.name}: ended in {times['end_s']:.2f} s, ready in {times['ready_s']:.2f} s,"
            f" all loaded in {times['loaded_s']:.2f} s"
        )
        assert times["end_s"] + times["ready_s"] <= RESTART_SECONDS * deadline_factor()
    for workflow_id in (ids[0], ids[-1]):
        seen = bridge.workflow(workflow_id)
        assert (seen["state"], seen["current_step"]) == ("PROCESSING", "sleep"), seen
    wait_until(
        lambda: bridge.states("due") == {"COMPLETED": len(due)}, 30, "the end of those that are due"
    )
    assert scale.waiting(bridge) == len(ids)


def settled_cost(server):
    """What it costs when what came before is done, which the first looks may still see."""
    for _ in range(10):
        share = scale.idle_cost(server, 3)
        if share <= IDLE_SHARE_MAX:
            break
    return share


def cancel(bridge, workflow_id):
    cancelled = bridge.call("POST", f"/api/v1/workflows/{workflow_id}/cancel", {"cause": "enough"})
    assert cancelled.status == 200, cancelled
    assert bridge.workflow(workflow_id)["state"] == "CANCELLED"


class Counting:
    """A service that keeps the first calls until a hundred are there, and counts how many are at once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.first = threading.Barrier(CONCURRENCY)
        self.calls = self.inside = self.most = 0

    def behave(self, _method, _path, _body):
        with self.lock:
            self.calls += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            is_first = self.calls <= CONCURRENCY
        if is_first:
            self.first.wait(30 * deadline_factor())
        with self.lock:
            self.inside -= 1
        return 200, b'{"ok":true}'


def test_a_map_of_many_items(scale_bridge, stub):
    """All are called, a hundred at once; an item of a large Map costs what one of a small Map does."""
    bridge, service = scale_bridge, Counting()
    calls = stub(bridge.port("stub"), service.behave).calls
    bridge.environment["BENCH_STUB_URL"] = bridge.url("stub")
    server = bridge.start_orchestrator(ORCHESTRATOR_CONCURRENCY="256")
    scale.run_map(bridge, CONCURRENCY)  # connections are open, memory is warm
    before_mib = scale.memory_mib(server.process.pid)
    calls.clear()
    small = scale.run_map(bridge, ITEMS // 10)
    large = scale.run_map(bridge, ITEMS)
    for told in (small, large):
        assert told["workflow"]["state"] == "COMPLETED", told["workflow"]
        assert len(told["workflow"]["result"]) == told["items"]
        assert {item["status"] for item in told["workflow"]["result"]} == {200}
        print(
            f"\nMap of {told['items']:,}: {told['seconds']:.2f} s, {told['cpu_us_per_item']:.0f} us"
            f" of the orchestrator's CPU per item, {told['peak_mib'] - before_mib:.1f} MiB more at most"
        )
    assert len(calls) == ITEMS + ITEMS // 10, "each item is called once"
    assert service.most == CONCURRENCY
    if small["items"] >= 1000:  # fewer cost less than the clock of the CPU can tell
        assert large["cpu_us_per_item"] <= 1.5 * small["cpu_us_per_item"] + 100
    if not SANITIZED:
        assert large["peak_mib"] - before_mib <= MAP_MIB_MAX


def test_the_database_goes_away_while_workflows_are_loaded(scale_bridge):
    """Connections that end in the middle of it: everything is loaded in the end, nothing twice."""
    bridge = scale_bridge
    server = bridge.start_orchestrator()
    ids = scale.submit_all(bridge, scale.sleeping(SLEEPERS))
    server.kill()
    scale.launch_until_ready(server)
    for _ in range(3):
        bridge.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    wait_until(lambda: bridge.get("/health/ready").status == 200, 30, "ready again")
    cancel(bridge, ids.pop(0))
    cancel(bridge, ids.pop())
    times = {"loaded_s": 0}
    scale.wait_loaded(server, times)
    assert scale.waiting(bridge) == len(ids)
    wait_until(
        lambda: bridge.metric("workflow_live") == len(ids),
        10,
        "all workflows in memory, each once",
    )
