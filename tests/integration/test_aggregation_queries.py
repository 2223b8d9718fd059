# SPDX-License-Identifier: MIT
"""What can be asked of the rows: every filter, both orders, pages, CSV, rows for all time, definitions whose
files are gone, and why a window is not final."""

import csv
import fcntl
import io
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import urllib.parse

import parts
import pytest
import web
from harness import ROOT, program, wait_until
from test_reducer import START, at, get, produce, stamp

TWO_KEYS = """# SPDX-License-Identifier: MIT
name: orders
version: 1.0.0
filter:
  - {field: event_type, equals: stamp_workflow_completed}
group_by: [payload.namespace, payload.content_type]
measures:
  stamps: count
  files: {distinct: payload.file_hash}
  type: {last: payload.content_type}
window: {type: tumbling, size_ms: 1000, lateness_ms: 1000}
"""
ALL_TIME = TWO_KEYS.replace("name: orders", "name: orders_ever").replace(
    "{type: tumbling, size_ms: 1000, lateness_ms: 1000}", "{type: none}"
)
TYPES = ("text/plain", "=1+1", 'a"b,c')


@pytest.fixture(scope="module")
def counted(module_bridge):
    """Windows of 1 s: five of namespace a, one of b, over three types and all partitions; those of orders
    become final but for the last one."""
    bridge = module_bridge
    directory = bridge.directory / "contracts"
    shutil.copytree(ROOT / "contracts", directory)
    bridge.environment["CONTRACTS_DIR"] = str(directory)
    bridge.environment["PARTITION_IDLE_MS"] = "3600000"
    (directory / "aggregations" / "orders.yaml").write_text(TWO_KEYS)
    (directory / "aggregations" / "ever.yaml").write_text(ALL_TIME)
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_reducer()
    records = [stamp("a", 1000 * n, content_type=TYPES[n % 3]) for n in range(5) for _ in range(3)]
    records += [stamp("b", 2500, content_type=TYPES[1])]
    partitions = len(get(bridge, "/api/v1/watermark")["items"]) or 8
    for number in range(partitions):
        produce(bridge, records[number::partitions] + [stamp("end", 5100)], partition=number)
    bridge.wait_total("end", partitions)
    wait_until(lambda: len(rows(bridge, "type=orders&state=final")) >= 4, 60, "final windows")
    return bridge


def ask(bridge, query: str, path: str = "/api/v1/aggregations", **headers):
    return web.call("GET", f"{bridge.url('reducer')}{path}?{query}", None, headers)


def rows(bridge, query: str, path: str = "/api/v1/aggregations", limit: int = 2) -> list[dict]:
    """Every row of every page."""
    found, cursor = [], "&cursor="
    while True:
        page = get(bridge, f"{path}?{query}&limit={limit}{cursor}")
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = "&cursor=" + page["next_cursor"]


def keys(found: list[dict]) -> list[tuple]:
    return [(row["type"], row["window_start"], row["group"]) for row in found]


def test_filters_orders_and_pages(counted):
    newest = rows(counted, "type=orders")
    assert len(newest) == 7 and keys(newest) == sorted(keys(newest), key=lambda k: k[1:], reverse=True)
    assert rows(counted, "type=orders&order=asc") == newest[::-1]
    everything = rows(counted, "", limit=1000)
    assert keys(rows(counted, "order=asc", limit=3)) == keys(everything)[::-1]
    assert {"orders", "namespace_grouping", "time_window"} <= {row["type"] for row in everything}
    assert "orders_ever" not in {row["type"] for row in everything}
    second = urllib.parse.quote(at(2000))
    middle = rows(counted, f"type=orders&from={second}&to={urllib.parse.quote(at(4000))}")
    assert {row["window_start"] for row in middle} == {newest[-3]["window_start"], newest[-5]["window_start"]}
    assert rows(counted, f"type=orders&from={second}&order=asc")[0]["window_start"] == START.strftime(
        "%Y-%m-%dT%H:%M:02.000Z"
    )
    assert rows(counted, "type=orders&window_ms=1000") == newest and not rows(counted, "type=orders&window_ms=5000")
    assert "orders" not in {row["type"] for row in rows(counted, "window_ms=5000", limit=1000)}
    assert rows(counted, "type=orders&version=1.0.0") == newest


