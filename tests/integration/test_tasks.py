# SPDX-License-Identifier: MIT
"""Task resources on the real stack: tokens, child workflows, signals, events of a workflow's own,
with kill -9 of the orchestrator at each stage."""

import json
import threading
import time

import harness
import pytest
from harness import WORKFLOW_TOPIC, check_lanes, consume, scaled, unique, wait_until
from task_contracts import CONTRACTS, write_contracts
from test_openapi import Document, shipped


@pytest.fixture
def orchestra_of(directory, stub):
    """An orchestrator with the contracts above, a broker, and a desk that takes every question."""
    return lambda bridge: make_orchestra(bridge, directory / "contracts", stub)


@pytest.fixture
def orchestra(empty_bridge, orchestra_of):
    return orchestra_of(empty_bridge)


def make_orchestra(bridge, contracts, stub):
    write_contracts(contracts, CONTRACTS)
    bridge.environment["CONTRACTS_DIR"] = str(contracts)
    bridge.environment["DESK_URL"] = bridge.url("desk")
    bridge.desk = stub(bridge.port("desk"), lambda _method, _path, _body: (200, b"{}"))
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_orchestrator()
    return bridge


def start(bridge, workflow, content=None, **fields):
    answer = bridge.call(
        "POST",
        "/api/v1/workflows",
        {"workflow": workflow, "input": {} if content is None else content, **fields},
    )
    assert answer.status == 202, answer
    return answer.json["workflow_id"]


def asked(bridge, count=1, seconds=20):
    """The token of the last question, when the desk was asked so often."""
    wait_until(lambda: len(bridge.desk.calls) >= count, seconds, f"{count} questions")
    return json.loads(bridge.desk.calls[count - 1][2])["token"]


def task(bridge, token, what, body=None):
    return bridge.call("POST", f"/api/v1/tasks/{token}/{what}", body)


def signal(bridge, workflow_id, name, data=None, key=None):
    return bridge.call(
        "POST",
        f"/api/v1/workflows/{workflow_id}/signals/{name}",
        data,
        {"Idempotency-Key": key} if key else None,
    )


def kinds(bridge, workflow_id):
    rows = bridge.sql("SELECT kind FROM workflow_events WHERE workflow_id = %s ORDER BY n", workflow_id)
    return [row[0] for row in rows]


DELIVERED, HEARTBEAT, SIGNAL = 7, 8, 9


def recorded(bridge, workflow_id, kind, count=1, seconds=20):
    wait_until(
        lambda: kinds(bridge, workflow_id).count(kind) >= count, seconds, f"a record of kind {kind}"
    )


def restart(bridge):
    bridge.orchestrator.kill()
    bridge.orchestrator.start()


def current_step(bridge, workflow_id, step, seconds=20):
    wait_until(
        lambda: bridge.workflow(workflow_id)["current_step"] == step, seconds, f"the step {step}"
    )


# -- tokens --


def test_a_token_ends_its_task_once(orchestra):
    workflow_id = start(orchestra, "approval", {"n": 1})
    token = asked(orchestra)
    recorded(orchestra, workflow_id, DELIVERED)
    answer = task(orchestra, token, "success", {"output": {"by": "me"}})
    assert answer.status == 200, answer
    assert answer.json["workflow_id"] == workflow_id
    done = orchestra.wait_workflow(workflow_id)
    assert done["result"] == {"n": 1, "answer": {"by": "me"}}
    again = task(orchestra, token, "success", {"output": 2})
    assert (again.status, again.json["code"]) == (409, "task_ended"), again
    assert orchestra.workflow(workflow_id)["result"] == done["result"]
    types = [item["type"] for item in orchestra.get(f"/api/v1/workflows/{workflow_id}/history").json["items"]]
    assert "task_delivered" in types and "task_succeeded" in types


