# SPDX-License-Identifier: MIT
"""The reducer over full topics on a real Kafka, beside kcat reading the same topic to nowhere."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import time

import psycopg2
from session import (
    ROOT,
    TICKS_PER_SECOND,
    Bridge,
    Session,
    cpu_seconds,
    free_port,
    idle_figures,
    memory_mib,
    percentiles,
    program,
    say_idle,
    spread,
    start_to_ready_ms,
)
import parts
from harness import WORKFLOW_TOPIC, wait_until
from parts import KafkaBroker

PARTITIONS = 8
# Larger batches than the defaults, as for any topic that is to be read again from its beginning.
OPTIONS = {"MAX_AGGREGATION_QUEUE_SIZE": "1000000", "AGGREGATION_BATCH_SIZE": "100000"}
EVENTS_PER_SECOND = 10000  # of event time: 2 million events are 40 windows of 5 s
EVENTS_PER_WORKFLOW = 10
SHUFFLE_MS = 3000  # events out of order come up to so much after their time
EMPTY_TOPIC = "bench.empty"
OPEN_GROUPS = 100000
OF_EACH_WORKFLOW = ("workflow_grouping",)  # however few namespaces there are
LIMIT_S = 300
SINGLE_EVENTS = 100  # one after the other, to a reducer that has nothing else to do
SINGLE_PAUSE_S = 0.2  # longer than a flush interval, so that it has been idle
SINGLE_LIMIT_S = 30


@dataclasses.dataclass(frozen=True)
class Load:
    """A topic full of stamps."""

    groups: int  # namespaces
    shuffled_percent: int
    events: int
    row_per_workflow: bool = True  # else without the aggregations that have a group for each workflow

    @property
    def topic(self) -> str:
        return f"bench.{self.groups}.{self.shuffled_percent}.{self.events}"

    def __str__(self) -> str:
        order = f"{self.shuffled_percent} % out of order" if self.shuffled_percent else "in order"
        rows = "a row for each workflow too" if self.row_per_workflow else "in each aggregation"
        return f"{self.groups:,} groups, {order}, {rows}"

    @property
    def aggregations(self) -> list[str]:
        return [
            name
            for name in chosen_aggregations()
            if self.row_per_workflow or name not in OF_EACH_WORKFLOW
        ]


def loads(events: int) -> list[Load]:
    """The main one first. Of 100,000 groups nearly every event makes rows of its own."""
    return [
        Load(100, 0, events, row_per_workflow=False),
        Load(100, 0, events),
        Load(100, 10, events // 2),
        Load(OPEN_GROUPS, 0, events // 20),
        Load(OPEN_GROUPS, 10, events // 20),
    ]


class Reducer:
    """A Kafka with full topics; each run counts one of them into a database of its own."""

    def __init__(self, session: Session, events: int):
        self.session = session
        self.loads = loads(events)
        self.restart_load = Load(OPEN_GROUPS, 0, OPEN_GROUPS // 3)
        self.kafka = KafkaBroker(
            session.directory / "kafka", free_port(), free_port(), session.directory / "kafka.log"
        )
        self.bridge: Bridge | None = None
        self.runs = 0

    def start(self) -> None:
        self.kafka.start()
        wait_until(self.kafka_answers, 60, "Kafka's answer")
        self.new_bridge(WORKFLOW_TOPIC)
        self.warm_groups()
        for load in {load.topic: load for load in [*self.loads, self.restart_load]}.values():
            self.fill(load)

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

    def fill(self, load: Load) -> None:
        self.new_bridge(load.topic)  # makes the topic
        done = subprocess.run(
            [str(program("tests/bench/fill_topic")), "--bootstrap", self.kafka.address]
            + ["--topic", load.topic, "--events", str(load.events)]
            + ["--namespaces", str(load.groups), "--events-per-second", str(EVENTS_PER_SECOND)]
            + ["--events-per-workflow", str(EVENTS_PER_WORKFLOW), "--shuffle-ms", str(SHUFFLE_MS)]
            + ["--shuffle-percent", str(load.shuffled_percent)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"fill_topic: {done.stdout}{done.stderr}")
        filled = json.loads(done.stdout)
        self.session.say(
            f"topic with {PARTITIONS} partitions filled ({load}): {filled['delivered']:,} events in"
            f" {filled['seconds']:.1f} s"
        )

    def new_bridge(self, topic: str, aggregations: list[str] | None = None) -> Bridge:
        """An empty database and a consumer group that has read nothing."""
        self.runs += 1
        name = f"bench_reducer_{self.runs}"
        if self.bridge is not None:
            self.bridge.close()
        url = self.session.postgres.create_database(name)
        directory = self.session.directory / name
        self.bridge = Bridge(directory, url, {
            "CONTRACTS_DIR": str(contracts_with(directory, aggregations or chosen_aggregations())),
            "KAFKA_WORKFLOW_TOPIC": topic,
            "KAFKA_WORKFLOW_PARTITIONS": str(PARTITIONS),
            "KAFKA_CONSUMER_GROUP": name,
            "LOG_LEVEL": "warning",
            **OPTIONS,
        })
        self.bridge.database = name
        self.bridge.migrate()
        self.bridge.use_kafka(self.kafka)
        return self.bridge

    def read_with_kcat(self, load: Load) -> float:
        """The yardstick: events/s that kcat reads to nowhere."""
        started = time.monotonic()
        with open("/dev/null", "wb") as nowhere:
            subprocess.run(
                ["kcat", "-C", "-b", self.kafka.address, "-t", load.topic]
                + ["-o", "beginning", "-e", "-q", "-c", str(load.events)],
                stdout=nowhere,
                check=True,
                timeout=LIMIT_S,
            )
        return load.events / (time.monotonic() - started)

    def follow(self, servers: list, events: int) -> tuple[float, list[tuple[float, int]]]:
        """Starts the reducers; (seconds to the first committed row, marks of time and events counted)."""
        connection = psycopg2.connect(self.bridge.database_url)
        connection.autocommit = True
        started = time.monotonic()
        for server in servers:
            server.launch()
        first_s, marks = 0.0, []
        try:
            with connection.cursor() as cursor:
                while not marks or marks[-1][1] < events:
                    cursor.execute("SELECT coalesce(sum(next_offset), 0) FROM reducer_partitions")
                    counted, now = int(cursor.fetchone()[0]), time.monotonic() - started
                    first_s = now if counted and not first_s else first_s
                    marks.append((now, counted))
                    if now > LIMIT_S or not all(server.process.running for server in servers):
                        raise RuntimeError(
                            f"the reducer counted {counted} of {events} in {now:.0f} s:\n"
                            + "\n".join(server.process.log_tail() for server in servers)
                        )
                    time.sleep(0.02)
        finally:
            connection.close()
        return first_s, marks

    def count_all(self, load: Load, instances: int) -> dict:
        """One run from the start of the processes to the commit of the last event."""
        bridge = self.new_bridge(load.topic, load.aggregations)
        servers = [bridge.reducer_server(f"reducer-{n + 1}") for n in range(instances)]
        wal = self.session.wal_position()
        postgres_before = cpu_seconds(self.session.postgres.process.pid)
        first_s, marks = self.follow(servers, load.events)
        seconds = marks[-1][0]
        per_event = 1e6 / load.events
        figures = {
            "seconds": seconds,
            "per_second": load.events / seconds,
            "first_row_s": first_s,
            "steady_per_second": steady(marks, load.events),
            "cpu_us": sum(cpu_seconds(server.process.pid) for server in servers) * per_event,
            "kafka_cpu_us": sum(kafka_seconds(server.process.pid) for server in servers) * per_event,
            "postgres_cpu_us": (cpu_seconds(self.session.postgres.process.pid) - postgres_before)
            * per_event,
            "wal_bytes": (self.session.wal_position() - wal) / load.events,
            "rss_mib": max(memory_mib(server.process.pid, "VmHWM") for server in servers),
            "stamps": self.stamps(),
        }
        self.session.say(
            f"  {instances} reducer{'s' if instances > 1 else ''}: {figures['per_second']:,.0f} events/s"
            f" from the start ({seconds:.2f} s, first row after {first_s:.2f} s,"
            f" {figures['steady_per_second']:,.0f}/s between a tenth and nine tenths), CPU"
            f" {figures['cpu_us']:.2f} us, {figures['kafka_cpu_us']:.2f} of it in the Kafka client's"
            f" threads, + PostgreSQL {figures['postgres_cpu_us']:.2f} us, WAL"
            f" {figures['wal_bytes']:.1f} B, {figures['rss_mib']:.0f} MiB at most,"
            f" {figures['stamps']:,} stamps counted"
        )
        if figures["stamps"] != load.events:
            raise RuntimeError(f"the totals say {figures['stamps']}, not {load.events}")
        for server in servers:
            server.stop()
        return figures

    def stamps(self) -> int:
        rows = self.bridge.sql(
            "SELECT coalesce(sum(events), 0) FROM aggregation_rows r JOIN aggregation_definitions d"
            " ON d.id = r.definition WHERE d.name = 'namespace_total'"
        )
        return int(rows[0][0])

    def measure_idle(self) -> dict:
        """Start to ready, resident memory and queries of a reducer whose topic is empty, and how soon
        single events can be queried there."""
        bridge = self.new_bridge(EMPTY_TOPIC)
        server = bridge.reducer_server(HTTP_THREADS="64")
        figures = idle_figures(self.session, server, bridge.database)
        say_idle(self.session, "reducer", figures)
        server.start()
        figures["single_ms"] = self.single_events()
        server.stop()
        p50, p99 = percentiles(figures["single_ms"])
        self.session.say(f"  an event can be queried after {p50:.1f} ms (p50), {p99:.1f} ms (p99)")
        return figures

    def single_events(self) -> list[float]:
        """Milliseconds from handing an event to the producer to its row in an answer of PostgreSQL."""
        producer = subprocess.Popen(
            [str(program("tests/bench/publish_lines"))]
            + ["--bootstrap", self.kafka.address, "--topic", EMPTY_TOPIC],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        connection = psycopg2.connect(self.bridge.database_url)
        connection.autocommit = True
        times = []
        try:
            with connection.cursor() as cursor:
                for n in range(SINGLE_EVENTS):
                    time.sleep(SINGLE_PAUSE_S)
                    times.append(single_event(producer, cursor, f"bench.single{n}"))
        finally:
            connection.close()
            producer.stdin.close()
            producer.wait(10)
        return times[1:]  # the first one also waits for the producer's connection

    def measure_restart(self) -> dict:
        """From the start of a reducer with many open rows to the commit of a record that waited."""
        load = self.restart_load
        self.count_all(load, 1)
        rows = int(self.bridge.sql("SELECT count(*) FROM aggregation_rows")[0][0])
        times, ready = [], []
        for n in range(3):
            text = stamp_text(f"bench.restart{n}", time.time())
            subprocess.run(
                ["kcat", "-P", "-b", self.kafka.address, "-t", load.topic], input=text.encode(), check=True
            )
            server = self.bridge.reducer_server("reducer-1")
            first_s, marks = self.follow([server], load.events + n + 1)
            times.append(marks[-1][0])
            ready.append(memory_mib(server.process.pid))
            server.stop()
        self.session.say(f"restart with {rows:,} open rows: {spread(times, 2)} s, {max(ready):.0f} MiB")
        return {"rows": rows, "seconds": times, "rss_mib": max(ready)}

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

    def measure(self, rounds: int) -> list[dict]:
        """The main load in every round, the others once; each beside what kcat reads in that round."""
        measured = [{"load": load, "reads": [], "runs": [], "two": []} for load in self.loads]
        for n in range(rounds):
            for one in measured if n == 0 else measured[:1]:
                load = one["load"]
                one["reads"].append(self.read_with_kcat(load))
                self.session.say(f"{load}, round {n + 1}: kcat reads {one['reads'][-1]:,.0f} events/s")
                one["runs"].append(self.count_all(load, 1))
                one["two"].append(self.count_all(load, 2))
        return measured

    def close(self) -> None:
        if self.bridge is not None:
            self.bridge.close()
        self.kafka.stop()


def chosen_aggregations() -> list[str]:
    """Those that are shipped; REDUCER_AGGREGATIONS names some of them."""
    shipped = [file.stem for file in (ROOT / "contracts" / "aggregations").glob("*.yaml")]
    return (os.environ.get("REDUCER_AGGREGATIONS") or " ".join(shipped)).split()


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


def kafka_seconds(pid: int) -> float:
    """CPU time of the threads that librdkafka started: it names them."""
    total = 0
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        name, _, rest = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")
        if name.partition("(")[2].startswith("rdk:"):
            total += sum(map(int, rest.split()[11:13]))
    return total / TICKS_PER_SECOND


def stamp_text(namespace: str, now: float) -> str:
    """A stamp in one line."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return json.dumps({
        "event_type": "stamp_workflow_completed",
        "event_timestamp": f"{moment}.{int(now % 1 * 1e6):06d}Z",
        "payload": {
            "workflow_id": namespace,
            "file_hash": namespace,
            "file_size": 1,
            "namespace": namespace,
            "processing_time_ms": 1.5,
        },
    })


def single_event(producer: subprocess.Popen, cursor, namespace: str) -> float:
    began = time.monotonic()
    fields = ("0", "0", "n", "v" + stamp_text(namespace, time.time()))  # partition, time, no key
    producer.stdin.write(("\x1f".join(fields) + "\n").encode())
    producer.stdin.flush()
    while True:
        cursor.execute(
            "SELECT 1 FROM aggregation_rows r JOIN aggregation_definitions d ON d.id = r.definition"
            " WHERE d.name = 'namespace_total' AND r.group_key = %s",
            (namespace,),
        )
        if cursor.fetchone():
            return (time.monotonic() - began) * 1000
        if time.monotonic() - began > SINGLE_LIMIT_S:
            raise RuntimeError(f"the event of {namespace} was not counted")
