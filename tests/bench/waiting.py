# SPDX-License-Identifier: MIT
"""Many workflows in Wait: memory, idle cost, restarts; and one Map of many items on the whole stack."""

import signal
import time

import scale
from session import Bridge, Session, program
from parts import Server

DATABASE = "bench_scale"
SLEEPERS = (10000, 100000)
ITEMS = (1000, 10000)
IDLE_SECONDS = 5


def to_ready(times: dict) -> float:
    """From the signal on."""
    return times["end_s"] + times["ready_s"]


class Waiting:
    """An orchestrator with two workers, the embedded broker and the stub."""

    def __init__(self, session: Session):
        self.session = session
        url = session.postgres.create_database(DATABASE)
        self.bridge = Bridge(session.directory, url, {})
        self.bridge.environment = {
            "CONTRACTS_DIR": str(scale.CONTRACTS),
            "BENCH_STUB_URL": self.bridge.url("stub"),
            "ORCHESTRATOR_WORKERS": "2",
            "ORCHESTRATOR_CONCURRENCY": "256",
            "MAX_WORKFLOW_QUEUE_SIZE": "10000",
            "LOG_LEVEL": "warning",
        }

    def start(self) -> None:
        bridge = self.bridge
        bridge.migrate()
        bridge.start_embedded_broker()
        stub = Server(
            "stub",
            program("tests/bench/stub"),
            bridge.url("stub"),
            {**bridge.settings, "ONEXTREE_PORT": str(bridge.port("stub")), "HTTP_THREADS": "200"},
            bridge.log("stub"),
        )
        bridge.servers["stub"] = stub
        stub.start()
        bridge.start_orchestrator()

    def measure(self) -> dict:
        maps = self.measure_map()
        return {"map": maps, "sleepers": self.measure_sleepers()}

    def measure_map(self) -> list[dict]:
        pid = self.bridge.orchestrator.process.pid
        scale.run_map(self.bridge, ITEMS[0])
        idle_mib = scale.memory_mib(pid)
        told = []
        for items in ITEMS:
            one = scale.run_map(self.bridge, items)
            assert one["workflow"]["state"] == "COMPLETED", one["workflow"]
            one["more_mib"] = max(one["peak_mib"] - idle_mib, 0)
            told.append(one)
            self.session.say(
                f"Map of {items:,}, 100 at once: {one['seconds']:.2f} s,"
                f" {one['cpu_us_per_item']:.0f} us CPU per item, {one['more_mib']:.1f} MiB more"
            )
        return told

    def measure_sleepers(self) -> list[dict]:
        bridge, told, there = self.bridge, [], 0
        server = bridge.orchestrator
        server.stop()
        scale.launch_until_ready(server)
        empty_mib = scale.memory_mib(server.process.pid)
        for count in SLEEPERS:
            began = time.monotonic()
            scale.submit_all(bridge, scale.sleeping(count - there))
            there = count
            one = {"count": count, "submit_s": time.monotonic() - began}
            one["queries_per_second"] = self.session.idle_queries_per_second(DATABASE, IDLE_SECONDS)
            one["share"] = scale.idle_cost(server, IDLE_SECONDS)
            one["term"] = self.restart(signal.SIGTERM)
            one["kill"] = [self.restart(signal.SIGKILL) for _ in range(3)]
            one["mib"] = scale.memory_mib(server.process.pid) - empty_mib
            assert scale.waiting(bridge) == count
            told.append(one)
            ready = ", ".join(f"{to_ready(times):.2f}" for times in one["kill"])
            loaded = ", ".join(f"{times['loaded_s']:.2f}" for times in one["kill"])
            self.session.say(
                f"{count:,} in Wait: {one['mib']:.1f} MiB, {one['share']:.4f} of a core,"
                f" {one['queries_per_second']:.2f} queries/s; SIGTERM to ready"
                f" {to_ready(one['term']):.2f} s, kill -9 to ready {ready} s, all loaded after {loaded} s"
            )
        return told

    def restart(self, number: signal.Signals) -> dict:
        times = scale.restart(self.bridge.orchestrator, number)
        scale.wait_loaded(self.bridge.orchestrator, times)
        return times

    def close(self) -> None:
        self.bridge.close()
