# SPDX-License-Identifier: MIT
"""explain on the real stack: every state that a workflow can be in, as the API and bridgectl tell it."""

import json
import threading

import pytest
import web
from harness import wait_until
from task_contracts import CONTRACTS, SERVICES, write_contracts
from test_fencing import OtherInstance
from test_openapi import Document, shipped

OWN = {
    "errand": """services: [desk]
state_machine:
  StartAt: Go
  States:
    Go:
      Type: Task
      Resource: onex:http:invoke
      Parameters: { Service: desk, Method: POST, Path.$: $.path }
      Retry: [{ ErrorEquals: [States.Http.StatusCode.503], IntervalSeconds: 600, MaxAttempts: 5 }]
      ResultPath: null
      End: true
""",
    "crossroads": """services: [desk]
state_machine:
  StartAt: Both
  States:
    Both:
      Type: Parallel
      End: true
      Branches:
        - StartAt: Left
          States: { Left: { Type: Wait, Seconds: 600, End: true } }
        - StartAt: Right
          States: { Right: { Type: Task, Resource: onex:signal:wait, Parameters: { signal_name: go }, End: true } }
""",
    "later": """state_machine:
  StartAt: Rest
  States:
    Rest: { Type: Wait, Seconds: 600, End: true }
""",
    "broken": """state_machine:
  StartAt: First
  States:
    First: { Type: Pass, Next: Stop }
    Stop: { Type: Fail, Error: Mine, Cause: "as it should" }
""",
}
SLOTS = 2


class Desk:
    """Answers /busy with 503, /shut when it opens, everything else at once."""

    def __init__(self):
        self.open = threading.Event()

    def __call__(self, _method, path, _body):
        if path == "/shut" and not self.open.wait(300):
            return None
        return (503 if path == "/busy" else 200, b"{}")


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def town(empty_bridge, directory, stub, desk):
    bridge, contracts = empty_bridge, directory / "contracts"
    write_contracts(
        contracts,
        {**OWN, **{name: CONTRACTS[name] for name in ("approval", "listener", "child", "parent")}},
        SERVICES.replace("timeout_ms: 5000", "timeout_ms: 300000"),
    )
    bridge.environment |= {
        "CONTRACTS_DIR": str(contracts),
        "DESK_URL": bridge.url("desk"),
        "ORCHESTRATOR_WORKERS": "1",
        "ORCHESTRATOR_CONCURRENCY": str(SLOTS),
    }
    bridge.desk = stub(bridge.port("desk"), desk)
    return bridge


def submit(bridge, workflow, **given):
    answer = bridge.call("POST", "/api/v1/workflows", {"workflow": workflow, "input": given})
    assert answer.status in (200, 202), answer
    return answer.json["workflow_id"]


def explain(bridge, workflow_id):
    answer = bridge.get(f"/api/v1/workflows/{workflow_id}/explain")
    Document(shipped("orchestrator")).check("get", "/api/v1/workflows/{workflow_id}/explain", answer)
    assert answer.status == 200, answer
    return answer.json


def explained(bridge, workflow_id, waiting_for):
    """The explanation, when that is what it waits for."""

    def waits():
        told = explain(bridge, workflow_id)
        return told if told["waiting_for"] == waiting_for else None

    return wait_until(waits, 60, f"{workflow_id} waits for {waiting_for}")


def check(told, begins, **fields):
    assert told["explanation"].startswith(begins), told
    assert {name: told[name] for name in fields} == fields, told


def check_waits(bridge):
    """What waits without a slot."""
    check(explained(bridge, submit(bridge, "later"), "timer"), "Rest waits until ", path="Rest", next="go_on")
    check(explained(bridge, submit(bridge, "approval"), "token"), "Ask waits for an answer by its task token", service="desk")
    check(explained(bridge, submit(bridge, "listener"), "signal"), "First waits for the signal one", signal="one")
    parent = explained(bridge, submit(bridge, "parent", kind="wait"), "child")
    check(parent, "Start waits for the end of the workflow ", path="Start")
    check(explained(bridge, parent["child"], "signal"), "Waits waits for the signal end")
    busy = explained(bridge, submit(bridge, "errand", path="/busy"), "retry")
    check(busy, "Go is tried again in ", attempt=2, retry=1, max_retries=5, next="attempt", service=None)
    assert busy["reason"]["error"] == "States.Http.StatusCode.503" and busy["next_at"], busy
    both = explained(bridge, submit(bridge, "crossroads"), "several")
    check(both, "2 branches or items are under way: Both/0/Left waits until ", waits_total=2)
    assert [wait["waiting_for"] for wait in both["waits"]] == ["timer", "signal"], both
    return both["workflow_id"]


