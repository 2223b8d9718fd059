# SPDX-License-Identifier: MIT
"""The orchestrator's API on a whole running bridge: submit, wait, look, cancel, and its limits."""

import hashlib
import json
import re
import threading
import uuid

import psycopg2
import pytest
import web
from harness import unique, wait_until

CONTENT_BYTES_MAX = 10 * 1024 * 1024


def check_problem(answer, status, code=None, field=None):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json
    assert problem["status"] == status and problem["title"] and problem["code"], problem
    if code:
        assert problem["code"] == code, problem
    if field:
        assert field in json.dumps(problem), problem
    return problem


def test_one_document_from_end_to_end(bridge):
    namespace, content = unique("one"), "# Title\n\nA document.\n"
    answer = bridge.submit(
        content,
        namespace=namespace,
        file_path="docs/a.md",
        content_type="text/markdown",
        wait_ms=60000,
    )
    assert answer.status == 200, answer
    workflow = answer.json
    assert (
        workflow["state"] == "COMPLETED" and workflow["workflow"] == "metadata_stamping"
    ), workflow
    assert uuid.UUID(workflow["workflow_id"]).version == 7
    assert workflow["result"], workflow
    assert workflow["ended_at"] >= workflow["created_at"]

    stamp = bridge.sql(
        "SELECT file_path, file_size, content_type, file_hash FROM metadata_stamps"
        " WHERE namespace = %s",
        namespace,
    )
    assert [row[:3] for row in stamp] == [("docs/a.md", len(content), "text/markdown")]
    assert len(stamp[0][3]) == 64 and stamp[0][3] != hashlib.sha256(content.encode()).hexdigest()

    after = web.get(
        bridge.url("reducer")
        + f"/api/v1/namespaces?namespace={namespace}&after={workflow['after']}"
        + "&timeout_ms=60000"
    )
    assert after.status == 200, after
    assert bridge.totals(namespace)["total_stamps"] == 1
    assert bridge.totals(namespace)["total_size_bytes"] == len(content)

    got = bridge.workflow(workflow["workflow_id"])
    assert got["state"] == "COMPLETED" and got["result"] == workflow["result"]
    steps = {step["step"] for step in got["steps"]}
    assert len(steps) >= 2, steps
    history = bridge.get(f"/api/v1/workflows/{workflow['workflow_id']}/history").json["items"]
    reached = [item["to_state"] for item in history if item.get("to_state")]
    assert [state for state in reached if state in ("PENDING", "PROCESSING", "COMPLETED")][-1] == (
        "COMPLETED"
    )
    transitions = bridge.sql(
        "SELECT from_state, to_state FROM fsm_transitions WHERE entity_id = %s ORDER BY created_at",
        workflow["workflow_id"],
    )
    assert transitions[-1] == ("PROCESSING", "COMPLETED"), transitions


def test_accepted_without_waiting_names_its_place(bridge):
    answer = bridge.submit("later")
    assert answer.status == 202, answer
    assert answer.headers["Location"].endswith("/api/v1/workflows/" + answer.json["workflow_id"])
    assert bridge.wait_workflow(answer.json["workflow_id"])["state"] == "COMPLETED"


def test_the_long_form_is_the_same_workflow(bridge):
    body = {
        "workflow": "metadata_stamping",
        "input": {"content": "long form"},
        "metadata": {"a": 1},
    }
    answer = bridge.call("POST", "/api/v1/workflows?wait=30000", body)
    assert answer.status == 200 and answer.json["state"] == "COMPLETED", answer


