# SPDX-License-Identifier: MIT
"""What the integration tests share: a private bridge of real processes, loads, and ways to look.

Variables: MODE chooses build/<mode>/; DEADLINE_FACTOR stretches deadlines; KEEP=1 keeps the
directories with logs; TEST_SCALE=0.3 makes the big tests smaller (1 is the full size).
"""

import collections
import contextlib
import http.server
import json
import os
import pathlib
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import uuid

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "stack"))

import parts  # noqa: E402
import process  # noqa: E402
import web  # noqa: E402
from parts import EmbeddedBroker, KafkaBroker, Postgres, Server  # noqa: E402
from process import Failure, deadline_factor, free_port  # noqa: E402,F401

MODE = os.environ.get("MODE") or "release"
PROGRAMS = ROOT / "build" / MODE
WORKFLOW_TOPIC = "dev.omninode_bridge.onex.workflows.v1"
TYPED_TOPIC = "dev.omninode_bridge.onex.evt.stamp-workflow-completed.v1"
SANITIZED = MODE in ("asan", "tsan")
SANITIZER_REPORT = re.compile(
    r"(WARNING|ERROR|SUMMARY): (Thread|Address|Leak|Memory|UndefinedBehavior)Sanitizer|runtime error: "
)
TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")
PATIENCE_SECONDS = 120  # each condition gets at least so long; one that comes costs no more for it


def scaled(count: int) -> int:
    return max(1, int(count * float(os.environ.get("TEST_SCALE") or 1)))


def wait_until(condition, seconds: float, what: str, interval: float = 0.02):
    """process.wait_until with patience: machines may be ten times slower, and what the product does
    periodically may just have been missed."""
    return process.wait_until(condition, max(seconds, PATIENCE_SECONDS), what, interval)


def program(name: str) -> pathlib.Path:
    """One of our programs, built."""
    path = PROGRAMS / name
    assert path.exists(), f"{path} is not built: make build MODE={MODE}"
    return path


def sanitizer_options() -> dict:
    """Reports go to the log; the exit status of a server stays its own unless something was found."""
    if not SANITIZED:
        return {}
    suppressions = ROOT / "tests" / "tsan.supp"
    return {
        "ASAN_OPTIONS": "detect_leaks=1:exitcode=66",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": f"suppressions={suppressions}:exitcode=66",
    }


# -- a private bridge --


