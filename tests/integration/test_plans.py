# SPDX-License-Identifier: MIT
"""What PostgreSQL does for each statement of the reducer when there are many rows.

TEST_PLAN_ROWS=10000000 makes as many rows as docs/operations.md shows figures of (pytest -s prints its table).
The statements are those that the reducer sends, with its parameters, as auto_explain saw them.
"""

import json
import os
import re
import urllib.parse

from harness import Bridge, wait_until
from test_reducer import START, WINDOW_MS, get, produce, stamp

ROWS = int(os.environ.get("TEST_PLAN_ROWS") or 50000)
NAMESPACES = 40
BIG = ("aggregation_rows", "aggregation_values", "aggregation_finals")
FEW = 5000  # rows that may as well be read as a whole
COPY_SECONDS = 15
PRUNED_COPIES = 3

# Each copy of the rows that were counted stands 15 s earlier. The first four are not final yet.
COPY_ROWS = f"""
INSERT INTO aggregation_rows (definition, window_ms, window_start, group_key, partition, window_end, revision,
                              is_open, events, state)
SELECT definition, window_ms, window_start - n * interval '{COPY_SECONDS} s', group_key, partition,
       window_end - n * interval '{COPY_SECONDS} s', revision, n < 5, events, state
  FROM generate_series(1, %s) AS n, aggregation_rows WHERE window_ms > 0"""
COPY_VALUES = f"""
INSERT INTO aggregation_values
SELECT definition, window_ms, window_start - n * interval '{COPY_SECONDS} s', group_key, partition, cell,
       first_value, hashes
  FROM generate_series(1, %s) AS n, aggregation_values WHERE window_ms > 0"""
COPY_FINALS = f"""
INSERT INTO aggregation_finals
SELECT definition, window_ms, window_start - n * interval '{COPY_SECONDS} s', group_key,
       now() - n * interval '1 s' - CASE WHEN n > %s THEN interval '50 days' ELSE interval '0' END
  FROM generate_series(5, %s) AS n, aggregation_finals"""
COPY_TOTALS = """
INSERT INTO aggregation_rows (definition, window_ms, window_start, group_key, partition, revision, events, state)
SELECT definition, 0, window_start, group_key || '-' || n, partition, 1, events, state
  FROM generate_series(1, %s) AS n, aggregation_rows WHERE window_ms = 0"""