def test_same_key_same_workflow_other_body_is_refused(bridge):
    key, namespace = unique("key"), unique("ns")
    first = bridge.submit("the same", key=key, namespace=namespace, wait_ms=60000)
    again = bridge.submit("the same", key=key, namespace=namespace)
    assert first.status == 200 and again.status in (200, 202)
    assert first.json["workflow_id"] == again.json["workflow_id"]
    check_problem(
        bridge.submit("another", key=key, namespace=namespace), 409, "idempotency_key_reused"
    )
    elsewhere = bridge.submit("another", key=key, namespace=namespace + "-2")
    assert elsewhere.status == 202 and elsewhere.json["workflow_id"] != first.json["workflow_id"]

    bridge.orchestrator.kill()
    bridge.orchestrator.start()
    after = bridge.submit("the same", key=key, namespace=namespace)
    assert after.json["workflow_id"] == first.json["workflow_id"], "the key outlives the process"
    check_problem(
        bridge.submit("another", key=key, namespace=namespace), 409, "idempotency_key_reused"
    )


def test_the_correlation_id_is_the_key_when_there_is_no_other(bridge):
    correlation = str(uuid.uuid4())
    first = bridge.submit("by correlation", correlation_id=correlation)
    again = bridge.submit("by correlation", correlation_id=correlation)
    assert first.json["workflow_id"] == again.json["workflow_id"]


def test_a_batch_answers_each_submission_by_itself(bridge):
    namespace = unique("batch")
    items = [{"content": f"batch {n}", "namespace": namespace} for n in range(20)]
    items[7] = {"content": "", "namespace": namespace}
    answer = bridge.call("POST", "/api/v1/workflows/batch", {"workflows": items})
    assert answer.status == 200, answer
    answers = answer.json["items"]
    assert len(answers) == 20
    assert [n for n, item in enumerate(answers) if item["status"] not in (200, 202)] == [7]
    assert answers[7]["status"] == 422 and answers[7]["error"]["code"]
    assert bridge.wait_all_ended(namespace, 19, 60) == {"COMPLETED": 19}
    bridge.wait_total(namespace, 19)


