# SPDX-License-Identifier: MIT
"""Workflows per second: two calls in a row to the stub, and the stamping workflow with its companions."""

import json
import pathlib
import statistics
import subprocess

from session import ROOT, Bridge, Session, cpu_seconds, idle_figures, memory_mib, program, say_idle
import parts
from parts import Server

HERE = pathlib.Path(__file__).resolve().parent
DATABASE = "bench_workflows"
CLIENTS = (1, 16, 64, 128)
TEXT = ("The quick brown fox jumps over the lazy dog and runs on. " * 8)[:450]
TWO_CALLS = {"workflow": "two_calls", "namespace": "bench.two", "input": {"number": 0, "text": TEXT}}
STAMPING = {"content": "document 0\n" + TEXT, "file_path": "docs/a.txt", "namespace": "bench.stamp"}
SUBMIT = "/api/v1/workflows?wait=10000"


class Workflows:
    """An orchestrator with the benchmark's contracts, the stub, the companions and a broker."""

    def __init__(self, session: Session, seconds: float):
        self.session = session
        self.seconds = seconds
        self.next_number = 100000000000
        url = session.postgres.create_database(DATABASE)
        self.bridge = Bridge(session.directory, url, {})
        self.bridge.environment = {
            "CONTRACTS_DIR": str(HERE / "contracts"),
            "BENCH_STUB_URL": self.bridge.url("stub"),
            "HTTP_THREADS": "256",
            "LOG_LEVEL": "warning",
        }
        self.bodies = {
            "two_calls": self.body("two_calls", TWO_CALLS, '"number": 0', '"number": @NUMBER@'),
            "stamping": self.body("stamping", STAMPING, "document 0", "document @NUMBER@"),
        }

    def body(self, name: str, value: dict, old: str, new: str) -> pathlib.Path:
        path = self.session.directory / f"{name}.json"
        path.write_text(json.dumps(value).replace(old, new), encoding="utf-8")
        return path

    def start(self) -> None:
        bridge = self.bridge
        bridge.migrate()
        bridge.start_embedded_broker()
        stub = Server(
            "stub",
            program("tests/bench/stub"),
            bridge.url("stub"),
            {**bridge.settings, "ONEXTREE_PORT": str(bridge.port("stub")), "HTTP_THREADS": "400"},
            bridge.log("stub"),
        )
        bridge.servers["stub"] = stub
        stub.start()
        bridge.start_stamping()
        bridge.start_onextree(ONEXTREE_PROJECT_ROOT=str(ROOT / "nodes"))

    def orchestrator(self, **environment) -> Server:
        return self.bridge.orchestrator_server(
            ORCHESTRATOR_WORKERS="2",
            ORCHESTRATOR_CONCURRENCY="256",
            MAX_WORKFLOW_QUEUE_SIZE="10000",
            **environment,
        )

    def measure_idle(self) -> dict:
        """Start to ready, resident memory and queries of an orchestrator without work."""
        figures = idle_figures(self.session, self.orchestrator(HTTP_THREADS="64"), DATABASE)
        say_idle(self.session, "orchestrator", figures)
        return figures

    def load(self, kind: str, clients: int, rate: float = 0, seconds: float = 0) -> dict:
        """One run of the client; its line of figures, with CPU, WAL and transactions per workflow."""
        orchestrator, postgres = self.bridge.orchestrator.process, self.session.postgres.process
        before = (cpu_seconds(orchestrator.pid), cpu_seconds(postgres.pid))
        wal, commits = self.session.wal_position(), self.session.transactions(DATABASE)
        done = subprocess.run(
            [str(program("tests/bench/load")), "--port", str(self.bridge.port("orchestrator"))]
            + ["--path", SUBMIT, "--body", str(self.bodies[kind]), "--clients", str(clients)]
            + ["--seconds", str(seconds or self.seconds), "--rate", str(rate)]
            + ["--first", str(self.next_number)],
            capture_output=True,
            text=True,
            check=False,
            env=parts.clean_environment(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"load: {done.stderr}\n{orchestrator.log_tail()}")
        figures = json.loads(done.stdout)
        self.next_number = figures["next"]
        sent = max(figures["sent"], 1)
        figures["wal_bytes"] = (self.session.wal_position() - wal) / sent
        figures["cpu_us"] = (cpu_seconds(orchestrator.pid) - before[0]) * 1e6 / sent
        figures["postgres_cpu_us"] = (cpu_seconds(postgres.pid) - before[1]) * 1e6 / sent
        figures["transactions"] = (self.session.transactions(DATABASE) - commits) / sent
        self.say(kind, figures)
        if figures["other"] or figures["lost"]:
            self.session.say(
                f"    {figures['other']} answers were not a completed workflow, {figures['lost']} never"
                f" came; one of them: {figures['example'][:300]}"
            )
        return figures

    def say(self, kind: str, figures: dict) -> None:
        how = f"{figures['rate']:.0f}/s due" if figures["rate"] else f"{figures['clients']} clients"
        self.session.say(
            f"  {kind:<9} {how:>11}: {figures['per_second']:>8,.1f}/s  p50 {figures['p50_ms']:.2f}"
            f"  p99 {figures['p99_ms']:.2f}  max {figures['max_ms']:.1f} ms"
            f"  CPU {figures['cpu_us']:.0f} us + PostgreSQL {figures['postgres_cpu_us']:.0f} us"
            f"  WAL {figures['wal_bytes']:.0f} B  {figures['transactions']:.2f} transactions"
        )

    def measure(self, rounds: int, yardstick_seconds: int) -> dict:
        """Rounds of yardsticks and loads, so that what disturbs the machine disturbs both."""
        figures: dict = {"commits_64": [], "commits_1": [], "two_calls": {}, "stamping": {64: []}}
        self.orchestrator().start()
        for n in range(rounds):
            figures["commits_64"].append(self.session.commits_per_second(64, yardstick_seconds))
            figures["commits_1"].append(self.session.commits_per_second(1, yardstick_seconds))
            self.session.say(
                f"round {n + 1}: {figures['commits_64'][-1]:,.0f} commits/s with 64 clients,"
                f" {figures['commits_1'][-1]:,.0f} with 1"
            )
            for clients in CLIENTS:
                figures["two_calls"].setdefault(clients, []).append(self.load("two_calls", clients))
            figures["stamping"][64].append(self.load("stamping", 64))
        capacity = statistics.median(run["per_second"] for run in figures["two_calls"][64])
        figures["open"] = [self.load("two_calls", 256, rate=capacity * part) for part in (0.5, 0.75)]
        figures["busy_rss_mib"] = memory_mib(self.bridge.orchestrator.process.pid, "VmHWM")
        self.session.say(f"orchestrator at most {figures['busy_rss_mib']:.1f} MiB resident")
        return figures

    def close(self) -> None:
        self.bridge.close()