def test_a_row_that_cannot_be_read_ends_no_list(counted):
    """It is left out, and the pages behind it are still there."""
    newest = rows(counted, "type=orders")
    key = (newest[1]["window_start"], newest[1]["group"])
    change = "UPDATE aggregation_rows SET state = {} WHERE window_start = %s AND group_key = %s"
    counted.sql(change.format("'\\xff'::bytea || state"), *key)
    assert rows(counted, "type=orders") == newest[:1] + newest[2:]
    assert rows(counted, "type=orders", limit=1) == newest[:1] + newest[2:]
    counted.sql(change.format("substr(state, 2)"), *key)
    assert rows(counted, "type=orders") == newest


def test_groups_by_their_keys(counted):
    of_a = rows(counted, "type=orders&namespace=a")
    assert {json.loads(row["group"])[0] for row in of_a} == {"a"} and len(of_a) == 5
    for row in of_a:
        assert row["values"]["stamps"] == 3 and row["values"]["namespace"] == "a", row
    kind = urllib.parse.quote(TYPES[1], safe="")
    assert {json.loads(row["group"])[0] for row in rows(counted, f"type=orders&content_type={kind}")} == {"a", "b"}
    both = rows(counted, f"type=orders&content_type={kind}&namespace=b")
    assert [row["group"] for row in both] == [json.dumps(["b", TYPES[1]], separators=(",", ":"))]
    assert rows(counted, "type=orders&group=" + urllib.parse.quote(both[0]["group"])) == both
    assert {row["type"] for row in rows(counted, "namespace=b")} == {"namespace_grouping"}


def test_states(counted):
    final, still_open = rows(counted, "type=orders&state=final"), rows(counted, "type=orders&state=open")
    assert all(row["final"] for row in final) and not any(row["final"] for row in still_open)
    assert sorted(keys(final + still_open)) == sorted(keys(rows(counted, "type=orders")))
    assert rows(counted, "type=orders", path="/api/v1/windows/open") == still_open
    assert rows(counted, "type=orders&state=open&order=asc") == still_open[::-1]
    assert any(row["group"].startswith('["end"') for row in still_open)


def test_rows_for_all_time(counted):
    ever = rows(counted, "type=orders_ever")
    assert [row["group"] for row in ever] == sorted(row["group"] for row in ever)
    assert {(row["window_start"], row["window_end"], row["final"]) for row in ever} == {(None, None, False)}
    assert sum(row["values"]["stamps"] for row in ever if json.loads(row["group"])[0] == "a") == 15
    assert rows(counted, "type=orders_ever&order=desc") == ever[::-1]
    assert len(rows(counted, "type=orders_ever&namespace=a")) == 3
    totals = rows(counted, "order=desc", path="/api/v1/namespaces", limit=1)
    assert [total["namespace"] for total in totals] == ["end", "b", "a"]
    assert totals[::-1] == get(counted, "/api/v1/namespaces")["items"]


