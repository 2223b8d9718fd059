#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A topic full of events as the orchestrator publishes them, with everything that goes wrong on the way.

    generate.py --events 100000 --partitions 8 --seed 7 --feed FILE [--dump FILE]

The same seed gives the same records. Many workflows run at once; each has a lane, and a lane's seq rises
in the order of publishing, with prev_seq as the lane's previous one on that partition. Event times rise
with the records, shuffled within 3 s. Of the records 5 % are sent again with their old lane and seq (in
runs, as after a crash, and once the beginning of a lane), 2 % are late, 0.1 % past the allowed lateness,
0.1 % garbage, 1 % stamps of a producer without lanes, 0.5 % events of somebody else. A few are spelt in
another way: other order of members, escapes, spaces, names that come twice.

--feed  lines for tests/bench/publish_lines.c;  --dump  JSON lines as `kcat -J` prints them. Offsets are
those of a topic that was empty. Prints one line of JSON with the counts.
"""

import argparse
import bisect
import collections
import datetime
import itertools
import json
import random
import sys
import zlib

SHUFFLE_US = 3_000_000
REPEAT_SHARE = 0.05
LATE_SHARE = 0.02
TOO_LATE_SHARE = 0.001
GARBAGE_SHARE = 0.001
FOREIGN_SHARE = 0.01
OTHER_SHARE = 0.005
ODD_SHARE = 0.03
RECORDS_PER_COMMIT = 2.1  # on average
LANES = 16
ACTIVE_WORKFLOWS = 300
RUN_MAX = 40  # records of a lane that are sent again in a row
DEEP_REPEATS = 200  # from the lane's beginning, when most of the topic is written
START = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
NODE = "0190c1de-0000-7000-8000-00000000aaaa"
NAMESPACES = [
    "omninode.services.metadata", "team.alpha", "team.beta", "billing", "search.index", "a", "b-2",
    "équipe.données", "数据.平台", 'quo"te', "back\\slash", "tab\there", "emoji😀", "ns.with spaces",
    "UPPER", "upper", "ns.16", "ns.17", "ns.18", "x" * 255,
]  # fmt: skip
CONTENT_TYPES = [
    "text/plain", "text/markdown", "application/json", "application/pdf", "image/png", "text/x-c",
    'multipart/mixed; boundary="q"', "application/octet-stream",
]  # fmt: skip
SIZE_EDGES = [0, 1, 1048576, 1048577, 10485760, 10485761, 104857600, 104857601, 2**40]
CONTRACTS = ["routing", "saga", "fan_out", "approval"]

Record = collections.namedtuple("Record", "partition offset timestamp_ms key headers value")


def murmur2(data: bytes) -> int:
    """Kafka's hash of keys: https://kafka.apache.org, org.apache.kafka.common.utils.Utils."""
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    value = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * multiplier & mask
        k = (k ^ k >> 24) * multiplier & mask
        value = value * multiplier & mask ^ k
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15


def partition_of(key: str, partitions: int) -> int:
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


class Clock:
    """Instants as text; the date and the second are formatted once."""

    def __init__(self):
        self.seconds: dict[int, str] = {}

    def text(self, time_us: int) -> str:
        second, fraction = divmod(time_us, 1_000_000)
        head = self.seconds.get(second)
        if head is None:
            moment = EPOCH + datetime.timedelta(seconds=second)
            head = self.seconds[second] = moment.strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{head}{fraction:06d}Z"


