# SPDX-License-Identifier: MIT
"""Any instance answers for any workflow: what belongs to another's shard is asked of its owner."""

import threading

import pytest
import web
from harness import WORKFLOW_TOPIC, check_lanes, consume, unique, wait_until
from test_tasks import asked, make_orchestra
from test_workflows import check_problem

NAMES = ("orchestrator", "orchestrator-2")
SCHEMA_BEFORE = 7  # SCHEMA_VERSION_OLDEST: the one that nodes of the release before are on


@pytest.fixture
def pair(empty_bridge, directory, stub):
    bridge = make_orchestra(empty_bridge, directory / "contracts", stub)
    bridge.start_orchestrator(NAMES[1])
    for name in NAMES:
        wait_until(
            lambda name=name: bridge.metric("engine_shards_owned", name) > 0, 30, f"shards of {name}"
        )
    return bridge


def call(bridge, number, method, path, body=None, **headers):
    """One call to the first or to the second instance."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.call(method, bridge.url(NAMES[number % 2]) + path, body, names)


def start(bridge, number, workflow, content=None, key=None, wait_ms=0, **fields):
    body = {"workflow": workflow, "input": content or {}, **fields}
    headers = {"Idempotency_Key": key} if key else {}
    path = "/api/v1/workflows" + (f"?wait={wait_ms}" if wait_ms else "")
    return call(bridge, number, "POST", path, body, **headers)


def forwarded(bridge, result="answered"):
    return sum(bridge.metric("http_forwarded_total", name, result=result) for name in NAMES)


def test_what_one_instance_does_not_own_the_other_does_for_it(pair):
    """Each step of a workflow's life is asked of an instance, its repeat of the other one."""
    for n in range(8):
        key = unique("key")
        first = start(pair, n, "approval", {"n": n}, key)
        assert first.status == 202, first
        workflow_id = first.json["workflow_id"]
        assert first.headers["Location"] == f"/api/v1/workflows/{workflow_id}"
        again = start(pair, n + 1, "approval", {"n": n}, key)
        assert (again.status, again.json["workflow_id"]) == (202, workflow_id), again
        other = start(pair, n + 1, "approval", {"n": -1}, key)
        check_problem(other, 409, "idempotency_key_reused")
        path = f"/api/v1/workflows/{workflow_id}"
        for number in (n, n + 1):
            for what in ("pause", "resume"):
                answer = call(pair, number, "POST", f"{path}/{what}", X_Correlation_ID="abc")
                assert answer.status == 200, answer
                assert answer.headers.get_all("X-Correlation-ID") == ["abc"]
                assert len(answer.headers.get_all("Content-Security-Policy")) == 1
        token = asked(pair, n + 1)
        task = f"/api/v1/tasks/{token}"
        assert call(pair, n, "POST", f"{task}/heartbeat").status == 200
        answer = call(pair, n + 1, "POST", f"{task}/success", {"output": {"n": n}})
        assert answer.status == 200, answer
        check_problem(call(pair, n, "POST", f"{task}/success", {}), 409, "task_ended")
        pair.wait_workflow(workflow_id)
        seen = [call(pair, number, "GET", path).json for number in (0, 1)]
        assert seen[0] == seen[1] and seen[0]["result"]["answer"] == {"n": n}
        check_problem(call(pair, n, "POST", f"{path}/cancel"), 409, "workflow_ended")
    assert len(pair.desk.calls) == 8, "each workflow ran once"
    assert forwarded(pair) >= 8
    assert forwarded(pair, "refused") == forwarded(pair, "unknown") == 0