@pytest.mark.parametrize("path", ["/api/v1/aggregations", "/api/v1/windows/open"])
def test_csv(counted, path):
    answer = ask(counted, "type=orders&limit=4&format=csv", path)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert answer.text.endswith("\r\n") and answer.headers["Vary"] == "Accept"
    assert ask(counted, "type=orders&limit=4", path, Accept="text/csv").text == answer.text
    for accept in ("TEXT/CSV", "text/*", "text/csv;q=nan, */*", "*/*;Q=0.1, text/csv; q=0.2"):
        assert ask(counted, "type=orders&limit=4", path, Accept=accept).text == answer.text, accept
    for accept in ("text/*;q=0.1, application/json", "text/csv;Q=0", "*/*", "text/csv;q=0.2, */*;q=0.25"):
        assert ask(counted, "type=orders&limit=4", path, Accept=accept).json, accept
    read = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    page = ask(counted, "type=orders&limit=4", path).json
    assert answer.headers.get("X-Next-Cursor") == page["next_cursor"]
    assert list(read[0]) == ["type", "version", "window_start", "window_end", "group", "revision", "final"] + [
        "namespace", "content_type", "stamps", "files", "values.type", "unique_counts_exact"
    ]
    for line, row in zip(read, page["items"], strict=True):
        assert (line["type"], line["group"], line["final"]) == ("orders", row["group"], json.dumps(row["final"]))
        assert line["stamps"] == str(row["values"]["stamps"])
        text = row["values"]["content_type"]
        assert line["content_type"] == ("'" + text if text.startswith("=") else text)


def test_csv_of_everything_has_the_same_columns(counted):
    head = ask(counted, "format=csv&limit=1").text.partition("\r\n")[0].split(",")
    assert ask(counted, "format=csv&limit=1&order=asc").text.startswith(",".join(head) + "\r\n")
    assert len(head) == len(set(head)) and {"namespace", "stamps", "p95_latency_ms"} <= set(head)
    totals = list(csv.DictReader(io.StringIO(ask(counted, "format=csv", "/api/v1/namespaces").text)))
    assert [(line["namespace"], line["total_stamps"]) for line in totals][:2] == [("a", "15"), ("b", "1")]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("type=none_such", "type"), ("type=orders&version=9.9.9", "version"), ("version=1.0.0", "version"),
        ("state=closed", "state"), ("order=up", "order"), ("format=xml", "format"), ("from=yesterday", "from"),
        ("window_ms=0", "window_ms"), ("type=orders_ever&from=2026-01-01T00:00:00Z", "from"),
        ("type=orders_ever&state=open", "state"), ("type=orders&size=1", "size"), ("limit=1001", "limit"),
        ("type=time_window&namespace=a", "namespace"), ("type=orders&namespace=a&group=b", "namespace"),
        ("cursor=d.0.0.1.zz", "cursor"), ("cursor=d.0.0.1.ff", "cursor"), ("cursor=d.0.0.1.6100", "cursor"),
        ("cursor=d.9223372036854775807.0.1.61", "cursor"), ("cursor=a", "cursor"), ("order=asc&cursor=d.0.0.1.61", "cursor"),
        ("limit=5&limit=bad", "limit"), ("type=orders&type=time_window", "type"), ("limit=%2B5", "limit"),
        ("from=0000-01-01T00:00:00%2B23:59", "from"), ("type=orders&namespace=a&namespace=b", "namespace"),
    ],
)
def test_what_cannot_be_asked(counted, query, field):
    answer = ask(counted, query)
    assert (answer.status, answer.json["field"]) == (422, field), answer
    assert answer.json["detail"]


def explain(bridge, query: str) -> dict:
    return get(bridge, "/api/v1/windows/explain?" + query)


def window_of(second: int, kind: int, namespace: str = "a") -> str:
    group = urllib.parse.quote(json.dumps([namespace, TYPES[kind]], separators=(",", ":")))
    return f"type=orders&window_start={urllib.parse.quote(at(1000 * second))}&group={group}"