def test_tokens_that_are_not_ours_are_not_found(orchestra):
    start(orchestra, "approval")
    token = asked(orchestra)
    flipped = ("A" if token[0] != "A" else "B") + token[1:]
    for wrong in (flipped, token[:-1], token + "A", "x", token.swapcase()):
        for what in ("success", "failure", "heartbeat"):
            answer = task(orchestra, wrong, what, {})
            assert (answer.status, answer.json["code"]) == (404, "unknown_token"), answer
    assert task(orchestra, token, "success", {"outptu": 1}).status == 422
    assert task(orchestra, token, "failure", {"error": 1}).status == 422
    assert task(orchestra, token, "success").status == 200


def test_a_failure_is_caught_or_tried_again(orchestra):
    workflow_id = start(orchestra, "approval")
    first = asked(orchestra)
    assert task(orchestra, first, "failure", {"error": "Again", "cause": "busy"}).status == 200
    second = asked(orchestra, 2)
    assert second != first
    assert task(orchestra, first, "success").status == 409
    assert task(orchestra, second, "failure", {"error": "Refused", "cause": "no"}).status == 200
    done = orchestra.wait_workflow(workflow_id)
    assert done["result"] == {"refusal": {"Error": "Refused", "Cause": "no"}}


def test_a_call_that_fails_fails_the_attempt(orchestra):
    orchestra.desk.behave = lambda _method, _path, _body: (500, b'{"no": 1}')
    done = orchestra.wait_workflow(start(orchestra, "approval"))
    assert done["state"] == "FAILED"
    assert done["error"]["error"] == "States.Http.StatusCode.500"


def test_a_token_may_come_before_the_calls_own_answer(orchestra):
    arrived, release = threading.Event(), threading.Event()

    def hold(_method, _path, _body):
        arrived.set()
        release.wait(300)
        return 200, b"{}"

    orchestra.desk.behave = hold
    workflow_id = start(orchestra, "approval")
    assert arrived.wait(300)
    assert task(orchestra, asked(orchestra), "success", {"output": 5}).status == 200
    done = orchestra.wait_workflow(workflow_id)
    release.set()
    assert done["result"] == {"answer": 5}
    assert DELIVERED not in kinds(orchestra, workflow_id)


def test_what_was_delivered_is_not_called_again(orchestra):
    workflow_id = start(orchestra, "approval")
    token = asked(orchestra)
    recorded(orchestra, workflow_id, DELIVERED)
    restart(orchestra)
    assert orchestra.workflow(workflow_id)["current_step"] == "Ask"
    assert task(orchestra, token, "success", {"output": 1}).status == 200
    assert orchestra.wait_workflow(workflow_id)["state"] == "COMPLETED"
    assert len(orchestra.desk.calls) == 1
    restart(orchestra)
    assert task(orchestra, token, "success", {"output": 2}).status == 409


def test_what_was_not_delivered_is_called_again_with_the_same_token(orchestra):
    release = threading.Event()
    orchestra.desk.behave = lambda _method, _path, _body: (release.wait(300), (200, b"{}"))[1]
    workflow_id = start(orchestra, "approval")
    token = asked(orchestra)
    orchestra.orchestrator.kill()
    release.set()
    orchestra.orchestrator.start()
    assert asked(orchestra, 2) == token
    recorded(orchestra, workflow_id, DELIVERED)
    assert task(orchestra, token, "success").status == 200
    assert orchestra.wait_workflow(workflow_id)["state"] == "COMPLETED"


def test_a_confirmed_answer_outlives_a_crash(orchestra):
    ids = [start(orchestra, "approval", {"n": n}) for n in range(20)]
    wait_until(lambda: len(orchestra.desk.calls) >= 20, 20, "20 questions")
    for call in list(orchestra.desk.calls):
        answer = task(orchestra, json.loads(call[2])["token"], "success", {"output": "yes"})
        assert answer.status == 200, answer
    restart(orchestra)
    for workflow_id in ids:
        assert orchestra.wait_workflow(workflow_id)["result"]["answer"] == "yes"


