# SPDX-License-Identifier: MIT
"""Many workflows in Wait, and a Map of many items: filling, restarting, and what it costs.

Used by test_scale.py and by the benchmark (tests/bench/scale.py); the contracts are the benchmark's.
"""

import contextlib
import os
import pathlib
import queue
import re
import signal
import socket
import threading
import time

import web
from harness import ROOT, Bridge, wait_until
from parts import Server

CONTRACTS = ROOT / "tests" / "bench" / "contracts"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
BATCH = 500
TEXT = "The quick brown fox jumps over the lazy dog and runs on. " * 5
LONG_SECONDS = 86400


# -- processes --


def memory_mib(pid: int, name: str = "VmRSS") -> float:
    """VmRSS: resident now; VmHWM: the most it ever was; RssAnon: not from files."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE).group(1)) / 1024


def own_cpu_seconds(pid: int) -> float:
    """CPU time of a process with its threads, without children."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return sum(map(int, text.rpartition(")")[2].split()[11:13])) / TICKS_PER_SECOND


def answers_ready(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2) as link:
            link.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return link.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def launch_until_ready(server: Server, seconds: float = 60) -> float:
    """Starts it; seconds from fork to the first 200 of /health/ready, polled each millisecond."""
    port = int(server.url.rpartition(":")[2])
    began = time.monotonic()
    server.launch()
    while time.monotonic() < began + seconds:
        if answers_ready("127.0.0.1", port):
            return time.monotonic() - began
        time.sleep(0.001)
    raise RuntimeError(f"{server.name} did not get ready:\n{server.process.log_tail()}")


def loads(server: Server) -> bool:
    return "being loaded" in web.get(server.url + "/health").text


def restart(server: Server, number: signal.Signals) -> dict:
    """Ends it by a signal and starts it again: seconds until it had ended, from its start until it was
    ready, and until all workflows were in memory."""
    began = time.monotonic()
    if number == signal.SIGKILL:
        server.kill()
    else:
        assert server.stop() == 0, server.process.log_tail()
    ended = time.monotonic() - began
    ready = launch_until_ready(server)
    return {"end_s": ended, "ready_s": ready, "loaded_s": ready}


def wait_loaded(server: Server, times: dict) -> None:
    """Fills in times["loaded_s"]."""
    began = time.monotonic()
    wait_until(lambda: not loads(server), 60, "all workflows loaded")
    times["loaded_s"] += time.monotonic() - began


# -- workflows that wait --


def sleeping(count: int, seconds: int = LONG_SECONDS, namespace: str = "scale") -> list[dict]:
    return [
        {
            "workflow": "sleeper",
            "namespace": namespace,
            "input": {"seconds": seconds, "text": TEXT, "number": n},
        }
        for n in range(count)
    ]


def submit_all(bridge: Bridge, bodies: list[dict], clients: int = 4) -> list[str]:
    """Submits in batches until each is accepted; the ids."""
    parts: queue.SimpleQueue = queue.SimpleQueue()
    ids: list[str] = []
    faults: list[object] = []
    for first in range(0, len(bodies), BATCH):
        parts.put(bodies[first : first + BATCH])

    def work() -> None:
        client = web.Client(bridge.url("orchestrator"), timeout=60)
        with contextlib.closing(client):
            while not faults:
                try:
                    part = parts.get_nowait()
                except queue.Empty:
                    return
                submit_part(client, part, ids, faults)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults[:3]
    assert len(ids) == len(bodies)
    return ids


def submit_part(client: web.Client, part: list[dict], ids: list[str], faults: list) -> None:
    """One batch; what was refused because the queue is full is sent again."""
    while part:
        answer = client.call("POST", "/api/v1/workflows/batch", {"workflows": part})
        if answer.status not in (200, 202, 207):
            faults.append(answer)
            return
        again = []
        for body, item in zip(part, answer.json["items"]):
            if item["status"] in (200, 201, 202):
                ids.append(item["workflow"]["workflow_id"])
            elif item["status"] in (429, 503):
                again.append(body)
            else:
                faults.append(item)
        part = again


def waiting(bridge: Bridge) -> int:
    return bridge.sql(
        "SELECT count(*) FROM workflow_executions WHERE workflow_type = 'sleeper'"
        " AND current_state = 'PROCESSING'"
    )[0][0]


def idle_cost(server: Server, seconds: float) -> float:
    """CPU seconds per second while nothing is asked of it. An interval is what is measured here."""
    pid = server.process.pid
    before = own_cpu_seconds(pid)
    time.sleep(seconds)
    return (own_cpu_seconds(pid) - before) / seconds


# -- a Map of many items --


def run_map(bridge: Bridge, items: int, seconds: float = 120) -> dict:
    """One workflow of so many calls; its end, and what the orchestrator spent on it."""
    pid = bridge.orchestrator.process.pid
    before, began = own_cpu_seconds(pid), time.monotonic()
    body = {
        "workflow": "map_calls",
        "namespace": "scale",
        "input": {"items": [{"number": n, "text": TEXT} for n in range(items)]},
    }
    answer = bridge.call("POST", "/api/v1/workflows", body)
    assert answer.status == 202, answer
    path = f"/api/v1/workflows/{answer.json['workflow_id']}"

    def ended() -> bool:
        states = bridge.sql(
            "SELECT current_state FROM workflow_executions WHERE id = %s", path[-36:]
        )
        return states[0][0] in ("COMPLETED", "FAILED")

    wait_until(ended, seconds, f"the end of a Map of {items} items")
    spent = own_cpu_seconds(pid) - before
    return {
        "items": items,
        "seconds": time.monotonic() - began,
        "cpu_us_per_item": spent * 1e6 / items,
        "workflow": bridge.get(path).json,
        "peak_mib": memory_mib(pid, "VmHWM"),
    }
