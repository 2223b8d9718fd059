# SPDX-License-Identifier: MIT
"""PostgreSQL away, companions down, slow, answering 500 or garbage: what the promises say then."""

import json
import signal

import pytest
import web
from harness import Bridge, Load, unique, wait_until

MANY = 200


@pytest.fixture
def bridge_on_own_postgres(directory, own_postgres):
    bridge = Bridge(directory, own_postgres.url())
    yield bridge.start()
    bridge.close()


def check_refused(answer):
    """503 that says when to come back, as a problem document."""
    assert answer.status == 503, answer
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json
    assert problem["status"] == 503 and problem["code"], problem


def accepts_again(bridge, content="is it back?", namespace="probe", key=None):
    """Each worker comes back on its own: that one submission was accepted says nothing of the next."""

    def accepted():
        answer = bridge.submit(content, namespace=namespace, key=key)
        return answer if answer.status in (200, 202) else None

    return wait_until(accepted, 60, "submissions being accepted again")


def test_postgresql_stopped_refuses_and_recovers_by_itself(bridge_on_own_postgres, own_postgres):
    bridge, namespace = bridge_on_own_postgres, unique("outage")
    pids = {name: server.process.pid for name, server in bridge.servers.items()}
    assert bridge.submit("before", namespace=namespace, wait_ms=60000).status == 200
    before = bridge.sql("SELECT count(*) FROM workflow_executions")[0][0]

    own_postgres.stop()
    for n in range(10):
        check_refused(bridge.submit(f"during {n}", namespace=namespace, key=f"{namespace}-{n}"))
    assert bridge.get("/health/live").status == 200, "live depends on nobody"
    wait_until(
        lambda: bridge.get("/health/ready").status == 503, 20, "not ready without PostgreSQL"
    )
    assert web.get(bridge.url("reducer") + "/health/live").status == 200
    wait_until(
        lambda: web.get(bridge.url("reducer") + "/health/ready").status == 503,
        20,
        "the reducer not ready without PostgreSQL",
    )

    own_postgres.start()
    after = bridge.sql("SELECT count(*) FROM workflow_executions")[0][0]
    assert after == before, "nothing was accepted in between"
    accepts_again(bridge)
    for name in ("orchestrator", "reducer"):
        wait_until(lambda url=bridge.url(name): web.is_ready(url), 60, f"{name} being ready again")
    for n in range(10):
        accepts_again(bridge, f"during {n}", namespace, f"{namespace}-{n}")
    bridge.wait_all_ended(namespace, 11, 60)
    bridge.wait_total(namespace, 11)
    assert pids == {
        name: server.process.pid
        for name, server in bridge.servers.items()
        if server.process.running
    }, "nobody had to be restarted"


def test_postgresql_killed_under_load_loses_nothing_that_was_accepted(
    bridge_on_own_postgres, own_postgres
):
    bridge, namespace = bridge_on_own_postgres, unique("crash")
    load = Load(bridge, namespace, 3 * MANY, clients=16).start()
    for n in range(2):
        load.wait_accepted(MANY * (n + 1))
        own_postgres.kill()
        own_postgres.start()
    accepted = load.join()
    ids = set(accepted.values())
    states = bridge.wait_all_ended(namespace, len(ids), 120)
    assert states == {"COMPLETED": len(ids)}, dict(states)
    stored = {
        str(row[0])
        for row in bridge.sql("SELECT id FROM workflow_executions WHERE namespace = %s", namespace)
    }
    assert stored == ids
    bridge.wait_total(namespace, len(ids))


# -- companions --


def test_onextree_down_degrades_and_never_fails_the_workflow(bridge):
    bridge.servers["onextree"].kill()
    answer = bridge.submit("no intelligence today", wait_ms=60000)
    assert answer.status == 200 and answer.json["state"] == "COMPLETED", answer


