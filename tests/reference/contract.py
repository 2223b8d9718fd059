# SPDX-License-Identifier: MIT
"""An aggregation contract as docs/aggregations.md describes it, computed in the plainest way.

load() takes a file with one contract as JSON. What the document leaves open is not guessed at: an
unknown member is an error.
"""

import json
import math

from reference import (
    GROUP_BYTES_MAX,
    Aggregation,
    Distinct,
    Event,
    Instant,
    Malformed,
    Near,
    Row,
    Rules,
    average,
    is_number,
    is_text,
    percentile,
)

MEMBERS = {
    "name", "version", "description", "filter", "invalid", "fields", "group_by", "measures", "window",
    "announce_updates", "retention_days", "backfill",
}  # fmt: skip
FIELD_MEMBERS = {"path", "default", "type", "required", "minimum", "maximum", "bytes_max"}


def load(path: str) -> "Contract":
    with open(path, encoding="utf-8") as source:
        return Contract(json.load(source))


def known(given: dict, names: set) -> dict:
    assert not given.keys() - names, f"unknown members: {given.keys() - names}"
    return given


class Kept:
    """Of an event the values that the measures look at."""

    __slots__ = ("partition", "offset", "time_us", "found")

    def __init__(self, event: Event, paths: list):
        self.partition = event.partition
        self.offset = event.offset
        self.time_us = event.time_us
        self.found = {path: at_path(event, path) for path in paths}

    @property
    def place(self):
        return (self.time_us, self.offset)


def strings(value):
    """Every text in a JSON value, names of members left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


def at_path(event, path: str):
    """The value there, None when there is none."""
    if isinstance(event, Kept):
        return event.found[path]
    if path == "record.key":
        return event.key
    value = event.envelope
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def as_text(value) -> str | None:
    """Strings as they are, numbers and booleans by their JSON text, anything else is absent."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (int, float, bool)) else None


class Field:
    """A value with a name; one that is not declared is its path."""

    def __init__(self, name: str, declared: dict | None):
        self.name = name
        given = known(declared or {}, FIELD_MEMBERS)
        paths = given.get("path", name)
        self.paths = [paths] if isinstance(paths, str) else paths
        self.type = given.get("type", "any")
        self.default = given.get("default")
        self.required = given.get("required", False)
        self.minimum = given.get("minimum", -math.inf)
        self.maximum = given.get("maximum", math.inf)
        self.bytes_max = given.get("bytes_max", math.inf)

    def value(self, event: Event):
        for path in self.paths:
            found = at_path(event, path)
            if self.type == "any" and isinstance(found, (dict, list)):
                found = None
            if found is not None:
                return found
        return self.default

    def fault(self, event: Event) -> str | None:
        """Which of its rules the event breaks."""
        value = self.value(event)
        if value is None:
            return f"{self.name} is missing" if self.required else None
        if self.type == "text" and not is_text(value):
            return f"{self.name} is no text"
        if self.type == "integer" and (not is_number(value) or value != int(value)):
            return f"{self.name} is no whole number"
        if self.type == "number" and not is_number(value):
            return f"{self.name} is no number"
        if is_number(value) and not self.minimum <= value <= self.maximum:
            return f"{self.name} is out of its bounds"
        if isinstance(value, str) and len(value.encode()) > self.bytes_max:
            return f"{self.name} is too long"
        return None


def same(value, wanted) -> bool:
    """Numbers by their value, all else as text."""
    if is_number(value) and is_number(wanted):
        return value == wanted
    return as_text(value) == as_text(wanted)


TESTS = {
    "equals": same,
    "not_equals": lambda value, wanted: not same(value, wanted),
    "in": lambda value, wanted: any(same(value, one) for one in wanted),
    "not_in": lambda value, wanted: not any(same(value, one) for one in wanted),
    "prefix": lambda value, wanted: (as_text(value) or "").startswith(wanted),
    "less": lambda value, wanted: is_number(value) and value < wanted,
    "less_or_equal": lambda value, wanted: is_number(value) and value <= wanted,
    "greater": lambda value, wanted: is_number(value) and value > wanted,
    "greater_or_equal": lambda value, wanted: is_number(value) and value >= wanted,
}


