# SPDX-License-Identifier: MIT
"""Rows of the reference beside those that a reducer answers with; differences told for people."""

import json
import math
import urllib.parse
import urllib.request

from reference import (
    DISTINCT_ERROR,
    DISTINCT_EXACT_MAX,
    NAMESPACE_TOTAL,
    PERCENTILE_ERROR,
    Distinct,
    Instant,
    Key,
    Malformed,
    Percentile,
    Reference,
    Row,
    is_number,
    read_dump,
    read_instant,
    show,
)


def differs(expected, got, exact_counts: bool) -> bool:
    if isinstance(expected, Instant):
        try:
            return read_instant(got) != int(expected)
        except Malformed:
            return True
    if expected is None or isinstance(expected, str):
        return got != expected or type(got) is not type(expected)
    if not is_number(got):
        return True
    if isinstance(expected, Percentile):
        return abs(got - expected) > PERCENTILE_ERROR * expected * 1.000001 + 1e-6
    if isinstance(expected, Distinct) and expected > DISTINCT_EXACT_MAX and not exact_counts:
        return abs(got - expected) > DISTINCT_ERROR * expected
    if isinstance(expected, float):
        return not math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9)
    return got != expected


def fetch(url: str, timeout: float = 60):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return json.load(answer)


def fetch_pages(url: str):
    """Every item of a list."""
    cursor = ""
    while cursor is not None:
        page = fetch(url + (f"&cursor={urllib.parse.quote(cursor, safe='')}" if cursor else ""))
        yield from page["items"]
        cursor = page["next_cursor"]


def fetch_rows(url: str, aggregation) -> list[tuple]:
    """(key, revision, final, values) of every row that the reducer has of one aggregation."""
    if aggregation.name == NAMESPACE_TOTAL:
        return [
            (Key(NAMESPACE_TOTAL, None, item["namespace"]), None, None, item["values"])
            for item in fetch_pages(f"{url}/api/v1/namespaces?limit=1000")
        ]
    rows = []
    for item in fetch_pages(f"{url}/api/v1/aggregations?type={aggregation.name}&limit=1000"):
        start_us = read_instant(item["window_start"]) if aggregation.windowed else None
        key = Key(item["type"], start_us, item["group"])
        final = item["final"] if aggregation.windowed else None
        rows.append((key, item["revision"], final, item["values"]))
    return rows


def row_differences(row: Row, expected: dict, got: tuple, finals: bool):
    """What is wrong with one row, field by field."""
    _, revision, final, values = got
    if revision is not None and revision != row.revision:
        yield f"revision is {revision}, expected {row.revision}"
    if finals and final is False:
        yield "is not final"
    exact_counts = values.get("unique_counts_exact", True)
    for name, wanted in expected.items():
        if name not in values:
            yield f"{name} is not there, expected {wanted}"
        elif differs(wanted, values[name], exact_counts):
            yield f"{name} is {values[name]!r}, expected {wanted}"
    for name in values.keys() - expected.keys():
        if not name.endswith("_exact"):
            yield f"{name} is {values[name]!r}, and is not expected at all"


def differences(reference: Reference, aggregation, found: list[tuple], finals: bool = True):
    """(key, what is wrong) for each row of one aggregation, missing and surplus ones included."""
    expected = {
        key: row for key, row in reference.rows.items() if key.aggregation == aggregation.name
    }
    seen = set()
    for got in found:
        key = got[0]
        if key in seen:
            yield key, "comes twice"
        elif key not in expected:
            yield key, f"is not expected at all: {got[3]}"
        else:
            for text in row_differences(
                expected[key], aggregation.values(expected[key]), got, finals
            ):
                yield key, text
        seen.add(key)
    for key in expected.keys() - seen:
        yield key, f"is missing; expected {show(aggregation.values(expected[key]))}"


def tell(reference: Reference, key: Key, text: str, dump: str | None) -> str:
    """A difference, for people: window, group, field, and the records that count in the row."""
    window = "all time" if key.start_us is None else f"the window from {Instant(key.start_us)}"
    lines = [f"{key.aggregation}, {window}, group {key.group!r}: {text}"]
    if dump is not None:
        again = Reference(reference.rules, reference.aggregations, watch=key).read(read_dump(dump))
        for partition in sorted({place[0] for place in again.watched}):
            places = [
                (offset, verdict) for where, offset, verdict in again.watched if where == partition
            ]
            texts = [
                str(offset) + ("" if verdict == "in time" else f" ({verdict})")
                for offset, verdict in places
            ]
            more = f", ... {len(texts)} in all" if len(texts) > 12 else ""
            lines.append(f"  partition {partition}, offsets {', '.join(texts[:12])}{more}")
    return "\n".join(lines)


def compare(
    reference: Reference, url: str, dump: str | None = None, *, finals: bool = True
) -> list[str]:
    """Differences of all aggregations with a reducer's answers; the first of each is explained."""
    told = []
    for aggregation in reference.aggregations:
        wrong = list(differences(reference, aggregation, fetch_rows(url, aggregation), finals))
        wrong.sort(key=lambda item: (item[0].start_us or 0, item[0].group))
        if wrong:
            told.append(tell(reference, *wrong[0], dump))
            told += [tell(reference, *item, None) for item in wrong[1:5]]
        if len(wrong) > 5:
            told.append(f"{aggregation.name}: {len(wrong)} differences in all")
    return told
