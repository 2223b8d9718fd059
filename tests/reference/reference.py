#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the reducer's rows must be, computed from a dump of the topic in the plainest way.

    kcat -C -b HOST:PORT -t TOPIC -o beginning -e -q -J > DUMP
    reference.py DUMP                                  rows as JSON lines
    reference.py DUMP --compare http://127.0.0.1:8061  the first difference, exit status 1 when there is one
    reference.py DUMP --dead-letters                   which records belong on the dead-letter topic, and why

Written from the documents, not from the reducer: it keeps every event of a row in a list and computes the
row's values from that list at the end. No sketches, no state to store, no partitions to merge.

The shipped aggregations are spelt out below. --contract FILE adds others, written as JSON
(tests/reference/contract.py).
"""

import argparse
import collections
import datetime
import gc
import json
import math
import re
import sys

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
NAMESPACE_DEFAULT = "omninode.services.metadata"
CONTENT_TYPE_DEFAULT = "application/octet-stream"
NAMESPACE_BYTES_MAX = 255
WORKFLOW_ID_BYTES_MAX = 128
STATE_BYTES_MAX = 64
GROUP_BYTES_MAX = 1024
DEPTH_MAX = 128
FUTURE_MAX_US = 7 * 86400 * 1_000_000
LANE_BYTES_MAX = 40
DISTINCT_EXACT_MAX = 10_000
DISTINCT_ERROR = 0.016 * 4  # four times the standard error
PERCENTILE_ERROR = 0.01
SIZE_BUCKETS = [
    ("small", 1048576),
    ("medium", 10485760),
    ("large", 104857600),
    ("xlarge", math.inf),
]

Rules = collections.namedtuple(
    "Rules", "window_ms tolerance_ms lateness_ms", defaults=(5000, 1000, 60000)
)
Record = collections.namedtuple("Record", "partition offset timestamp_ms headers key value")
Key = collections.namedtuple("Key", "aggregation start_us group")  # start_us None: all time


# -- values that are compared in their own way --


class Near(float):
    """A figure whose last digits depend on the order of adding."""


class Percentile(float):
    """The exact value at the nearest rank; the reducer may be off by 1 %."""


class Distinct(int):
    """The exact number of different values; the reducer may estimate past 10,000."""


class Instant(int):
    """Microseconds since 1970."""

    def __str__(self) -> str:
        moment = EPOCH + datetime.timedelta(microseconds=int(self))
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def average(values: list):
    return Near(math.fsum(values) / len(values)) if values else None


def percentile(values: list, share: float):
    if not values:
        return None
    return Percentile(sorted(values)[max(1, math.ceil(round(share * len(values), 9))) - 1])


# -- the dump --


def read_dump(path: str):
    """Records in the order of the file; octets that are no UTF-8 come as lone surrogates."""
    source = sys.stdin if path == "-" else open(path, encoding="utf-8", errors="surrogateescape")
    with source:
        for line in source:
            item = json.loads(line)
            headers = item.get("headers") or []
            yield Record(
                item["partition"],
                item["offset"],
                item.get("ts") or 0,
                dict(zip(headers[::2], headers[1::2])),
                item.get("key"),
                item.get("payload"),
            )


class Malformed(Exception):
    """A record that cannot be understood, and why."""


def no_constant(word: str):
    raise Malformed(f"{word} is no JSON")


def check_texts(value, depth: int = 0) -> None:
    """What the bridge refuses although it is JSON: NUL, lone surrogates, deep nesting."""
    if depth > DEPTH_MAX:
        raise Malformed("nested too deeply")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Malformed("a text that is no text")
    elif isinstance(value, dict):
        for name, member in value.items():
            check_texts(name)
            check_texts(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            check_texts(member, depth + 1)


def read_json(text: str | None):
    if text is None:
        raise Malformed("no value")
    try:
        text.encode()
        value = json.loads(text, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}") from None
    if "\\u" in text or text.count("[") + text.count("{") > DEPTH_MAX:
        check_texts(value)
    return value


seconds_of: dict[str, int] = {}


def read_instant(text, name: str = "event_timestamp") -> int:
    """Microseconds since 1970 of a time as RFC 3339 has it."""
    match = INSTANT.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise Malformed(f"{name} is no time")
    head, fraction, zone = match.groups()
    second = seconds_of.get(head)
    if second is None:
        try:
            moment = datetime.datetime.fromisoformat(head + "+00:00")
        except ValueError as error:
            raise Malformed(f"{name}: {error}") from None
        second = seconds_of[head] = (moment - EPOCH) // datetime.timedelta(seconds=1)
    if zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        second -= sign * (int(zone[1:3]) * 3600 + int(zone[4:]) * 60)
    return second * 1_000_000 + (int(fraction[1:7].ljust(6, "0")) if fraction else 0)


# -- events --


class Event:
    """An event that was understood. What is None was not in it."""

    __slots__ = (
        "partition", "offset", "time_us", "is_stamp", "namespace", "workflow_id", "workflow", "state", "run",
        "is_step", "ran", "file_hash", "content_type", "file_size", "envelope", "key",
    )  # fmt: skip

    @property
    def place(self):
        return (self.time_us, self.offset)


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_text(value, bytes_max: float = math.inf) -> bool:
    return isinstance(value, str) and 0 < len(value.encode()) <= bytes_max


def text_of(values, name: str, bytes_max: float = math.inf) -> str:
    """The first that is not null; it must be a text that is not empty."""
    for value in values:
        if value is not None:
            if not is_text(value, bytes_max):
                raise Malformed(f"{name} is no text of at most {bytes_max} octets")
            return value
    raise Malformed(f"{name} is missing")


def understand(record: Record, keep_envelope: bool) -> Event:
    envelope = read_json(record.value)
    if not isinstance(envelope, dict):
        raise Malformed("no object")
    kind, payload = envelope.get("event_type"), envelope.get("payload")
    if not is_text(kind):
        raise Malformed("event_type is missing or no text")
    if not isinstance(payload, dict):
        raise Malformed("payload is missing or no object")
    event = Event()
    event.partition, event.offset = record.partition, record.offset
    event.time_us = read_instant(envelope.get("event_timestamp"))
    if record.timestamp_ms > 0 and event.time_us > record.timestamp_ms * 1000 + FUTURE_MAX_US:
        raise Malformed("event_timestamp is more than seven days ahead of the record")
    event.is_stamp = kind == "stamp_workflow_completed"
    event.envelope = envelope if keep_envelope else None
    event.key = record.key
    read_workflow(event, envelope, payload)
    if event.is_stamp:
        read_stamp(event, envelope, payload)
    return event


def interned(value):
    """The same text once in memory."""
    return sys.intern(value) if isinstance(value, str) else value


def namespace_of(envelope: dict, payload: dict) -> str:
    metadata = envelope.get("metadata")
    second = metadata.get("namespace") if isinstance(metadata, dict) else None
    return interned(
        text_of(
            (payload.get("namespace"), second, NAMESPACE_DEFAULT), "namespace", NAMESPACE_BYTES_MAX
        )
    )


def read_workflow(event: Event, envelope: dict, payload: dict) -> None:
    """What workflow_grouping and workflow_status_distribution need; None when it is not there or not usable."""
    event.workflow = interned(payload.get("workflow_id"))
    event.state = interned(payload.get("workflow_state"))
    event.ran = payload.get("processing_time_ms")
    event.run = payload.get("run")
    event.is_step = payload.get("step_order") is not None
    event.file_hash = event.content_type = event.file_size = None
    if event.state is not None and not is_text(event.state):
        event.state = event.workflow = None  # neither aggregation can use it
    elif not is_text(event.workflow, WORKFLOW_ID_BYTES_MAX):
        event.workflow = None
    try:
        event.namespace = namespace_of(envelope, payload)
        event.workflow_id = text_of((payload.get("workflow_id"), event.key), "workflow_id")
    except Malformed:
        event.namespace = event.workflow_id = None


def read_stamp(event: Event, envelope: dict, payload: dict) -> None:
    """A stamp has the fields of the older reducer's input; one without them is no stamp."""
    event.namespace = namespace_of(envelope, payload)
    event.workflow_id = text_of((payload.get("workflow_id"), event.key), "workflow_id")
    event.file_hash = text_of((payload.get("file_hash"),), "file_hash")
    event.content_type = text_of(
        (payload.get("content_type"), CONTENT_TYPE_DEFAULT), "content_type"
    )
    event.file_size = payload.get("file_size")
    if (
        not isinstance(event.file_size, int)
        or isinstance(event.file_size, bool)
        or event.file_size < 0
    ):
        raise Malformed("file_size is no whole number from 0 up")
    if event.ran is not None and (not is_number(event.ran) or event.ran < 0):
        raise Malformed("processing_time_ms is no number from 0 up")