class Bridge:
    """Companions, orchestrators and reducers around one database and one broker, on free ports.

    `environment` is given to every program; start_* take more for one of them. Processes that die
    are never started again by themselves: the test does that.
    """

    def __init__(self, directory: pathlib.Path, database_url: str, environment: dict | None = None):
        self.directory = directory
        self.database_url = database_url
        self.environment = environment or {}
        self.broker: EmbeddedBroker | KafkaBroker | None = None
        self.servers: dict[str, Server] = {}
        self.ports: dict[str, int] = {}
        (directory / "logs").mkdir(parents=True, exist_ok=True)

    # parts

    def port(self, name: str) -> int:
        """The same port for the same name, so that a server comes back where it was."""
        return self.ports.setdefault(name, free_port())

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port(name)}"

    def log(self, name: str) -> pathlib.Path:
        return self.directory / "logs" / f"{name}.log"

    @property
    def settings(self) -> dict:
        """Variables that every program of this bridge gets."""
        return {
            "BIND_ADDRESS": "127.0.0.1",
            "HTTP_THREADS": "64",
            "ENVIRONMENT": "development",
            "LOG_LEVEL": "info",
            "CONTRACTS_DIR": str(ROOT / "contracts"),
            "MIGRATIONS_DIR": str(ROOT / "migrations"),
            "DATABASE_URL": self.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.address if self.broker else "127.0.0.1:1",
            "ORCHESTRATOR_URL": self.url("orchestrator"),
            "REDUCER_URL": self.url("reducer"),
            "METADATA_STAMPING_SERVICE_URL": self.url("stamping"),
            "ONEXTREE_SERVICE_URL": self.url("onextree"),
            **sanitizer_options(),
            **self.environment,
        }

    def bridgectl(self, *arguments, check: bool = True, stdin: bytes = b"", **environment):
        """Runs bridgectl; the finished process with text output."""
        done = subprocess.run(
            [str(program("bridgectl")), *map(str, arguments)],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=120 * deadline_factor(),
            env={**parts.clean_environment(), **self.settings, **environment},
        )
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        if check:
            assert done.returncode == 0, f"bridgectl {arguments}: {done.stdout}{done.stderr}"
        return done

    def migrate(self) -> None:
        self.bridgectl("migrate", "up")

    def start_embedded_broker(self) -> EmbeddedBroker:
        environment = {**parts.clean_environment(), **self.settings}
        broker = EmbeddedBroker(program("bridge-broker"), self.directory, self.log("broker"))
        broker.start(parts.declared_topics(program("bridgectl"), environment))
        self.broker = broker
        return broker

    def use_kafka(self, broker: KafkaBroker) -> None:
        """A real Kafka that runs already; creates the topics."""
        self.broker = broker
        self.create_topics()

    def create_topics(self) -> None:
        self.bridgectl("topics", "create")

    def server(self, name: str, program_name: str, environment: dict) -> Server:
        server = Server(
            name,
            program(program_name),
            self.url(name),
            {**self.settings, **environment},
            self.log(name),
        )
        self.servers[name] = server
        return server

    def start_stamping(self, **environment) -> Server:
        server = self.server(
            "stamping",
            "metadata-stamping",
            {"METADATA_STAMPING_PORT": str(self.port("stamping")), **environment},
        )
        server.start()
        return server

    def start_onextree(self, **environment) -> Server:
        server = self.server(
            "onextree", "onextree", {"ONEXTREE_PORT": str(self.port("onextree")), **environment}
        )
        server.start()
        return server

    def orchestrator_server(self, name: str = "orchestrator", **environment) -> Server:
        """Made, not started."""
        return self.server(
            name,
            "bridge-orchestrator",
            {
                "ORCHESTRATOR_PORT": str(self.port(name)),
                "ORCHESTRATOR_METRICS_PORT": str(self.port(f"{name}-metrics")),
                "ORCHESTRATOR_ADVERTISED_URL": self.url(name),
                **environment,
            },
        )

    def start_orchestrator(self, name: str = "orchestrator", **environment) -> Server:
        server = self.orchestrator_server(name, **environment)
        server.start()
        return server

    def reducer_server(self, name: str = "reducer", **environment) -> Server:
        """Made, not started."""
        return self.server(
            name,
            "bridge-reducer",
            {
                "REDUCER_PORT": str(self.port(name)),
                "REDUCER_METRICS_PORT": str(self.port(f"{name}-metrics")),
                "REDUCER_INSTANCE_ID": name,
                **environment,
            },
        )

    def start_reducer(self, name: str = "reducer", **environment) -> Server:
        server = self.reducer_server(name, **environment)
        server.start()
        return server

    def start(self) -> "Bridge":
        """Everything, with the embedded broker unless one is in use."""
        self.migrate()
        if self.broker is None:
            self.start_embedded_broker()
        self.start_stamping()
        self.start_onextree()
        self.start_orchestrator()
        self.start_reducer()
        return self

    @property
    def orchestrator(self) -> Server:
        return self.servers["orchestrator"]

    @property
    def reducer(self) -> Server:
        return self.servers["reducer"]

    def close(self) -> None:
        """Ends what still runs: kill -9, which is quick; in a build with sanitizers a clean stop,
        because leaks are looked for at the end, and then what the sanitizers said is a failure."""
        for server in self.servers.values():
            if server.process is not None and SANITIZED:
                server.stop()
            elif server.process is not None:
                server.process.kill()
        if isinstance(self.broker, EmbeddedBroker):
            self.broker.stop()
        if SANITIZED:
            self.check_sanitizers()

    def check_sanitizers(self) -> None:
        for path in sorted((self.directory / "logs").glob("*.log")):
            text = path.read_text(encoding="utf-8", errors="replace")
            found = SANITIZER_REPORT.search(text)
            assert not found, f"{path.name}: {text[found.start():found.start() + 4000]}"

    # looking

    def sql(self, statement: str, *values) -> list[tuple]:
        connection = psycopg2.connect(self.database_url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def call(
        self, method: str, path: str, body=None, headers=None, timeout: float = 90
    ) -> web.Answer:
        """One call to the orchestrator."""
        return web.call(method, self.url("orchestrator") + path, body, headers, timeout)

    def get(self, path: str) -> web.Answer:
        return self.call("GET", path)

    def submit(
        self,
        content: str = "hello",
        *,
        wait_ms: int | None = None,
        key: str | None = None,
        **fields,
    ) -> web.Answer:
        """The flat form of a stamping workflow."""
        path = "/api/v1/workflows" + (f"?wait={wait_ms}" if wait_ms is not None else "")
        headers = {"Idempotency-Key": key} if key else None
        return self.call("POST", path, {"content": content, **fields}, headers)

    def workflow(self, workflow_id: str) -> dict:
        answer = self.get(f"/api/v1/workflows/{workflow_id}")
        assert answer.status == 200, answer
        return answer.json

    def wait_workflow(self, workflow_id: str, seconds: float = 30) -> dict:
        """The workflow when it has ended."""

        def ended():
            answer = self.get(f"/api/v1/workflows/{workflow_id}")
            return (
                answer.json if answer.status == 200 and answer.json["state"] in TERMINAL else None
            )

        return wait_until(ended, seconds, f"the end of workflow {workflow_id}")

    def states(self, namespace: str) -> collections.Counter:
        """Number of workflows by state, from the database."""
        return collections.Counter(
            dict(
                self.sql(
                    "SELECT current_state, count(*) FROM workflow_executions"
                    " WHERE namespace = %s GROUP BY 1",
                    namespace,
                )
            )
        )

    def wait_all_ended(self, namespace: str, count: int, seconds: float) -> collections.Counter:
        def ended():
            states = self.states(namespace)
            return states if sum(states[state] for state in TERMINAL) >= count else None

        try:
            return wait_until(ended, seconds, f"the end of {count} workflows", interval=0.1)
        except Failure as failure:
            raise AssertionError(f"{failure}; states: {dict(self.states(namespace))}") from None

    def totals(self, namespace: str) -> dict:
        """The reducer's totals of a namespace, {} when it has none or does not answer."""
        answer = web.get(self.url("reducer") + f"/api/v1/namespaces?namespace={namespace}")
        if answer.status != 200:
            return {}
        for item in answer.json["items"]:
            if namespace in (item.get("namespace"), item.get("group")):
                return item.get("values", item)
        return {}

    def wait_total(self, namespace: str, stamps: int, seconds: float = 60) -> dict:
        """Waits until the reducer has counted so many stamps; more than that fails at once."""

        def reached():
            totals = self.totals(namespace)
            counted = totals.get("total_stamps", 0)
            assert counted <= stamps, f"the reducer counted {counted} stamps, there are {stamps}"
            return totals if counted == stamps else None

        try:
            return wait_until(reached, seconds, f"the reducer's total of {stamps}", interval=0.1)
        except Failure as failure:
            raise AssertionError(f"{failure}; totals: {self.totals(namespace)}") from None

    def metric(self, name: str, server: str = "orchestrator", **labels) -> float:
        """Sum of the series with these labels on a node's metrics port."""
        text = web.get(f"http://127.0.0.1:{self.port(server + '-metrics')}/metrics").text
        total, found = 0.0, False
        for line in text.splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] != name:
                continue
            if all(f'{label}="{wanted}"' in head for label, wanted in labels.items()):
                total, found = total + float(value), True
        assert found, f"no series {name}{labels}"
        return total

    def log_lines(self, name: str) -> list[dict]:
        """The JSON lines of a server's log."""
        lines = []
        for line in self.log(name).read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines


