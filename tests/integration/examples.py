# SPDX-License-Identifier: MIT
"""What the tests of contracts/examples share: a bridge with the examples and gates in front of its
companions, one workflow and the account of what it did, and people who answer and signal.
"""

import collections
import concurrent.futures
import contextlib
import itertools
import re
import threading

import psycopg2
import web
from gate import Gate
from harness import (
    ROOT,
    TERMINAL,
    WORKFLOW_TOPIC,
    Bridge,
    Record,
    check_lanes,
    check_no_conflict,
    consume,
    deadline_factor,
    free_port,
    unique,
    wait_until,
)

EXAMPLES = ROOT / "contracts" / "examples"
NAMES = sorted(
    path.stem for path in EXAMPLES.glob("*.yaml") if not path.name.endswith(".test.yaml")
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def given(name: str, namespace: str, folder: str) -> dict:
    """The input of an example; "saga_undone" is a saga that fails. The times are short, and long
    enough for a test to act in between."""
    document = {"namespace": namespace, "path": "a.txt", "content": "words"}
    release = {"release": "v1", "notes": "what is new", "manifest": "a 1\n"}
    inputs = {
        "approval": {**document, "approver": "ada"},
        "child_workflow": document,
        "degraded_step": {**document, "path": "src/a.c"},
        "escalation": {
            "subject": "a release",
            "first": "ada",
            "second": "bob",
            "answer_seconds": 600,
            "sign_seconds": int(3 * deadline_factor()),
        },
        "event_publishing": document,
        "fan_out": {
            "namespace": namespace,
            "documents": [{"path": f"{n}.txt", "content": f"document {n}"} for n in range(12)],
        },
        "polling": {
            "watched": namespace,
            "expected": 2,
            "pause_seconds": int(2 * deadline_factor()),
            "questions_max": 100,
        },
        "routing": {
            **document,
            "path": "a.md",
            "content_type": "text/markdown",
            "size_bytes": 3,
            "author": "ada",
            "reviewer": "bob",
            "received_at": "2026-01-01T00:00:00Z",
        },
        "saga": {"namespace": namespace, **release, "folder": folder},
        "saga_undone": {"namespace": namespace, **release, "folder": folder + "/none"},
        "signal": {"namespace": namespace, "path": "a.txt", "draft": "first words"},
    }
    return inputs[name]


def at(place: str):
    """Calls of one state, by the state path and visit in their idempotency keys."""
    return lambda call: call.key.partition(":")[2] == place


SUCCEEDED, DELIVERED = 2, 7  # kinds of records
HELD_LOCK = 4711


class Stage:
    """A bridge whose companions stand behind gates, with the examples published."""

    def __init__(self, bridge: Bridge):
        self.bridge = bridge
        self.stamping = Gate(free_port(), bridge.url("stamping"))
        self.onextree = Gate(free_port(), bridge.url("onextree"))
        bridge.environment.update(
            {
                "METADATA_STAMPING_SERVICE_URL": self.stamping.url,
                "ONEXTREE_SERVICE_URL": self.onextree.url,
            }
        )
        bridge.start()
        self.folder = bridge.directory / "project"
        for name in ("src/a.c", "src/b.c", "README"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(name, encoding="utf-8")
        answer = web.call(
            "POST", bridge.url("onextree") + "/generate", {"project_root": str(self.folder)}
        )
        assert answer.status == 200, answer
        bridge.bridgectl("contracts", "publish", EXAMPLES)

    def close(self) -> None:
        self.stamping.close()
        self.onextree.close()

    def clear(self) -> None:
        """As at the beginning, whatever a test before left behind."""
        self.stamping.open()
        self.onextree.open()
        if not self.bridge.orchestrator.process.running:
            self.bridge.orchestrator.start()

    def restart(self, meanwhile=lambda: None) -> None:
        """kill -9 of the orchestrator, and it comes back."""
        self.bridge.orchestrator.kill()
        meanwhile()
        self.bridge.orchestrator.start()

    def stop_after(self, count: int) -> None:
        """The stamping service gets so many calls; the answers to further ones are kept back."""
        passed = itertools.count()
        self.stamping.stop_at(lambda _call: next(passed) >= count)

    @contextlib.contextmanager
    def record_held(self, state: str, kind: int):
        """Inside the block the transaction with a state's record of this kind is kept from its
        commit; what is given waits until it is there."""
        trigger = f"""
            CREATE FUNCTION hold_record() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_advisory_xact_lock({HELD_LOCK}); RETURN NEW; END $$;
            CREATE TRIGGER hold_record BEFORE INSERT ON workflow_events
            FOR EACH ROW WHEN (NEW.state_path = '{state}' AND NEW.kind = {kind})
            EXECUTE FUNCTION hold_record()"""
        waiting = (
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s"
        )
        self.bridge.sql(trigger)
        connection = psycopg2.connect(self.bridge.database_url)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", (HELD_LOCK,))
            yield lambda: wait_until(
                lambda: self.bridge.sql(waiting, HELD_LOCK), 30, f"the record of {state}"
            )
        finally:
            connection.close()
            self.bridge.sql("DROP FUNCTION hold_record CASCADE")

    def records(self) -> list[Record]:
        """The workflow topic, when the last event of the log is on it: gapless, nothing doubled."""
        last = self.bridge.sql("SELECT sum(next_seq - 1) FROM shards")[0][0]

        def all_told():
            records = consume(self.bridge.broker.address, WORKFLOW_TOPIC)
            places = {(record.headers["lane"], record.headers["seq"]) for record in records}
            return records if len(places) >= last else None

        records = wait_until(all_told, 30, "every event on the topic")
        check_lanes(records)
        check_no_conflict(records)
        return records


# Kinds of records that come once for each thing that happened outside; whether a start is accepted
# before, and whether a child's start is told apart from its end, depends on the moment.
# Of heartbeats only some are recorded, as time goes by.
RECORDED = {2: "succeeded", 3: "failed", 4: "timer", 5: "cancelled", 9: "signal"}

Account = collections.namedtuple(
    "Account", "state result error workflows recorded stamps calls events"
)


class Run:
    """One workflow of an example, in a namespace of its own."""

    def __init__(self, stage: Stage, name: str, disturbed: bool = False):
        self.stage = stage
        self.bridge = stage.bridge
        self.stamping = stage.stamping
        self.onextree = stage.onextree
        self.name = name
        self.disturbed = disturbed
        self.kills = 0
        self.namespace = unique(name.replace("_", "-"))
        self.workflow_id = ""

    def try_submit(self, **changes) -> web.Answer:
        body = {
            "workflow": "example_" + self.name.removesuffix("_undone"),
            "input": {**given(self.name, self.namespace, str(self.stage.folder)), **changes},
            "namespace": self.namespace,
        }
        answer = self.bridge.call(
            "POST", "/api/v1/workflows", body, {"Idempotency-Key": self.namespace}
        )
        if answer.status in (200, 202):
            self.workflow_id = answer.json["workflow_id"]
        return answer

    def submit(self, **changes) -> None:
        answer = self.try_submit(**changes)
        assert answer.status == 202, answer

    def kill(self) -> None:
        """In the disturbed run the orchestrator dies here and is started again."""
        if self.disturbed:
            self.kills += 1
            self.stage.restart()

    # what one can see

    def wait_step(self, step: str) -> None:
        def there():
            workflow = self.bridge.workflow(self.workflow_id)
            return workflow["state"] == "PROCESSING" and workflow["current_step"] == step

        wait_until(there, 30, f"{self.name} at the step {step}")

    def wait_stopped(self, gate: Gate, count: int = 1) -> None:
        wait_until(lambda: gate.stopped >= count, 30, f"{self.name}: {count} calls at the gate")

    def wait_steps_done(self, count: int) -> None:
        def done():
            steps = self.bridge.workflow(self.workflow_id)["steps"]
            return sum(step["state"] == "COMPLETED" for step in steps) >= count

        wait_until(done, 30, f"{self.name}: {count} steps done")

    def wait_event(self, event_type: str, number: int = 1) -> dict:
        """The payload of the workflow's number-th event of this type."""

        def told():
            found = {
                record.value["event_id"]: record.value["payload"]
                for record in consume(self.bridge.broker.address, WORKFLOW_TOPIC)
                if record.key == self.workflow_id and record.value["event_type"] == event_type
            }
            return list(found.values())[number - 1] if len(found) >= number else None

        return wait_until(told, 30, f"{self.name}: event {event_type} number {number}")

    # what people do

    def answer(self, token: str, verb: str, body=None) -> web.Answer:
        return self.bridge.call("POST", f"/api/v1/tasks/{token}/{verb}", body or {})

    def signal(self, name: str, body: dict) -> web.Answer:
        return self.bridge.call(
            "POST",
            f"/api/v1/workflows/{self.workflow_id}/signals/{name}",
            body,
            {"Idempotency-Key": f"{self.namespace}-{name}"},
        )

    def stamp_elsewhere(self, count: int) -> None:
        """Somebody else stamps something in the namespace."""
        for n in range(count):
            answer = web.call(
                "POST",
                self.bridge.url("stamping") + "/api/v1/metadata-stamping/stamp",
                {"content": f"stamp {n}", "file_path": f"{n}", "namespace": self.namespace},
            )
            assert answer.status in (200, 201), answer

    # what is compared

    def family(self) -> list[tuple]:
        """(id, workflow, state) of the workflow and its children."""
        return self.bridge.sql(
            "SELECT id::text, workflow_type, current_state FROM workflow_executions"
            " WHERE namespace = %s ORDER BY 2, 3",
            self.namespace,
        )

    def ended(self) -> bool:
        family = self.family()
        return bool(family) and all(state in TERMINAL for _id, _workflow, state in family)

    def keys(self) -> list[str]:
        """The idempotency keys of all calls that the workflow and its children made."""
        ids = {row[0] for row in self.family()}
        calls = self.stamping.calls + self.onextree.calls
        return [call.key for call in calls if call.key.partition(":")[0] in ids]

    def repeats(self) -> int:
        return len(self.keys()) - len(set(self.keys()))

    def plain(self, value):
        """The value with ids and the namespace replaced: two runs differ in nothing else."""
        if isinstance(value, dict):
            return {name: self.plain(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, str):
            return UUID.sub("<id>", value).replace(self.namespace, "<namespace>")
        return value

    def account(self, records: list[Record] | None = None) -> Account:
        """The outcome and every effect outside, once all has ended. Repeats of a call (same key)
        and of an event (same lane and seq) count once. `records`: the topic's, when read before.
        """
        workflow = self.bridge.wait_workflow(self.workflow_id, 60)
        wait_until(self.ended, 60, f"{self.name}: the end of its children")
        records_by_kind = self.bridge.sql(
            "SELECT kind, count(*) FROM workflow_events JOIN workflow_executions w"
            " ON w.id = workflow_id WHERE namespace = %s GROUP BY 1",
            self.namespace,
        )
        stamps = self.bridge.sql(
            "SELECT file_path, count(*) FROM metadata_stamps WHERE namespace = %s GROUP BY 1",
            self.namespace,
        )
        events = {
            (record.headers["lane"], record.headers["seq"]): record.value["event_type"]
            for record in records or self.stage.records()
            if record.value["payload"].get("namespace") == self.namespace
        }
        return Account(
            workflow["state"],
            self.plain(workflow["result"]),
            self.plain(workflow["error"]),
            [row[1:] for row in self.family()],
            {RECORDED[kind]: count for kind, count in records_by_kind if kind in RECORDED},
            dict(stamps),
            collections.Counter(key.partition(":")[2] for key in set(self.keys())),
            collections.Counter(events.values()),
        )


class People:
    """Submit runs, answer what they ask and send them signals, until all have ended. What got no
    answer is sent again: that is what the keys and tokens are for."""

    def __init__(self, stage: Stage, runs: list[Run]):
        self.stage = stage
        self.runs = runs
        self.leaving = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.tasks: list[concurrent.futures.Future] = []

    def __enter__(self) -> "People":
        for run in self.runs:
            if run.name == "polling":
                run.stamp_elsewhere(2)
        self.tasks = [self.pool.submit(self.submit), self.pool.submit(self.answer)]
        return self

    def __exit__(self, *_failure) -> None:
        self.leaving.set()
        self.pool.shutdown()
        for task in self.tasks:
            task.result()

    def all_ended(self) -> bool:
        return all(run.workflow_id for run in self.runs) and all(run.ended() for run in self.runs)

    def wait_ended(self) -> None:
        wait_until(self.all_ended, 120, "the end of all workflows")

    def insist(self, send) -> web.Answer:
        """Sends until somebody answers who is not about to die."""
        while not self.leaving.is_set():
            answer = send()
            if answer.status not in (0, 429, 503):
                return answer
            self.leaving.wait(0.02)
        return web.Answer(0, {}, b"", "leaving")

    def submit(self) -> None:
        for run in self.runs:
            answer = self.insist(run.try_submit)
            assert answer.status in (0, 200, 202), answer
            if run.name == "signal":
                released = {"by": "ada"}
                reviewed = {"accepted": True, "text": "last words"}
                self.insist(lambda run=run: run.signal("released", released))
                self.insist(lambda run=run: run.signal("reviewed", reviewed))

    def answer(self) -> None:
        """Ada approves what she is asked to approve, and does not answer decisions; Bob does."""
        answered = set()
        run = self.runs[0]
        while not self.leaving.wait(0.05):
            for record in consume(self.stage.bridge.broker.address, WORKFLOW_TOPIC):
                asked = record.value["payload"]
                token = asked.get("task_token")
                decides = asked.get("approver") == "bob" or record.value["event_type"] == (
                    "approval_requested"
                )
                if token is None or token in answered or not decides:
                    continue
                output = {"approved": True, "by": asked["approver"]}
                answer = self.insist(
                    lambda token=token, output=output: run.answer(
                        token, "success", {"output": output}
                    )
                )
                # 404, 409, 410: the answer before this one was taken, and its reply was lost.
                assert answer.status in (0, 200, 404, 409, 410), answer
                answered.add(token)