class Workflow:
    """One workflow: what its events have in common, and the commits that are still to come.

    A commit is a list of (event type, members of the payload); its events have the same time.
    """

    def __init__(self, world: "World"):
        draw = world.random
        self.id = world.uuid()
        self.partition = partition_of(self.id, world.plan.partitions)
        self.lane = draw.randrange(LANES)
        self.namespace = world.namespace()
        self.content_type = draw.choice(CONTENT_TYPES)
        self.size = world.size()
        self.file_hash = world.file_hash()
        self.ran_ms = world.processing_time_ms()
        self.is_stamping = draw.random() < 0.75
        self.run = 1
        self.step = 0
        self.commits = iter(self.script(draw))

    def name(self, kind: str) -> str:
        return f"stamp_{kind}" if self.is_stamping and kind != "workflow_state_transition" else kind

    def transition(self, old: str, new: str):
        return ("workflow_state_transition", {"from_state": old, "to_state": new})

    def completed_step(self, name: str, more=()):
        self.step += 1
        members = {"step_type": name, "step_order": self.step, "duration_ms": self.step * 1.5}
        return [("workflow_step_completed", members), *more]

    def script(self, draw: random.Random):
        fate = draw.random()
        yield [self.started(), self.transition("PENDING", "PROCESSING"), *self.requested()]
        if fate < 0.05:
            return  # still at work when the topic ends
        yield from self.steps(draw)
        if fate < 0.12:
            yield [self.transition("PROCESSING", "CANCELLED"), self.ended("cancelled")]
        elif fate < 0.22:
            yield [self.transition("PROCESSING", "FAILED"), self.ended("failed")]
            if fate < 0.17:  # retried by hand: the next run
                self.run += 1
                yield [self.started(), self.transition("FAILED", "PROCESSING")]
                yield from self.steps(draw)
                yield self.completion()
        else:
            yield self.completion()

    def started(self):
        more = {"workflow_state": "processing"}
        if self.is_stamping:
            more |= {
                "file_path": f"docs/{self.id[:8]}.txt",
                "intelligence_enabled": True,
                "mode": "durable",
            }
        return (self.name("workflow_started"), more)

    def requested(self):
        if self.is_stamping:
            yield ("onextree_intelligence_requested", {"analysis_type": "general_content_analysis"})

    def steps(self, draw: random.Random):
        if not self.is_stamping:
            for n in range(draw.randrange(1, 5)):
                yield self.completed_step(f"step-{n}")
            return
        hashed = {"step_type": "hash_generation", "duration_ms": 1.25, "file_hash": self.file_hash}
        yield self.completed_step("hash_generation", [("blake3_hash_generated", hashed)])
        known = {
            "analysis_time_ms": 4.5,
            "analysis_result": {"namespace": "a decoy", "file_size": "another"},
        }
        yield self.completed_step(
            "onextree_intelligence", [("onextree_intelligence_received", known)]
        )
        made = {
            "stamp_id": "s-" + self.id,
            "file_hash": self.file_hash,
            "file_size": self.size,
            "version": 1,
        }
        yield self.completed_step("stamp_creation", [("metadata_stamp_created", made)])

    def ended(self, state: str):
        more = {"workflow_state": state, "processing_time_ms": self.ran_ms}
        if state != "completed":
            more |= {"error_type": "States.TaskFailed", "error": 'it said "no"\n'}
        elif self.is_stamping:
            more |= {
                "stamp_id": "s-" + self.id,
                "file_hash": self.file_hash,
                "file_path": f"docs/{self.id[:8]}.txt",
                "file_size": self.size,
                "content_type": self.content_type,
                "intelligence_status": "success",
            }
        return (self.name(f"workflow_{state}"), more)

    def completion(self):
        return [self.transition("PROCESSING", "COMPLETED"), self.ended("completed")]