def test_a_window_is_explained(counted):
    """The smallest watermark is at 4.1 s; windows of 1 s close 1 s after their end."""
    final = explain(counted, window_of(0, 0))
    assert (final["state"], final["events"], final["waiting_for"], final["gaps"]) == ("final", 3, [], []), final
    assert final["explanation"] == f"Final since {final['final_at']}: 3 events."
    closing, still_open = explain(counted, window_of(3, 0)), explain(counted, window_of(4, 1))
    assert (closing["state"], still_open["state"]) == ("closing", "open")
    assert closing["low_watermark"] == still_open["low_watermark"] == at(4100)[:-4] + "Z"
    assert closing["closes_after"] == at(5000)[:-4] + "Z"
    for held in closing["waiting_for"]:
        assert (held["reason"], held["behind_ms"], held["unread_records"]) == ("quiet", 900, 0)
    assert len(closing["waiting_for"]) == closing["partitions"] and closing["idle_partitions"] == 0
    assert "whose watermark is 0.9 s short of that: it is read to its end" in closing["explanation"]
    assert explain(counted, window_of(6, 0))["state"] == "not_seen_yet"
    assert explain(counted, window_of(0, 1))["state"] == "never_seen"
    by_keys = "type=orders&namespace=end&content_type=text/plain&window_start=" + urllib.parse.quote(at(5000))
    assert explain(counted, by_keys)["state"] == "open"
    ever = explain(counted, "type=orders_ever&namespace=end&content_type=text/plain")
    assert (ever["state"], ever["window_start"], ever["events"]) == ("all_time", None, ever["partitions"])


def test_gaps_and_retention_are_explained(counted):
    counted.sql(
        "INSERT INTO reducer_gaps (cluster_id, topic, partition, from_offset, to_offset, lanes, last_seqs, newest_event_at)"
        " SELECT cluster_id, topic, partition, 100, 112, '{}', '{}', %s FROM reducer_partitions WHERE partition = 3",
        at(3000),
    )
    touched = explain(counted, window_of(1, 0))
    assert (touched["state"], touched["lost_records"], touched["gaps"][0]["partition"]) == ("never_seen", 12, 3)
    assert "12 records that may belong to it" in touched["explanation"]
    assert explain(counted, window_of(0, 1))["gaps"] == []  # that was too late for it
    assert explain(counted, window_of(60, 1))["gaps"] == []  # and nothing was read that late since
    counted.sql("DELETE FROM reducer_gaps")
    counted.sql("UPDATE aggregation_definitions SET pruned_until = %s WHERE name = 'orders'", at(-10000))
    pruned = explain(counted, window_of(-60, 0))
    assert (pruned["state"], pruned["pruned_until"]) == ("pruned", at(-10000)[:-4] + "Z"), pruned
    counted.sql("UPDATE aggregation_definitions SET pruned_until = NULL")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "type"), ("type=orders", "group"), ("type=orders&group=x", "window_start"),
        ("type=orders&namespace=a&window_start=2026-03-01T12:00:00Z", "group"),
        ("type=orders_ever&group=x&window_start=2026-03-01T12:00:00Z", "window_start"),
        ("type=orders&group=x&window_start=2026-03-01T12:00:00.5Z", "window_start"),
        ("type=orders&group=x&window_start=noon", "window_start"),
        ("type=orders&group=x&window_start=9999-12-31T23:59:59Z", "window_start"), ("type=orders&state=open", "state"),
    ],
)
def test_what_cannot_be_explained(counted, query, field):
    answer = ask(counted, query, "/api/v1/windows/explain")
    assert (answer.status, answer.json["field"]) == (422, field), answer


def test_rows_are_shown(counted):
    table = counted.bridgectl("aggregations", "show", "orders", "--key", "namespace=a", "--measure", "stamps").stdout
    lines = table.splitlines()
    assert lines[0].split() == ["WINDOW", "STATE", "namespace", "content_type", "stamps", "files", "type"]
    assert lines[1].split()[:3] == [at(4000)[:-8] + "Z", "open", "a"] and len(lines) == 1 + 5 + 2 + 5
    assert lines[7] == "stamps" and "####" in lines[8]
    shown = counted.bridgectl("aggregations", "show", "orders", "--json", "--limit", "3").stdout
    assert json.loads(shown) == rows(counted, "type=orders")[:3]
    lines = counted.bridgectl("aggregations", "show", "orders", "--csv").stdout
    assert lines == ask(counted, "type=orders&limit=20&format=csv").text
    twice = ("--key", "namespace=a", "--key", "namespace=b")
    for wrong in (("--key", "x"), ("--key", "limit=5"), twice, ("--measure", "nope")):
        refused = counted.bridgectl("aggregations", "show", "orders", *wrong, check=False)
        assert refused.returncode == 2 and refused.stdout == "", refused
    refused = counted.bridgectl("aggregations", "show", "no_such", check=False)
    assert refused.returncode == 1 and "no_such" in refused.stderr
    told = counted.bridgectl("aggregations", "explain", "time_window", "--start", at(0)).stdout
    assert "it closes when every watermark has passed" in told and "quiet" in told