# -- the aggregations --


class Row:
    """Every event that counts in one row, and how many of them were late."""

    def __init__(self, key: Key, end_us: int | None):
        self.key = key
        self.end_us = end_us
        self.events: list = []  # what Aggregation.kept gave
        self.late = 0

    @property
    def revision(self) -> int:
        return 1 + self.late

    def different(self, name: str) -> Distinct:
        return Distinct(len({getattr(event, name) for event in self.events}))

    def of(self, name: str) -> list:
        return [value for event in self.events if (value := getattr(event, name)) is not None]


class Aggregation:
    """One type: which group an event counts in (None: it does not), and the values of a row."""

    def __init__(self, name: str, group, values, windowed: bool = True):
        self.name = name
        self.group = group
        self.values = values
        self.windowed = windowed

    def refuse(self, event: Event) -> None:
        """Raises Malformed when the event breaks rules of this aggregation's own."""

    def kept(self, event: Event):
        """What a row keeps of an event."""
        return event

    def windows(self, time_us: int, rules: Rules) -> list[tuple]:
        """(start, end, allowed lateness) of each window that holds this instant."""
        if not self.windowed:
            return [(None, None, None)]
        size_us = rules.window_ms * 1000
        start_us = time_us // size_us * size_us
        return [(start_us, start_us + size_us, rules.lateness_ms * 1000)]