# -- load --


class Load:
    """Clients that submit until each submission is accepted; repeats carry the same key."""

    def __init__(
        self,
        bridge: Bridge,
        namespace: str,
        count: int,
        clients: int = 16,
        content="document {n} of {namespace}\n",
    ):
        self.bridge = bridge
        self.namespace = namespace
        self.count = count
        self.content = content
        self.accepted: dict[int, str] = {}  # number -> workflow id
        self.refused: list[web.Answer] = []  # final answers that are neither accepted nor "later"
        self.repeats = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.numbers: queue.SimpleQueue = queue.SimpleQueue()
        for n in range(count):
            self.numbers.put(n)
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(clients)]

    def start(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def work(self) -> None:
        client = web.Client(self.bridge.url("orchestrator"), timeout=60)
        while not self.stopping.is_set():
            try:
                n = self.numbers.get_nowait()
            except queue.Empty:
                break
            self.submit_one(client, n)
        client.close()

    def submit_one(self, client: web.Client, n: int) -> None:
        body = {
            "content": self.content.format(n=n, namespace=self.namespace),
            "file_path": f"docs/{n}.txt",
            "namespace": self.namespace,
        }
        while not self.stopping.is_set():
            answer = client.call(
                "POST", "/api/v1/workflows", body, {"Idempotency-Key": f"{self.namespace}-{n}"}
            )
            if answer.status in (200, 201, 202):
                with self.lock:
                    self.accepted[n] = answer.json["workflow_id"]
                return
            with self.lock:
                self.repeats += 1
                if answer.status not in (0, 429, 503, 504):
                    self.refused.append(answer)
                    return
            # The server is away or asks to come back later: an event, not a sleep, so stop() works.
            self.stopping.wait(0.05)

    @property
    def done(self) -> int:
        with self.lock:
            return len(self.accepted) + len(self.refused)

    def wait_accepted(self, count: int, seconds: float = 120) -> None:
        wait_until(lambda: self.done >= count, seconds, f"{count} submissions (now {self.done})")

    def join(self, seconds: float = 300) -> dict[int, str]:
        """Waits for the last submission; number -> workflow id."""
        try:
            self.wait_accepted(self.count, seconds)
        finally:
            self.stopping.set()
            for thread in self.threads:
                thread.join(90)
        assert not self.refused, f"refused for good: {self.refused[:3]}"
        return self.accepted


# -- the event stream --

Record = collections.namedtuple("Record", "topic partition offset key headers value")


def consume(address: str, topic: str) -> list[Record]:
    """Every record that is on a topic now, by partition and offset (kcat)."""
    done = subprocess.run(
        [
            "kcat",
            "-C",
            "-b",
            address,
            "-t",
            topic,
            "-o",
            "beginning",
            "-e",
            "-q",
            "-J",
            "-X",
            "check.crcs=true",
        ],
        capture_output=True,
        check=False,
        timeout=120 * deadline_factor(),
    )
    assert done.returncode == 0, done.stderr.decode()
    records = []
    for line in done.stdout.splitlines():
        item = json.loads(line)
        pairs = item.get("headers") or []
        records.append(
            Record(
                item["topic"],
                item["partition"],
                item["offset"],
                item["key"],
                dict(zip(pairs[::2], pairs[1::2])),
                json.loads(item["payload"]),
            )
        )
    return sorted(records, key=lambda record: (record.partition, record.offset))


def lanes(records: list[Record]) -> dict[str, list[int]]:
    """seq numbers of each lane in the order of the records."""
    found: dict[str, list[int]] = collections.defaultdict(list)
    for record in records:
        found[record.headers["lane"]].append(int(record.headers["seq"]))
    return found


def check_lanes(records: list[Record]) -> None:
    """Gapless: each lane has every seq from 1 to its last one; in order: inside a partition a seq
    that is seen for the first time is higher than all before it, and prev_seq names the one before.
    """
    for lane, numbers in lanes(records).items():
        seen = set(numbers)
        missing = set(range(1, max(seen) + 1)) - seen
        assert (
            not missing
        ), f"lane {lane}: seq {sorted(missing)[:10]} of {max(seen)} are not on the topic"
    highest: dict[tuple, int] = {}
    for record in records:
        place = (record.headers["lane"], record.partition)
        seq = int(record.headers["seq"])
        last = highest.get(place, 0)
        if seq <= last:
            continue  # a repeat; the reader drops it by this very rule
        previous = int(record.headers["prev_seq"])
        assert (
            previous == last
        ), f"{place}: seq {seq} names prev_seq {previous}, the one before is {last}"
        highest[place] = seq


def check_no_conflict(records: list[Record]) -> None:
    """A repeat of (lane, seq) is the same event."""
    first: dict[tuple, str] = {}
    for record in records:
        place = (record.headers["lane"], record.headers["seq"])
        event = record.value["event_id"]
        assert first.setdefault(place, event) == event, f"{place} is two different events"


# -- a service that misbehaves --


class StubService:
    """An HTTP server that answers what `behave` says: (status, body bytes) or None to hang up."""

    def __init__(self, port: int, behave):
        self.calls: list[tuple[str, str, bytes, dict]] = []
        self.behave = behave
        self.released = threading.Event()
        self.connections: set[socket.socket] = set()
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                stub.connections.add(self.connection)

            def finish(self) -> None:
                stub.connections.discard(self.connection)
                super().finish()

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stub.calls.append((self.command, self.path, body, dict(self.headers)))
                outcome = stub.behave(self.command, self.path, body)
                if outcome is None:
                    self.close_connection = True
                    return
                status, content = outcome
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_arguments) -> None:
                pass

        class StubServer(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_arguments) -> None:
                pass  # the peer went away; that is its right

        self.server = StubServer(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def hang(self, _method: str, _path: str, _body: bytes):
        """A behaviour: never answers until close()."""
        self.released.wait(600)
        return None

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.connections):  # kept alive by the client: they end too
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)


# -- directories --


def remove(directory: pathlib.Path) -> None:
    if not os.environ.get("KEEP"):
        shutil.rmtree(directory, ignore_errors=True)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"