def test_onextree_that_hangs_costs_its_timeout_not_the_workflow(bridge):
    bridge.servers["onextree"].process.send(signal.SIGSTOP)
    answer = bridge.submit("slow intelligence", wait_ms=60000)
    assert answer.status == 200 and answer.json["state"] == "COMPLETED", answer
    bridge.servers["onextree"].process.send(signal.SIGCONT)


@pytest.mark.parametrize(
    "outcome",
    [
        (500, b'{"detail": "boom"}'),
        (200, b"<html>not json</html>"),
        (200, b""),
        (200, b"{\"cut"),
        None,
    ],
    ids=["500", "html", "empty", "cut", "hangs up"],
)
def test_onextree_talking_nonsense_degrades(bridge, stub, outcome):
    bridge.servers["onextree"].stop()
    service = stub(bridge.port("onextree"), lambda *_call: outcome)
    answer = bridge.submit("nonsense", wait_ms=60000)
    assert answer.status == 200 and answer.json["state"] == "COMPLETED", answer
    assert service.calls, "it was asked"


def test_stamping_down_holds_the_workflow_until_it_is_back(bridge):
    bridge.servers["stamping"].stop()
    answer = bridge.submit("held", namespace="held")
    assert answer.status == 202, answer
    workflow_id = answer.json["workflow_id"]
    answer = bridge.submit("held too", namespace="held", wait_ms=1000)
    assert answer.status == 202 and answer.json["state"] in ("PENDING", "PROCESSING"), answer
    bridge.servers["stamping"].start()
    assert bridge.wait_workflow(workflow_id, 120)["state"] == "COMPLETED"
    bridge.wait_all_ended("held", 2, 120)
    bridge.wait_total("held", 2)


def test_stamping_stopped_and_woken_does_its_work_once(bridge):
    bridge.servers["stamping"].process.send(signal.SIGSTOP)
    answer = bridge.submit("asleep", namespace="asleep")
    assert answer.status == 202, answer
    assert bridge.workflow(answer.json["workflow_id"])["state"] in ("PENDING", "PROCESSING")
    bridge.servers["stamping"].process.send(signal.SIGCONT)
    assert bridge.wait_workflow(answer.json["workflow_id"], 60)["state"] == "COMPLETED"
    stamps = bridge.sql("SELECT count(*) FROM metadata_stamps WHERE namespace = 'asleep'")[0][0]
    assert stamps == 1


@pytest.mark.parametrize("status", [500, 503])
def test_stamping_that_fails_for_a_while_is_tried_again_with_the_same_key(bridge, stub, status):
    bridge.servers["stamping"].stop()
    service = stub(bridge.port("stamping"), lambda *_call: (status, b'{"detail": "not now"}'))
    answer = bridge.submit("retry me", namespace="retry")
    assert answer.status == 202, answer
    wait_until(lambda: len(service.calls) >= 2, 30, "a second attempt")
    keys = {}
    for _method, path, _body, headers in list(service.calls):
        keys.setdefault(path, set()).add(headers.get("Idempotency-Key"))
    assert all(len(found) == 1 and None not in found for found in keys.values()), keys
    service.close()
    bridge.servers["stamping"].start()
    assert bridge.wait_workflow(answer.json["workflow_id"], 120)["state"] == "COMPLETED"


def test_stamping_talking_garbage_fails_the_workflow_with_a_reason(bridge, stub):
    """200 with an answer that is none: no retry can help, and a made-up stamp would be a lie."""
    bridge.servers["stamping"].stop()
    stub(bridge.port("stamping"), lambda *_call: (200, b'{"surprise": true}'))
    answer = bridge.submit("garbage", namespace="garbage")
    assert answer.status == 202, answer
    workflow = bridge.wait_workflow(answer.json["workflow_id"], 120)
    assert workflow["state"] == "FAILED", workflow
    assert workflow["error"], workflow
    assert json.dumps(workflow["error"]) != "{}"
