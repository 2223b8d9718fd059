# SPDX-License-Identifier: MIT
"""A stream of generated events, reducers that come and go by a seeded script, and what must be there after.

Used by test_reducer_exact.py. The events are those of tests/reference/generate.py, the truth is what
tests/reference/reference.py makes of a dump of the topic.
"""

import base64
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import psycopg2
import web
from harness import MODE, ROOT, WORKFLOW_TOPIC, Bridge, consume, sanitizer_options, wait_until
from process import Failure, deadline_factor

sys.path.insert(0, str(ROOT / "tests" / "reference"))

import compare  # noqa: E402  (tests/reference/compare.py)
import contract  # noqa: E402,F401  (tests/reference/contract.py)
import generate  # noqa: E402  (tests/reference/generate.py)
import reference  # noqa: E402  (tests/reference/reference.py)

FINAL_TOPIC = "dev.omninode_bridge.onex.evt.window-final.v1"
DEAD_LETTERS = WORKFLOW_TOPIC + ".dlq"
REDUCERS = ("reducer", "reducer-2", "reducer-3")
STALL_SECONDS = 90  # longer than any takeover; nothing read meanwhile is a fault


class Progress:
    """How many records the reducers have committed, by a connection of its own."""

    def __init__(self, bridge: Bridge):
        self.bridge = bridge
        self.connection = psycopg2.connect(bridge.database_url)
        self.connection.autocommit = True

    def __call__(self) -> int:
        return self.ask("SELECT coalesce(sum(next_offset), 0) FROM reducer_partitions")

    def ask(self, statement: str, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchone()[0]

    def owned(self, instance: str) -> int:
        return self.ask("SELECT count(*) FROM reducer_partitions WHERE owner = %s", instance)

    def is_inside_transaction(self) -> bool:
        """Of a reducer that is stopped: PostgreSQL holds locks for it and waits for the rest of what it writes."""

        def settled() -> str:
            return self.ask(
                "SELECT coalesce(min(CASE WHEN state = 'idle' THEN 'outside'"
                "                         WHEN wait_event = 'ClientRead' AND backend_xid IS NOT NULL THEN 'inside'"
                "                         WHEN wait_event = 'ClientRead' THEN 'outside' ELSE '' END), 'outside')"
                "  FROM pg_stat_activity"
                " WHERE application_name = 'bridge-reducer write' AND datname = current_database()"
            )

        return (
            wait_until(settled, 30, "the stopped reducer's statement to end", interval=0.001)
            == "inside"
        )

    def is_publishing(self) -> bool:
        """Of a reducer that is stopped: it keeps the lock under which the outbox is published."""
        return self.ask(
            "SELECT count(*) > 0 FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
            " AND application_name = 'bridge-reducer outbox'"
        )


class Stream:
    """Publishes the generated records, never more than `ahead` records past the gate.

    The gate is how far the reducers' script has come, so that its steps fall into the stream.
    """

    def __init__(self, bridge: Bridge, directory: pathlib.Path, plan: list[str], ahead: int):
        self.bridge = bridge
        self.feed = directory / "feed"
        self.dump = directory / "dump"
        self.ahead = ahead
        self.gate = 0
        self.moved = threading.Condition()
        self.fault: Exception | None = None
        told = subprocess.run(
            [
                sys.executable,
                ROOT / "tests" / "reference" / "generate.py",
                "--feed",
                self.feed,
                *plan,
            ],
            capture_output=True,
            check=True,
            timeout=600 * deadline_factor(),
        )
        self.counts = json.loads(told.stdout)
        self.records = self.counts["records"]
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self) -> "Stream":
        program = f"build/{MODE}/tests/bench/publish_lines"
        subprocess.run(["make", "-s", f"MODE={MODE}", program], cwd=ROOT, check=True, timeout=900)
        command = [
            ROOT / program,
            "--bootstrap",
            self.bridge.broker.address,
            "--topic",
            WORKFLOW_TOPIC,
        ]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **sanitizer_options()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.thread.start()
        return self

    def open_gate(self, record: int) -> None:
        with self.moved:
            self.gate = max(self.gate, record)
            self.moved.notify()

    def run(self) -> None:
        try:
            with open(self.feed, "rb") as lines:
                for number, line in enumerate(lines):
                    if number >= self.gate + self.ahead:
                        with self.moved:
                            self.process.stdin.flush()
                            self.moved.wait_for(lambda at=number: at < self.gate + self.ahead)
                    self.process.stdin.write(line)
            self.process.stdin.close()
            told = json.loads(
                self.process.stdout.read().splitlines()[-1]
            )  # after what the log said
            assert self.process.wait(300) == 0 and told["delivered"] == self.records, told
        except Exception as error:  # shown by the test's own thread
            self.fault = error

    def finish(self) -> None:
        """Waits until everything is published."""
        self.open_gate(self.records)
        self.thread.join(600)
        if self.fault:
            raise self.fault
        assert not self.thread.is_alive(), "the records are not published"

    def close(self) -> None:
        if self.thread.is_alive():
            self.process.kill()
            self.open_gate(self.records)
        with contextlib.suppress(OSError):
            self.feed.unlink()

    def records_of_dump(self):
        """The records of the dumped topic, which must be what was published."""
        chains = [0] * len(self.counts["chains"])
        for record in reference.read_dump(str(self.dump)):
            value = record.value and record.value.encode("utf-8", "surrogateescape")
            chains[record.partition] = generate.chain(chains[record.partition], record.key, value)
            yield record
        assert chains == self.counts["chains"], "the topic does not hold what was published"

    def dump_topic(self) -> None:
        """The topic as it is, into a file."""
        with open(self.dump, "wb") as target:
            subprocess.run(
                ["kcat", "-C", "-b", self.bridge.broker.address, "-t", WORKFLOW_TOPIC]
                + ["-o", "beginning", "-e", "-q", "-J"],
                stdout=target,
                check=True,
                timeout=600 * deadline_factor(),
            )