class World:
    """Draws everything, and keeps what the topic looks like so far."""

    def __init__(self, plan):
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.clock = Clock()
        self.start_us = int((START - EPOCH).total_seconds()) * 1_000_000
        self.step_us = plan.span_seconds * 1_000_000 / plan.events
        self.offsets = [0] * plan.partitions
        self.next_seq = [1] * LANES
        self.previous = [[0] * plan.partitions for _ in range(LANES)]
        self.recent = [collections.deque(maxlen=RUN_MAX) for _ in range(LANES)]
        self.beginning: list[tuple] = []
        self.counts = collections.Counter()
        weights = [1 / (n + 1) for n in range(len(NAMESPACES))]
        self.namespace_weights = list(itertools.accumulate(weights))
        self.hashes = [self.hex(64) for _ in range(500)]
        self.garbage_kinds = itertools.cycle(GARBAGE)

    # what is drawn

    def hex(self, digits: int) -> str:
        return f"{self.random.getrandbits(digits * 4):0{digits}x}"

    def uuid(self) -> str:
        text = self.hex(32)
        return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-8{text[17:20]}-{text[20:]}"

    def namespace(self) -> str:
        at = self.random.random() * self.namespace_weights[-1]
        return NAMESPACES[bisect.bisect(self.namespace_weights, at)]

    def size(self) -> int:
        if self.random.random() < 0.05:
            return self.random.choice(SIZE_EDGES)
        return int(10 ** (self.random.random() * 9))

    def file_hash(self) -> str:
        return self.random.choice(self.hashes) if self.random.random() < 0.3 else self.hex(64)

    def processing_time_ms(self) -> float | int:
        kind = self.random.random()
        if kind < 0.02:
            return 0
        if kind < 0.1:
            return self.random.randrange(1, 5000)
        return round(self.random.lognormvariate(3, 1.5), 3)

    def event_time(self, at_us: int) -> int:
        kind = self.random.random()
        time_us = at_us - int(self.random.random() * SHUFFLE_US)
        if kind < LATE_SHARE:
            time_us -= self.random.randrange(6_000_000, 55_000_000)
        elif kind < LATE_SHARE + TOO_LATE_SHARE:
            time_us -= self.random.randrange(70_000_000, 300_000_000)
        return time_us

    # records

    def place(self, partition: int, key, headers: tuple, value) -> Record:
        offset = self.offsets[partition]
        self.offsets[partition] += 1
        self.counts["records"] += 1
        return Record(partition, offset, 0, key, headers, value)

    def publish(self, lane: int, partition: int, key: str, value: bytes) -> Record:
        """A new record of a lane."""
        seq = self.next_seq[lane]
        self.next_seq[lane] += 1
        before = self.previous[lane]
        headers = (("lane", f"42.{lane}"), ("seq", str(seq)), ("prev_seq", str(before[partition])))
        before[partition] = seq
        sent = (partition, key, headers, value)
        self.recent[lane].append(sent)
        if lane == 0 and seq <= DEEP_REPEATS:
            self.beginning.append(sent)
        return self.place(*sent)

    def repeat(self, lane: int, count: int):
        """The lane's last records again, in their order."""
        for sent in list(self.recent[lane])[-count:]:
            self.counts["repeats"] += 1
            yield self.place(*sent)

    def workflow_event(self, workflow: Workflow, kind: str, more: dict, time_us: int) -> Record:
        time = self.clock.text(time_us)
        payload = {
            "workflow_id": workflow.id,
            "workflow": "metadata_stamping" if workflow.is_stamping else "routing",
            "namespace": workflow.namespace,
            "correlation_id": None,
            "run": workflow.run,
            "timestamp": time,
            **more,
            "node_id": NODE,
            "published_at": time,
        }
        event = self.envelope(kind, time, workflow.id, payload, workflow.namespace)
        if self.random.random() < ODD_SHARE:
            value = odd_spelling(event, self.random)
            self.counts["odd"] += 1
        else:
            value = plain(event)
        return self.publish(workflow.lane, workflow.partition, workflow.id, value)

    def envelope(
        self, kind: str, time: str, key: str, payload: dict, namespace: str | None
    ) -> dict:
        about = {"event_category": "workflow_orchestration", "node_type": "orchestrator"}
        return {
            "envelope_version": "1.0",
            "event_id": self.uuid(),
            "event_type": kind,
            "event_version": "1.0",
            "event_timestamp": time,
            "source_node_id": NODE,
            "source_service": "omninode-bridge",
            "correlation_id": None,
            "environment": "development",
            "partition_key": key,
            "payload": payload,
            "metadata": about if namespace is None else {**about, "namespace": namespace},
        }

    def stamp(self, time_us: int) -> dict:
        """A whole stamp, as a producer of its own might write it."""
        key = self.uuid()
        payload = {
            "workflow_id": key,
            "stamp_id": "f-" + key,
            "file_hash": self.file_hash(),
            "file_path": "/far/away",
            "file_size": self.size(),
            "namespace": self.namespace(),
            "content_type": "text/plain",
            "workflow_state": "completed",
            "processing_time_ms": self.processing_time_ms(),
        }
        return self.envelope(
            "stamp_workflow_completed", self.clock.text(time_us), key, payload, None
        )

    def foreign_stamp(self, time_us: int) -> Record:
        """Without a lane; what may be left out sometimes is, or is null."""
        event = self.stamp(time_us)
        key, payload = event["partition_key"], event["payload"]
        for name in (
            "namespace",
            "content_type",
            "processing_time_ms",
            "workflow_id",
            "workflow_state",
        ):
            kind = self.random.random()
            if kind < 0.1:
                del payload[name]
            elif kind < 0.2:
                payload[name] = None
        if payload.get("namespace") is None and self.random.random() < 0.5:
            event["metadata"]["namespace"] = self.namespace()
        self.counts["foreign"] += 1
        return self.place(partition_of(key, self.plan.partitions), key, (), plain(event))

    def other_event(self, time_us: int) -> Record:
        """Of somebody else: it moves the partition's time, and may count in no aggregation."""
        key = self.hex(8)
        payload = self.random.choice([
            {"user": "ann", "total": 3},
            {"workflow_id": 17, "workflow_state": "completed"},
            {"workflow_id": "w-" + key, "workflow_state": 17},
            {"workflow_id": "w-" + key, "workflow_state": ""},
            {"workflow_id": "", "workflow_state": "completed"},
            {"workflow_id": "w-" + key, "run": 3, "workflow_state": "waiting", "processing_time_ms": "soon"},
            {"workflow_id": "w-" + key, "namespace": 5},
        ])  # fmt: skip
        event = self.envelope("user_signed_up", self.clock.text(time_us), key, dict(payload), None)
        self.counts["others"] += 1
        return self.place(partition_of(key, self.plan.partitions), key, (), plain(event))

    def garbage(self, time_us: int) -> Record:
        name, spoil = next(self.garbage_kinds)
        event = self.stamp(time_us)
        key = event["partition_key"]
        partition = partition_of(key, self.plan.partitions)
        self.counts["garbage"] += 1
        spoilt = spoil(event)
        if name == "seq":
            return self.place(partition, key, (("lane", "42.1"), ("seq", "12x")), plain(event))
        if name == "lane":
            return self.place(partition, key, (("lane", "l" * 41), ("seq", "1")), plain(event))
        value = spoilt if spoilt is None or isinstance(spoilt, bytes) else plain(spoilt)
        if value and self.random.random() < 0.5:  # an orchestrator gone mad
            return self.publish(self.random.randrange(LANES), partition, key, value)
        return self.place(partition, key, (), value)