def namespace_values(row: Row) -> dict:
    ran = row.of("ran")
    times = row.of("time_us")
    return {
        "namespace": row.key.group,
        "total_stamps": len(row.events),
        "total_size_bytes": sum(row.of("file_size")),
        "unique_file_hashes": row.different("file_hash"),
        "unique_workflows": row.different("workflow_id"),
        "unique_file_types": row.different("content_type"),
        "total_processing_time_ms": Near(math.fsum(ran)),
        "avg_processing_time_ms": average(ran),
        "first_stamp_timestamp": Instant(min(times)),
        "last_stamp_timestamp": Instant(max(times)),
    }


def window_values(row: Row) -> dict:
    ran = row.of("ran")
    return {
        "window_start": Instant(row.key.start_us),
        "window_end": Instant(row.end_us),
        "stamps_count": len(row.events),
        "stamps_per_second": Near(len(row.events) / ((row.end_us - row.key.start_us) / 1e6)),
        "avg_latency_ms": average(ran),
        "p95_latency_ms": percentile(ran, 0.95),
        "p99_latency_ms": percentile(ran, 0.99),
    }


def file_type_values(row: Row) -> dict:
    sizes = row.of("file_size")
    return {
        "file_type": row.key.group,
        "total_stamps": len(row.events),
        "total_size_bytes": sum(sizes),
        "avg_size_bytes": average(sizes),
        "unique_namespaces": row.different("namespace"),
    }


def size_bucket_of(event: Event):
    return (
        next(name for name, to in SIZE_BUCKETS if event.file_size <= to) if event.is_stamp else None
    )


def size_bucket_values(row: Row) -> dict:
    sizes = row.of("file_size")
    return {
        "size_bucket": row.key.group,
        "total_stamps": len(row.events),
        "avg_processing_time_ms": average(row.of("ran")),
        "min_size_bytes": min(sizes),
        "max_size_bytes": max(sizes),
    }