def test_time_limits_go_on_over_a_restart(orchestra):
    slow = start(orchestra, "hasty", {"timeout": 6})
    token = asked(orchestra)
    recorded(orchestra, slow, DELIVERED)
    quiet = start(orchestra, "hasty", {"timeout": 3600})
    asked(orchestra, 2)
    restart(orchestra)
    done = orchestra.wait_workflow(quiet)
    assert done["result"]["failure"]["Error"] == "States.HeartbeatTimeout", done

    def beat():
        answer = task(orchestra, token, "heartbeat")
        return answer.status == 409 or (answer.status != 200 and answer.status)

    # Heartbeats keep it alive until its own time is up.
    assert wait_until(beat, 30, "the end of the task") is True
    failed = orchestra.wait_workflow(slow)
    assert failed["result"]["failure"]["Error"] in ("States.Timeout", "States.HeartbeatTimeout")


PATIENT_HEARTBEAT_SECONDS = 4


def pass_time(seconds, meanwhile=lambda: None):
    until = time.monotonic() + seconds
    wait_until(lambda: meanwhile() or time.monotonic() > until, seconds + 30, "time to pass")


def test_heartbeats_missed_while_we_were_down_are_not_held_against_the_task(orchestra):
    def beat():
        assert task(orchestra, token, "heartbeat").status == 200

    workflow_id = start(orchestra, "patient", {"timeout": 3600})
    token = asked(orchestra)
    recorded(orchestra, workflow_id, DELIVERED)
    beat()
    orchestra.orchestrator.kill()
    pass_time(PATIENT_HEARTBEAT_SECONDS + 1)
    orchestra.orchestrator.start()
    pass_time(PATIENT_HEARTBEAT_SECONDS + 1, beat)
    assert task(orchestra, token, "success", {"output": 1}).status == 200
    assert orchestra.wait_workflow(workflow_id)["result"] == 1


def test_heartbeats_are_durable_and_counted(orchestra):
    workflow_id = start(orchestra, "steady", {"timeout": 3600})
    token = asked(orchestra)
    accepted = 0
    while HEARTBEAT not in kinds(orchestra, workflow_id):
        assert task(orchestra, token, "heartbeat").status == 200
        accepted += 1
    since = time.monotonic()
    for _ in range(200):
        assert task(orchestra, token, "heartbeat").status == 200
    apart = 2  # a quarter of HeartbeatSeconds
    most = 2 + (time.monotonic() - since) / apart
    assert kinds(orchestra, workflow_id).count(HEARTBEAT) <= most
    assert task(orchestra, token, "success", {"output": 1}).status == 200
    assert task(orchestra, token, "heartbeat").status == 409
    assert orchestra.wait_workflow(workflow_id)["result"] == 1
    assert orchestra.metric("task_token_calls_total", call="heartbeat", result="accepted") == accepted + 200
    assert orchestra.metric("task_token_calls_total", call="heartbeat", result="ended") == 1


def test_a_cancelled_workflow_waits_for_nothing(orchestra):
    workflow_id = start(orchestra, "approval")
    token = asked(orchestra)
    assert orchestra.call("POST", f"/api/v1/workflows/{workflow_id}/cancel").status == 200
    assert task(orchestra, token, "success").status == 409


# -- signals --


def test_signals_end_the_waits_of_their_name(orchestra):
    workflow_id = start(orchestra, "listener", {"n": 1})
    current_step(orchestra, workflow_id, "First")
    assert signal(orchestra, workflow_id, "two", {"early": True}).status == 200
    assert signal(orchestra, workflow_id, "one", [1, 2]).status == 200
    done = orchestra.wait_workflow(workflow_id)
    assert done["result"] == {"n": 1, "one": [1, 2], "two": {"early": True}}
    late = signal(orchestra, workflow_id, "one")
    assert (late.status, late.json["code"]) == (409, "workflow_ended")
    unknown = signal(orchestra, "019abcde-0000-7000-8000-000000000001", "one")
    assert unknown.status == 404
    assert signal(orchestra, workflow_id, "a%20b").status == 422