def plain(event: dict) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def odd_spelling(event: dict, draw: random.Random) -> bytes:
    """The same event, written in another way."""
    kind = draw.randrange(4)
    if kind == 0:
        return json.dumps(event, indent=None, separators=(" , ", " : ")).encode()
    members = list(event.items())
    draw.shuffle(members)
    if kind == 1:
        return json.dumps(dict(members), ensure_ascii=True, separators=(",", ":")).encode()
    if kind == 2:
        text = event["event_timestamp"]  # the same instant, seen from elsewhere
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        event["event_timestamp"] = moment.astimezone(zone).isoformat(timespec="microseconds")
        return plain(event)
    text = plain(dict(members)).decode()  # a name that comes twice: the last one counts
    return ('{"event_type":"nothing","payload":[1],"event_timestamp":0,' + text[1:]).encode()


# -- garbage --


def without(*names):
    def spoil(event):
        inside = event
        for name in names[:-1]:
            inside = inside[name]
        del inside[names[-1]]
        return event

    return spoil


def with_value(value, *names):
    def spoil(event):
        inside = event
        for name in names[:-1]:
            inside = inside[name]
        inside[names[-1]] = value
        return event

    return spoil


def in_text(old: str, new: bytes):
    return lambda event: plain(event).replace(old.encode(), new, 1)


