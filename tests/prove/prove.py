#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make prove: nothing lost, nothing doubled, while everything is killed - and the auditor's table.

Real processes: two orchestrators, two reducers, both companions, PostgreSQL, a broker. Clients submit with
idempotency keys, repeat until they are answered, and write down what they were told. A script drawn from
SEED ends processes by kill -9 and stops them for a while (SIGSTOP), so that services are slow or gone, queues
fill and owners wake up as zombies. The nodes are built with crash points (lib/io/crash_point.h); each fires at
least once. Then everything is started again, what is under way ends, and `bridgectl audit` judges.

Variables: MINUTES=1 of faults, SEED, BROKER=embedded|kafka (Kafka is killed too), KEEP=1 keeps the folder.
A run that fails always keeps it.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import harness  # noqa: E402
import web  # noqa: E402
from harness import Bridge, Failure, KafkaBroker, Postgres, free_port  # noqa: E402

TREE = pathlib.Path(os.environ.get("PROVE_TREE") or ROOT)  # of nodes and migrations: mutants.py
NODES = {"orchestrator": "bridge-orchestrator", "reducer": "bridge-reducer"}
INSTANCES = ("orchestrator", "orchestrator-2", "reducer", "reducer-2")
COMPANIONS = ("stamping", "onextree")
CLIENTS = 8
RATE_MAX = 40  # submissions a second
EMBEDDED_WORKFLOWS_MAX = 8000  # what the embedded broker keeps on PARTITIONS partitions
PARTITIONS = 32
FAULT_SECONDS_MIN = 30  # what the start took is taken off the time of faults, but for these
STEP_SECONDS = (0.6, 2.6)  # between two faults: at least 20 a minute
STOP_SECONDS = (0.2, 4.0)  # a process that is stopped goes on after so long: past the lease
STOP_READER_SECONDS = (0.2, 10.0)  # a reducer: past the session of the consumer group
LABEL_SECONDS = 240  # a crash point that is not reached so long after the last fault is told
AWAY_SECONDS = 4  # a reducer that left comes back, and takes partitions from the other
ARMED_SECONDS = 10  # at first: who has not come to its crash point by then is started with another one
DRAIN_SECONDS = 240  # at least; a slow machine is no fault
# What the auditor may find while the last work ends; anything else is a fault at once.
UNDER_WAY = ("unfinished", "events_waiting", "records_not_counted")


# Here a node also stops, with a transaction gathered and not sent, until others own what it had: a zombie.
ZOMBIES = {"orchestrator": "commit_unsent", "reducer": "flush_unsent"}
ZOMBIE_SECONDS = {"orchestrator": (3.5, 6.0), "reducer": (7.5, 10.0)}
STOP = "stop at "
SKIPS_MAX = 12  # a crash point is passed so often at most before it fires


def node_of(name: str) -> str:
    return name.partition("-")[0]


def labels_of(node: str) -> list[str]:
    """The crash points of a node, from its sources."""
    found: list[str] = []
    for path in sorted((ROOT / "nodes" / node).glob("*.c")):
        found += re.findall(r'CRASH_POINT\("([a-z_]+)"\)', path.read_text(encoding="utf-8"))
    return [*dict.fromkeys(found), STOP + ZOMBIES[node]]


def program(name: str) -> pathlib.Path:
    """Nodes with crash points, everything else as it ships."""
    is_node = name in NODES.values()
    path = (TREE / "build" / "prove" if is_node else ROOT / "build" / "release") / name
    if not path.exists():
        raise Failure(f"{path} is not built: use make prove")
    return path


