# SPDX-License-Identifier: MIT
"""pause, resume and retry on the real stack, with kill -9 of the orchestrator in between."""

import threading

import pytest
from harness import WORKFLOW_TOPIC, check_lanes, consume, wait_until
from task_contracts import write_contracts
from test_openapi import Document, shipped
from test_workflows import check_problem

CONTRACT = """services: [desk]
state_machine:
  StartAt: First
  States:
    First:
      Type: Task
      Resource: onex:http:invoke
      Parameters: { Service: desk, Method: POST, Path: /first }
      ResultSelector: { status.$: $.StatusCode }
      Next: Second
    Second:
      Type: Task
      Resource: onex:http:invoke
      Parameters: { Service: desk, Method: POST, Path: /second }
      ResultSelector: { status.$: $.StatusCode }
      End: true
"""


class Desk:
    """Answers each path with the status that it is given; a path that is shut is answered when it opens."""

    def __init__(self):
        self.status = {"/first": 200, "/second": 200}
        self.open = {path: threading.Event() for path in self.status}
        for event in self.open.values():
            event.set()

    def __call__(self, _method, path, _body):
        return (self.status[path], b"{}") if self.open[path].wait(300) else None


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def orchestra(empty_bridge, directory, stub, desk):
    bridge, contracts = empty_bridge, directory / "contracts"
    write_contracts(contracts, {"errand": CONTRACT})
    bridge.environment["CONTRACTS_DIR"] = str(contracts)
    bridge.environment["DESK_URL"] = bridge.url("desk")
    bridge.desk = stub(bridge.port("desk"), desk)
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_orchestrator()
    return bridge


def start(bridge):
    answer = bridge.call("POST", "/api/v1/workflows", {"workflow": "errand", "input": {}})
    assert answer.status == 202, answer
    return answer.json["workflow_id"]


def command(bridge, workflow_id, what, body=None):
    answer = bridge.call("POST", f"/api/v1/workflows/{workflow_id}/{what}", body)
    described = Document(shipped("orchestrator"))
    described.check("post", f"/api/v1/workflows/{{workflow_id}}/{what}", answer)
    return answer


def paths(bridge):
    return [call[1] for call in bridge.desk.calls]


def kinds(bridge, workflow_id):
    rows = "SELECT kind FROM workflow_events WHERE workflow_id = %s ORDER BY n"
    return [kind for (kind,) in bridge.sql(rows, workflow_id)]


def transitions(bridge, workflow_id):
    rows = "SELECT run, to_state FROM fsm_transitions WHERE entity_id = %s ORDER BY created_at, run, to_state = 'PROCESSING'"
    return bridge.sql(rows, workflow_id)


def test_a_pause_outlives_the_process(orchestra, desk):
    desk.open["/first"].clear()
    workflow_id = start(orchestra)
    wait_until(lambda: paths(orchestra) == ["/first"], 60, "the first call")
    paused = command(orchestra, workflow_id, "pause")
    assert paused.status == 200 and paused.json["state"] == "PROCESSING", paused
    assert paused.json["paused_at"], paused
    assert command(orchestra, workflow_id, "pause").json["paused_at"] == paused.json["paused_at"]
    desk.open["/first"].set()
    wait_until(lambda: kinds(orchestra, workflow_id) == [1, 10, 2], 60, "its answer is recorded")
    orchestra.orchestrator.kill()
    orchestra.orchestrator.start()
    view = orchestra.workflow(workflow_id)
    assert (view["state"], view["paused_at"]) == ("PROCESSING", paused.json["paused_at"])
    assert paths(orchestra) == ["/first"]
    resumed = command(orchestra, workflow_id, "resume")
    assert resumed.status == 200 and resumed.json["paused_at"] is None, resumed
    ended = orchestra.wait_workflow(workflow_id)
    assert (ended["state"], ended["result"]) == ("COMPLETED", {"status": 200})
    assert paths(orchestra) == ["/first", "/second"]
    assert kinds(orchestra, workflow_id) == [1, 10, 2, 11, 2]
    late = command(orchestra, workflow_id, "pause")
    assert check_problem(late, 409, "workflow_ended")["state"] == "COMPLETED"
    published = wait_until(
        lambda: [
            record
            for record in consume(orchestra.broker.address, WORKFLOW_TOPIC)
            if record.value["event_type"] == "workflow_completed"
        ],
        60,
        "the end is published",
    )
    assert len(published) == 1
    check_lanes(consume(orchestra.broker.address, WORKFLOW_TOPIC))


