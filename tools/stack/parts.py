# SPDX-License-Identifier: MIT
"""The parts of a running bridge: private PostgreSQL, a broker, and our own servers.

Each part has start(), stop() and a Process. Used by stack.py for `make up` and by the integration
tests, so both run the same thing.
"""

import glob
import hashlib
import json
import os
import pathlib
import pwd
import secrets
import signal
import socket
import subprocess
import sys

import web
from process import Failure, Process, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "kafka"))
import kafka  # noqa: E402  (tools/kafka/kafka.py)

DATABASE = "omninode_bridge"
ROLE = "omninode"
SOCKET_PATH_BYTES_MAX = 100  # the system's limit is 107 with the NUL


def clean_environment() -> dict:
    """Our environment without make's own variables and what would win over the stack's."""
    dropped = (
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "MAKEOVERRIDES",
        "DATABASE_URL_FILE",
        "KAFKA_BOOTSTRAP_SERVERS_FILE",
        "NOTIFY_SOCKET",
    )
    return {name: value for name, value in os.environ.items() if name not in dropped}


def run_program(command: list, environment: dict | None = None, what: str = "") -> str:
    """Runs a short command; its output, or Failure with what it said."""
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failure(f"{what or command[0]} failed ({done.returncode}): " + "\n".join(said[-5:]))
    return done.stdout


# -- PostgreSQL --


def server_user() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Failure("run by root, PostgreSQL needs another user: postgres or nobody")


def postgres_program(name: str) -> str:
    """A program of the newest installed server."""

    def version(path: str) -> float:
        return float(path.split("/")[-3])

    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=version)
    if not found:
        raise Failure("PostgreSQL is missing: run tools/install-packages.sh run")
    return found[-1]


