# SPDX-License-Identifier: MIT
"""A stale owner cannot write: stopped in the middle, its shards taken by another, woken again."""

import signal
import uuid

import psycopg2
from harness import Load, unique, wait_until

TABLES = ("workflow_executions", "workflow_events", "workflow_keys", "fsm_transitions", "shards")


def snapshot(bridge) -> dict:
    """Number and content of the rows of every table that a batch writes."""
    return {
        table: bridge.sql(
            "SELECT count(*), md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), ''))"
            f" FROM {table} t"
        )[0]
        for table in TABLES
    }


class OtherInstance:
    """Takes all shards by hand, as a second instance would, and holds them."""

    def __init__(self, bridge):
        self.id = str(uuid.uuid4())
        self.connection = psycopg2.connect(bridge.database_url, application_name="other instance")
        self.connection.autocommit = True
        with self.connection.cursor() as cursor:
            # The old owner's sessions are ended first: one stopped inside a batch holds row locks.
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND application_name LIKE '%orchestrator%'"
            )
            cursor.execute("SELECT pg_advisory_lock(424242)")
            cursor.execute(
                "INSERT INTO instances"
                " (instance_id, advertised_url, lock_key, lease_expires_at, version)"
                " VALUES (%s, 'http://127.0.0.1:1', 424242, now() + interval '1 hour', 'test')",
                (self.id,),
            )
            cursor.execute("UPDATE shards SET owner = %s, epoch = epoch + 1", (self.id,))

    def close(self) -> None:
        self.connection.close()


def test_a_batch_of_a_stopped_owner_changes_nothing_in_any_table(bridge):
    namespace = unique("fence")
    load = Load(bridge, namespace, 2000, clients=16).start()
    load.wait_accepted(200)
    bridge.orchestrator.process.send(signal.SIGSTOP)
    other = OtherInstance(bridge)
    before = snapshot(bridge)
    accepted = set(load.accepted.values())
    repeats = load.repeats

    bridge.orchestrator.process.send(signal.SIGCONT)
    # The 16 clients had requests under way; each is answered, and none of them with success.
    wait_until(lambda: load.repeats >= repeats + 32, 60, "the waiting clients being refused")
    assert set(load.accepted.values()) <= accepted | stored(
        bridge, namespace
    ), "accepted, yet not stored"
    assert snapshot(bridge) == before
    answer = bridge.submit("to the stale owner", namespace=namespace)
    assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1, answer
    assert snapshot(bridge) == before
    load.stopping.set()
    other.close()


def stored(bridge, namespace) -> set:
    return {
        str(row[0])
        for row in bridge.sql("SELECT id FROM workflow_executions WHERE namespace = %s", namespace)
    }