class Contract(Aggregation):
    """One contract; its rows are lists of events, as those of the shipped aggregations."""

    def __init__(self, given: dict):
        known(given, MEMBERS)
        self.declared = {
            name: Field(name, field) for name, field in given.get("fields", {}).items()
        }
        self.filter = given.get("filter", [])
        self.is_dead_letter = given.get("invalid", "skip") == "dead_letter"
        self.keys = [self.key(key) for key in given.get("group_by", [])]
        self.measures = given["measures"]
        self.window = given.get("window", {})
        # Every text of the measures that could be a field's name; the surplus ones find nothing.
        named = [self.field(text) for text in set(strings(list(self.measures.values())))]
        self.paths = sorted({path for field in named for path in field.paths})
        windowed = self.window.get("type", "tumbling") != "none"
        super().__init__(given["name"], self.group_of, self.values_of, windowed)

    def key(self, given) -> tuple:
        """(name, field, buckets)"""
        if isinstance(given, str):
            return given, self.field(given), None
        known(given, {"name", "field", "buckets"})
        return given["name"], self.field(given["field"]), given.get("buckets")

    def field(self, name: str) -> Field:
        return self.declared.get(name) or Field(name, None)

    def kept(self, event: Event) -> Kept:
        return Kept(event, self.paths)

    # which events

    def holds(self, conditions: list, event: Event) -> bool:
        return all(self.condition_holds(condition, event) for condition in conditions)

    def condition_holds(self, condition: dict, event: Event) -> bool:
        value = self.field(condition["field"]).value(event)
        for test, wanted in condition.items():
            if test == "field":
                continue
            if test == "exists":
                held = (value is not None) == wanted
            elif value is None:
                held = test in ("not_equals", "not_in")
            else:
                held = TESTS[test](value, wanted)
            if not held:
                return False
        return True

    def fault(self, event: Event) -> str | None:
        return next(
            (fault for field in self.declared.values() if (fault := field.fault(event))), None
        )

    def refuse(self, event: Event) -> None:
        if self.is_dead_letter and self.holds(self.filter, event) and (fault := self.fault(event)):
            raise Malformed(fault)

    def group_of(self, event: Event) -> str | None:
        if not self.holds(self.filter, event) or self.fault(event):
            return None
        parts = [self.part(field, buckets, event) for _, field, buckets in self.keys]
        if any(part is None for part in parts):
            return None
        if len(parts) > 1:
            text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        else:
            text = parts[0] if parts else ""
        return text if len(text.encode()) <= GROUP_BYTES_MAX else None

    def part(self, field: Field, buckets: list | None, event: Event) -> str | None:
        value = field.value(event)
        if buckets is None:
            return as_text(value)
        if not is_number(value):
            return None
        return next(bucket["name"] for bucket in buckets if value <= bucket.get("to", math.inf))

    def windows(self, time_us: int, rules: Rules) -> list[tuple]:
        if not self.windowed:
            return [(None, None, None)]
        size_us = self.window.get("size_ms", rules.window_ms) * 1000
        hop_us = self.window.get("hop_ms", size_us // 1000) * 1000
        lateness_us = self.window.get("lateness_ms", rules.lateness_ms) * 1000
        first = (time_us - size_us) // hop_us * hop_us + hop_us
        starts = range(first, time_us + 1, hop_us)
        return [(start_us, start_us + size_us, lateness_us) for start_us in starts]

    # what is measured

    def values_of(self, row: Row) -> dict:
        parts = json.loads(row.key.group) if len(self.keys) > 1 else [row.key.group]
        values = {name: part for (name, _, _), part in zip(self.keys, parts)}
        for name, measure in self.measures.items():
            values[name] = self.measured(row, values, measure)
        return values

    def measured(self, row: Row, so_far: dict, measure):
        if isinstance(measure, str):
            measure = {measure: None}
        given = dict(measure)
        where = given.pop("where", None)
        of = given.pop("of", None)
        p = given.pop("p", None)
        ((kind, what),) = given.items()
        if isinstance(what, dict):  # {count: {where: [...]}}
            where = what["where"]
        events = [event for event in row.events if where is None or self.holds(where, event)]
        if kind == "share":
            among = [event for event in events if of is None or self.holds(of, event)]
            return (
                Near(sum(self.holds(what, event) for event in among) / len(among))
                if among
                else None
            )
        if kind == "ratio":
            above, below = (so_far[name] for name in what)
            return None if above is None or not below else Near(above / below)
        if kind == "percentile":
            return percentile(self.numbers(events, what), p / 100)
        return getattr(self, f"measure_{kind}")(row, events, what)

    def numbers(self, events: list, name: str) -> list:
        if name == "event_timestamp":
            return [event.time_us for event in events]
        return [value for event in events if is_number(value := self.field(name).value(event))]

    def measure_count(self, _row, events, _what):
        return len(events)

    def measure_rate(self, row, events, _what):
        return Near(len(events) / ((row.end_us - row.key.start_us) / 1e6))

    def measure_sum(self, _row, events, what):
        values = self.numbers(events, what)
        return (
            sum(values)
            if all(isinstance(value, int) for value in values)
            else Near(math.fsum(values))
        )

    def measure_avg(self, _row, events, what):
        return average(self.numbers(events, what))

    def measure_min(self, _row, events, what):
        return self.extreme(min, events, what)

    def measure_max(self, _row, events, what):
        return self.extreme(max, events, what)

    def extreme(self, choose, events, what):
        values = self.numbers(events, what)
        if not values:
            return None
        return Instant(choose(values)) if what == "event_timestamp" else choose(values)

    def measure_distinct(self, _row, events, what):
        field = self.field(what)
        return Distinct(len({as_text(field.value(event)) for event in events} - {None}))

    def measure_first(self, _row, events, what):
        return self.at_end(min, events, what)

    def measure_last(self, _row, events, what):
        return self.at_end(max, events, what)

    def at_end(self, choose, events, what):
        field = self.field(what)
        having = [event for event in events if as_text(field.value(event)) is not None]
        return field.value(choose(having, key=lambda event: event.place)) if having else None

    def measure_window_start(self, row, _events, _what):
        return Instant(row.key.start_us)

    def measure_window_end(self, row, _events, _what):
        return Instant(row.end_us)