def test_ends_are_waited_for_across_instances(pair):
    """?wait= and signals; the connection between the instances is used again."""
    for n in range(4):
        started = start(pair, n, "announcer", {"item": n}, unique("wait"))
        workflow_id = started.json["workflow_id"]
        answers = []
        key = unique("go")

        def wait(number):
            answers.append(
                start(pair, number, "announcer", {"item": n}, f"w{n}-{key}", wait_ms=60000)
            )

        threads = [threading.Thread(target=wait, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        waited = wait_until(
            lambda: pair.sql(
                "SELECT workflow_id FROM workflow_keys WHERE key = %s", f"w{n}-{key}"
            ),
            30,
            "the one that is waited for",
        )[0][0]
        for target in (workflow_id, waited):
            for number in (n, n + 1):
                answer = call(
                    pair,
                    number,
                    "POST",
                    f"/api/v1/workflows/{target}/signals/go",
                    {"said": n},
                    Idempotency_Key=key,
                )
                assert answer.status == 200 or answer.json["code"] == "workflow_ended", answer
        for thread in threads:
            thread.join(90)
        assert [answer.status for answer in answers] == [200, 200], answers
        assert {answer.json["workflow_id"] for answer in answers} == {waited}
    assert forwarded(pair) > 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_owner_that_goes_in_the_middle_of_a_request(pair, end):
    """Whoever waits at the other instance waits on, with the new owner, and gets the end."""
    answers, count = {}, 6
    keys = [unique("go") for _ in range(count)]

    def wait(key):
        answers[key] = start(pair, 0, "announcer", {"item": key}, key, wait_ms=60000)

    threads = [threading.Thread(target=wait, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    sql = "SELECT key, workflow_id FROM workflow_keys"
    ids = dict(wait_until(lambda: len(rows := pair.sql(sql)) == count and rows, 30, "all of them"))
    getattr(pair.servers[NAMES[1]], end)()
    for workflow_id in ids.values():
        answer = call(pair, 0, "POST", f"/api/v1/workflows/{workflow_id}/signals/go", {})
        assert answer.status == 200, answer
    for thread in threads:
        thread.join(90)
    for key in keys:
        assert answers[key].status == 200, answers[key]
        told = answers[key].json
        assert (told["workflow_id"], told["state"]) == (ids[key], "COMPLETED")


def test_a_batch_is_spread_over_the_owners(pair):
    """Each item has its answer in its place, whoever took it, and is there once."""
    items = [
        {"workflow": "child", "input": {"kind": "good"}, "correlation_id": unique("batch")}
        for _ in range(20)
    ]
    items[7] = {"workflow": "nobody knows it", "input": {}}
    for _ in range(2):
        answers = [call(pair, n, "POST", "/api/v1/workflows/batch", {"workflows": items}) for n in (0, 1)]
        assert [answer.status for answer in answers] == [200, 200], answers
        for item, *told in zip(items, *(answer.json["items"] for answer in answers)):
            if item is items[7]:
                assert {one["error"]["code"] for one in told} == {"invalid_request"}
            else:
                assert {one["status"] for one in told} <= {200, 202}, told
                assert {one["workflow"]["correlation_id"] for one in told} == {item["correlation_id"]}
                assert len({one["workflow"]["workflow_id"] for one in told}) == 1
    assert pair.sql("SELECT count(*) FROM workflow_executions")[0][0] == 19


def test_children_of_another_instance(pair):
    """Started there, their ends are told here, and they end with a parent that no longer waits."""
    for n in range(8):
        done = start(pair, n, "parent", {"kind": "good"}, unique("good"), wait_ms=60000)
        assert done.status == 200 and done.json["state"] == "COMPLETED", done
        assert done.json["result"]["child"]["output"] == {"said": "good"}
    parents = [
        start(pair, n, "parent", {"kind": "wait"}, unique("wait")).json["workflow_id"]
        for n in range(8)
    ]
    sql = (
        "SELECT count(*) FROM workflow_executions WHERE workflow_type = 'child'"
        " AND current_state = %s"
    )
    wait_until(lambda: pair.sql(sql, "PROCESSING")[0][0] == 8, 30, "eight children that wait")
    for n, parent in enumerate(parents):
        answer = call(pair, n, "POST", f"/api/v1/workflows/{parent}/cancel")
        assert answer.status == 200, answer
    wait_until(lambda: pair.sql(sql, "CANCELLED")[0][0] == 8, 30, "the end of their children")


class Clients:
    """Submit stamping workflows under keys, each at one instance; one that does not answer is left for the
    other. What an instance refuses is kept: nothing may be. They pace themselves: the embedded broker keeps
    the last 5 MiB of a partition, and all is read from it at the end."""

    PAUSE_SECONDS, SLOW_PAUSE_SECONDS, MANY = 0.05, 0.5, 3000

    def __init__(self, bridge, namespace, threads=8):
        self.bridge, self.namespace = bridge, namespace
        self.accepted: dict[str, str] = {}
        self.refused: list[web.Answer] = []
        self.moved = 0
        self.stopping = threading.Event()
        self.threads = [
            threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(threads)
        ]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        clients = [web.Client(self.bridge.url(name), 60) for name in NAMES]
        at, count = number % 2, 0
        while not self.stopping.is_set():
            key = f"{self.namespace}-{number}-{count}"
            body = {"content": f"document {key}", "namespace": self.namespace}
            answer = clients[at].call("POST", "/api/v1/workflows", body, {"Idempotency-Key": key})
            if answer.status == 0:
                self.moved += 1
                at = 1 - at
                continue
            if answer.status not in (200, 202):
                self.refused.append(answer)
                continue
            assert self.accepted.setdefault(key, answer.json["workflow_id"])
            count += 1
            many = len(self.accepted) > self.MANY
            self.stopping.wait(self.SLOW_PAUSE_SECONDS if many else self.PAUSE_SECONDS)
        for client in clients:
            client.close()

    def pass_on(self, count=100):
        """Until so many more are accepted."""
        goal = len(self.accepted) + count
        wait_until(lambda: len(self.accepted) >= goal, 60, f"{goal} accepted submissions")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(90)
        assert not self.refused, f"{len(self.refused)} refused: {self.refused[:3]}"


def has_seen(bridge, name):
    return any(line["event"] == "the database was migrated" for line in bridge.log_lines(name))


def test_an_upgrade_one_by_one_refuses_nothing(empty_bridge):
    """On the schema before this release's: each node is replaced, and the database migrated, under load."""
    bridge, namespace = empty_bridge, unique("upgrade")
    bridge.bridgectl("migrate", "up", "--to", SCHEMA_BEFORE)
    bridge.start_embedded_broker()
    for start_one in (bridge.start_stamping, bridge.start_onextree, bridge.start_reducer):
        start_one()
    for name in NAMES:
        bridge.start_orchestrator(name)
    clients = Clients(bridge, namespace)
    clients.pass_on()
    for name in (*NAMES, "reducer"):
        bridge.servers[name].stop()
        clients.pass_on()
        bridge.servers[name].start()
        clients.pass_on()
    bridge.bridgectl("migrate", "up")
    for name in NAMES:
        wait_until(lambda name=name: has_seen(bridge, name), 30, f"{name} seeing the migration")
    clients.pass_on()
    clients.stop()
    count = len(clients.accepted)
    assert len(set(clients.accepted.values())) == count
    states = bridge.wait_all_ended(namespace, count, 120)
    assert states == {"COMPLETED": count}, states
    assert bridge.wait_total(namespace, count)["total_stamps"] == count
    check_lanes(consume(bridge.broker.address, WORKFLOW_TOPIC))