def test_an_early_signal_outlives_a_crash(orchestra):
    workflow_id = start(orchestra, "listener")
    assert signal(orchestra, workflow_id, "two", 2).status == 200
    restart(orchestra)
    assert signal(orchestra, workflow_id, "one", 1).status == 200
    restart(orchestra)
    assert orchestra.wait_workflow(workflow_id)["result"] == {"one": 1, "two": 2}


def test_a_signal_with_a_key_counts_once(orchestra):
    workflow_id = start(orchestra, "listener")
    for _ in range(3):
        assert signal(orchestra, workflow_id, "two", 2, key="k").status == 200
    restart(orchestra)
    assert signal(orchestra, workflow_id, "two", 2, key="k").status == 200
    assert kinds(orchestra, workflow_id).count(SIGNAL) == 1
    assert signal(orchestra, workflow_id, "one").status == 200
    assert orchestra.wait_workflow(workflow_id)["result"] == {"one": None, "two": 2}


def test_a_signal_key_says_one_thing(orchestra):
    workflow_id = start(orchestra, "listener")
    before = {"x": 1.50, "y": "\u00fc"}
    assert signal(orchestra, workflow_id, "early", before, key='k"1').status == 200
    restart(orchestra)
    assert signal(orchestra, workflow_id, "early", before, key='k"1').status == 200
    for name, data in (("late", before), ("early", {"x": 2})):
        answer = signal(orchestra, workflow_id, name, data, key='k"1')
        assert (answer.status, answer.json["code"]) == (409, "idempotency_key_reused")
    assert kinds(orchestra, workflow_id).count(SIGNAL) == 1
    # What the workflow took is known after its end, too.
    assert orchestra.call("POST", f"/api/v1/workflows/{workflow_id}/cancel").status == 200
    again = signal(orchestra, workflow_id, "early", before, key='k"1')
    assert (again.status, again.json["state"]) == (200, "CANCELLED")
    other = signal(orchestra, workflow_id, "early", {"x": 2}, key='k"1')
    assert (other.status, other.json["code"]) == (409, "idempotency_key_reused")
    for key in ("k2", None):
        late = signal(orchestra, workflow_id, "early", before, key=key)
        assert (late.status, late.json["code"]) == (409, "workflow_ended")


def test_a_token_that_is_late_hears_what_ended_the_task(orchestra):
    def late(token):
        answer = task(orchestra, token, "success")
        assert (answer.status, answer.json["code"]) == (409, "task_ended")
        return answer.json["ended_by"], answer.json.get("task_error")

    answered = start(orchestra, "approval")
    token = asked(orchestra)
    assert task(orchestra, token, "success", {"output": 1}).status == 200
    assert late(token) == ("success", None)
    orchestra.wait_workflow(answered)
    quiet = start(orchestra, "hasty", {"timeout": 3600})
    token = asked(orchestra, 2)
    orchestra.wait_workflow(quiet)
    assert late(token) == ("failure", "States.HeartbeatTimeout")
    cancelled = start(orchestra, "approval")
    token = asked(orchestra, 3)
    assert orchestra.call("POST", f"/api/v1/workflows/{cancelled}/cancel").status == 200
    assert late(token) == ("abandoned", None)


def test_data_that_could_not_be_read_again_is_refused(orchestra):
    workflow_id = start(orchestra, "listener")
    deep, deeper = 0, 0
    for _ in range(98):
        deep = [deep]
    for _ in range(101):
        deeper = [deeper]
    assert signal(orchestra, workflow_id, "two", deeper).status == 422
    assert signal(orchestra, workflow_id, "one", ["x" * (1 << 20)]).status == 413
    assert signal(orchestra, workflow_id, "two", 2).status == 200
    assert signal(orchestra, workflow_id, "other", deep).status == 200
    restart(orchestra)
    assert signal(orchestra, workflow_id, "one").status == 200
    assert orchestra.wait_workflow(workflow_id)["state"] == "COMPLETED"


