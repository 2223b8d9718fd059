# SPDX-License-Identifier: MIT
"""The reference and the generator themselves: a dump small enough to be worked out by hand."""

import json

from exact import compare, contract, generate, reference

START_US = int((generate.START - generate.EPOCH).total_seconds()) * 1_000_000


def stamp(at_ms: int, ran_ms, namespace: str = "ns", **more) -> dict:
    payload = {
        "workflow_id": f"w{at_ms}",
        "file_hash": "h",
        "file_size": 100,
        "content_type": "text/plain",
        "namespace": namespace,
        "processing_time_ms": ran_ms,
        **more,
    }
    return {
        "event_type": "stamp_workflow_completed",
        "event_timestamp": str(reference.Instant(START_US + at_ms * 1000)),
        "payload": payload,
    }


def records(*events, partition: int = 0, first: int = 0) -> list:
    """Each event is a dict, or (seq, dict) for one of a lane."""
    made = []
    for offset, event in enumerate(events, first):
        seq, event = event if isinstance(event, tuple) else (None, event)
        headers = {} if seq is None else {"lane": "1.1", "seq": str(seq)}
        value = event if isinstance(event, str) else json.dumps(event)
        made.append(reference.Record(partition, offset, 0, headers, "key", value))
    return made


def row(read, name: str, start_ms: int | None, group: str):
    start_us = None if start_ms is None else START_US + start_ms * 1000
    return read.rows.get(reference.Key(name, start_us, group))


def test_repeats_late_ones_and_those_past_the_lateness():
    topic = records(
        (1, stamp(0, 1)),
        (2, stamp(4999, 2)),
        (2, stamp(4999, 2)),  # a repeat
        (3, stamp(5999, 3)),  # the watermark is 4,999: the first window is still open
        (4, stamp(1, 4)),  # in time
        (5, stamp(6000, 5)),  # the watermark is 5,000, the window's end
        (6, stamp(2, 6)),  # late
        (7, stamp(66000, 7)),  # the watermark is 65,000, the end and the allowed lateness
        (8, stamp(3, 8)),  # too late
        (1, "garbage"),  # a repeat, whatever it says
        "garbage",
    )
    read = reference.Reference().read(topic)
    assert read.counts == {
        "records": 11, "repeats": 2, "malformed": 1, "in time": 6, "late": 1, "too late": 1,
    }  # fmt: skip
    assert read.dead_letters.keys() == {(0, 8), (0, 10)}
    first = row(read, "namespace_grouping", 0, "ns")
    assert [event.ran for event in first.events] == [1, 2, 4, 6] and first.revision == 2
    assert row(read, "namespace_grouping", 5000, "ns").revision == 1
    assert [event.ran for event in row(read, "namespace_total", None, "ns").events] == list(
        range(1, 9)
    )


def test_time_is_that_of_the_partition_and_garbage_has_none():
    ahead = stamp(100000, 1, file_size=-1)
    topic = records(stamp(100000, 1)) + records(ahead, stamp(0, 2), partition=1)
    read = reference.Reference().read(topic)
    assert read.dead_letters.keys() == {(1, 0)}
    assert row(read, "time_window", 0, "").revision == 1


def test_the_values_of_a_row():
    times = [10, 20, 30, 40, 50, 60, 70, 80, 90, 1000]
    topic = records(*(stamp(n, ran, file_size=n * 1048576) for n, ran in enumerate(times)))
    read = reference.Reference().read(topic)
    values = read.values()

    def of(name: str, group: str) -> dict:
        return values[reference.Key(name, START_US, group)]

    window = of("time_window", "")
    assert window["stamps_count"] == 10 and window["stamps_per_second"] == 2
    assert window["avg_latency_ms"] == 145
    assert window["p95_latency_ms"] == 1000 and window["p99_latency_ms"] == 1000
    assert of("size_buckets", "small")["total_stamps"] == 2
    assert of("size_buckets", "medium")["max_size_bytes"] == 9 * 1048576
    assert of("file_type_grouping", "text/plain")["avg_size_bytes"] == 4.5 * 1048576
    totals = of("namespace_grouping", "ns")
    assert totals["unique_workflows"] == 10 and totals["unique_file_hashes"] == 1
    assert str(totals["last_stamp_timestamp"]).endswith(".009000Z")


