# SPDX-License-Identifier: MIT
"""bridgectl migrate against a real database: every way up and down, and what must stop it."""

import concurrent.futures
import json
import shutil
import subprocess

import harness
import parts
import psycopg2
import pytest


class Migrations:
    """A directory of migrations of its own and one database."""

    def __init__(self, directory, database_url):
        self.directory = directory
        self.database_url = database_url
        self.put(1, "one", "CREATE TABLE one (a integer);", "DROP TABLE one;")
        self.put(2, "two", "CREATE TABLE two (a integer);", "DROP TABLE two;")

    def put(self, version, name, up, down):
        stem = self.directory / f"{version:04d}_{name}"
        stem.with_suffix(".up.sql").write_text(up)
        stem.with_suffix(".down.sql").write_text(down)

    def run(self, *arguments, directory=None):
        return subprocess.run(
            [
                str(harness.program("bridgectl")),
                "migrate",
                *arguments,
                "--dir",
                str(directory or self.directory),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120 * harness.deadline_factor(),
            env={**parts.clean_environment(), "DATABASE_URL": self.database_url},
        )

    def ok(self, *arguments, directory=None):
        done = self.run(*arguments, directory=directory)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    def refused(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    def sql(self, statement):
        connection = psycopg2.connect(self.database_url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def tables(self):
        rows = self.sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND relname <> 'schema_migrations' ORDER BY 1"
        )
        return [name for (name,) in rows]

    def status(self):
        done = self.run("status", "--json")
        return done.returncode, [item["status"] for item in json.loads(done.stdout)]


@pytest.fixture
def migrations(directory, database_url):
    return Migrations(directory, database_url)


def test_up_down_and_status(migrations):
    assert migrations.status() == (1, ["pending", "pending"])
    assert migrations.ok("up") == ["applied 0001_one", "applied 0002_two"]
    assert migrations.status() == (0, ["applied", "applied"])
    assert migrations.ok("up") == ["nothing to do"]
    assert migrations.ok("down") == ["reverted 0002_two"]
    assert migrations.tables() == ["one"]
    assert migrations.status() == (1, ["applied", "pending"])
    assert migrations.ok("up") == ["applied 0002_two"]
    assert migrations.ok("down", "--to", "0") == ["reverted 0002_two", "reverted 0001_one"]
    assert migrations.tables() == []
    assert migrations.ok("up", "--to", "1") == ["applied 0001_one"]
    assert migrations.tables() == ["one"]


def test_the_record(migrations):
    migrations.ok("up")
    rows = migrations.sql(
        "SELECT version, name, length(checksum), applied_at > now() - interval '1 minute'"
        " FROM schema_migrations ORDER BY version"
    )
    assert rows == [(1, "one", 64, True), (2, "two", 64, True)]


def test_a_dry_run_changes_nothing(migrations):
    assert migrations.ok("up", "--dry-run") == ["would apply 0001_one", "would apply 0002_two"]
    assert migrations.tables() == []
    assert migrations.sql("SELECT to_regclass('schema_migrations')") == [(None,)]
    migrations.ok("up")
    assert migrations.ok("down", "--to", "0", "--dry-run") == [
        "would revert 0002_two",
        "would revert 0001_one",
    ]
    assert migrations.tables() == ["one", "two"]


def test_a_failing_migration_leaves_nothing_of_itself(migrations):
    migrations.put(3, "three", "CREATE TABLE three (a integer); SELECT 1/0;", "DROP TABLE three;")
    message = migrations.refused("up")
    assert "0003_three.up.sql" in message and "division by zero" in message
    assert migrations.tables() == ["one", "two"]
    assert migrations.status() == (1, ["applied", "applied", "pending"])


def test_a_changed_file_is_refused(migrations):
    migrations.ok("up")
    migrations.put(1, "one", "CREATE TABLE one (a bigint);", "DROP TABLE one;")
    assert "0001_one.up.sql has changed since it was applied" in migrations.refused("up")
    assert "0001_one.up.sql has changed since it was applied" in migrations.refused("down")
    assert migrations.status() == (1, ["changed", "applied"])
    assert migrations.tables() == ["one", "two"]


def test_faults_of_the_files(migrations):
    (migrations.directory / "0002_two.down.sql").unlink()
    assert "0002_two.down.sql is missing" in migrations.refused("up")
    (migrations.directory / "0002_two.up.sql").unlink()
    migrations.put(3, "three", "SELECT 1;", "SELECT 1;")
    assert "number 0002 is missing" in migrations.refused("up")
    migrations.put(1, "other", "SELECT 1;", "SELECT 1;")
    assert "the number 0001 is already used" in migrations.refused("up")
    assert migrations.tables() == []


def test_the_database_is_ahead_of_the_files(migrations):
    migrations.ok("up")
    for path in migrations.directory.glob("0002_*"):
        path.unlink()
    message = migrations.refused("up")
    assert "migration 0002 (two), which this release does not know" in message
    assert migrations.status() == (1, ["applied", "missing"])


def test_several_at_once(migrations):
    migrations.put(3, "slow", "SELECT pg_sleep(0.3); CREATE TABLE slow ();", "DROP TABLE slow;")
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: migrations.run("up"), range(6)))
    assert [one.returncode for one in done] == [0] * 6, [one.stderr for one in done]
    applied = [line for one in done for line in one.stdout.splitlines() if "applied" in line]
    assert applied == ["applied 0001_one", "applied 0002_two", "applied 0003_slow"]