def test_nothing_is_taken_while_the_database_is_away(orchestra_of, own_postgres, directory):
    bridge = orchestra_of(harness.Bridge(directory, own_postgres.url()))
    try:
        waiting, listening = start(bridge, "approval"), start(bridge, "listener")
        token = asked(bridge)
        recorded(bridge, waiting, DELIVERED)
        own_postgres.stop()
        wait_until(lambda: task(bridge, token, "heartbeat").status == 503, 30, "a refusal")
        for answer in (task(bridge, token, "success"), signal(bridge, listening, "one")):
            assert answer.status == 503 and answer.headers["Retry-After"], answer
        own_postgres.start()
        wait_until(lambda: task(bridge, token, "success", {"output": 1}).status == 200, 30, "200")
        assert bridge.wait_workflow(waiting)["result"]["answer"] == 1
        wait_until(lambda: signal(bridge, listening, "one", 1).status == 200, 30, "a signal")
    finally:
        bridge.close()


def test_kept_signals_are_bounded(orchestra):
    workflow_id = start(orchestra, "listener")
    statuses = [signal(orchestra, workflow_id, "two", n).status for n in range(1001)]
    assert statuses == [200] * 1000 + [429]
    assert signal(orchestra, workflow_id, "one").status == 200, "one that is waited for has room"
    assert orchestra.wait_workflow(workflow_id)["result"]["two"] == 0


# -- events --


def test_own_events_are_published_once_by_lane_and_number(orchestra):
    namespace = unique("told")
    count = scaled(40)
    ids = [start(orchestra, "announcer", {"item": n}, namespace=namespace) for n in range(count)]
    restart(orchestra)
    for workflow_id in ids:
        assert signal(orchestra, workflow_id, "go").status == 200
    restart(orchestra)
    results = {i: orchestra.wait_workflow(i)["result"] for i in ids}

    def published():
        records = consume(orchestra.broker.address, WORKFLOW_TOPIC)
        last = {record.key for record in records if record.value["event_type"] == "workflow_completed"}
        return records if len(last) >= count else None

    records = wait_until(published, 60, "all events on the topic")
    check_lanes(records)
    told = {}
    for record in records:
        if record.value["event_type"] in ("item_told", "item_told_again"):
            told.setdefault((record.headers["lane"], record.headers["seq"]), record)
    assert len(told) == 2 * count
    by_id = {record.value["event_id"]: record.value for record in told.values()}
    assert len(by_id) == 2 * count
    for n, workflow_id in enumerate(ids):
        for member, kind in (("told", "item_told"), ("again", "item_told_again")):
            told_as = results[workflow_id][member]
            envelope = by_id[told_as["event_id"]]
            assert told_as["event_type"] == kind == envelope["event_type"]
            assert envelope["payload"]["item"] == n
            assert envelope["payload"]["workflow_id"] == workflow_id


def test_an_event_may_carry_the_token(orchestra):
    workflow_id = start(orchestra, "letter")

    def letter():
        records = consume(orchestra.broker.address, WORKFLOW_TOPIC)
        found = [r for r in records if r.value["event_type"] == "decision_wanted" and r.key == workflow_id]
        return found and found[0].value["payload"]["token"]

    token = wait_until(letter, 30, "the event")
    restart(orchestra)
    assert task(orchestra, token, "success", {"output": "fine"}).status == 200
    assert orchestra.wait_workflow(workflow_id)["result"] == "fine"


# -- child workflows --


def children(bridge):
    return bridge.sql("SELECT id::text, current_state FROM workflow_executions WHERE workflow_type = 'child'")


def one_child(bridge):
    return wait_until(lambda: children(bridge), 20, "a child")[0][0]


def test_a_parent_takes_the_end_of_its_child(orchestra):
    done = orchestra.wait_workflow(start(orchestra, "parent", {"kind": "good"}, correlation_id="c-1"))
    child = done["result"]["child"]
    assert child["status"] == "COMPLETED" and child["output"] == {"said": "good"}
    row = orchestra.workflow(child["workflow_id"])
    assert row["correlation_id"] == "c-1" and row["namespace"] == done["namespace"]
    failed = orchestra.wait_workflow(start(orchestra, "parent", {"kind": "fail"}))
    failure = failed["result"]["failure"]
    assert failure["Error"] == "States.TaskFailed"
    cause = json.loads(failure["Cause"])
    assert (cause["status"], cause["error"], cause["cause"]) == ("FAILED", "Broken", "it broke")


