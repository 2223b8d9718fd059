# SPDX-License-Identifier: MIT
"""OnexTree as a process, over directories made for the test."""

import os
import threading

import pytest
import web
from harness import ROOT, Server, free_port, program


@pytest.fixture
def project(directory):
    """A small tree with everything that must be left out or survived."""
    root = directory / "project"
    for name in ("src/core", "docs", ".git/objects", "node_modules/x", "build", "pkg.egg-info"):
        (root / name).mkdir(parents=True)
    for name, size in (("src/a.c", 10), ("src/core/b.c", 20), ("docs/read me.md", 5), ("Makefile", 3),
                       (".gitignore", 1), ("src/x.pyc", 9), (".git/config", 9), ("build/out.o", 9)):
        (root / name).write_bytes(b"x" * size)
    (root / "src" / "loop").symlink_to(root)
    return root


def start(directory, **environment):
    port = free_port()
    server = Server(
        "onextree", program("onextree"), f"http://127.0.0.1:{port}",
        {"BIND_ADDRESS": "127.0.0.1", "HTTP_THREADS": "16", "ONEXTREE_PORT": str(port), **environment},
        directory / "onextree.log")
    server.start()
    return server


@pytest.fixture
def server(directory):
    made = start(directory)
    yield made
    assert made.stop() == 0


def post(server, path, body):
    return web.call("POST", server.url + path, body)


def generate(server, root):
    answer = post(server, "/generate", {"project_root": str(root)})
    assert answer.status == 200, answer
    return answer.json["data"]


def query(server, text, **more):
    answer = post(server, "/query", {"query": text, **more})
    assert answer.status == 200, answer
    data = answer.json["data"]
    assert data["count"] == len(data["results"])
    return data["query_type"], [each["path"] for each in data["results"]]


def test_before_a_tree_is_loaded(server):
    assert web.get(server.url + "/health").json == {"status": "healthy", "tree_loaded": False, "total_files": 0}
    assert web.get(server.url + "/").json["data"]["status"] == "no_tree_loaded"
    assert web.get(server.url + "/stats").json["data"] == {"tree_loaded": False}
    answer = post(server, "/query", {"query": "x"})
    assert answer.status == 400 and answer.json["detail"] == "No tree loaded. Generate first."
    data = post(server, "/intelligence", {"context": "api"}).json["data"]
    assert data["intelligence"]["analysis_type"] == "minimal"
    assert data["intelligence"]["confidence_score"] == "0.0"
    assert data["patterns"] == [] and data["relationships"] == []


def test_generate_counts_what_is_there(server, project):
    data = generate(server, project)
    # a.c, b.c, read me.md, Makefile, .gitignore and the link itself, which is not followed
    assert (data["success"], data["total_files"], data["total_directories"]) == (True, 6, 3)
    assert web.get(server.url + "/health").json["total_files"] == 6
    statistics = web.get(server.url + "/stats").json["data"]["statistics"]
    assert statistics["file_type_distribution"] == {"c": 2, "md": 1}
    assert statistics["index_sizes"] == {"exact_path": 9, "extension": 2, "name": 9, "directory": 4}
    assert statistics["total_size_bytes"] == 39 + os.lstat(project / "src" / "loop").st_size


def test_queries(server, project):
    generate(server, project)
    assert query(server, ".c") == ("extension", ["src/core/b.c", "src/a.c"])
    assert query(server, "c", query_type="extension") == ("extension", ["src/core/b.c", "src/a.c"])
    assert query(server, ".c", limit=1) == ("extension", ["src/core/b.c"])
    assert query(server, "a.c") == ("name", ["src/a.c"])
    assert query(server, "src/core") == ("path", ["src/core"])
    assert query(server, "docs/read me.md") == ("path", ["docs/read me.md"])
    assert query(server, ".gitignore") == ("name", [".gitignore"])
    assert query(server, "src", query_type="directory")[1] == ["src/core", "src/a.c", "src/loop"]
    for hidden in ("x.pyc", "config", "out.o", "node_modules", "pkg.egg-info"):
        assert query(server, hidden) == ("name", [])
    entry = post(server, "/query", {"query": "src/a.c"}).json["data"]["results"][0]
    assert entry == {"path": "src/a.c", "name": "a.c", "type": "file", "size": 10, "extension": "c"}


