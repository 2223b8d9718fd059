# SPDX-License-Identifier: MIT
"""The reducer over a full topic on a real Kafka, beside kcat reading the same topic to nowhere."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import psycopg2
from session import (
    ROOT,
    Bridge,
    Session,
    cpu_seconds,
    free_port,
    idle_figures,
    memory_mib,
    program,
    say_idle,
    spread,
    start_to_ready_ms,
)
import parts
from harness import WORKFLOW_TOPIC, wait_until
from parts import KafkaBroker

PARTITIONS = 8
NAMESPACES = 16
# Larger batches than the defaults, as for any topic that is to be read again from its beginning.
OPTIONS = {"MAX_AGGREGATION_QUEUE_SIZE": "50000", "AGGREGATION_BATCH_SIZE": "10000"}
EVENTS_PER_SECOND = 10000  # of event time: 2 million events are 40 windows of 5 s
EMPTY_TOPIC = "bench.empty"
# Windows and totals per namespace, which the comparison with others is about; REDUCER_AGGREGATIONS names
# others. workflow_grouping makes a row for each of these events, so it has a figure of its own.
AGGREGATIONS = "namespace_grouping namespace_total time_window"
LIMIT_S = 180
LOADED_S = 5  # by then a started reducer has its partitions and their rows


class Reducer:
    """A Kafka with a full workflow topic; each run counts all of it into a database of its own."""

    def __init__(self, session: Session, events: int):
        self.session = session
        self.events = events
        self.kafka = KafkaBroker(
            session.directory / "kafka", free_port(), free_port(), session.directory / "kafka.log"
        )
        self.bridge: Bridge | None = None
        self.runs = 0

    def start(self) -> None:
        self.kafka.start()
        wait_until(self.kafka_answers, 60, "Kafka's answer")
        self.new_bridge()
        self.warm_groups()
        done = subprocess.run(
            [str(program("tests/bench/fill_topic")), "--bootstrap", self.kafka.address]
            + ["--topic", WORKFLOW_TOPIC, "--events", str(self.events)]
            + ["--namespaces", str(NAMESPACES), "--events-per-second", str(EVENTS_PER_SECOND)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"fill_topic: {done.stdout}{done.stderr}")
        filled = json.loads(done.stdout)
        self.session.say(
            f"topic with {PARTITIONS} partitions filled: {filled['delivered']:,} events in"
            f" {filled['seconds']:.1f} s"
        )

    def kafka_answers(self) -> bool:
        """It listens before it answers."""
        asked = subprocess.run(
            ["kcat", "-L", "-b", self.kafka.address, "-m", "2"], capture_output=True, check=False
        )
        return asked.returncode == 0

    def warm_groups(self) -> None:
        """The first consumer group of a Kafka waits seconds for the topic with the groups' offsets."""
        subprocess.run(
            ["kcat", "-b", self.kafka.address, "-G", "bench-warm", "-e", "-q", WORKFLOW_TOPIC],
            capture_output=True,
            check=True,
            timeout=60,
        )

    def new_bridge(self, environment: dict | None = None) -> Bridge:
        """An empty database and a consumer group that has read nothing."""
        self.runs += 1
        name = f"bench_reducer_{self.runs}"
        if self.bridge is not None:
            self.bridge.close()
        url = self.session.postgres.create_database(name)
        directory = self.session.directory / name
        self.bridge = Bridge(directory, url, {
            "CONTRACTS_DIR": str(contracts_with(directory, chosen_aggregations())),
            "KAFKA_WORKFLOW_PARTITIONS": str(PARTITIONS),
            "KAFKA_CONSUMER_GROUP": name,
            "LOG_LEVEL": "warning",
            **OPTIONS,
            **(environment or {}),
        })
        self.bridge.database = name
        self.bridge.migrate()
        self.bridge.use_kafka(self.kafka)
        return self.bridge

    def read_with_kcat(self) -> float:
        """The yardstick: events/s that kcat reads to nowhere."""
        started = time.monotonic()
        with open("/dev/null", "wb") as nowhere:
            subprocess.run(
                ["kcat", "-C", "-b", self.kafka.address, "-t", WORKFLOW_TOPIC]
                + ["-o", "beginning", "-e", "-q", "-c", str(self.events)],
                stdout=nowhere,
                check=True,
                timeout=LIMIT_S,
            )
        return self.events / (time.monotonic() - started)

    def count_all(self) -> dict:
        """One run from the start of the process to the commit of the last event."""
        bridge = self.new_bridge()
        server = bridge.reducer_server()
        connection = psycopg2.connect(bridge.database_url)
        connection.autocommit = True
        wal = self.session.wal_position()
        postgres_before = cpu_seconds(self.session.postgres.process.pid)
        started = time.monotonic()
        server.launch()
        first_s, marks = 0.0, []
        try:
            with connection.cursor() as cursor:
                while True:
                    cursor.execute("SELECT coalesce(sum(next_offset), 0) FROM reducer_partitions")
                    counted, now = int(cursor.fetchone()[0]), time.monotonic() - started
                    if counted and not first_s:
                        first_s = now
                    marks.append((now, counted))
                    if counted >= self.events:
                        break
                    if now > LIMIT_S or not server.process.running:
                        raise RuntimeError(
                            f"the reducer counted {counted} of {self.events} in {now:.0f} s:\n"
                            f"{server.process.log_tail()}"
                        )
                    time.sleep(0.02)
        finally:
            connection.close()
        figures = {
            "seconds": now,
            "per_second": self.events / now,
            "first_row_s": first_s,
            "steady_per_second": steady(marks, self.events),
            "cpu_us": cpu_seconds(server.process.pid) * 1e6 / self.events,
            "postgres_cpu_us": (cpu_seconds(self.session.postgres.process.pid) - postgres_before)
            * 1e6 / self.events,
            "wal_bytes": (self.session.wal_position() - wal) / self.events,
            "rss_mib": memory_mib(server.process.pid, "VmHWM"),
            "stamps": self.stamps(),
        }
        self.session.say(
            f"  reducer: {figures['per_second']:,.0f} events/s from its start ({now:.2f} s, first row"
            f" after {first_s:.2f} s, {figures['steady_per_second']:,.0f}/s between a tenth and nine"
            f" tenths), CPU {figures['cpu_us']:.2f} us + PostgreSQL {figures['postgres_cpu_us']:.2f} us,"
            f" WAL {figures['wal_bytes']:.1f} B, {figures['rss_mib']:.0f} MiB at most,"
            f" {figures['stamps']:,} stamps counted"
        )
        if figures["stamps"] != self.events:
            raise RuntimeError(f"the reducer's totals say {figures['stamps']}, not {self.events}")
        server.stop()
        return figures

    def stamps(self) -> int:
        rows = self.bridge.sql(
            "SELECT coalesce(sum(events), 0) FROM aggregation_rows r JOIN aggregation_definitions d ON d.id = r.definition WHERE d.name = 'namespace_total'"
        )
        return int(rows[0][0])

    def measure_idle(self) -> dict:
        """Start to ready, resident memory and queries of a reducer whose topic is empty; then its
        memory with the rows of the last run."""
        loaded = self.bridge.reducer_server(HTTP_THREADS="64")
        loaded.start()
        time.sleep(LOADED_S)
        loaded_mib = memory_mib(loaded.process.pid)
        loaded.stop()
        bridge = self.new_bridge({"KAFKA_WORKFLOW_TOPIC": EMPTY_TOPIC})
        server = bridge.reducer_server(HTTP_THREADS="64")
        figures = {**idle_figures(self.session, server, bridge.database), "loaded_mib": loaded_mib}
        say_idle(self.session, "reducer", figures)
        self.session.say(f"  with the rows of {self.events:,} events: {loaded_mib:.1f} MiB")
        return figures

    def measure_orchestrator_start(self) -> list[float]:
        """Start to ready of an orchestrator on this Kafka."""
        server = self.bridge.orchestrator_server(HTTP_THREADS="64")
        starts = [start_to_ready_ms(server)]
        while len(starts) < 5:
            server.stop()
            starts.append(start_to_ready_ms(server))
        server.stop()
        self.session.say(f"orchestrator on Kafka: ready after {spread(starts)} ms")
        return starts

    def measure(self, rounds: int) -> dict:
        figures: dict = {"reads": [], "runs": []}
        for n in range(rounds):
            figures["reads"].append(self.read_with_kcat())
            self.session.say(f"round {n + 1}: kcat reads {figures['reads'][-1]:,.0f} events/s")
            figures["runs"].append(self.count_all())
        return figures

    def close(self) -> None:
        if self.bridge is not None:
            self.bridge.close()
        self.kafka.stop()


def chosen_aggregations() -> list[str]:
    return (os.environ.get("REDUCER_AGGREGATIONS") or AGGREGATIONS).split()


def contracts_with(directory: pathlib.Path, names: list[str]) -> pathlib.Path:
    """A copy of the contracts with these aggregations only."""
    copy = directory / "contracts"
    if not copy.exists():
        shutil.copytree(ROOT / "contracts", copy)
        for file in (copy / "aggregations").glob("*.yaml"):
            if file.stem not in names:
                file.unlink()
    return copy


def steady(marks: list[tuple[float, int]], events: int) -> float:
    """Events per second between the first look past a tenth and the first past nine tenths."""
    low = next(mark for mark in marks if mark[1] >= events * 0.1)
    high = next(mark for mark in marks if mark[1] >= events * 0.9)
    return (high[1] - low[1]) / (high[0] - low[0]) if high[0] > low[0] else 0.0
