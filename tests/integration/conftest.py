# SPDX-License-Identifier: MIT
"""Fixtures: one PostgreSQL, a database and a bridge for each test, a real Kafka when asked."""

import contextlib
import functools
import os
import pathlib
import shutil
import tempfile

import harness
import psycopg2
import pytest
from harness import Bridge, KafkaBroker, Postgres, free_port


def pytest_configure(config):
    config.addinivalue_line("markers", "kafka: needs a real Apache Kafka (make test-kafka)")
    config.addinivalue_line("markers", "valgrind: under valgrind, slow (make test-valgrind)")


@functools.cache
def is_ours(module: str) -> bool:
    """Several runs may share the tests (run.sh): a module belongs to the one that comes to it first."""
    if not os.environ.get("TEST_SHARE"):
        return True
    try:
        pathlib.Path(os.environ["TEST_SHARE"], module).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def pytest_runtest_protocol(item):
    """None: it is run as always. True: that is all there is to do."""
    return None if is_ours(item.path.name) else True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """The bridge's logs belong to a failure's report."""
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    bridges = {id(value): value for value in item.funcargs.values() if isinstance(value, Bridge)}
    for bridge in bridges.values():
        for name, server in bridge.servers.items():
            if server.process is not None:
                report.sections.append((f"end of {name}'s log", server.process.log_tail(12)))


@pytest.fixture(scope="session")
def session_directory():
    """Short, because a socket's path is; entered by PostgreSQL's user too."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bridge-test-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    if os.environ.get("KEEP"):
        print(f"\nkept: {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)


def fresh_directory(session_directory):
    path = pathlib.Path(tempfile.mkdtemp(prefix="", dir=session_directory))
    path.chmod(0o711)
    return path


@pytest.fixture
def directory(session_directory):
    """A directory of one test."""
    return fresh_directory(session_directory)


@pytest.fixture(scope="session")
def postgres(session_directory):
    """A PostgreSQL that no test stops."""
    server = Postgres(
        session_directory / "pg", free_port(), session_directory / "postgres.log", durable=False
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres(directory):
    """A PostgreSQL that the test may stop, kill and start."""
    server = Postgres(directory / "pg", free_port(), directory / "postgres.log", durable=False)
    server.start()
    yield server
    server.stop()


@contextlib.contextmanager
def fresh_database(postgres):
    """The URL of an empty database, dropped afterwards."""
    name = harness.unique("test").replace("-", "_")
    yield postgres.create_database(name)
    connection = psycopg2.connect(postgres.url("postgres"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    connection.close()


@pytest.fixture
def database_url(postgres):
    """An empty database, dropped afterwards."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def empty_bridge(directory, database_url):
    """A bridge of which nothing is started."""
    bridge = Bridge(directory, database_url)
    yield bridge
    bridge.close()


@pytest.fixture(scope="module")
def module_bridge(session_directory, postgres):
    """Likewise, shared by the tests of a module."""
    with fresh_database(postgres) as url:
        bridge = Bridge(fresh_directory(session_directory), url)
        yield bridge
        bridge.close()


@pytest.fixture
def bridge(empty_bridge):
    """A whole running bridge with the embedded broker."""
    return empty_bridge.start()


@pytest.fixture(scope="session")
def kafka(session_directory):
    """A real Kafka that no test stops."""
    broker = KafkaBroker(
        session_directory / "kafka", free_port(), free_port(), session_directory / "kafka.log"
    )
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def own_kafka(directory):
    """A real Kafka that the test may stop and start."""
    broker = KafkaBroker(directory / "kafka", free_port(), free_port(), directory / "kafka.log")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def stub():
    """Makes services that misbehave: stub(port, behave)."""
    made = []

    def make(port, behave):
        service = harness.StubService(port, behave)
        made.append(service)
        return service

    yield make
    for service in made:
        service.close()