class Ledger:
    """JSON lines, written before the client does anything else."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.file = open(path, "a", encoding="utf-8")
        self.lock = threading.Lock()
        self.lines = 0

    def write(self, entry: dict) -> None:
        with self.lock:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()
            self.lines += 1


class Clients:
    """Submit, repeat with the same key until it is answered, write down."""

    def __init__(self, bridge: Bridge, ledger: Ledger, rate: float):
        self.bridge, self.ledger = bridge, ledger
        self.pause = CLIENTS / rate
        self.stopping = threading.Event()
        self.refused: list = []
        self.repeats = collections.Counter()
        self.threads = [
            threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def work(self, number: int) -> None:
        urls = [self.bridge.url("orchestrator"), self.bridge.url("orchestrator-2")]
        clients = [web.Client(url, timeout=10) for url in urls]
        n = 0
        while not self.stopping.is_set():
            self.submit(clients, f"client-{number}-{n}", number + n)
            n += 1
            self.stopping.wait(self.pause)

    def submit(self, clients: list, key: str, turn: int) -> None:
        """Until it is answered: what was begun is finished even when the run stops."""
        namespace = f"prove-{turn % 3}"
        body = {"content": f"document {key}\n", "file_path": f"{key}.txt", "namespace": namespace}
        body["enable_intelligence"] = turn % 2 == 0
        while True:
            answer = clients[turn % len(clients)].call(
                "POST", "/api/v1/workflows", body, {"Idempotency-Key": key}
            )
            if answer.status in (200, 201, 202):
                told = {"workflow_id": answer.json["workflow_id"], "namespace": namespace}
                self.ledger.write({**told, "key": key, "state": answer.json["state"]})
                return
            self.repeats[answer.status] += 1
            if answer.status not in (0, 429, 500, 502, 503, 504):
                self.refused.append((key, answer.status, answer.text[:300]))
                return
            turn += 1
            time.sleep(0.05)

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(harness.PATIENCE_SECONDS * 2)
        if any(thread.is_alive() for thread in self.threads):
            raise Failure("a client is not answered any more")


class Script:
    """What is done to the system, drawn from the seed, and who starts again what has ended."""

    def __init__(self, run: "Run"):
        self.run = run
        self.random = random.Random(run.seed)
        self.labels = {node: labels_of(node) for node in NODES}
        self.left = {node: list(labels) for node, labels in self.labels.items()}
        self.armed: dict[str, str] = {}  # instance -> label
        self.armed_at: dict[str, float] = {}
        self.patience = ARMED_SECONDS * harness.deadline_factor()
        self.away: dict[str, float] = {}  # name -> until when it is not started again
        self.frozen: dict[str, float] = {}  # name -> when it goes on
        self.kills = 0
        self.hit: list[str] = []

    # processes

    def process(self, name: str):
        return self.run.processes()[name]

    def launch(self, name: str, label: str | None = None) -> None:
        self.note_hits()  # of what has just ended
        server = self.run.bridge.servers[name]
        stops = label is not None and label.startswith(STOP)
        server.environment["BRIDGE_CRASH_POINT"] = (label or "").removeprefix(STOP)
        server.environment["BRIDGE_CRASH_STOP"] = "1" if stops else ""
        server.environment["BRIDGE_CRASH_FILE"] = str(self.run.directory / f"crash-{name}")
        server.environment["BRIDGE_CRASH_SKIP"] = str(self.skips(label))
        server.launch()
        self.armed.pop(name, None)
        if label:
            self.armed[name] = label
            self.armed_at[name] = time.monotonic()
        if label == "revoked":  # by a member that leaves and comes back
            other = "reducer" if name == "reducer-2" else "reducer-2"
            self.thaw(other)
            if self.process(other).running:
                self.process(other).stop()
            self.away[other] = time.monotonic() + AWAY_SECONDS * harness.deadline_factor()
            self.armed_at[name] += AWAY_SECONDS

    def skips(self, label: str | None) -> int:
        """Places that are passed all the time fire later, in the middle of work."""
        often = ("commit", "replied", "published", "call", "flush", "half", "delivered")
        if label is None or not label.removeprefix(STOP).startswith(often):
            return 0
        return self.random.randrange(SKIPS_MAX)

    def next_label(self, name: str) -> str | None:
        """A crash point that has not fired yet and that no other instance carries; then any, now and then."""
        if name not in INSTANCES:
            return None
        left = self.left[node_of(name)]
        if left:
            return next((label for label in left if label not in self.armed.values()), None)
        return self.random.choice([None, *self.labels[node_of(name)]])

    def pass_over(self, name: str) -> None:
        """Its crash point comes last now; and a slow machine gets more time."""
        label, labels = self.armed[name], self.left[node_of(name)]
        if label in labels:
            labels.append(labels.pop(labels.index(label)))
            self.patience *= 1.3
        self.kill(name)

    def note_hits(self) -> None:
        for name, label in list(self.armed.items()):
            path = self.run.directory / f"crash-{name}"
            if not path.exists():
                continue
            path.unlink()
            del self.armed[name]
            self.hit.append(label)
            if label in self.left[node_of(name)]:
                self.left[node_of(name)].remove(label)
            if label.startswith(STOP):
                self.run.fault(f"{node_of(name)} stops at {label.removeprefix(STOP)}")
                seconds = self.random.uniform(*ZOMBIE_SECONDS[node_of(name)])
                self.frozen[name] = time.monotonic() + seconds
            else:
                self.kills += 1
                self.run.fault(f"crash point {label}")

    def start_ended(self) -> None:
        self.note_hits()
        for name in (*INSTANCES, *COMPANIONS):
            if not self.process(name).running:
                if time.monotonic() > self.away.get(name, 0):
                    self.launch(name, self.next_label(name))
            elif name in self.armed and time.monotonic() > self.armed_at[name] + self.patience:
                self.pass_over(name)
        now = time.monotonic()
        for name in [name for name, until in self.frozen.items() if now >= until]:
            self.thaw(name)

    # faults

    def kill(self, name: str) -> None:
        self.frozen.pop(name, None)
        self.run.fault(f"kill -9 {node_of(name)}")
        self.process(name).kill()
        self.kills += 1

    def freeze(self, name: str) -> None:
        if name in self.frozen or not self.process(name).running:
            return
        self.run.fault(f"SIGSTOP {node_of(name)}")
        self.process(name).send(signal.SIGSTOP)
        reads = name.startswith("reducer")
        bounds = STOP_READER_SECONDS if reads else STOP_SECONDS
        self.frozen[name] = time.monotonic() + self.random.uniform(*bounds)

    def thaw(self, name: str) -> None:
        self.frozen.pop(name, None)
        if self.process(name).running:
            self.process(name).send(signal.SIGCONT)

    def kill_postgres(self) -> None:
        self.run.fault("kill -9 postgres")
        self.kills += 1
        self.run.postgres.kill()
        self.run.postgres.start()

    def kill_kafka(self) -> None:
        self.run.fault("kill -9 kafka")
        self.kills += 1
        self.run.bridge.broker.process.kill()
        self.run.start_kafka()

    def step(self) -> None:
        kind = self.random.random()
        instances = [name for name in INSTANCES if name not in self.frozen]
        if kind < 0.04:
            self.kill_postgres()
        elif kind < 0.07 and isinstance(self.run.bridge.broker, KafkaBroker):
            self.kill_kafka()
        elif kind < 0.55:
            self.kill(self.random.choice(instances or INSTANCES))
        elif kind < 0.67:
            self.kill(self.random.choice(COMPANIONS))
        else:
            self.freeze(self.random.choice((*INSTANCES, *COMPANIONS)))

    def play(self, seconds: float) -> None:
        """First every crash point, then what the seed says; both at once when time is short."""
        end = time.monotonic() + seconds
        next_step = time.monotonic()
        for name in INSTANCES:  # the first labels need a process that carries them
            self.kill(name)
        while time.monotonic() < end or (
            any(self.left.values()) and time.monotonic() < end + LABEL_SECONDS
        ):
            self.start_ended()
            if time.monotonic() >= next_step and time.monotonic() < end:
                if not any(self.left.values()) or self.random.random() < 0.5:
                    self.step()
                next_step = time.monotonic() + self.random.uniform(*STEP_SECONDS)
            if time.monotonic() >= end:
                self.arm_the_rest()
            time.sleep(0.02)

    def arm_the_rest(self) -> None:
        """Who runs without a crash point is ended, to come back with one that is left."""
        for name in INSTANCES:
            left = [x for x in self.left[node_of(name)] if x not in self.armed.values()]
            busy = name in self.armed or name in self.frozen
            if left and not busy and self.process(name).running:
                self.kill(name)

    def quiet(self) -> None:
        """Everything runs, nothing is armed."""
        self.note_hits()
        for name in list(self.frozen):
            self.thaw(name)
        for name in list(self.armed):
            self.process(name).kill()
        for name in (*INSTANCES, *COMPANIONS):
            if not self.process(name).running:
                self.launch(name)
        for name in (*INSTANCES, *COMPANIONS):
            self.run.bridge.servers[name].wait_ready(harness.PATIENCE_SECONDS)


class Run:
    def __init__(self, directory: pathlib.Path, seed: int, minutes: float, broker: str):
        self.directory, self.seed, self.seconds, self.kind = directory, seed, minutes * 60, broker
        self.began = time.time()
        self.faults = Ledger(directory / "faults.jsonl")
        self.ledger = Ledger(directory / "ledger.jsonl")
        self.postgres = Postgres(
            directory / "pg", free_port(), directory / "postgres.log", durable=False
        )
        self.bridge: Bridge | None = None

    def say(self, text: str) -> None:
        print(f"{time.time() - self.began:7.1f} s  {text}", flush=True)

    def fault(self, what: str) -> None:
        now = time.time()
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
        self.faults.write({"at": at, "what": what})

    def processes(self) -> dict:
        return {name: server.process for name, server in self.bridge.servers.items()}

    def start_kafka(self) -> None:
        """A start right after a kill -9 is refused at times."""

        def answers() -> bool:
            broker = self.bridge.broker
            if broker.process is None or not broker.process.running:
                broker.start()
            command = ["kcat", "-L", "-b", broker.address, "-m", "2"]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        harness.wait_until(answers, harness.PATIENCE_SECONDS, "an answer of Kafka")

    def start(self) -> None:
        harness.program = program
        self.postgres.start()
        self.bridge = Bridge(
            self.directory,
            self.postgres.url(),
            {
                "KAFKA_WORKFLOW_PARTITIONS": str(PARTITIONS),
                "MIGRATIONS_DIR": str(TREE / "migrations"),
                "LEASE_MS": "3000",
                "MAX_WORKFLOW_QUEUE_SIZE": "200",
                "ORCHESTRATOR_CONCURRENCY": "32",
            },
        )
        self.bridge.migrate()
        if self.kind == "kafka":
            log = self.directory / "kafka.log"
            self.bridge.broker = KafkaBroker(
                self.directory / "kafka", free_port(), free_port(), log
            )
            self.start_kafka()
            self.bridge.create_topics()
        else:
            self.bridge.start_embedded_broker()
        self.bridge.start_stamping()
        self.bridge.start_onextree()
        for name in INSTANCES:
            make = getattr(self.bridge, f"{node_of(name)}_server")
            make(name).start()

    def audit(self) -> dict:
        done = self.bridge.bridgectl(*self.audit_arguments, "--json", check=False)
        if done.returncode not in (0, 1) or not done.stdout:
            raise Failure(f"bridgectl audit: {done.stderr}")
        return json.loads(done.stdout)

    @property
    def audit_arguments(self) -> tuple:
        ledger, faults = str(self.ledger.path), str(self.faults.path)
        return ("audit", "--ledger", ledger, "--complete", "--settled", "--faults", faults)

    def drain(self) -> dict:
        """Audits until nothing is under way; what is wrong for good ends it at once."""
        told: dict = {}

        def over() -> bool:
            nonlocal told
            told = self.audit()
            return told["fine"] or not any(told[name] for name in UNDER_WAY)

        try:
            harness.wait_until(over, DRAIN_SECONDS, "the end of the work under way", interval=0.5)
        except Failure as failure:
            self.say(str(failure))
        return told

    def run(self) -> bool:
        self.say(f"SEED={self.seed} BROKER={self.kind}: {self.directory}")
        self.start()
        rate = RATE_MAX
        if self.kind != "kafka":
            rate = min(rate, EMBEDDED_WORKFLOWS_MAX / max(self.seconds, 1))
        clients = Clients(self.bridge, self.ledger, rate)
        script = Script(self)
        self.say("everything runs; faults begin")
        clients.start()
        script.play(max(FAULT_SECONDS_MIN, self.seconds - (time.time() - self.began)))
        script.quiet()
        clients.stop()
        self.say(f"quiet: {script.kills} kills, {len(set(script.hit))} crash points hit")
        told = self.drain()
        table = self.bridge.bridgectl(*self.audit_arguments, check=False)
        print(table.stdout + table.stderr)
        missed = [label for labels in script.left.values() for label in labels]
        faults = {name: told[name] for name in told["examples"]}
        if clients.refused:
            faults["refused"] = len(clients.refused)
        if missed:
            faults["crash_points_missed"] = missed
        if told["not_checked"]:
            faults["not_checked"] = told["not_checked"]
        if faults:
            print(f"found: {faults}\n{json.dumps(told['examples'], indent=1)}")
        print(f"kills {script.kills}, crash points hit {len(set(script.hit))}, missed {missed}")
        print(f"repeats by status {dict(clients.repeats)}, refused {clients.refused[:3]}")
        return bool(told["fine"] and not faults)

    def close(self) -> None:
        if self.bridge is not None:
            for server in self.bridge.servers.values():
                if server.process is not None and server.process.running:
                    server.process.kill()
            if self.bridge.broker is not None:
                self.bridge.broker.stop()
        self.postgres.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES") or 1))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 0))
    parser.add_argument("--broker", default=os.environ.get("BROKER") or "embedded")
    arguments = parser.parse_args()
    seed = arguments.seed or random.SystemRandom().randrange(1, 1_000_000)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bridge-prove-"))
    directory.chmod(0o711)
    run = Run(directory, seed, arguments.minutes, arguments.broker)
    passed = False
    try:
        passed = run.run()
    except Failure as failure:
        print(f"failed: {failure}")
    finally:
        run.close()
    again = f"make prove SEED={seed} MINUTES={arguments.minutes:g} BROKER={arguments.broker}"
    if passed:
        harness.remove(directory)
        print("1 passed, 0 failed")
        return 0
    print(f"FAILED; again: {again}\nlook at {directory}: logs/, postgres.log, ledger.jsonl, faults.jsonl")
    print("0 passed, 1 failed")
    return 1


if __name__ == "__main__":
    sys.exit(main())