def as_user(user: pwd.struct_passwd) -> dict:
    """Arguments of subprocess that make a child run as this user."""
    if user.pw_uid == os.geteuid():
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def server_directory(wanted: pathlib.Path, user: pwd.struct_passwd) -> pathlib.Path:
    """Where data and socket go: `wanted`, or a folder under /var/tmp when the user cannot enter the
    way to it or the socket's path would be too long."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    enters = (
        subprocess.run(
            ["test", "-x", str(wanted.parent)], check=False, cwd="/", **as_user(user)
        ).returncode
        == 0
    )
    if enters and len(str(wanted)) + len("/.s.PGSQL.65535") <= SOCKET_PATH_BYTES_MAX:
        return wanted
    mark = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    return pathlib.Path(f"/var/tmp/omninode-bridge-{user.pw_uid}-{mark}")


class Postgres:
    """A private PostgreSQL on 127.0.0.1 with a password of its own."""

    def __init__(
        self, directory: pathlib.Path, port: int, log: pathlib.Path, *, durable: bool = True
    ):
        self.user = server_user()
        self.directory = server_directory(directory, self.user)
        self.port = port
        self.log = log
        self.durable = durable
        self.process: Process | None = None

    @property
    def data(self) -> pathlib.Path:
        return self.directory / "data"

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text(encoding="ascii").strip()

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """initdb, once."""
        if (self.data / "PG_VERSION").is_file():
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.directory.stat().st_uid not in (os.geteuid(), self.user.pw_uid):
            raise Failure(f"{self.directory} belongs to another user")
        password = self.directory / "password"
        password.write_text(secrets.token_hex(16) + "\n", encoding="ascii")
        password.chmod(0o600)
        for path in (self.directory, password):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        done = subprocess.run(
            [
                postgres_program("initdb"),
                "-D",
                str(self.data),
                "-U",
                ROLE,
                "-A",
                "scram-sha-256",
                "--pwfile",
                str(password),
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            cwd=self.directory,
            text=True,
            capture_output=True,
            check=False,
            **as_user(self.user),
        )
        if done.returncode != 0:
            raise Failure(f"initdb failed: {done.stderr.strip()}")

    def start(self) -> Process:
        """Starts the server, waits until it answers. A start right after a kill -9 is refused
        until the old server's children are gone, so it is tried until the deadline."""
        self.initialise()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
            "max_connections": 300,
            "fsync": "on" if self.durable else "off",
            "shared_buffers": "128MB",
            "log_line_prefix": "%m [%p] %a ",
        }
        command = [postgres_program("postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]

        def attempt() -> bool:
            if self.process is None or not self.process.running:
                self.process = Process.start(
                    "postgres",
                    command,
                    clean_environment(),
                    self.log,
                    settings={"port": self.port},
                    user=self.user,
                    directory=self.directory,
                )
            return self.answers()

        try:
            wait_until(attempt, 180, "PostgreSQL")
        except Failure as failure:
            self.stop()
            raise Failure(
                f"{failure}; its log {self.log} ends:\n{self.process.log_tail()}"
            ) from None
        self.create_database(DATABASE)
        return self.process

    def answers(self) -> bool:
        return (
            subprocess.run(
                [
                    postgres_program("pg_isready"),
                    "-q",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(self.port),
                    "-t",
                    "10",
                ],
                check=False,
            ).returncode
            == 0
        )

    def psql(self, statement: str, database: str = "postgres") -> str:
        environment = {**clean_environment(), "PGPASSWORD": self.password}  # not seen in ps
        return run_program(
            [
                postgres_program("psql"),
                "-X",
                "-q",
                "-A",
                "-t",
                "-h",
                "127.0.0.1",
                "-p",
                self.port,
                "-U",
                ROLE,
                "-d",
                database,
                "-c",
                statement,
            ],
            environment,
            "psql",
        ).strip()

    def create_database(self, name: str) -> str:
        """The URL of a database that exists afterwards."""
        if self.psql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'") != "1":
            self.psql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, nothing is lost."""
        if self.process is not None:
            self.process.stop(60, signal.SIGINT)

    def kill(self) -> None:
        """kill -9 of the postmaster, as a crash."""
        self.process.kill()


# -- brokers --


def declared_topics(bridgectl: pathlib.Path, environment: dict) -> list[tuple[str, int]]:
    """Names and partition counts of all topics, as configuration and contracts/events.yaml say."""
    listed = run_program(
        [bridgectl, "topics", "list", "--json"], environment, "bridgectl topics list"
    )
    return [(item["topic"], item["partitions"]) for item in json.loads(listed)]


class EmbeddedBroker:
    """bridge-broker: memory only, another port at each start."""

    def __init__(self, program: pathlib.Path, directory: pathlib.Path, log: pathlib.Path):
        self.program = program
        self.directory = directory
        self.log = log
        self.process: Process | None = None
        self.address = ""

    def start(self, topics: list[tuple[str, int]]) -> Process:
        self.directory.mkdir(parents=True, exist_ok=True)
        address_file = self.directory / "broker.address"
        topics_file = self.directory / "broker.topics"
        address_file.unlink(missing_ok=True)
        topics_file.write_text(
            "".join(f"{name}:{count}\n" for name, count in topics), encoding="utf-8"
        )
        self.process = Process.start(
            "broker",
            [
                str(self.program),
                "--address-file",
                str(address_file),
                "--topics-file",
                str(topics_file),
            ],
            clean_environment(),
            self.log,
        )

        def has_address() -> bool:
            if not self.process.running:
                raise Failure(f"bridge-broker ended at once:\n{self.process.log_tail()}")
            return address_file.exists()

        wait_until(has_address, 60, "bridge-broker")
        self.address = address_file.read_text(encoding="ascii").strip()
        self.process.settings = {"address": self.address}
        return self.process

    def add_topics(self, topics: list[tuple[str, int]]) -> None:
        """Creates more topics while it runs."""
        with open(self.directory / "broker.topics", "a", encoding="utf-8") as target:
            target.writelines(f"{name}:{count}\n" for name, count in topics)
        self.process.send(signal.SIGHUP)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()


class KafkaBroker:
    """A real Apache Kafka (tools/kafka/kafka.py); it keeps data and port when started again."""

    def __init__(self, directory: pathlib.Path, port: int, controller_port: int, log: pathlib.Path):
        self.directory = directory
        self.port = port
        self.controller_port = controller_port
        self.log = log
        self.process: Process | None = None
        self.address = f"127.0.0.1:{port}"

    def start(self) -> Process:
        try:
            command = kafka.prepare(self.directory, self.port, self.controller_port)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            raise Failure(f"Kafka: {error}") from None
        self.process = Process.start(
            "kafka", command, clean_environment(), self.log, settings={"address": self.address}
        )

        def listens() -> bool:
            if not self.process.running:
                raise Failure(f"Kafka ended at once; {self.log} ends:\n{self.process.log_tail()}")
            with socket.socket() as probe:
                probe.settimeout(5)
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(listens, 240, "Kafka")
        return self.process

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop(60)


# -- our own servers --


class Server:
    """One of our programs with an HTTP address; everything it is told comes by the environment."""

    def __init__(
        self, name: str, program: pathlib.Path, url: str, environment: dict, log: pathlib.Path
    ):
        self.name = name
        self.program = program
        self.url = url
        self.environment = environment
        self.log = log
        self.wrapper: list[str] = []  # for example valgrind and its options
        self.process: Process | None = None

    def launch(self, settings: dict | None = None) -> Process:
        """Starts it without waiting."""
        self.process = Process.start(
            self.name,
            [*self.wrapper, str(self.program)],
            {**clean_environment(), **self.environment},
            self.log,
            settings=settings,
        )
        return self.process

    def wait_ready(self, seconds: float = 180) -> None:
        def ready() -> bool:
            if not self.process.running:
                code = self.process.exit_code
                how = "" if code is None else f" with exit status {code}"
                raise Failure(
                    f"{self.name} ended{how}; {self.log} ends:\n{self.process.log_tail()}"
                )
            return web.is_ready(self.url)

        try:
            wait_until(ready, seconds, f"{self.name} getting ready")
        except Failure as failure:
            if not self.process.running:
                raise
            answer = web.get(self.url + "/health/ready", timeout=2)
            raise Failure(
                f"{failure}; {self.url}/health/ready says {answer}; {self.log} ends:\n"
                f"{self.process.log_tail()}"
            ) from None

    def start(self, settings: dict | None = None) -> Process:
        self.launch(settings)
        self.wait_ready()
        return self.process

    def stop(self, seconds: float = 60) -> int | None:
        """SIGTERM, and waits; the exit status when this program started it."""
        if self.process is not None:
            self.process.stop(seconds)
            return self.process.exit_code
        return None

    def kill(self) -> None:
        self.process.kill()