def last(row: Row, name: str):
    """Of the last event that has it, by (event time, offset)."""
    having = [event for event in row.events if getattr(event, name) is not None]
    return getattr(max(having, key=lambda event: event.place), name) if having else None


def workflow_values(row: Row) -> dict:
    steps = sum(event.is_step for event in row.events)
    runs = {1 if event.run is None else event.run for event in row.events}
    ends = [
        event.state for event in row.events if event.state in ("completed", "failed", "cancelled")
    ]
    return {
        "workflow_id": row.key.group,
        "total_steps": steps,
        "runs": Distinct(len(runs)),
        "avg_steps": Near(steps / len(runs)),
        "processing_time_ms": last(row, "ran"),
        "success_rate": Near(ends.count("completed") / len(ends)) if ends else None,
        "fsm_state": last(row, "state"),
    }


def status_group(event: Event):
    """(namespace, state), as the text of a JSON array."""
    if event.state is None or event.namespace is None or not is_text(event.state, STATE_BYTES_MAX):
        return None
    return json.dumps([event.namespace, event.state], ensure_ascii=False, separators=(",", ":"))


def status_values(row: Row) -> dict:
    namespace, state = json.loads(row.key.group)
    return {
        "namespace": namespace,
        "workflow_state": state,
        "workflow_status_counts": len(row.events),
    }


def of_stamps(name: str):
    return lambda event: getattr(event, name) if event.is_stamp else None


NAMESPACE_TOTAL = "namespace_total"
SHIPPED = [
    Aggregation("namespace_grouping", of_stamps("namespace"), namespace_values),
    Aggregation("time_window", lambda event: "" if event.is_stamp else None, window_values),
    Aggregation("file_type_grouping", of_stamps("content_type"), file_type_values),
    Aggregation("size_buckets", size_bucket_of, size_bucket_values),
    Aggregation("workflow_grouping", lambda event: event.workflow, workflow_values),
    Aggregation("workflow_status_distribution", status_group, status_values),
    Aggregation(NAMESPACE_TOTAL, of_stamps("namespace"), namespace_values, windowed=False),
]


# -- the whole topic --