def test_a_cancelled_child_fails_its_parent(orchestra):
    parent = start(orchestra, "parent", {"kind": "wait"})
    child = one_child(orchestra)
    recorded(orchestra, parent, DELIVERED)
    assert orchestra.call("POST", f"/api/v1/workflows/{child}/cancel").status == 200
    failure = orchestra.wait_workflow(parent)["result"]["failure"]
    assert json.loads(failure["Cause"])["status"] == "CANCELLED"


def test_a_cancelled_parent_cancels_its_child(orchestra):
    parent = start(orchestra, "parent", {"kind": "wait"})
    child = one_child(orchestra)
    recorded(orchestra, parent, DELIVERED)
    assert orchestra.call("POST", f"/api/v1/workflows/{parent}/cancel").status == 200
    assert orchestra.wait_workflow(child)["state"] == "CANCELLED"


def test_a_parent_cancels_only_what_it_started(orchestra):
    fields = {"workflow": "child", "input": {"kind": "wait"}}
    key = {"Idempotency-Key": "mine"}
    mine = orchestra.call("POST", "/api/v1/workflows", fields, key).json["workflow_id"]
    first = start(orchestra, "named_parent", {"kind": "wait", "name": "mine"})
    recorded(orchestra, first, DELIVERED)
    assert len(children(orchestra)) == 1
    assert orchestra.call("POST", f"/api/v1/workflows/{first}/cancel").status == 200
    # What the first cancel did, it did before this one.
    second = start(orchestra, "named_parent", {"kind": "wait", "name": "its own"})
    recorded(orchestra, second, DELIVERED)
    assert orchestra.call("POST", f"/api/v1/workflows/{second}/cancel").status == 200
    wait_until(
        lambda: [row[1] for row in children(orchestra)].count("CANCELLED") == 1, 20, "the child's end"
    )
    assert orchestra.workflow(mine)["state"] == "PROCESSING"


