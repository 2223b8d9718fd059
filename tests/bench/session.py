# SPDX-License-Identifier: MIT
"""One benchmark session: a private durable PostgreSQL, the yardsticks, and ways to look at processes."""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from harness import Bridge, Postgres, free_port, program  # noqa: E402,F401
from scale import TICKS_PER_SECOND, launch_until_ready, memory_mib  # noqa: E402,F401
import parts  # noqa: E402

YARDSTICK_TABLE = "CREATE TABLE yardstick (id uuid PRIMARY KEY, payload text NOT NULL)"
YARDSTICK = f"INSERT INTO yardstick VALUES (gen_random_uuid(), '{'0123456789' * 7}');\n"


class Session:
    """What one run of the benchmark shares. say() prints and keeps the line for the raw output."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="bridge-bench-", dir="/tmp"))
        self.directory.chmod(0o711)
        self.lines: list[str] = []
        self.postgres = self.start_postgres()
        self.postgres.psql(YARDSTICK_TABLE, "postgres")
        self.yardstick = self.directory / "yardstick.sql"
        self.yardstick.write_text(YARDSTICK, encoding="ascii")

    def say(self, text: str) -> None:
        self.lines.append(text)
        print(text, flush=True)

    def start_postgres(self) -> Postgres:
        server = Postgres(self.directory / "pg", free_port(), self.directory / "postgres.log")
        server.initialise()
        with open(server.data / "postgresql.conf", "a", encoding="utf-8") as settings:
            settings.write(
                "shared_preload_libraries = 'pg_stat_statements'\n"
                "pg_stat_statements.track = none\n"
                "synchronous_commit = on\n"
            )
        server.start()
        server.psql("CREATE EXTENSION pg_stat_statements", "postgres")
        return server

    def commits_per_second(self, clients: int, seconds: int) -> float:
        """The yardstick: prepared inserts of one row (uuid key, 70 octets), one commit each."""
        self.postgres.psql("TRUNCATE yardstick", "postgres")
        done = subprocess.run(
            ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2))]
            + ["-T", str(seconds), "-f", str(self.yardstick), "-h", "127.0.0.1"]
            + ["-p", str(self.postgres.port), "-U", parts.ROLE, "postgres"],
            env={**parts.clean_environment(), "PGPASSWORD": self.postgres.password},
            capture_output=True,
            text=True,
            check=True,
        )
        return float(re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE).group(1))

    def track_statements(self, on: bool) -> None:
        self.postgres.psql(
            f"ALTER SYSTEM SET pg_stat_statements.track = '{'top' if on else 'none'}'"
        )
        self.postgres.psql("SELECT pg_reload_conf()")

    def statements(self, database: str) -> int:
        """Statements counted for a database so far."""
        return int(
            self.postgres.psql(
                "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s"
                f" JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = '{database}'"
            )
        )

    def idle_queries_per_second(self, database: str, seconds: float) -> float:
        self.track_statements(True)
        time.sleep(1)  # the reload reaches every session with its next statement
        before = self.statements(database)
        time.sleep(seconds)
        count = self.statements(database) - before
        self.track_statements(False)
        return count / seconds

    def wal_position(self) -> int:
        return int(self.postgres.psql("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))

    def transactions(self, database: str) -> int:
        """Commits counted for a database; sessions report theirs within a second."""
        time.sleep(1.5)
        return int(
            self.postgres.psql(
                f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'"
            )
        )

    def close(self) -> None:
        self.postgres.stop()


# -- processes --


def cpu_seconds(pid: int) -> float:
    """CPU time of a process with its threads, its ended children, and its living ones."""
    total = 0.0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        own = int(stat.parent.name) == pid
        if own:
            total += sum(map(int, fields[11:15]))
        elif int(fields[1]) == pid:
            total += sum(map(int, fields[11:13]))
    return total / TICKS_PER_SECOND


def start_to_ready_ms(server) -> float:
    return launch_until_ready(server, 20) * 1000


# -- figures --


def idle_figures(session: Session, server, database: str) -> dict:
    """Five starts, then resident memory and queries of a node without work."""
    starts = []
    for _ in range(5):
        starts.append(start_to_ready_ms(server))
        server.stop()
    server.start()
    figures = {
        "start_ms": starts,
        "queries_per_second": session.idle_queries_per_second(database, 10),
        "rss_mib": memory_mib(server.process.pid),
        "anonymous_mib": memory_mib(server.process.pid, "RssAnon"),
    }
    server.stop()
    return figures


def say_idle(session: Session, name: str, figures: dict) -> None:
    session.say(
        f"{name} without work: ready after {spread(figures['start_ms'])} ms,"
        f" {figures['rss_mib']:.1f} MiB ({figures['anonymous_mib']:.1f} anonymous),"
        f" {figures['queries_per_second']:.2f} queries/s"
    )


def percentiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99"""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


def spread(values: list[float], digits: int = 0) -> str:
    """min / median / max"""
    low, middle, high = min(values), statistics.median(values), max(values)
    return " / ".join(f"{value:,.{digits}f}" for value in (low, middle, high))
