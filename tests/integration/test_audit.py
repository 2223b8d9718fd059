# SPDX-License-Identifier: MIT
"""bridgectl audit: all zeros for a healthy system, and each kind of damage found when it is done by hand."""

import json
import signal
import uuid

import pytest
from harness import WORKFLOW_TOPIC, Load, consume, scaled, unique, wait_until
from test_reducer import produce

WORKFLOWS = 200
COUNTS = (
    "lost unfinished doubled told_otherwise broken_histories broken_lanes events_missing events_waiting"
    " events_not_saved events_doubled out_of_order records_not_counted aggregate_differences"
).split()


def audit(bridge, *arguments) -> tuple[int, dict]:
    done = bridge.bridgectl("audit", *arguments, "--json", check=False)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def found(told: dict) -> dict:
    """What is not zero."""
    return {name: told[name] for name in COUNTS if told[name]}


def write_ledger(bridge, name: str, entries: list[dict]) -> str:
    path = bridge.directory / name
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return str(path)


@pytest.fixture
def worked(bridge):
    """A bridge at rest after some work, and the ledger of its client."""
    namespace = unique("audit")
    load = Load(bridge, namespace, scaled(WORKFLOWS)).start()
    accepted = load.join()
    bridge.wait_all_ended(namespace, len(accepted), 120)
    ledger = [
        {"workflow_id": accepted[n], "namespace": namespace, "key": f"{namespace}-{n}"}
        | {"state": "COMPLETED"}
        for n in sorted(accepted)
    ]
    path = write_ledger(bridge, "ledger.jsonl", ledger)
    arguments = ("--ledger", path, "--complete", "--settled")
    wait_until(lambda: audit(bridge, *arguments)[0] == 0, 120, "all told and counted", 0.5)
    return bridge, ledger, arguments


def test_zeros_and_every_kind_of_damage(worked):
    bridge, ledger, arguments = worked
    code, told = audit(bridge, *arguments)
    assert code == 0 and told["fine"] and found(told) == {}, told
    assert told["accepted"] == told["accepted_finished"] == told["workflows"] == len(ledger), told
    assert told["events"] == told["records"] - told["repeats"] > 5 * len(ledger), told
    assert told["rows_compared"] > 0 and told["not_checked"] == [], told
    text = bridge.bridgectl("audit", *arguments).stdout
    assert "aggregate differences           0" in text, text

    # The clients' side.
    lost = {"workflow_id": str(uuid.uuid4()), "namespace": "n", "key": "k"}
    second = {**ledger[0], "workflow_id": ledger[1]["workflow_id"]}
    otherwise = {**ledger[2], "state": "FAILED"}
    damaged = write_ledger(bridge, "damaged.jsonl", ledger[:2] + [otherwise, second, lost])
    code, told = audit(bridge, "--ledger", damaged)
    assert code == 1 and found(told) == {"lost": 1, "doubled": 1, "told_otherwise": 1}, told
    code, told = audit(bridge, "--ledger", damaged, "--complete")
    assert told["doubled"] == 1 + len(ledger) - 3, told  # the others are in no line

    # The topic: another event under a number, a number of nobody, one that comes late.
    record = consume(bridge.broker.address, WORKFLOW_TOPIC)[0]
    lane, value = record.headers["lane"], json.dumps(record.value)

    def forge(seq: int) -> None:
        headers = (f"lane={lane}", f"seq={seq}", f"ce_id={uuid.uuid4()}")
        produce(bridge, [(record.key, value)], record.partition, headers)

    forge(int(record.headers["seq"]))
    forge(900002)
    forge(900001)
    code, told = audit(bridge)
    damage = found(told)
    damage.pop("records_not_counted", None)  # the reducer may not have read them yet
    assert code == 1, told
    assert {**damage, "events_doubled": 1, "events_not_saved": 2, "out_of_order": 1} == damage, told

    # The database: an end of a run that was not, a record gone, a row miscounted.
    victim, other = ledger[3]["workflow_id"], ledger[4]["workflow_id"]
    bridge.sql(
        "INSERT INTO fsm_transitions SELECT entity_id, entity_type, 2, from_state, to_state,"
        " transition_event, created_at FROM fsm_transitions WHERE entity_id = %s"
        " AND to_state = 'COMPLETED'",
        victim,
    )
    bridge.sql("DELETE FROM workflow_events WHERE workflow_id = %s AND n = 1", other)
    bridge.sql("UPDATE workflow_executions SET current_state = 'FAILED' WHERE id = %s", victim)
    bridge.sql("DELETE FROM workflow_executions WHERE id = %s", ledger[5]["workflow_id"])
    bridge.sql("UPDATE aggregation_rows SET events = events + 1")
    code, told = audit(bridge, *arguments)
    assert code == 1, told
    for name in "lost doubled broken_histories broken_lanes aggregate_differences".split():
        assert told[name] > 0, (name, told)
    assert victim in told["examples"]["doubled"], told


def test_work_that_goes_on_and_times(bridge):
    """Beside running work nothing is a fault but with --settled; recoveries are told by name."""
    stamping = bridge.servers["stamping"].process
    stamping.send(signal.SIGSTOP)  # so that nothing ends meanwhile
    load = Load(bridge, unique("online"), scaled(WORKFLOWS)).start()
    accepted = load.join()
    fault = {"at": "2026-01-01T00:00:00Z", "what": "SIGSTOP stamping"}
    faults = write_ledger(bridge, "faults.jsonl", [fault, fault])
    code, told = audit(bridge, "--faults", faults)
    assert code == 0 and "there is no --ledger" in str(told["not_checked"]), told
    assert told["unfinished"] == len(accepted), told
    assert [(item["what"], item["times"]) for item in told["recoveries"]] == [(fault["what"], 2)]
    code, told = audit(bridge, "--settled")
    assert code == 1, told
    stamping.send(signal.SIGCONT)
    done = bridge.bridgectl("audit", "--ledger", "/nowhere/at/all", check=False)
    assert done.returncode == 1 and "cannot be read" in done.stderr
    done = bridge.bridgectl("audit", "--complete", check=False)
    assert done.returncode == 2