class Follower:
    """Reads the finals from the start on, while the embedded broker still has them."""

    def __init__(self, bridge: Bridge, path: pathlib.Path):
        self.path = path
        self.command = ["kcat", "-C", "-b", bridge.broker.address, "-t", FINAL_TOPIC]
        self.command += ["-o", "beginning", "-q", "-u", "-J"]
        self.start()

    def start(self) -> None:
        self.ids: dict[reference.Key, set] = collections.defaultdict(
            set
        )  # ids of the events of a row
        self.place = 0
        with open(self.path, "wb") as target:
            self.process = subprocess.Popen(self.command, stdout=target, stderr=subprocess.DEVNULL)

    def read(self) -> int:
        """Takes in what came since; the number of rows that have a final."""
        if self.process.poll() is not None:
            self.start()  # kcat ends when the broker is away; Kafka still has everything
        with open(self.path, "rb") as lines:
            lines.seek(self.place)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self.place += len(line)
                item = json.loads(line)
                headers = dict(zip(item["headers"][::2], item["headers"][1::2]))
                payload = json.loads(item["payload"])["payload"]
                start_us = reference.read_instant(payload["window_start"])
                key = reference.Key(payload["type"], start_us, payload["group"])
                self.ids[key].add(headers["ce_id"])
        return len(self.ids)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Script:
    """Reducers started and stopped at random: what happens at which record is drawn from a seed."""

    def __init__(
        self, bridge: Bridge, stream: Stream, seed: int, quotas: dict[str, int], spacing: int = 0
    ):
        self.spacing = spacing  # so many records are read between two steps at least
        self.bridge = bridge
        self.stream = stream
        self.progress = Progress(bridge)
        self.random = random.Random(seed)
        self.story: list[str] = []  # told when a test fails
        self.began = time.monotonic()
        self.broker = None
        kinds = [kind for kind, count in quotas.items() for _ in range(count)]
        self.random.shuffle(kinds)
        places = sorted(self.random.uniform(0.03, 0.93) for _ in kinds)
        self.steps = [(int(stream.records * place), kind) for place, kind in zip(places, kinds)]

    def running(self) -> list[str]:
        return [
            name
            for name in REDUCERS
            if name in self.bridge.servers and self.bridge.servers[name].process.running
        ]

    def say(self, text: str) -> None:
        self.story.append(
            f"{time.monotonic() - self.began:6.1f} s, record {self.progress()}: {text}"
        )

    def launch(self, name: str) -> None:
        self.say(f"start {name}")
        if name not in self.bridge.servers:
            self.bridge.reducer_server(name)
        self.bridge.servers[name].launch()

    def run(self) -> None:
        self.launch(REDUCERS[0])
        self.bridge.servers[REDUCERS[0]].wait_ready()
        for record, kind in self.steps:
            record = max(record, min(self.progress() + self.spacing, self.stream.records))
            self.stream.open_gate(record)
            self.wait_read(record)
            getattr(self, kind)()
        if not self.running():
            self.launch(self.random.choice(REDUCERS))
        self.stream.finish()
        self.wait_read(self.stream.records)
        self.say("everything is read")

    def wait_read(self, record: int) -> None:
        """Until so many records are read. What is read may not stand still for long."""
        seen = -1
        while seen < record:
            if not self.running():
                self.launch(self.random.choice(REDUCERS))
            before = seen

            def moved() -> bool:
                nonlocal seen
                seen = self.progress()
                return seen > before

            wait_until(moved, STALL_SECONDS, f"records after {before} of {record} being read")
            if self.stream.fault:
                raise self.stream.fault

    # what may happen

    def start(self) -> None:
        idle = [name for name in REDUCERS if name not in self.running()]
        if idle:
            self.launch(self.random.choice(idle))

    def stop(self) -> None:
        running = self.running()
        if running:
            name = self.random.choice(running)
            self.say(f"stop {name}")
            server = self.bridge.servers[name]
            fine = (
                (0,) if web.is_ready(server.url) else (0, -signal.SIGTERM)
            )  # before it hears signals
            assert server.stop() in fine, server.process.log_tail()

    def kill(self) -> None:
        """kill -9; half of the time it comes back at once."""
        name = self.random.choice(self.running() or [REDUCERS[0]])
        if name not in self.running():
            self.launch(name)
        self.say(f"kill -9 {name}")
        self.bridge.servers[name].kill()
        if self.random.random() < 0.5:
            self.launch(name)

    def freeze(self) -> None:
        """SIGSTOP until others have all of its partitions, then SIGCONT: it wakes up as a zombie."""
        while len(self.running()) < 2:
            self.start()
        owners = wait_until(
            lambda: [name for name in self.running() if self.progress.owned(name)],
            STALL_SECONDS,
            "an owner",
        )
        name = self.random.choice(owners)
        process = self.bridge.servers[name].process
        self.say(f"SIGSTOP {name}, which has {self.progress.owned(name)} partitions")
        process.send(signal.SIGSTOP)
        try:
            self.stream.open_gate(self.progress() + self.stream.ahead)
            wait_until(
                lambda: self.progress.owned(name) == 0,
                STALL_SECONDS,
                f"others having the partitions of {name}",
            )
        finally:
            process.send(signal.SIGCONT)
        self.say(f"SIGCONT {name}")

    def kill_broker(self) -> None:
        """kill -9 of Kafka; it is started until it answers, because a start right after is refused at times."""
        self.say("kill -9 Kafka")
        self.broker.process.kill()

        def answers() -> bool:
            if not self.broker.process.running:
                self.broker.start()
            command = ["kcat", "-L", "-b", self.broker.address, "-t", WORKFLOW_TOPIC, "-m", "2"]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        wait_until(answers, STALL_SECONDS, "an answer of Kafka")
        self.say("Kafka answers")