def test_a_deadlock_with_a_writer_costs_nothing(migrations):
    """A node writes into one table and needs the other, which the migration has locked already."""
    migrations.ok("up")
    migrations.put(
        3, "three", "ALTER TABLE one ADD b integer; ALTER TABLE two ADD b integer;", "SELECT 1;"
    )
    node = psycopg2.connect(migrations.database_url)
    with node.cursor() as cursor, concurrent.futures.ThreadPoolExecutor() as pool:
        cursor.execute("SET deadlock_timeout = '1h'")  # so that the migration is the one to go
        cursor.execute("INSERT INTO two VALUES (1)")
        done = pool.submit(migrations.ok, "up")
        harness.wait_until(
            lambda: migrations.sql("SELECT 1 FROM pg_locks WHERE NOT granted") != [],
            120,
            "the migration waiting for the writer",
        )
        cursor.execute("INSERT INTO one VALUES (1)")
        node.commit()
        assert done.result() == ["applied 0003_three"]
    node.close()
    assert migrations.sql("SELECT count(*) FROM one, two") == [(1,)]


def test_a_killed_one_leaves_the_lock_and_the_schema_free(migrations):
    migrations.put(3, "slow", "CREATE TABLE slow (); SELECT pg_sleep(600);", "DROP TABLE slow;")
    process = subprocess.Popen(
        [
            str(harness.program("bridgectl")),
            "migrate",
            "up",
            "--dir",
            str(migrations.directory),
        ],
        stdout=subprocess.DEVNULL,
        env={**parts.clean_environment(), "DATABASE_URL": migrations.database_url},
    )
    sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    harness.wait_until(lambda: migrations.sql(sleeping), 20, "the slow migration runs")
    process.kill()
    process.wait()
    migrations.sql(sleeping.replace("SELECT pid", "SELECT pg_terminate_backend(pid, 10000)"))
    assert migrations.tables() == ["one", "two"]
    migrations.put(3, "slow", "CREATE TABLE slow ();", "DROP TABLE slow;")
    assert migrations.ok("up") == ["applied 0003_slow"]


def test_the_real_ones_leave_nothing_behind(migrations):
    real = harness.ROOT / "migrations"
    before = migrations.sql("SELECT count(*) FROM pg_depend")
    migrations.ok("up", directory=real)
    assert "workflow_executions" in migrations.tables()
    migrations.ok("down", "--to", "0", directory=real)
    assert migrations.tables() == []
    migrations.sql("DROP TABLE schema_migrations")
    assert migrations.sql("SELECT count(*) FROM pg_depend") == before
    migrations.ok("up", directory=real)


def test_a_node_refuses_a_schema_it_does_not_know(empty_bridge, directory):
    real = directory / "migrations"
    shutil.copytree(harness.ROOT / "migrations", real)
    count = len(list(real.glob("*.up.sql")))
    for program, port in (("bridge-orchestrator", "ORCHESTRATOR"), ("bridge-reducer", "REDUCER")):
        done = start_and_wait(empty_bridge, program, port)
        assert done.returncode == 2, done.stderr
        assert "The database schema is at version 0" in done.stderr
        assert "bridgectl migrate up" in done.stderr
    next_version = real / f"{count + 1:04d}_future"
    next_version.with_suffix(".up.sql").write_text("SELECT 1;")
    next_version.with_suffix(".down.sql").write_text("SELECT 1;")
    empty_bridge.bridgectl("migrate", "up", "--dir", real)
    done = start_and_wait(empty_bridge, "bridge-orchestrator", "ORCHESTRATOR")
    assert done.returncode == 2, done.stderr
    assert f"The database schema is at version {count + 1}" in done.stderr


def start_and_wait(bridge, program, prefix):
    """A node that shall end by itself."""
    return subprocess.run(
        [str(harness.program(program))],
        capture_output=True,
        text=True,
        check=False,
        timeout=120 * harness.deadline_factor(),
        env={
            **parts.clean_environment(),
            **bridge.settings,
            f"{prefix}_PORT": "0",
            f"{prefix}_METRICS_PORT": "0",
        },
    )
