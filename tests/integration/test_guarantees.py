# SPDX-License-Identifier: MIT
"""Promises of docs/guarantees.md that no other test would miss: other settings after a restart, a restored
database, records that do not fit, keys past their retention, and what the database itself refuses."""

import psycopg2
import pytest
from harness import wait_until
from task_contracts import CONTRACTS, write_contracts
from test_tasks import signal

KEYS = 24


@pytest.fixture(scope="module")
def contracts(session_directory):
    directory = session_directory / "guarantees-contracts"
    write_contracts(directory, {name: CONTRACTS[name] for name in ("listener", "child")})
    return directory


@pytest.fixture(scope="module")
def town(module_bridge, contracts):
    module_bridge.environment["CONTRACTS_DIR"] = str(contracts)
    module_bridge.migrate()
    module_bridge.start_embedded_broker()
    module_bridge.start_orchestrator(ORCHESTRATOR_WORKERS="1")
    return module_bridge


def submit(bridge, workflow="listener", key=None, **given):
    headers = {"Idempotency-Key": key} if key else None
    return bridge.call("POST", "/api/v1/workflows", {"workflow": workflow, "input": given}, headers)


def waiting(bridge, count=1):
    answers = [submit(bridge) for _ in range(count)]
    return [answer.json["workflow_id"] for answer in answers]


def finish(bridge, workflow_id):
    for name in ("one", "two"):
        assert signal(bridge, workflow_id, name).status == 200
    return bridge.wait_workflow(workflow_id)


def test_a_restart_with_other_settings_keeps_keys_and_workflows(town):
    """More threads, hardly any room for new work: what was accepted goes on, and its keys still name it."""
    ids = {}
    for n in range(KEYS):
        answer = submit(town, key=f"key-{n}", n=n)
        assert answer.status == 202, answer
        ids[n] = answer.json["workflow_id"]
    town.orchestrator.kill()
    town.start_orchestrator(
        ORCHESTRATOR_WORKERS="3", MAX_WORKFLOW_QUEUE_SIZE="1", ORCHESTRATOR_CONCURRENCY="1"
    )
    for n, workflow_id in ids.items():
        again = submit(town, key=f"key-{n}", n=n)
        assert (again.status, again.json["workflow_id"]) == (202, workflow_id), again
        other = submit(town, key=f"key-{n}", n=-1)
        assert (other.status, other.json["code"]) == (409, "idempotency_key_reused"), other
    for workflow_id in ids.values():
        assert finish(town, workflow_id)["state"] == "COMPLETED"
    ended = submit(town, key="key-0", n=0)
    assert (ended.status, ended.json["workflow_id"], ended.json["state"]) == (200, ids[0], "COMPLETED")


def test_records_that_do_not_fit_stop_that_workflow_and_no_other(town):
    broken, sound = waiting(town, 2)
    for workflow_id in (broken, sound):
        assert signal(town, workflow_id, "one").status == 200
    town.orchestrator.kill()
    town.sql("UPDATE workflow_events SET kind = 4, wait = 99 WHERE workflow_id = %s AND n = 1", broken)
    town.start_orchestrator()
    assert signal(town, sound, "two").status == 200
    assert town.wait_workflow(sound)["state"] == "COMPLETED"
    assert town.workflow(broken)["state"] == "PROCESSING", "it is not ended by a guess"
    assert town.metric("engine_replay_divergence_total") >= 1
    assert any("ReplayDivergence" in line.get("event", "") for line in town.log_lines("orchestrator"))

    def told():
        return town.get(f"/api/v1/workflows/{broken}/explain").json["waiting_for"] == "repair"

    wait_until(told, 60, "explain says that its records do not fit")


def test_a_key_past_its_retention_is_forgotten_and_no_other(town):
    old, young = (submit(town, key=key).json["workflow_id"] for key in ("old", "young"))
    town.orchestrator.stop()
    town.sql("UPDATE workflow_keys SET created_at = now() - interval '2 hours' WHERE key = 'old'")
    town.start_orchestrator(IDEMPOTENCY_RETENTION_HOURS="1")
    left = "SELECT key FROM workflow_keys WHERE key IN ('old', 'young')"
    wait_until(lambda: town.sql(left) == [("young",)], 60, "the old key going")
    assert submit(town, key="young").json["workflow_id"] == young
    assert submit(town, key="old").json["workflow_id"] != old


def test_a_restored_database_names_its_lanes_anew(town):
    def lane():
        answer = town.call(
            "POST", "/api/v1/workflows?wait=60000", {"workflow": "child", "input": {"kind": "end"}}
        )
        assert answer.status == 200, answer
        return int(answer.json["after"].split(".")[0])

    before = lane()
    town.orchestrator.stop()
    town.start_orchestrator()
    assert lane() == before, "a restart is no restore"
    town.orchestrator.stop()
    # As after a dump that was restored into another database.
    town.sql("UPDATE bridge_identity SET database_oid = database_oid + 1")
    town.start_orchestrator()
    assert lane() > before


def test_the_database_itself_refuses_stale_owners_and_second_ends(town):
    done = town.call(
        "POST", "/api/v1/workflows?wait=60000", {"workflow": "child", "input": {"kind": "end"}}
    ).json["workflow_id"]
    with pytest.raises(psycopg2.errors.UniqueViolation):
        town.sql(
            "INSERT INTO fsm_transitions (entity_id, run, from_state, to_state, transition_event, created_at)"
            " VALUES (%s, 1, 'PROCESSING', 'FAILED', 'workflow_execution_failed', now())",
            done,
        )
    town.orchestrator.stop()
    rows = "SELECT epoch, commits, next_seq, published_seq FROM shards WHERE shard = 3"
    epoch, commits, next_seq, published = town.sql(rows)[0]
    for stale in ((epoch - 1, commits), (epoch, commits + 1)):
        with pytest.raises(psycopg2.Error) as raised:
            town.sql(
                "SELECT shard_fence('{3}', ARRAY[%s]::bigint[], ARRAY[%s]::bigint[], ARRAY[%s]::bigint[],"
                " ARRAY[%s]::bigint[], '{x}')",
                *stale, next_seq + 1, published,
            )
        assert raised.value.pgcode == "OB001", raised.value
    assert town.sql(rows) == [(epoch, commits, next_seq, published)], "nothing moved"


def test_what_the_database_refuses_has_no_known_outcome_and_may_be_said_again(town):
    town.start_orchestrator()
    town.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'refused by a test'; END $$;"
        " CREATE TRIGGER refuse BEFORE INSERT ON workflow_executions FOR EACH ROW"
        " WHEN (NEW.namespace = 'refused') EXECUTE FUNCTION refuse()"
    )

    def say():
        body = {"workflow": "listener", "input": {}, "namespace": "refused"}
        return town.call("POST", "/api/v1/workflows", body, {"Idempotency-Key": "once"})

    refused = say()
    assert (refused.status, refused.json["code"]) == (503, "outcome_unknown"), refused
    assert int(refused.headers["Retry-After"]) >= 1, refused
    assert town.states("refused") == {}
    town.sql("DROP TRIGGER refuse ON workflow_executions")
    taken = wait_until(lambda: (answer := say()).status == 202 and answer, 60, "its repeat being taken")
    assert say().json["workflow_id"] == taken.json["workflow_id"]
    assert sum(town.states("refused").values()) == 1
