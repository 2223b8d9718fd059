# SPDX-License-Identifier: MIT
"""What comes in for tasks, and what waits because of them, is checked and bounded."""

import concurrent.futures
import os

import pytest
from harness import wait_until
from test_tasks import SIGNAL, asked, kinds, make_orchestra, restart, signal, start, task


@pytest.fixture
def orchestra(empty_bridge, directory, stub):
    return make_orchestra(empty_bridge, directory / "contracts", stub)


def test_clients_that_wait_leave_threads_for_children(orchestra):
    """80 clients and 64 threads: the starts of the children they all wait for find one, and so do others."""
    body = {"workflow": "late_parent", "input": {"kind": "good"}}
    pool = concurrent.futures.ThreadPoolExecutor(80)
    asks = [
        pool.submit(orchestra.call, "POST", "/api/v1/workflows?wait=50000", body)
        for _ in range(80)
    ]
    wait_until(lambda: any(ask.done() for ask in asks), 20, "an answer without a wait")
    assert orchestra.get("/health/live").status == 200
    answers = [ask.result() for ask in asks]
    waited = [answer for answer in answers if answer.status == 200]
    assert len(waited) >= 32 and {a.json["state"] for a in waited} == {"COMPLETED"}
    others = [answer for answer in answers if answer.status == 202]
    assert len(others) == 80 - len(waited) > 0
    assert {answer.headers["retry-after"] for answer in others} == {"1"}
    for answer in others:
        assert orchestra.wait_workflow(answer.json["workflow_id"])["state"] == "COMPLETED"


def test_type_name_and_key_of_what_comes_in_are_checked(orchestra):
    workflow_id = start(orchestra, "listener")
    start(orchestra, "approval")
    token = asked(orchestra)
    paths = [f"/api/v1/workflows/{workflow_id}/signals/one"]
    paths += [f"/api/v1/tasks/{token}/{what}" for what in ("success", "failure", "heartbeat")]
    for path in paths:
        for wrong in ("text/plain", "multipart/form-data; boundary=x", "application/json5"):
            answer = orchestra.call("POST", path, "{}", {"Content-Type": wrong})
            assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type"), answer
    for name in (".", "..", "%2e%2e", "...", "a%20b"):
        assert signal(orchestra, workflow_id, name).status in (404, 422), name
    for key in ("\xff", "x" * 256):
        answer = signal(orchestra, workflow_id, "one", 1, key)
        assert (answer.status, answer.json["field"]) == (422, "Idempotency-Key"), answer
    assert kinds(orchestra, workflow_id).count(SIGNAL) == 0
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert orchestra.call("POST", paths[0], "1", headers).status == 200
    assert task(orchestra, token, "heartbeat").status == 200
    assert orchestra.call("POST", paths[1], "{}").status == 200, "without a type"


def test_what_waits_in_memory_is_bounded_and_read_again_in_parts(orchestra):
    """Kept signals and answers count as inputs do; what is small and ends a wait is always taken."""
    orchestra.orchestrator.stop()
    orchestra.start_orchestrator(MAX_WORKFLOW_MEMORY_MB="16")
    workflows = [start(orchestra, "listener", {"n": n}) for n in range(4)]
    approvals = [start(orchestra, "approval") for _ in range(2)]
    tokens = [asked(orchestra, n + 1) for n in range(2)]
    large, kept = [os.urandom(450_000).hex()], 0
    while (answer := signal(orchestra, workflows[kept % 3], "two", large, f"key {kept}")).status == 200:
        kept += 1
    assert (answer.status, answer.json["code"]) == (429, "limit_reached"), answer
    assert "MAX_WORKFLOW_MEMORY_MB" in answer.json["detail"] and int(answer.headers["Retry-After"]) >= 1
    assert 17 <= kept <= 19, "of 900,000 octets each"
    assert signal(orchestra, workflows[0], "two", large, "key 0").status == 200, "a repeat"
    held = orchestra.metric("workflow_live_bytes")
    assert held >= 16 << 20
    restart(orchestra)
    wait_until(lambda: orchestra.metric("workflow_live_bytes") == held, 20, "as much after a restart")
    assert task(orchestra, tokens[0], "success", {"output": "x" * 100_000}).status == 429
    assert task(orchestra, tokens[0], "success", {"output": "small"}).status == 200
    assert signal(orchestra, workflows[3], "three").status == 429, "nobody waits for it"
    assert signal(orchestra, workflows[3], "one").status == 200
    assert orchestra.call("POST", f"/api/v1/workflows/{workflows[0]}/cancel").status == 200
    assert task(orchestra, tokens[1], "success", {"output": "x" * 100_000}).status == 200
    assert signal(orchestra, workflows[3], "three").status == 200
    for workflow_id in approvals:
        assert orchestra.wait_workflow(workflow_id)["state"] == "COMPLETED"
    assert orchestra.metric("workflow_live_bytes") < held