def in_payload(name: str, value):
    return (f"payload.{name}={str(value)[:12]}", with_value(value, "payload", name))


GARBAGE = [
    ("seq", lambda event: event),
    ("lane", lambda event: event),
    ("null", lambda event: None),
    ("empty", lambda event: b""),
    ("text", lambda event: b"this is no JSON"),
    ("cut", lambda event: plain(event)[:-20]),
    ("two", lambda event: plain(event) + b"{}"),
    ("array", lambda event: b"[1,2,3]"),
    ("string", lambda event: b'"stamp_workflow_completed"'),
    ("utf8", in_text("/far/away", b"/far\xff/away")),
    ("nul", in_text("/far/away", b"/far\\u0000/away")),
    ("surrogate", in_text("/far/away", b"/far\\ud800/away")),
    ("nan", in_text('"/far/away"', b"NaN")),
    ("control", in_text("/far/away", b"/far\t/away")),
    ("deep", in_text('"/far/away"', b"[" * 300 + b"]" * 300)),
    ("no type", without("event_type")),
    ("type number", with_value(7, "event_type")),
    ("type empty", with_value("", "event_type")),
    ("no payload", without("payload")),
    ("payload list", with_value([], "payload")),
    ("payload null", with_value(None, "payload")),
    ("no time", without("event_timestamp")),
    ("time number", with_value(1772366400, "event_timestamp")),
    ("time word", with_value("yesterday", "event_timestamp")),
    ("time without zone", with_value("2026-03-01T12:00:00", "event_timestamp")),
    ("time of no day", with_value("2026-02-30T12:00:00Z", "event_timestamp")),
    ("time of no hour", with_value("2026-02-03T24:00:01Z", "event_timestamp")),
    ("time far ahead", with_value("2999-03-01T12:00:00.000000Z", "event_timestamp")),
    ("no hash", without("payload", "file_hash")),
    ("no size", without("payload", "file_size")),
    in_payload("file_hash", None),
    in_payload("file_hash", ""),
    in_payload("file_hash", 12),
    in_payload("file_size", -1),
    in_payload("file_size", 1.5),
    in_payload("file_size", "12"),
    in_payload("file_size", True),
    in_payload("processing_time_ms", -0.5),
    in_payload("processing_time_ms", "fast"),
    in_payload("processing_time_ms", {}),
    in_payload("namespace", 5),
    in_payload("namespace", "y" * 256),
    in_payload("content_type", ["text/plain"]),
    in_payload("workflow_id", 99),
    in_payload("workflow_id", ""),
]


# -- the topic --