# -- what must be there afterwards --


class Truth:
    """The reference of a finished stream, and the comparisons with it."""

    def __init__(self, bridge: Bridge, stream: Stream, aggregations):
        self.bridge = bridge
        self.dump = stream.dump
        stream.dump_topic()
        self.reference = reference.Reference(aggregations=aggregations)
        self.reference.read(stream.records_of_dump())

    def server(self) -> str:
        """The URL of a reducer that answers."""
        for name in REDUCERS:
            server = self.bridge.servers.get(name)
            if server and server.process.running:
                server.wait_ready()
                return server.url
        raise Failure("no reducer runs")

    def check_classes(self, events: int) -> None:
        """The stream had everything that it should have had."""
        counts = self.reference.counts
        for name, share in (
            ("repeats", 0.03),
            ("late", 0.01),
            ("too late", 0.0005),
            ("malformed", 0.0005),
        ):
            assert counts[name] >= events * share, (name, counts)

    def check_rows(self) -> None:
        told = compare.compare(self.reference, self.server(), str(self.dump))
        assert not told, "\n" + "\n".join(told)

    def wait_quiet(self, seconds: float) -> None:
        """Every row is final and everything is told."""
        wait_until(
            lambda: self.left() == (0, 0),
            seconds,
            f"no open window and an empty outbox: {self.left()}",
        )

    def left(self) -> tuple:
        return self.bridge.sql(
            "SELECT (SELECT count(*) FROM aggregation_rows WHERE window_end IS NOT NULL AND is_open),"
            " (SELECT count(*) FROM reducer_outbox)"
        )[0]

    def check_finals(self, follower: Follower, seconds: float) -> None:
        """One window_final for each window and group, whatever was published twice."""
        expected = {key for key in self.reference.rows if key.start_us is not None}
        wait_until(lambda: follower.read() >= len(expected), seconds, f"{len(expected)} finals")
        assert follower.ids.keys() == expected, list(follower.ids.keys() ^ expected)[:5]
        twice = {key: found for key, found in follower.ids.items() if len(found) > 1}
        assert not twice, f"announced as final more than once: {list(twice.items())[:5]}"

    def check_dead_letters(self, seconds: float) -> None:
        """Exactly the expected records, each with its reason and as it was."""
        expected = self.reference.dead_letters

        def found() -> list | None:
            records = consume(self.bridge.broker.address, DEAD_LETTERS)
            ids = {record.headers["ce_id"] for record in records}
            return records if len(ids) >= len(expected) else None

        records = wait_until(found, seconds, f"{len(expected)} dead letters", interval=0.5)
        letters: dict[tuple, dict] = {}
        ids: dict[tuple, str] = {}
        for record in records:
            place = (record.value["original_partition"], record.value["original_offset"])
            assert (
                letters.setdefault(place, record.value) == record.value
            ), "a repeat is the same letter"
            assert ids.setdefault(place, record.headers["ce_id"]) == record.headers["ce_id"], place
        for place in sorted(letters.keys() ^ expected.keys()):
            where = (
                "is no dead letter" if place in expected else f"is a dead letter: {letters[place]}"
            )
            raise AssertionError(f"record {place} {where}; expected {expected.get(place)}")
        for place, reason in expected.items():
            is_late = "late" in letters[place]["failure_reason"]
            assert is_late == (reason == "too late"), (
                place,
                reason,
                letters[place]["failure_reason"],
            )
        self.check_originals(letters)

    def check_originals(self, letters: dict) -> None:
        for record in reference.read_dump(str(self.dump)):
            letter = letters.get((record.partition, record.offset))
            if letter is None:
                continue
            value = record.value and record.value.encode("utf-8", "surrogateescape")
            if "original_data_base64" in letter:
                assert base64.b64decode(letter["original_data_base64"]) == value, letter
            else:
                assert (letter["original_data"] or "").encode() == (value or b""), letter
            assert letter["original_key"] == record.key, letter
