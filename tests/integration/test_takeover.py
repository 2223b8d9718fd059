# SPDX-License-Identifier: MIT
"""Several orchestrators on one database: shards move when one joins, leaves, dies or hangs, and what was
accepted ends exactly once wherever it runs."""

import collections
import itertools
import signal

import pytest
import web
from harness import Load, scaled, unique, wait_until
from test_kill import PARTITIONS, check_story, check_topic

WORKFLOWS = 1500
LEASE_MS = "6000"


@pytest.fixture
def wide_bridge(empty_bridge):
    empty_bridge.environment["KAFKA_WORKFLOW_PARTITIONS"] = PARTITIONS
    empty_bridge.environment["LEASE_MS"] = LEASE_MS
    return empty_bridge.start()


class LoadOnAll(Load):
    """Clients that go round all instances until one of them accepts."""

    names = ("orchestrator", "orchestrator-2")

    def submit_one(self, client, n):
        body = {"content": f"{n} of {self.namespace}\n", "namespace": self.namespace}
        headers = {"Idempotency-Key": f"{self.namespace}-{n}"}
        for name in itertools.cycle(self.names):
            if self.stopping.is_set():
                return
            url = self.bridge.url(name) + "/api/v1/workflows"
            answer = web.call("POST", url, body, headers, 60)
            with self.lock:
                if answer.status in (200, 202):
                    self.accepted[n] = answer.json["workflow_id"]
                    return
                if answer.status not in (0, 429, 503, 504):
                    self.refused.append(answer)
                    return
            self.stopping.wait(0.02)


def shares(bridge):
    """How many shards each living instance owns, by its URL."""
    rows = bridge.sql(
        "SELECT i.advertised_url, count(s.shard) FROM instances i"
        " LEFT JOIN shards s ON s.owner = i.instance_id GROUP BY 1"
    )
    free = bridge.sql("SELECT count(*) FROM shards WHERE owner IS NULL")[0][0]
    return dict(rows) if free == 0 else {}


def check_shards_are_shown(bridge):
    """The same from every instance, and by bridgectl."""
    pages = [web.get(bridge.url(name) + "/api/v1/shards").json["items"] for name in LoadOnAll.names]
    seen = [[(item["shard"], item["url"], item["epoch"]) for item in page] for page in pages]
    assert seen[0] == seen[1] and [shard for shard, _, _ in seen[0]] == list(range(16))
    assert all(one["is_here"] != other["is_here"] for one, other in zip(*pages)), pages
    table = bridge.bridgectl("shards").stdout.split()
    assert table.count(bridge.url("orchestrator")) == table.count(bridge.url("orchestrator-2")) == 8


def wait_shares(bridge, **numbers):
    wanted = {bridge.url(name.replace("_", "-")): n for name, n in numbers.items()}
    return wait_until(lambda: shares(bridge) == wanted, 60, f"shards owned: {wanted}")


def events(bridge, name):
    return collections.Counter(line["event"] for line in bridge.log_lines(name))


def test_shards_follow_those_who_live(wide_bridge):
    bridge, namespace = wide_bridge, unique("takeover")
    second = bridge.start_orchestrator("orchestrator-2")
    wait_shares(bridge, orchestrator=8, orchestrator_2=8)
    check_shards_are_shown(bridge)
    count = scaled(WORKFLOWS)
    load = LoadOnAll(bridge, namespace, count, clients=12).start()

    load.wait_accepted(count // 8)  # it dies
    second.kill()
    wait_shares(bridge, orchestrator=16)
    assert events(bridge, "orchestrator")["an instance has died: its shards are free"] == 1
    second.start()
    wait_shares(bridge, orchestrator=8, orchestrator_2=8)

    load.wait_accepted(count * 3 // 8)  # it hangs, and wakes up
    second.process.send(signal.SIGSTOP)
    wait_shares(bridge, orchestrator=16)
    second.process.send(signal.SIGCONT)
    wait_shares(bridge, orchestrator=8, orchestrator_2=8)
    told = "shards are another instance's now: this one stops running them"
    fenced = "fenced: this instance no longer owns its shards and stops writing"
    heard = events(bridge, "orchestrator-2")
    assert heard[told] + heard[fenced] > 0, heard

    load.wait_accepted(count * 5 // 8)  # it leaves
    assert second.stop() == 0
    wait_shares(bridge, orchestrator=16)
    second.start()
    wait_shares(bridge, orchestrator=8, orchestrator_2=8)

    accepted = load.join()
    bridge.wait_all_ended(namespace, count, 120)
    check_story(bridge, namespace, accepted)
    bridge.wait_total(namespace, count)
    wait_until(
        lambda: bridge.sql("SELECT bool_and(published_seq = next_seq - 1) FROM shards")[0][0],
        60,
        "everything being published",
    )
    check_topic(bridge, set(accepted.values()))