def records(plan, counts: collections.Counter | None = None):
    """Every record of the topic in the order of publishing."""
    world = World(plan)
    draw = world.random
    active = [Workflow(world) for _ in range(min(ACTIVE_WORKFLOWS, plan.events // 20 + 1))]
    run_share = REPEAT_SHARE * RECORDS_PER_COMMIT / (0.5 + 0.5 * (2 + RUN_MAX) / 2)
    garbage, foreign, other = (
        share * RECORDS_PER_COMMIT for share in (GARBAGE_SHARE, FOREIGN_SHARE, OTHER_SHARE)
    )
    while world.counts["records"] < plan.events:
        at_us = world.start_us + int(world.counts["records"] * world.step_us)
        kind = draw.random()
        if kind < garbage:
            yield world.garbage(world.event_time(at_us))
        elif kind < garbage + foreign:
            yield world.foreign_stamp(world.event_time(at_us))
        elif kind < garbage + foreign + other:
            yield world.other_event(world.event_time(at_us))
        else:
            yield from commit(world, active, at_us)
        if draw.random() < run_share:
            yield from world.repeat(
                draw.randrange(LANES), 1 if draw.random() < 0.5 else draw.randrange(2, RUN_MAX)
            )
        if world.beginning and world.counts["records"] > plan.events * 0.6:
            for sent in world.beginning:
                world.counts["repeats"] += 1
                yield world.place(*sent)
            world.beginning = []
    if counts is not None:
        counts.update(world.counts)


def commit(world: World, active: list, at_us: int):
    """The next events of some workflow; they happened at one time."""
    at = world.random.randrange(len(active))
    workflow = active[at]
    events = next(workflow.commits, None)
    if events is None:
        active[at] = workflow = Workflow(world)
        events = next(workflow.commits)
    time_us = world.event_time(at_us)
    for kind, more in events:
        yield world.workflow_event(workflow, kind, more, time_us)


def feed_line(record: Record) -> bytes:
    """What publish_lines reads: partition, time, key, headers, value, apart by the octet 31."""
    fields = [str(record.partition).encode(), str(record.timestamp_ms).encode()]
    fields.append(b"n" if record.key is None else b"k" + record.key.encode())
    fields += [f"h{name}={value}".encode() for name, value in record.headers]
    fields.append(b"n" if record.value is None else b"v" + record.value)
    return b"\x1f".join(fields) + b"\n"


def dump_line(record: Record, topic: str, now_ms: int) -> str:
    """As `kcat -J`; octets that are no UTF-8 become lone surrogates."""
    value = None if record.value is None else record.value.decode("utf-8", "surrogateescape")
    headers = [text for pair in record.headers for text in pair]
    return json.dumps({
        "topic": topic, "partition": record.partition, "offset": record.offset, "ts": record.timestamp_ms or now_ms,
        "headers": headers, "key": record.key, "payload": value,
    })  # fmt: skip


def chain(before: int, key: str | None, value: bytes | None) -> int:
    """A running checksum of what a partition holds, in order."""
    return zlib.crc32(value or b"", zlib.crc32((key or "").encode(), before))


def read_plan(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--events", type=int, default=100000, help="records, repeats and garbage included"
    )
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--span-seconds", type=int, default=400, help="event time from the first to the last"
    )
    parser.add_argument("--topic", default="dev.omninode_bridge.onex.workflows.v1")
    parser.add_argument("--feed", help="file for publish_lines; - is standard output")
    parser.add_argument("--dump", help="file of JSON lines as kcat -J prints them")
    return parser.parse_args(arguments)


def main() -> int:
    plan = read_plan()
    counts = collections.Counter()
    feed = sys.stdout.buffer if plan.feed == "-" else open(plan.feed, "wb") if plan.feed else None
    dump = open(plan.dump, "w", encoding="utf-8") if plan.dump else None
    now_ms = int(datetime.datetime.now().timestamp() * 1000)
    chains = [0] * plan.partitions
    for record in records(plan, counts):
        if feed:
            feed.write(feed_line(record))
        if dump:
            dump.write(dump_line(record, plan.topic, now_ms) + "\n")
        chains[record.partition] = chain(chains[record.partition], record.key, record.value)
    for target in (feed, dump):
        if target:
            target.close() if target is not sys.stdout.buffer else target.flush()
    print(
        json.dumps({**counts, "chains": chains}),
        file=sys.stderr if plan.feed == "-" else sys.stdout,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