class Plans:
    """The plans of one database's statements, from the server's log."""

    def __init__(self, bridge: Bridge, log):
        self.bridge, self.log, self.at = bridge, log, 0

    def start(self) -> None:
        name = urllib.parse.urlparse(self.bridge.database_url).path[1:]
        settings = {
            "session_preload_libraries": "auto_explain",
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_analyze": "on",
            "auto_explain.log_buffers": "on",
            "auto_explain.log_nested_statements": "on",
            "auto_explain.log_format": "json",
        }
        for key, value in settings.items():
            self.bridge.sql(f"ALTER DATABASE \"{name}\" SET {key} = '{value}'")
        self.at = self.log.stat().st_size

    def take(self) -> list[dict]:
        """What came since the last call."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            log.seek(self.at)
            text = log.read()
            self.at = log.tell()
        return [
            json.loads(found) for found in re.findall(r"plan:\n((?:\t.*\n?)+)", text) if "Query Text" in found
        ]


def nodes(plan: dict) -> list[dict]:
    return [plan] + [node for child in plan.get("Plans", []) for node in nodes(child)]


def summary(plan: dict) -> dict:
    """Of the large tables: how they are reached, how many rows and blocks are looked at."""
    found = {"access": set(), "rows": 0, "faults": []}
    for node in nodes(plan["Plan"]):
        loops = node["Actual Loops"]
        rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * loops
        if node.get("Relation Name") in BIG and node["Node Type"] != "ModifyTable":
            found["access"].add(node.get("Index Name") or node["Node Type"])
            if node["Node Type"] == "Seq Scan" and rows > FEW:
                found["faults"].append(f"Seq Scan on {node['Relation Name']}")
        if node["Node Type"] == "Bitmap Index Scan":
            found["access"].add(node["Index Name"])
        found["access"].discard("Bitmap Heap Scan")
        found["rows"] = max(found["rows"], rows)
        if rows > ROWS / 4:
            found["faults"].append(f"{rows} rows at {node['Node Type']}")
    found["blocks"] = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    found["ms"] = plan["Plan"]["Actual Total Time"]
    return found


def fill(bridge: Bridge) -> None:
    """Rows of every shipped aggregation through the reducer, then copies of them."""
    produce(bridge, [stamp("busy", n % 3 * WINDOW_MS) for n in range(600)])
    produce(bridge, [stamp(f"ns-{n % NAMESPACES}", n * 40 % (3 * WINDOW_MS)) for n in range(400)])
    bridge.wait_total("busy", 600)
    not_final = "SELECT 1 FROM aggregation_rows WHERE is_open AND window_ms > 0 LIMIT 1"
    wait_until(lambda: bridge.sql(not_final) == [], 60, "all windows are final")
    bridge.reducer.stop()
    (windows, totals), = bridge.sql(
        "SELECT count(*) FILTER (WHERE window_ms > 0), count(*) FILTER (WHERE window_ms = 0) FROM aggregation_rows"
    )
    copies = max(ROWS // windows, 3 * PRUNED_COPIES)
    bridge.sql(COPY_ROWS, copies)
    bridge.sql(COPY_VALUES, copies)
    bridge.sql(COPY_FINALS, copies - PRUNED_COPIES, copies)
    bridge.sql(COPY_TOTALS, max(1, ROWS // 50 // totals))
    bridge.sql("UPDATE reducer_partitions SET idle_at = NULL")
    for table in BIG:
        bridge.sql(f"ANALYZE {table}")


def paths(bridge: Bridge) -> dict[str, str]:
    """What is asked of the API, and by which name it is shown."""
    (workflow,), = bridge.sql(
        "SELECT group_key FROM aggregation_rows JOIN aggregation_definitions d ON d.id = definition"
        " WHERE d.name = 'workflow_grouping' ORDER BY window_start LIMIT 1"
    )
    rare = f"{workflow[:-4]}rare"
    bridge.sql(
        "UPDATE aggregation_rows r SET group_key = %s FROM (SELECT * FROM aggregation_rows WHERE group_key = %s"
        " ORDER BY window_start LIMIT 1) AS o WHERE r.definition = o.definition AND r.window_ms = o.window_ms"
        " AND r.window_start = o.window_start AND r.group_key = o.group_key AND r.partition = o.partition",
        rare, workflow,
    )
    middle = START.timestamp() - ROWS / 100000 * 60
    text = urllib.parse.quote(
        START.fromtimestamp(middle, START.tzinfo).strftime("%Y-%m-%dT%H:%M:%SZ"), safe=""
    )
    return {
        "newest windows": "/api/v1/aggregations",
        "one type": "/api/v1/aggregations?type=time_window",
        "one type and group": "/api/v1/aggregations?type=namespace_grouping&group=ns-7",
        "one group": "/api/v1/aggregations?group=ns-7",
        "one namespace": "/api/v1/aggregations?namespace=ns-7",
        "a rare group": f"/api/v1/aggregations?type=workflow_grouping&group={rare}",
        "until a time": f"/api/v1/aggregations?type=size_buckets&to={text}",
        "from a time": f"/api/v1/aggregations?type=size_buckets&from={text}",
        "oldest windows": "/api/v1/aggregations?order=asc",
        "one type, oldest": "/api/v1/aggregations?type=time_window&order=asc",
        "final windows": "/api/v1/aggregations?type=time_window&state=final",
        "open windows": "/api/v1/windows/open",
        "oldest open windows": "/api/v1/aggregations?state=open&order=asc",
        "why not final": f"/api/v1/windows/explain?type=time_window&window_start={START:%Y-%m-%dT%H:%M:%SZ}",
        "totals": "/api/v1/namespaces",
        "totals of one": "/api/v1/namespaces?namespace=ns-7",
        "snapshot": "/state/snapshot?namespace=ns-7",
        "watermark": "/api/v1/watermark",
    }


def ask(bridge: Bridge, path: str) -> None:
    """Often enough for a plan that serves any parameters; then the page after it."""
    for _ in range(7):
        page = get(bridge, path)
    if page.get("next_cursor"):
        sign = "&" if "?" in path else "?"
        get(bridge, path + sign + "cursor=" + page["next_cursor"])


def what_ran(name: str, plans: list[dict]) -> dict[str, dict]:
    """The costliest plan of each statement that looks at large tables."""
    worst: dict[str, dict] = {}
    if os.environ.get("TEST_PLAN_FILE"):  # whole, to look at
        with open(os.environ["TEST_PLAN_FILE"], "a", encoding="utf-8") as file:
            file.writelines(json.dumps({"name": name, **plan}) + "\n" for plan in plans)
    for plan in plans:
        text = " ".join(plan["Query Text"].split())
        if text.startswith("SELECT count(*) FROM aggregation_finals"):
            continue  # our own
        found = summary(plan)
        if found["access"]:
            key = f"{name}: {text[:44]}"
            if key not in worst or worst[key]["blocks"] < found["blocks"]:
                worst[key] = {**found, "text": text}
    return worst


def test_every_statement_finds_its_rows_by_an_index(empty_bridge, session_directory):
    bridge = empty_bridge
    plans = Plans(bridge, session_directory / "postgres.log")
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_reducer(PARTITION_IDLE_MS="300", AGGREGATION_PRUNE_INTERVAL_MS="0")
    fill(bridge)
    old = "SELECT count(*) FROM aggregation_finals WHERE final_at < now() - interval '40 days'"
    pruned = bridge.sql(old)[0][0]
    asked = paths(bridge)
    plans.start()

    bridge.start_reducer(PARTITION_IDLE_MS="3600000", AGGREGATION_PRUNE_INTERVAL_MS="500")
    ran: dict[str, dict] = {}
    wait_until(lambda: bridge.sql(old)[0][0] == 0, 120, f"{pruned} groups are pruned", interval=0.5)
    produce(bridge, [stamp("busy", 3 * WINDOW_MS - 1) for n in range(200)])
    bridge.wait_total("busy", 800)
    ran.update(what_ran("at work", plans.take()))
    for name, path in asked.items():
        ask(bridge, path)
        ran.update(what_ran(name, plans.take()))

    for name, found in ran.items():
        print(f"{name:70} {found['ms']:9.2f} ms {found['rows']:8} rows {found['blocks']:7} blocks"
              f" {', '.join(sorted(found['access']))} {found['faults']}")
    assert len(ran) > 10, list(ran)
    assert not [(name, found["faults"]) for name, found in ran.items() if found["faults"]]
