# SPDX-License-Identifier: MIT
"""valgrind finds no leak and no error in nodes that served workflows and stopped on SIGTERM."""

import shutil

import pytest
from harness import Load, scaled, unique

pytestmark = pytest.mark.valgrind

VALGRIND = [
    "valgrind",
    "-q",
    "--error-exitcode=99",
    "--leak-check=full",
    "--show-leak-kinds=definite,indirect",
    "--errors-for-leak-kinds=definite,indirect",
]


@pytest.mark.parametrize("node", ["orchestrator", "reducer"])
def test_a_node_leaks_nothing(empty_bridge, node):
    assert shutil.which("valgrind"), "tools/install-packages.sh valgrind"
    bridge, namespace = empty_bridge, unique("leaks")
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_stamping()
    bridge.start_onextree()
    servers = [bridge.orchestrator_server(), bridge.reducer_server()]
    bridge.servers[node].wrapper = VALGRIND
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_ready(600)
    count = scaled(1000)
    Load(bridge, namespace, count, clients=16).start().join(600)
    bridge.wait_all_ended(namespace, count, 300)
    bridge.wait_total(namespace, count, 300)
    code = bridge.servers[node].stop(300)
    assert code == 0, bridge.servers[node].process.log_tail(60)