def test_no_child_is_left_behind_by_a_cancel_in_between(orchestra):
    def cancel_at_once(number):
        parent = start(orchestra, "parent", {"kind": "wait"})
        pass_time(number % 20 / 1000)
        answer = orchestra.call("POST", f"/api/v1/workflows/{parent}/cancel")
        assert answer.status == 200, answer

    numbers = iter(range(scaled(300)))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            cancel_at_once(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(
        lambda: not [row for row in children(orchestra) if row[1] != "CANCELLED"], 30, "no child"
    )


def test_an_orphan_is_found_after_a_crash(orchestra):
    """As if the instance had died between the parent's end and the cancel of its child."""
    parent = start(orchestra, "parent", {"kind": "wait"})
    child = one_child(orchestra)
    recorded(orchestra, parent, DELIVERED)
    token = orchestra.sql("SELECT parent_token FROM workflow_executions WHERE id = %s", child)[0][0]
    orphan = start(orchestra, "child", {"kind": "wait"})
    orchestra.orchestrator.kill()
    # A second child of the same step, of which the parent knows nothing.
    orchestra.sql("UPDATE workflow_executions SET parent_token = %s WHERE id = %s", token, orphan)
    orchestra.orchestrator.start()
    assert orchestra.workflow(child)["state"] == "PROCESSING"
    assert orchestra.call("POST", f"/api/v1/workflows/{parent}/cancel").status == 200
    assert orchestra.wait_workflow(child)["state"] == "CANCELLED"
    orchestra.orchestrator.kill()
    orchestra.orchestrator.start()
    assert orchestra.wait_workflow(orphan)["state"] == "CANCELLED"


def test_parent_and_child_outlive_a_crash_at_each_stage(orchestra):
    parent = start(orchestra, "parent", {"kind": "wait"})
    child = one_child(orchestra)
    restart(orchestra)
    recorded(orchestra, parent, DELIVERED)
    restart(orchestra)
    assert signal(orchestra, child, "end", {"e": 1}).status == 200
    orchestra.orchestrator.kill()  # the parent may know, or not
    orchestra.orchestrator.start()
    done = orchestra.wait_workflow(parent)
    assert done["result"]["child"] == {"workflow_id": child, "status": "COMPLETED", "output": {"e": 1}}
    assert len(children(orchestra)) == 1


def test_an_end_that_was_not_told_is_found(orchestra):
    """As if the instance had died between the child's commit and the parent's record."""
    parent = start(orchestra, "parent", {"kind": "wait"})
    child = one_child(orchestra)
    recorded(orchestra, parent, DELIVERED)
    orchestra.orchestrator.kill()
    orchestra.sql("UPDATE workflow_executions SET parent_token = NULL WHERE id = %s", child)
    orchestra.orchestrator.start()
    assert signal(orchestra, child, "end", 7).status == 200
    assert orchestra.wait_workflow(parent)["result"]["child"]["output"] == 7


def test_many_parents_have_one_child_each(orchestra):
    count = scaled(60)
    ids = [start(orchestra, "parent", {"kind": "good"}) for _ in range(count // 2)]
    orchestra.orchestrator.kill()
    orchestra.orchestrator.start()
    ids += [start(orchestra, "parent", {"kind": "good"}) for _ in range(count // 2)]
    done = [orchestra.wait_workflow(workflow_id) for workflow_id in ids]
    assert {w["state"] for w in done} == {"COMPLETED"}
    assert len({w["result"]["child"]["workflow_id"] for w in done}) == len(ids)
    assert len(children(orchestra)) == len(ids)


def test_a_map_of_children_killed_in_the_middle(orchestra):
    count = scaled(200)
    workflow_id = start(orchestra, "crowd", {"items": list(range(count))})
    for part in (1, 2, 3):
        ended = count * part // 5
        wait_until(
            lambda enough=ended: sum(c[1] == "COMPLETED" for c in children(orchestra)) >= enough,
            60,
            f"{ended} children",
        )
        restart(orchestra)
    done = orchestra.wait_workflow(workflow_id, 120)
    assert done["state"] == "COMPLETED", done["error"]
    assert done["result"] == [str(n) for n in range(count)]
    assert len(children(orchestra)) == count
    told = {
        (r.headers["lane"], r.headers["seq"]): r.value["payload"]["item"]
        for r in consume(orchestra.broker.address, WORKFLOW_TOPIC)
        if r.value["event_type"] == "item_told"
    }
    assert sorted(told.values()) == list(range(count))


def test_a_full_queue_delays_a_child_and_fails_nothing(orchestra):
    """The only slot is taken, the only place in the queue too, when the child shall be started."""
    orchestra.orchestrator.stop()
    orchestra.start_orchestrator(
        MAX_WORKFLOW_QUEUE_SIZE="1", ORCHESTRATOR_CONCURRENCY="1", ORCHESTRATOR_WORKERS="1"
    )
    release = threading.Event()
    orchestra.desk.behave = lambda _method, _path, _body: (release.wait(300), (200, b"{}"))[1]
    launcher = start(orchestra, "late_launcher", {"kind": "good"})
    start(orchestra, "approval")
    asked(orchestra)
    start(orchestra, "approval")
    wait_until(lambda: kinds(orchestra, launcher).count(4), 20, "the end of the launcher's wait")
    release.set()
    done = orchestra.wait_workflow(launcher)
    assert done["state"] == "COMPLETED"
    assert orchestra.metric("workflow_refused_total", reason="queue_full") >= 1
    child = done["result"]["child"]
    assert child["workflow_type"] == "child" and child["version"] == "1.0.0"
    assert orchestra.wait_workflow(child["workflow_id"])["state"] == "COMPLETED"


def test_a_child_may_be_given_the_token(orchestra):
    parent = start(orchestra, "delegator")
    child = one_child(orchestra)
    recorded(orchestra, parent, DELIVERED)
    token = orchestra.sql("SELECT input ->> 'token' FROM workflow_executions WHERE id = %s", child)[0][0]
    assert task(orchestra, token, "success", {"output": "from the child"}).status == 200
    assert orchestra.wait_workflow(parent)["result"] == "from the child"
    assert orchestra.workflow(child)["state"] == "PROCESSING", "nothing else ties them"


def test_children_start_where_clients_need_keys(orchestra):
    orchestra.orchestrator.stop()
    orchestra.start_orchestrator(
        API_KEY="a-key-of-the-test-0123456789",
        API_KEY_REQUIRED="true",
        REQUIRE_HTTPS="true",
        TRUSTED_PROXIES="127.0.0.1",
    )
    headers = {"X-API-Key": "a-key-of-the-test-0123456789", "X-Forwarded-Proto": "https"}
    body = {"workflow": "parent", "input": {"kind": "good"}}
    assert orchestra.call("POST", "/api/v1/workflows", body).status in (401, 403)
    forged = {"X-Bridge-Instance": "0" * 64}
    assert orchestra.call("POST", "/api/v1/workflows", body, forged).status in (401, 403)
    answer = orchestra.call("POST", "/api/v1/workflows?wait=20000", body, headers)
    assert answer.json["state"] == "COMPLETED", answer


# -- the command line, the description --


def test_the_command_line_signals_and_answers(orchestra):
    workflow_id = start(orchestra, "listener")
    orchestra.bridgectl("signal", workflow_id, "one", "--data", '{"a": 1}', "--key", "k")
    orchestra.bridgectl("signal", workflow_id, "two", "--data", "plain words")
    assert orchestra.wait_workflow(workflow_id)["result"] == {"one": {"a": 1}, "two": "plain words"}
    refused = orchestra.bridgectl("signal", workflow_id, "one", check=False)
    assert refused.returncode == 1 and "has ended" in refused.stderr
    workflow_id = start(orchestra, "approval")
    token = asked(orchestra)
    orchestra.bridgectl("task", "heartbeat", token)
    orchestra.bridgectl("task", "failure", token, "--error", "Again", "--cause", "later")
    said = orchestra.bridgectl("task", "success", asked(orchestra, 2), "--output", "[1]", "--json")
    assert json.loads(said.stdout) == {"workflow_id": workflow_id, "state": "COMPLETED"}
    assert orchestra.wait_workflow(workflow_id)["result"] == {"answer": [1]}
    assert orchestra.bridgectl("task", "success", token, check=False).returncode == 1


def test_answers_are_as_described(orchestra):
    document = Document(shipped("orchestrator"))
    tasks = "/api/v1/tasks/{token}/"
    signals = "/api/v1/workflows/{workflow_id}/signals/{signal_name}"
    workflow_id = start(orchestra, "approval")
    token = asked(orchestra)
    document.check("post", signals, signal(orchestra, workflow_id, "any", {"kept": 1}))
    document.check("post", signals, signal(orchestra, workflow_id, "a%20b"))
    document.check("post", tasks + "heartbeat", task(orchestra, token, "heartbeat"))
    for what in ("success", "failure", "heartbeat"):
        document.check("post", tasks + what, task(orchestra, "unknown", what))
    document.check("post", tasks + "failure", task(orchestra, token, "failure", {"errror": "x"}))
    document.check("post", tasks + "success", task(orchestra, token, "success", {"output": 1}))
    document.check("post", tasks + "failure", task(orchestra, token, "failure", {}))
    orchestra.wait_workflow(workflow_id)
    history = "/api/v1/workflows/{workflow_id}/history"
    document.check("get", history, orchestra.get(history.replace("{workflow_id}", workflow_id)))
    shown = "/api/v1/workflows/{workflow_id}"
    document.check("get", shown, orchestra.get(shown.replace("{workflow_id}", workflow_id)))
