# SPDX-License-Identifier: MIT
"""kill -9 under load with many workflows in flight: until the first of them ends elsewhere, or after a restart.

Most of the workflows in flight wait for a day, those of 64 clients are at work. Times come from completed_at in the database, whose clock is this machine's.
"""

import json
import subprocess
import time

import parts
import scale
from harness import wait_until
from session import Bridge, Session, program, spread
from parts import Server
from workflows import SUBMIT, TWO_CALLS

DATABASE = "bench_takeover"
IN_FLIGHT = 10000
CLIENTS = 64
NAMES = ("orchestrator", "orchestrator-2")
SHARDS = 16


class Takeover:
    """Two orchestrators of two workers each, the embedded broker and the stub."""

    def __init__(self, session: Session):
        self.session = session
        url = session.postgres.create_database(DATABASE)
        self.bridge = Bridge(session.directory, url, {})
        self.bridge.environment = {
            "CONTRACTS_DIR": str(scale.CONTRACTS),
            "BENCH_STUB_URL": self.bridge.url("stub"),
            "HTTP_THREADS": "256",
            "ORCHESTRATOR_WORKERS": "2",
            "ORCHESTRATOR_CONCURRENCY": "256",
            "MAX_WORKFLOW_QUEUE_SIZE": "10000",
            "LOG_LEVEL": "info",
        }
        self.body = session.directory / "takeover.json"
        text = json.dumps(TWO_CALLS).replace('"number": 0', '"number": @NUMBER@')
        self.body.write_text(text, encoding="utf-8")
        self.next_number = 200000000000

    def start(self) -> None:
        bridge = self.bridge
        bridge.migrate()
        bridge.start_embedded_broker()
        stub = Server(
            "stub",
            program("tests/bench/stub"),
            bridge.url("stub"),
            {**bridge.settings, "ONEXTREE_PORT": str(bridge.port("stub")), "HTTP_THREADS": "600"},
            bridge.log("stub"),
        )
        bridge.servers["stub"] = stub
        stub.start()
        bridge.start_orchestrator()
        scale.submit_all(bridge, scale.sleeping(IN_FLIGHT - CLIENTS))

    def load(self, name: str, clients: int, seconds: int = 30) -> subprocess.Popen:
        self.next_number += 100000000
        return subprocess.Popen(
            [str(program("tests/bench/load")), "--port", str(self.bridge.port(name))]
            + ["--path", SUBMIT, "--body", str(self.body), "--clients", str(clients)]
            + ["--seconds", str(seconds), "--first", str(self.next_number)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=parts.clean_environment(),
        )

    def owned(self, name: str) -> list[int]:
        rows = self.bridge.sql(
            "SELECT shard FROM shards s JOIN instances i ON i.instance_id = s.owner"
            " WHERE advertised_url = %s",
            self.bridge.url(name),
        )
        return [row[0] for row in rows]

    def first_end_ms(self, shards: list[int], killed: float, since: float) -> float:
        """From `since` to the first end after the kill of a workflow that was there before it."""

        def ended():
            return self.bridge.sql(
                "SELECT extract(epoch FROM min(completed_at))::float8 FROM workflow_executions"
                " WHERE shard = ANY(%s) AND created_at < to_timestamp(%s)"
                " AND completed_at > to_timestamp(%s)",
                shards,
                killed,
                killed,
            )[0][0]

        return (wait_until(ended, 60, "a workflow ending after the kill") - since) * 1000

    def wait_spread(self, second: int) -> None:
        wait_until(lambda: len(self.owned(NAMES[1])) == second, 60, "the spread of shards")
        for name in NAMES[: 1 + (second > 0)]:
            wait_until(lambda: not scale.loads(self.bridge.servers[name]), 60, "all being loaded")

    def one_takeover(self) -> float:
        """kill -9 of the second of two; it comes back afterwards."""
        second = self.bridge.servers.get(NAMES[1]) or self.bridge.orchestrator_server(NAMES[1])
        second.start()
        self.wait_spread(SHARDS // 2)
        loads = [self.load(name, CLIENTS // 2) for name in NAMES]
        time.sleep(2)
        shards, killed = self.owned(NAMES[1]), time.time()
        second.kill()
        took = self.first_end_ms(shards, killed, killed)
        for load in loads:
            load.kill()
            load.wait()
        self.wait_spread(0)
        return took

    def one_restart(self) -> float:
        """kill -9 of the only one; from the start of the new process on."""
        server = self.bridge.orchestrator
        load = self.load(NAMES[0], CLIENTS)
        time.sleep(2)
        killed = time.time()
        server.kill()
        load.kill()
        load.wait()
        began = time.time()
        server.launch()
        took = self.first_end_ms(list(range(SHARDS)), killed, began)
        server.wait_ready()
        self.wait_spread(0)
        return took

    def measure(self, rounds: int) -> dict:
        figures = {
            "restart_ms": [self.one_restart() for _ in range(rounds)],
            "takeover_ms": [self.one_takeover() for _ in range(rounds)],
        }
        self.session.say(
            f"{IN_FLIGHT:,} in flight, {CLIENTS} clients, kill -9: the first ends elsewhere after"
            f" {spread(figures['takeover_ms'])} ms; after a restart {spread(figures['restart_ms'])} ms"
        )
        return figures

    def close(self) -> None:
        self.bridge.close()