class Reference:
    """Reads records, partition by partition in the order of their offsets.

    `watch` is a key: what happened to the events of that row is then kept in `watched`.
    """

    def __init__(self, rules: Rules = Rules(), aggregations=None, watch: Key | None = None):
        self.rules = rules
        self.aggregations = SHIPPED if aggregations is None else aggregations
        self.keep_envelope = any(aggregation not in SHIPPED for aggregation in self.aggregations)
        self.watch = watch
        self.watched: list[tuple] = []
        self.rows: dict[Key, Row] = {}
        self.dead_letters: dict[tuple, str] = {}  # (partition, offset) -> reason
        self.next_offset: dict[int, int] = collections.defaultdict(int)
        self.newest_us: dict[int, int] = {}
        self.last_seq: dict[tuple, int] = {}  # (partition, lane) -> highest seq so far
        self.counts = collections.Counter()

    def read(self, records) -> "Reference":
        gc.disable()  # nothing here is cyclic, and looking for that again and again takes most of the time
        try:
            for record in records:
                self.record(record)
        finally:
            gc.enable()
        return self

    def record(self, record: Record) -> None:
        partition = record.partition
        expected = self.next_offset[partition]
        assert record.offset >= expected, f"{partition}:{record.offset} comes after {expected - 1}"
        self.next_offset[partition] = record.offset + 1
        self.counts["records"] += 1
        try:
            if self.is_repeat(record):
                self.counts["repeats"] += 1
                return
            event = understand(record, self.keep_envelope)
            for aggregation in self.aggregations:
                aggregation.refuse(event)
        except Malformed as why:
            self.counts["malformed"] += 1
            self.dead_letters[partition, record.offset] = f"malformed: {why}"
            return
        self.count(event)
        self.newest_us[partition] = max(event.time_us, self.newest_us.get(partition, event.time_us))

    def is_repeat(self, record: Record) -> bool:
        """A number of the lane that is not above the highest so far on this partition."""
        lane, seq = record.headers.get("lane"), record.headers.get("seq")
        if lane is None or seq is None:
            return False
        if not re.fullmatch("[0-9]{1,18}", seq):
            raise Malformed("seq is no number")
        if not is_text(lane, LANE_BYTES_MAX):
            raise Malformed(f"lane is no text of 1 to {LANE_BYTES_MAX} octets")
        place = (record.partition, lane)
        if int(seq) <= self.last_seq.get(place, -1):
            return True
        self.last_seq[place] = int(seq)
        return False

    def count(self, event: Event) -> None:
        watermark_us = None  # of the records before this one
        if event.partition in self.newest_us:
            watermark_us = self.newest_us[event.partition] - self.rules.tolerance_ms * 1000
        verdicts = set()
        for aggregation in self.aggregations:
            group = aggregation.group(event)
            if group is None or len(group.encode()) > GROUP_BYTES_MAX:
                continue
            for start_us, end_us, lateness_us in aggregation.windows(event.time_us, self.rules):
                verdict = "in time"
                if end_us is not None and watermark_us is not None and end_us <= watermark_us:
                    verdict = "late" if end_us + lateness_us > watermark_us else "too late"
                if end_us is not None:
                    verdicts.add(verdict)
                self.add(
                    Key(aggregation.name, start_us, group), end_us, aggregation.kept(event), verdict
                )
        event.envelope = None  # what is needed of it is kept
        if "too late" in verdicts:
            self.dead_letters[event.partition, event.offset] = "too late"
        for verdict in ("too late", "late", "in time"):
            if verdict in verdicts:
                self.counts[verdict] += 1
                break

    def add(self, key: Key, end_us: int | None, event, verdict: str) -> None:
        if key == self.watch:
            self.watched.append((event.partition, event.offset, verdict))
        if verdict == "too late":
            return
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = Row(key, end_us)
        row.events.append(event)
        row.late += verdict == "late"

    def values(self) -> dict[Key, dict]:
        """The values of every row."""
        by_name = {aggregation.name: aggregation for aggregation in self.aggregations}
        return {key: by_name[key.aggregation].values(row) for key, row in self.rows.items()}


def show(values: dict) -> dict:
    return {
        name: str(value) if isinstance(value, Instant) else value for name, value in values.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dump", help="JSON lines as kcat -J prints them; - is standard input")
    parser.add_argument("--compare", metavar="URL", help="a reducer to compare with")
    parser.add_argument("--not-final", action="store_true", help="rows need not be final yet")
    parser.add_argument("--dead-letters", action="store_true")
    parser.add_argument(
        "--contract", action="append", default=[], metavar="FILE", help="an aggregation, as JSON"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only these aggregations")
    for name, value in Rules()._asdict().items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    given = parser.parse_args()
    aggregations = SHIPPED
    if given.contract:
        import contract  # its classes build on ours

        aggregations = SHIPPED + [contract.load(path) for path in given.contract]
    if given.only:
        aggregations = [
            aggregation for aggregation in aggregations if aggregation.name in given.only
        ]
    rules = Rules(given.window_ms, given.tolerance_ms, given.lateness_ms)
    reference = Reference(rules, aggregations).read(read_dump(given.dump))
    if given.dead_letters:
        for (partition, offset), reason in sorted(reference.dead_letters.items()):
            print(f"{partition}:{offset} {reason}")
    elif given.compare:
        from compare import compare  # it builds on this file

        told = compare(reference, given.compare, given.dump, finals=not given.not_final)
        print("\n".join(told) if told else f"all {len(reference.rows)} rows are equal")
        return 1 if told else 0
    else:
        for key, values in reference.values().items():
            start = None if key.start_us is None else str(Instant(key.start_us))
            row = {"type": key.aggregation, "window_start": start, "group": key.group}
            print(
                json.dumps(
                    {**row, "revision": reference.rows[key].revision, "values": show(values)}
                )
            )
    print(dict(reference.counts), file=sys.stderr)
    return 0


if __name__ == "__main__":
    import reference  # this very file under the name by which contract.py knows its classes

    sys.exit(reference.main())
