# SPDX-License-Identifier: MIT
"""What stops a start: one sentence that says what, where and what is allowed, and exit status 2."""

import json
import os
import shutil
import socket

import pytest
from harness import ROOT, unique

NODES = ("orchestrator", "reducer")
SERVERS = {
    "orchestrator": ("orchestrator_server", "ORCHESTRATOR_PORT"),
    "reducer": ("reducer_server", "REDUCER_PORT"),
}


def refused(server, seconds=120) -> str:
    """Launches a server that must end with status 2; what it said, without JSON log lines."""
    server.launch()
    code = server.process.wait_end(seconds)
    text = server.log.read_text(encoding="utf-8", errors="replace")
    assert code == 2, f"exit status {code}: {text}"
    return "\n".join(line for line in text.splitlines() if not is_json(line))


def is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def node(bridge, name, **environment):
    return getattr(bridge, SERVERS[name][0])(**environment)


@pytest.fixture
def prepared(empty_bridge):
    """Database and broker are there; nodes are not."""
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    return empty_bridge


@pytest.mark.parametrize("name", NODES)
def test_bad_values_are_told_all_at_once_with_range(prepared, name):
    said = refused(
        node(prepared, name, LOG_LEVEL="loud", HTTP_THREADS="lots", POSTGRES_POOL_MAX_SIZE="0")
    )
    lines = [line for line in said.splitlines() if line.strip()]
    for variable, value, allowed in [
        ("LOG_LEVEL", "loud", "debug"),
        ("HTTP_THREADS", "lots", "8192"),
        ("POSTGRES_POOL_MAX_SIZE", "0", "1000"),
    ]:
        line = next((line for line in lines if variable in line), None)
        assert line is not None, said
        assert value in line and allowed in line, line


def test_companions_refuse_bad_values_too(prepared):
    for name, program, variable in [
        ("stamping", "metadata-stamping", "METADATA_STAMPING_PORT"),
        ("onextree", "onextree", "ONEXTREE_PORT"),
    ]:
        said = refused(prepared.server(name, program, {variable: "99999"}))
        assert variable in said and "99999" in said and "65535" in said, said


@pytest.mark.parametrize("name", NODES)
def test_production_insists_on_secrets(prepared, name):
    said = refused(node(prepared, name, ENVIRONMENT="production"))
    assert "API_KEY" in said, said


def test_a_secret_is_never_printed(prepared):
    secret = "hunter2-" + unique("secret")
    server = node(
        prepared,
        "orchestrator",
        API_KEY=secret,
        LOG_LEVEL="loud",
        DATABASE_URL=f"postgresql://someone:{secret}@127.0.0.1:1/none",
    )
    refused(server)
    assert secret not in server.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NODES)
def test_a_busy_port_names_port_and_holder(prepared, name):
    variable = SERVERS[name][1]
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        port = holder.getsockname()[1]
        said = refused(node(prepared, name, **{variable: str(port)}))
    assert str(port) in said, said
    assert str(os.getpid()) in said or "python" in said, said


@pytest.mark.parametrize("name", NODES)
def test_an_unknown_schema_version_is_refused_with_what_to_run(prepared, name):
    prepared.sql(
        "INSERT INTO schema_migrations (version, name, checksum, applied_at)"
        " SELECT 9999, 'from_the_future', checksum, now() FROM schema_migrations LIMIT 1"
    )
    said = refused(node(prepared, name))
    assert "9999" in said, said


@pytest.mark.parametrize("name", NODES)
def test_an_empty_database_is_refused_with_what_to_run(empty_bridge, name):
    empty_bridge.start_embedded_broker()
    said = refused(node(empty_bridge, name))
    assert "migrate up" in said, said


BROKEN = {
    "not yaml": ("{{{", "broken.yaml"),
    "unknown state": (
        """
contract_version: 1.0.0
name: broken
version: 1.0.0
state_machine:
  StartAt: First
  States:
    First: {Type: Pass, Next: Nowhere}
""",
        "Nowhere",
    ),
    "unknown type": (
        """
contract_version: 1.0.0
name: broken
version: 1.0.0
state_machine:
  StartAt: First
  States:
    First: {Type: Dance, End: true}
""",
        "Dance",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_contract_is_refused_with_file_and_place(prepared, directory, what):
    text, place = BROKEN[what]
    contracts = directory / "contracts"
    shutil.copytree(ROOT / "contracts", contracts)
    (contracts / "workflows" / "broken.yaml").write_text(text, encoding="utf-8")
    said = refused(node(prepared, "orchestrator", CONTRACTS_DIR=str(contracts)))
    assert "broken.yaml" in said and place in said, said


def test_a_missing_contracts_directory_is_named(prepared, directory):
    missing = directory / "not-there"
    said = refused(node(prepared, "orchestrator", CONTRACTS_DIR=str(missing)))
    assert str(missing) in said, said