@pytest.mark.parametrize(
    "path, body, status, field",
    [
        ("/query", {"query": "x", "query_type": "colour"}, 400, "query_type"),
        ("/query", {"query": "x", "limit": 1001}, 422, "limit"),
        ("/query", {"query": "x", "limits": 1}, 422, "limits"),
        ("/query", {}, 422, "query"),
        ("/generate", {"project_root": "relative"}, 400, "project_root"),
        ("/generate", {"project_root": "/does/not/exist"}, 400, "project_root"),
        ("/generate", {"project_root": str(ROOT / "Makefile")}, 400, "project_root"),
        ("/generate", {}, 422, "project_root"),
        ("/intelligence", {"context": 1}, 422, "context"),
        ("/intelligence", {"context": "", "include": True}, 422, "include"),
    ],
)
def test_faults_name_the_field(server, project, path, body, status, field):
    generate(server, project)
    answer = post(server, path, body)
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json["status"], answer.json["field"]) == (status, field)
    if path == "/generate" and status == 400:
        assert answer.json["detail"].startswith("Invalid path: ")
    assert web.get(server.url + "/health").json["total_files"] == 6  # the old tree stays


def test_intelligence(server, project):
    generate(server, project)

    def ask(context, **more):
        answer = post(server, "/intelligence", {"context": context, **more})
        assert answer.status == 200 and answer.json["status"] == "success"
        return answer.json["data"]

    data = ask("Database access behind the login API")
    assert data["intelligence"]["analysis_type"] == "data_analysis"
    assert data["intelligence"]["confidence_score"] == "0.87"
    assert len(data["patterns"]) == 6
    assert {"type": "project_structure", "from": "root", "to": "components", "count": 6} in data["relationships"]
    assert {"type": "file_type_distribution", "from": "root", "to": "c", "count": 2} in data["relationships"]
    assert data["metadata"]["tree_loaded"] is True and data["metadata"]["analysis_time_ms"] >= 0
    plain = ask("the latest special forest", include_patterns=False, include_relationships=False)
    assert plain["intelligence"]["analysis_type"] == "content_validation"
    assert (plain["patterns"], plain["relationships"]) == ([], [])
    assert ask("login", include_patterns=False)["patterns"] == []


def test_queries_go_on_while_a_tree_is_generated(server, directory, project):
    generate(server, project)
    large = directory / "large"
    for i in range(100):
        (large / f"d{i}").mkdir(parents=True)
        for j in range(50):
            (large / f"d{i}" / f"f{j}.txt").touch()
    stop = threading.Event()
    faults = []

    def ask():
        client = web.Client(server.url)
        while not stop.is_set():
            answer = client.call("POST", "/query", {"query": ".c"})
            if answer.status != 200 or answer.json["data"]["count"] not in (0, 2):
                faults.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        assert generate(server, large)["total_files"] == 5000
        assert generate(server, project)["total_files"] == 6
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_tree_too_deep_is_refused(server, directory):
    path = directory / "deep"
    path.mkdir()
    here = os.open(path, os.O_RDONLY)
    for _ in range(70):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    answer = post(server, "/generate", {"project_root": str(path)})
    assert answer.status == 422 and answer.json["code"] == "tree_too_large"


def test_project_root_loads_at_start(directory, project):
    server = start(directory, ONEXTREE_PROJECT_ROOT=str(project))
    assert web.get(server.url + "/health").json["tree_loaded"] is True
    assert server.stop() == 0
    wrong = Server("onextree", program("onextree"), "http://127.0.0.1:1",
                   {"ONEXTREE_PORT": "0", "ONEXTREE_PROJECT_ROOT": "/does/not/exist"}, directory / "wrong.log")
    wrong.launch()
    assert wrong.process.wait_end(120) == 2
    assert "ONEXTREE_PROJECT_ROOT: Invalid path: /does/not/exist" in wrong.log.read_text()