def test_lists_are_newest_first_and_pages_meet(bridge):
    namespace = unique("list")
    made = [bridge.submit(f"{n}", namespace=namespace, wait_ms=60000).json for n in range(7)]
    ids = [item["workflow_id"] for item in made][::-1]
    found, cursor = [], ""
    for _page in range(10):
        page = bridge.get(f"/api/v1/workflows?namespace={namespace}&limit=3{cursor}").json
        found += [item["workflow_id"] for item in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ids
    only = bridge.get(f"/api/v1/workflows?namespace={namespace}&state=FAILED").json
    assert only["items"] == []
    assert (
        len(bridge.get(f"/api/v1/workflows?namespace={namespace}&state=COMPLETED").json["items"])
        == 7
    )


@pytest.mark.parametrize(
    "path, body, status, said",
    [
        ("/api/v1/workflows", "{", 400, ""),
        ("/api/v1/workflows", "[]", 422, ""),
        ("/api/v1/workflows", {"content": ""}, 422, "content"),
        ("/api/v1/workflows", {"content": 5}, 422, "content"),
        ("/api/v1/workflows", {"contents": "typing error"}, 422, "contents"),
        ("/api/v1/workflows", {"content": "a", "namespace": ""}, 422, "namespace"),
        ("/api/v1/workflows", {"workflow": "nobody_knows", "input": {}}, 422, "nobody_knows"),
        ("/api/v1/workflows", {"workflow": "metadata_stamping", "input": {}}, 422, "content"),
        ("/api/v1/workflows?wait=soon", {"content": "a"}, 422, "wait"),
        ("/api/v1/workflows/batch", {"workflows": []}, 422, "workflows"),
    ],
)
def test_a_bad_submission_is_a_problem_that_names_the_field(bridge, path, body, status, said):
    check_problem(bridge.call("POST", path, body), status, field=said)
    assert bridge.sql("SELECT count(*) FROM workflow_executions")[0][0] == 0


def test_unknown_places(bridge):
    check_problem(bridge.get(f"/api/v1/workflows/{uuid.uuid4()}"), 404)
    check_problem(bridge.get("/api/v1/workflows/not-a-uuid"), 404, field="not-a-uuid")
    check_problem(bridge.get("/nowhere"), 404)
    check_problem(bridge.call("DELETE", "/api/v1/workflows"), 405)
    check_problem(bridge.get("/api/v1/workflows?limit=0"), 422, field="limit")
    check_problem(bridge.get("/api/v1/workflows?colour=red"), 422, field="colour")
    check_problem(bridge.get("/api/v1/workflows?cursor=garbage"), 422, field="cursor")


def test_the_largest_content_is_taken_and_one_octet_more_is_not(bridge):
    largest = "x" * CONTENT_BYTES_MAX
    answer = bridge.submit(largest, enable_intelligence=False, wait_ms=60000)
    assert answer.status == 200 and answer.json["state"] == "COMPLETED", answer
    check_problem(bridge.submit(largest + "x"), 413)


def test_a_full_queue_is_429_and_nothing_is_lost(empty_bridge, stub):
    """One call at a time, and that one hangs: what comes after it waits, up to the bound."""
    empty_bridge.environment.update(
        {
            "MAX_WORKFLOW_QUEUE_SIZE": "5",
            "ORCHESTRATOR_WORKERS": "1",
            "ORCHESTRATOR_CONCURRENCY": "1",
        }
    )
    bridge = empty_bridge.start()
    namespace = unique("full")
    bridge.servers["stamping"].stop()
    service = stub(bridge.port("stamping"), None)
    service.behave = service.hang
    accepted = []

    def refused():
        answer = bridge.submit(f"{len(accepted)}", namespace=namespace, enable_intelligence=False)
        if answer.status == 202:
            accepted.append(answer.json["workflow_id"])
            assert len(accepted) < 200, "MAX_WORKFLOW_QUEUE_SIZE is 5"
            return None
        return answer

    answer = wait_until(refused, 30, "a full queue", interval=0.001)
    check_problem(answer, 429, "queue_full")
    assert int(answer.headers["Retry-After"]) >= 1
    service.close()
    bridge.servers["stamping"].start()
    assert bridge.wait_all_ended(namespace, len(accepted), 120) == {"COMPLETED": len(accepted)}


def test_documents_in_memory_are_bounded_and_nothing_is_lost(empty_bridge):
    """Workflows that wait for a service are no queue, but what they hold is bounded all the same."""
    empty_bridge.environment["MAX_WORKFLOW_MEMORY_MB"] = "16"
    bridge = empty_bridge.start()
    namespace, large = unique("memory"), "x" * (6 * 1024 * 1024)
    bridge.servers["stamping"].stop()
    accepted = 0
    while True:
        answer = bridge.submit(large, namespace=namespace, enable_intelligence=False)
        if answer.status != 202:
            break
        accepted += 1
        assert accepted <= 4, "three of 6 MiB reach 16 MiB"
    check_problem(answer, 429, "limit_reached")
    assert int(answer.headers["Retry-After"]) >= 1
    bridge.servers["stamping"].start()
    assert bridge.wait_all_ended(namespace, accepted, 120) == {"COMPLETED": accepted}


def test_cancel_before_the_end_and_not_after(bridge):
    bridge.servers["stamping"].stop()
    workflow_id = bridge.submit("to be cancelled").json["workflow_id"]
    answer = bridge.call("POST", f"/api/v1/workflows/{workflow_id}/cancel")
    assert answer.status == 200 and answer.json["state"] == "CANCELLED", answer
    again = bridge.call("POST", f"/api/v1/workflows/{workflow_id}/cancel")
    assert again.status == 200 and again.json["state"] == "CANCELLED", "repeating it is no error"
    bridge.servers["stamping"].start()
    done = bridge.submit("too late to cancel", wait_ms=60000)
    assert done.status == 200, done
    late = bridge.call("POST", f"/api/v1/workflows/{done.json['workflow_id']}/cancel")
    assert check_problem(late, 409)["state"] == "COMPLETED"
    assert bridge.workflow(workflow_id)["state"] == "CANCELLED"


def test_what_starts_and_ends_in_one_transaction_has_ended(empty_bridge, stub):
    """Two changes of one workflow's row meet in a batch: the later one is what stays."""
    empty_bridge.environment.update({"ORCHESTRATOR_WORKERS": "1", "ORCHESTRATOR_CONCURRENCY": "1"})
    bridge = empty_bridge.start()
    bridge.servers["stamping"].stop()
    service = stub(bridge.port("stamping"), None)
    service.behave = service.hang
    first, second = (
        bridge.submit(text, enable_intelligence=False).json["workflow_id"] for text in "ab"
    )
    wait_until(lambda: bridge.metric("workflow_queue_size") == 1, 30, "the second one waits")
    answers = {}

    def ask(name, path, body=None):
        answers[name] = bridge.call("POST", path, body)

    def begin(*question):
        thread = threading.Thread(target=ask, args=question)
        thread.start()
        return thread

    connection = psycopg2.connect(bridge.database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE workflow_events IN SHARE MODE")
        threads = [begin("third", "/api/v1/workflows", {"content": "c"})]
        wait_until(lambda: bridge.metric("workflow_queue_size") == 2, 30, "a batch is under way")
        threads.append(begin("first", f"/api/v1/workflows/{first}/cancel"))
        wait_until(lambda: bridge.metric("workflow_queue_size") == 1, 30, "the second one starts")
        threads.append(begin("second", f"/api/v1/workflows/{second}/cancel"))
        wait_until(lambda: bridge.metric("workflow_queue_size") == 0, 30, "the third one starts")
    connection.close()
    for thread in threads:
        thread.join()
    if answers["second"].status == 200:  # not when the lock was held for too long
        assert answers["second"].json["state"] == "CANCELLED", answers
        assert bridge.workflow(second)["state"] == "CANCELLED"
    service.close()
    bridge.servers["stamping"].start()


def test_the_older_paths_and_shapes(bridge):
    answer = bridge.call("POST", "/workflow/submit", {"content": "older", "namespace": "older"})
    assert answer.status == 201, answer
    body = answer.json
    assert body["success"] is True and body["message"] and body["state"] == body["state"].lower()
    bridge.wait_workflow(body["workflow_id"])
    status = bridge.get(f"/workflow/{body['workflow_id']}/status")
    assert status.status == 200 and status.json["state"] == "completed", status
    assert status.json["workflow_id"] == body["workflow_id"] and status.json["result"]


def test_health_metrics_and_descriptions(bridge):
    for name in ("orchestrator", "reducer"):
        base = bridge.url(name)
        health = web.get(base + "/health")
        assert health.status == 200 and health.json["status"] == "healthy", health
        assert {item["status"] for item in health.json["components"]} == {"healthy"}
        assert web.get(base + "/health/live").status == 200
        assert "paths" in web.get(base + "/openapi.json").json
        page = web.get(base + "/docs").text
        assert "<html" in page
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', page), "no outside assets"
    before = bridge.metric("workflow_orchestration_total")
    bridge.submit("counted", wait_ms=60000)
    assert bridge.metric("workflow_orchestration_total") >= before + 1
    assert bridge.metric("workflow_queue_size") == 0
    assert bridge.metric("aggregation_items_total", "reducer") >= 0


def test_api_keys_guard_everything_but_health_and_metrics(empty_bridge):
    empty_bridge.environment.update({"API_KEY": "first-key,second-key", "API_KEY_REQUIRED": "true"})
    bridge = empty_bridge.start()
    check_problem(bridge.submit("no key"), 401)
    check_problem(bridge.call("GET", "/api/v1/workflows", headers={"X-API-Key": "wrong"}), 401)
    assert (
        bridge.call("GET", "/api/v1/workflows", headers={"X-API-Key": "second-key"}).status == 200
    )
    bearer = {"Authorization": "Bearer first-key"}
    assert bridge.call("GET", "/api/v1/workflows", headers=bearer).status == 200
    assert bridge.get("/health/ready").status == 200
    assert bridge.get("/metrics").status == 200