def check_ends(bridge):
    done = submit(bridge, "errand", path="/now")
    bridge.wait_workflow(done)
    check(explain(bridge, done), "Completed at ", state="COMPLETED", waiting_for=None, next=None)
    failed = submit(bridge, "broken")
    bridge.wait_workflow(failed)
    told = explain(bridge, failed)
    check(told, "Failed at ", failed_in="Stop", can_retry=True, reason={"error": "Mine", "cause": "as it should"})
    assert told["explanation"].endswith("It can be retried, and goes on where it failed."), told
    cancelled = submit(bridge, "later")
    assert bridge.call("POST", f"/api/v1/workflows/{cancelled}/cancel", {"cause": "no more"}).status == 200
    check(explain(bridge, cancelled), "Cancelled at ", state="CANCELLED", waiting_for=None)
    unknown = bridge.get("/api/v1/workflows/01a2006e-9fe9-7af5-a391-047cb4947f3c/explain")
    assert unknown.status == 404, unknown


def test_every_state_says_what_it_waits_for(town, desk):
    town.migrate()
    town.start_embedded_broker()
    town.start_orchestrator()
    both = check_waits(town)
    check_ends(town)
    assert town.call("POST", f"/api/v1/workflows/{both}/pause").status == 200
    check(explain(town, both), "Paused since ", waiting_for="resume", state="PROCESSING", next="resume")
    assert town.call("POST", "/api/v1/services/desk/hold").status == 200
    held = explained(town, submit(town, "errand", path="/now"), "breaker")
    check(held, "Go is held by the breaker of desk since ", service="desk", next="probe", attempt=1)
    assert "when somebody releases the service" in held["explanation"], held
    assert town.call("POST", "/api/v1/services/desk/release").status == 200
    assert town.wait_workflow(held["workflow_id"])["state"] == "COMPLETED"
    # All slots are taken: one waits for its turn, the next one behind it.
    shut = [submit(town, "errand", path="/shut") for _ in range(SLOTS)]
    for workflow_id in shut:
        called = explained(town, workflow_id, "answer")
        check(called, "Go waits for an answer of desk since ", service="desk", attempt=1)
        assert called["fails_at"] and called["instance"] and called["shard"] is not None, called
    first, second = submit(town, "later"), submit(town, "later")
    check(explain(town, first), "Waits to start since ", state="PENDING", waiting_for="start", ahead=0)
    check(explain(town, second), "Waits to start since ", waiting_for="start", ahead=1, next="start")
    printed = town.bridgectl("explain", second).stdout
    assert printed.startswith("Waits to start since ") and " behind 1 other: all of 2 " in printed, printed
    printed = town.bridgectl("explain", both).stdout
    assert "Both/1/Right" in printed.splitlines()[-1], printed
    assert json.loads(town.bridgectl("explain", both, "--json").stdout)["workflow_id"] == both
    assert town.bridgectl("explain", "01a2006e-9fe9-7af5-a391-047cb4947f3c", check=False).returncode == 1
    desk.open.set()
    assert town.wait_workflow(shut[0])["state"] == "COMPLETED"


def test_it_is_told_without_the_database_and_without_the_shard(directory, own_postgres, empty_bridge):
    town = empty_bridge
    town.database_url = own_postgres.url()
    contracts = directory / "contracts"
    write_contracts(contracts, {"later": OWN["later"]})
    town.environment |= {"CONTRACTS_DIR": str(contracts), "LEASE_MS": "6000"}
    town.migrate()
    town.start_embedded_broker()
    town.start_orchestrator()
    workflow_id = submit(town, "later")
    explained(town, workflow_id, "timer")
    own_postgres.stop()
    wait_until(lambda: explain(town, workflow_id)["database"] == "down", 60, "it knows that the database is away")
    check(explain(town, workflow_id), "Rest waits until ", waiting_for="timer", path="Rest")
    assert town.get("/api/v1/workflows/01a2006e-9fe9-7af5-a391-047cb4947f3c/explain").status == 503
    own_postgres.start()
    wait_until(lambda: explain(town, workflow_id)["database"] == "up", 60, "it knows that the database is back")

    # Another instance has its shard; then that one is dead, and its shards come here.
    town.orchestrator.stop()
    other = OtherInstance(town)
    town.orchestrator.start()
    told = explain(town, workflow_id)
    check(told, "PROCESSING at Rest; its shard ", waiting_for="owner", instance=other.id)
    assert "belongs to the instance" in told["explanation"], told
    other.close()
    town.sql("UPDATE instances SET lease_expires_at = now() - interval '1 second' WHERE instance_id = %s", other.id)
    seen = set()

    def is_here():
        seen.add(explain(town, workflow_id)["waiting_for"])
        return "timer" in seen

    wait_until(is_here, 60, "the workflow being taken over")
    assert seen <= {"takeover", "loading", "timer"}, seen

    # Whichever instance is asked, the one that has the workflow answers.
    town.start_orchestrator("second")
    for name in ("orchestrator", "second"):
        told = web.get(f"{town.url(name)}/api/v1/workflows/{workflow_id}/explain").json
        check(told, "Rest waits until ", waiting_for="timer", path="Rest")