def test_a_retry_goes_on_where_it_failed(orchestra, desk):
    desk.status["/second"] = 500
    workflow_id = start(orchestra)
    failed = orchestra.wait_workflow(workflow_id)
    assert (failed["state"], failed["run"]) == ("FAILED", 1), failed
    desk.status["/second"] = 200
    desk.open["/second"].clear()
    retried = command(orchestra, workflow_id, "retry", {"run": 1})
    assert retried.status == 200, retried
    assert (retried.json["state"], retried.json["run"]) == ("PROCESSING", 2), retried
    assert (retried.json["ended_at"], retried.json["error"]) == (None, None), retried
    wait_until(lambda: paths(orchestra) == ["/first", "/second", "/second"], 60, "the second try")
    orchestra.orchestrator.kill()
    orchestra.orchestrator.start()
    desk.open["/second"].set()
    ended = orchestra.wait_workflow(workflow_id)
    assert (ended["state"], ended["run"], ended["error"]) == ("COMPLETED", 2, None), ended
    assert paths(orchestra).count("/first") == 1, "what was answered stays"
    keys = {call[3]["Idempotency-Key"] for call in orchestra.desk.calls if call[1] == "/second"}
    assert len(keys) == 1, "the same work, so the same key"
    assert transitions(orchestra, workflow_id) == [
        (1, "PENDING"),
        (1, "PROCESSING"),
        (1, "FAILED"),
        (2, "PROCESSING"),
        (2, "COMPLETED"),
    ]
    again = command(orchestra, workflow_id, "retry", {"run": 1})
    assert (again.status, again.json["run"]) == (200, 2), "a repeat changes nothing"
    refused = command(orchestra, workflow_id, "retry")
    assert check_problem(refused, 409, "workflow_not_failed")["state"] == "COMPLETED"


def test_commands_say_what_is_wrong(orchestra):
    workflow_id = start(orchestra)
    orchestra.wait_workflow(workflow_id)
    check_problem(command(orchestra, workflow_id, "retry", {"run": 0}), 422, field="run")
    check_problem(command(orchestra, workflow_id, "pause", {"cause": "x"}), 422, field="body")
    unknown = "01a2006e-9fe9-7af5-a391-047cb4947f3c"
    assert command(orchestra, unknown, "resume").status == 404


def test_lists_tell_which_are_paused(orchestra, desk):
    def listed(query):
        answer = orchestra.get(f"/api/v1/workflows?{query}")
        Document(shipped("orchestrator")).check("get", "/api/v1/workflows", answer)
        assert answer.status == 200, answer
        return {item["workflow_id"]: item["paused_at"] for item in answer.json["items"]}

    desk.open["/first"].clear()
    ids = [start(orchestra) for _ in range(4)]
    times = {
        workflow_id: command(orchestra, workflow_id, "pause").json["paused_at"] for workflow_id in ids[:3]
    }
    assert listed("paused=true") == times
    assert list(listed("paused=true&limit=1")) == [ids[2]], "newest first"
    assert listed("paused=false") == {ids[3]: None}
    assert listed("namespace=nobody&paused=true") == {}
    check_problem(orchestra.get("/api/v1/workflows?paused=maybe"), 422, field="paused")
    assert command(orchestra, ids[0], "resume").status == 200
    assert command(orchestra, ids[1], "cancel").status == 200
    assert listed("paused=true") == {ids[2]: times[ids[2]]}
    assert listed("paused=false") == {ids[0]: None, ids[1]: None, ids[3]: None}
    assert times[ids[2]] in orchestra.bridgectl("list", "--paused").stdout

    # On the schema before lists cannot tell, and say so; the way up finds who is paused.
    orchestra.orchestrator.stop()
    orchestra.bridgectl("migrate", "down", "--to", "7")
    orchestra.orchestrator.start()
    assert listed("limit=4")[ids[2]] is None
    assert orchestra.get("/api/v1/workflows?paused=true").status == 503
    orchestra.orchestrator.stop()
    orchestra.migrate()
    orchestra.orchestrator.start()
    assert listed("paused=true") == {ids[2]: times[ids[2]]}