def start_following(bridge, stdout, *arguments, **environment):
    command = [str(program("bridgectl")), "aggregations", "show", "orders", "--follow", "--interval", "100"]
    environment = {**parts.clean_environment(), **bridge.settings, **environment}
    return subprocess.Popen([*command, *arguments], stdout=stdout, env=environment)


def test_rows_are_followed(counted):
    """Without a terminal a line for each change; on one the same lines again, and a clean end."""
    # pylint: disable=consider-using-with
    process = start_following(counted, subprocess.PIPE, "--json", "--key", "namespace=followed")
    first = stamp("followed", 6100)
    produce(counted, [first], partition=0)
    assert json.loads(process.stdout.readline())["values"]["stamps"] == 1
    produce(counted, [stamp("followed", 6200)], partition=0)
    assert json.loads(process.stdout.readline())["values"]["stamps"] == 2
    os.kill(counted.reducer.process.pid, signal.SIGSTOP)
    try:  # an answer would be waited for longer than here
        process.send_signal(signal.SIGINT)
        assert process.wait(25) == 0
    finally:
        os.kill(counted.reducer.process.pid, signal.SIGCONT)
    process = start_following(counted, subprocess.PIPE, "--csv", "--key", "namespace=b")
    asked = ask(counted, "type=orders&namespace=b&format=csv").text
    assert process.stdout.readline() + process.stdout.readline() == asked.encode()
    process.send_signal(signal.SIGTERM)
    assert process.wait(300) == 0
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 14, 60, 0, 0))
    process = start_following(counted, slave, NO_COLOR="1")
    os.close(slave)
    drawn = b""
    while drawn.count(b"WINDOW") < 2:
        drawn += os.read(master, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 0
    while not drawn.endswith(b"h"):
        drawn += os.read(master, 4096)
    os.close(master)
    text = re.sub(rb"\x1b\[[0-9?]*[A-Za-z]", b"", drawn).decode()
    assert all(len(line) <= 60 for line in text.replace("\r", "").split("\n")), text
    assert "\nstamps" in text.replace("\r", "") and b"\x1b[36m" not in drawn and drawn.endswith(b"\x1b[?25h")


def test_a_definition_is_read_after_its_file_is_gone(counted):
    """Last: it changes the files."""
    directory = counted.directory / "contracts" / "aggregations"
    before, ever = rows(counted, "type=orders"), rows(counted, "type=orders_ever")
    counted.reducer.stop()
    (directory / "orders.yaml").write_text(TWO_KEYS.replace("version: 1.0.0", "version: 1.1.0"))
    (directory / "ever.yaml").unlink()
    counted.start_reducer()
    assert rows(counted, "type=orders") == []
    old = rows(counted, "type=orders&version=1.0.0")
    assert [{**row, "final": None} for row in old] == [{**row, "final": None} for row in before]
    assert rows(counted, "type=orders_ever") == ever
    wait_until(lambda: ask(counted, window_of(0, 0) + "&version=1.0.0", "/api/v1/windows/explain").status == 200, 30, "the topic")
    gone = explain(counted, window_of(0, 0) + "&version=1.0.0")
    assert (gone["state"], gone["loaded"], gone["version"]) == ("final", False, "1.0.0")
    assert ask(counted, "type=orders_ever&format=csv").text.startswith("type,version,")
    counted.sql("UPDATE aggregation_definitions SET document = NULL WHERE name = 'orders_ever' RETURNING 1")
    refused = ask(counted, "type=orders_ever")
    assert (refused.status, refused.json["field"]) == (409, "type") and "file" in refused.json["detail"]