def test_a_row_of_a_workflow_follows_event_time_then_offset():
    def event(at_ms: int, **payload) -> dict:
        return {
            **stamp(at_ms, None),
            "event_type": "any",
            "payload": {"workflow_id": "w", **payload},
        }

    topic = records(
        event(3, workflow_state="processing"),
        event(9, workflow_state="failed", processing_time_ms=7.5),
        event(9, workflow_state="completed", run=2),
        event(5, workflow_state="processing", run=2, step_order=1),
        event(6, step_order=2),
    )
    values = (
        reference.Reference()
        .read(topic)
        .values()[reference.Key("workflow_grouping", START_US, "w")]
    )
    assert values == {
        "workflow_id": "w",
        "total_steps": 2,
        "runs": 2,
        "avg_steps": 1,
        "processing_time_ms": 7.5,
        "success_rate": 0.5,
        "fsm_state": "completed",
    }


def test_a_contract_with_hopping_windows():
    given = contract.Contract({
        "name": "hops",
        "filter": [{"field": "payload.file_size", "greater": 10}],
        "group_by": ["payload.namespace", {"name": "at", "field": "payload.file_hash"}],
        "measures": {
            "n": "count",
            "slow": {"count": {"where": [{"field": "payload.processing_time_ms", "greater_or_equal": 5}]}},
            "part": {"ratio": ["slow", "n"]},
        },
        "window": {"type": "hopping", "size_ms": 4000, "hop_ms": 2000, "lateness_ms": 0},
    })  # fmt: skip
    topic = records(
        stamp(1000, 4), stamp(3000, 5), stamp(3000, 5, file_size=1), stamp(7000, 9), stamp(1500, 9)
    )
    read = reference.Reference(aggregations=[given]).read(topic)
    assert read.dead_letters == {(0, 4): "too late"}  # both of its windows have ended
    counts = {
        (key.start_us - START_US) // 1000: (values["n"], values["slow"], values["part"])
        for key, values in read.values().items()
    }
    assert counts == {
        -2000: (1, 0, 0), 0: (2, 1, 0.5), 2000: (1, 1, 1), 4000: (1, 1, 1), 6000: (1, 1, 1),
    }  # fmt: skip
    assert {key.group for key in read.rows} == {'["ns","h"]'}


def test_differences_are_found_and_told():
    read = reference.Reference().read(records(stamp(0, 1), stamp(7, 3)))
    shipped = next(given for given in read.aggregations if given.name == "time_window")
    ((key, values),) = (
        (key, value) for key, value in read.values().items() if key.aggregation == "time_window"
    )
    right = {**reference.show(values)}

    def wrong(revision: int = 1, final: bool = True, **more) -> list[str]:
        return [
            text
            for _, text in compare.differences(
                read, shipped, [(key, revision, final, {**right, **more})]
            )
        ]

    assert wrong() == []
    assert wrong(revision=2) == ["revision is 2, expected 1"]
    assert wrong(final=False) == ["is not final"]
    assert wrong(stamps_count=3) == ["stamps_count is 3, expected 2"]
    assert wrong(p95_latency_ms=3.02) == [] and wrong(p95_latency_ms=3.04) != []
    assert wrong(avg_latency_ms=None) == ["avg_latency_ms is None, expected 2.0"]
    assert wrong(more=1) == ["more is 1, and is not expected at all"]
    assert [text for _, text in compare.differences(read, shipped, [])][0].startswith("is missing")


def test_the_same_seed_makes_the_same_topic():
    def topic(seed: int) -> list:
        return list(generate.records(generate.read_plan(["--events", "3000", "--seed", str(seed)])))

    first = topic(1)
    assert first == topic(1) and first != topic(2)
    kinds = {name for name, _ in generate.GARBAGE}
    assert len(kinds) == len(generate.GARBAGE), "each kind of garbage has a name of its own"
