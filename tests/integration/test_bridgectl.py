# SPDX-License-Identifier: MIT
"""Does the command line do what it says? Against a stub of the HTTP API where the API must misbehave,
against a real bridge for the rest."""

import http.server
import json
import os
import subprocess
import threading
import urllib.parse
import uuid

import harness
import parts
import psycopg2
import pytest
from harness import PROGRAMS, ROOT

WORKFLOW = "019abcde-0000-7000-8000-000000000001"


def run(*arguments, stdin: bytes = b"", cwd=None, **environment):
    """bridgectl with nothing but these variables; returncode, stdout, stderr as text."""
    done = subprocess.run(
        [str(PROGRAMS / "bridgectl"), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=180 * harness.deadline_factor(),
        cwd=cwd,
        env={**parts.clean_environment(), "CONTRACTS_DIR": str(ROOT / "contracts"), **environment},
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


class StubApi:
    """Answers as a script of (status, headers, body) per request says; the last one repeats."""

    def __init__(self, *script):
        self.script = list(script)
        self.requests: list[dict] = []
        self.lock = threading.Lock()
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                with stub.lock:
                    step = stub.script[min(len(stub.requests), len(stub.script) - 1)]
                    stub.requests.append(
                        {
                            "method": self.command,
                            "path": self.path,
                            "headers": {k.lower(): v for k, v in self.headers.items()},
                            "body": json.loads(body) if body else None,
                        }
                    )
                status, headers, answer = step(stub.requests[-1]) if callable(step) else step
                text = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = answer

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api():
    made = []

    def make(*script):
        made.append(StubApi(*script))
        return made[-1]

    yield make
    for stub in made:
        stub.close()


def workflow(state="COMPLETED", **more):
    return {"workflow_id": WORKFLOW, "workflow": "metadata_stamping", "state": state, **more}


def completed(request):
    return 200, {}, workflow(after=f"1.0:7:{WORKFLOW}", path=request["path"])


# -- usage --

COMMANDS = [
    "submit",
    "get",
    "list",
    "watch",
    "history",
    "cancel",
    "totals",
    "contracts check",
    "contracts run",
    "contracts test",
    "contracts graph",
    "contracts verify",
    "contracts list",
    "migrate up",
    "migrate down",
    "migrate status",
    "topics create",
    "topics list",
    "topics check",
    "health",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command):
    done = run(*command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: bridgectl {command}" in done.stdout
    example = done.stdout.partition("example:")[2]
    assert f"bridgectl {command}" in example


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_named(command):
    done = run(*command.split(), "--no-such-option")
    assert done.returncode == 2
    assert "unknown option --no-such-option" in done.stderr
    assert done.stdout == ""


def test_the_command_list_is_complete():
    done = run("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "commands:"),
        (["submitt"], 'unknown command "submitt"'),
        (["--frobnicate"], "unknown option --frobnicate"),
        (["migrate"], "bridgectl migrate up"),
        (["get"], "usage: bridgectl get"),
        (["get", "a", "b"], 'unexpected argument "b"'),
        (["submit"], "name files or directories"),
        (["submit", "x", "--concurrency"], "option --concurrency needs a value"),
        (["submit", "x", "--concurrency", "0"], "whole number from 1 to 512"),
        (["submit", "x", "--json=yes"], "option --json takes no value"),
        (["submit", "--input", "{}"], "--input needs --workflow"),
        (["submit", "--workflow", "w", "--input", "{"], "--input is not JSON: line 1"),
        (["docs", "nonsense"], 'unknown document "nonsense"'),
    ],
)
def test_a_wrong_command_line_exits_2(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_a_bad_variable_exits_2_and_is_named():
    done = run("health", ORCHESTRATOR_URL="localhost:8060", LOG_LEVEL="loud")
    assert done.returncode == 2
    assert "ORCHESTRATOR_URL=localhost:8060" in done.stderr
    assert "LOG_LEVEL=loud" in done.stderr


# -- submit, against a stub --


def test_submit_sends_the_flat_form(api, tmp_path):
    stub = api(completed)
    (tmp_path / "a.md").write_text("# höflich\n", encoding="utf-8")
    done = run(
        "submit",
        "a.md",
        "--namespace",
        "n1",
        cwd=tmp_path,
        ORCHESTRATOR_URL=stub.url,
        API_KEY="k1,k2",
    )
    assert done.returncode == 0, done.stderr
    (request,) = stub.requests
    assert request["path"].startswith("/api/v1/workflows?wait=")
    assert request["body"] == {
        "content": "# höflich\n",
        "file_path": "a.md",
        "content_type": "text/markdown",
        "namespace": "n1",
    }
    assert request["headers"]["authorization"] == "Bearer k1"
    assert request["headers"]["idempotency-key"]
    assert "submitted 1  completed 1  failed 0  refused 0  skipped 0" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr  # no colour and no progress bar in a pipe


def test_submit_takes_directories_and_skips_what_is_no_text(api, tmp_path):
    stub = api(completed)
    (tmp_path / "d" / "deep").mkdir(parents=True)
    (tmp_path / "d" / ".git").mkdir()
    (tmp_path / "d" / ".git" / "config").write_text("x")
    (tmp_path / "d" / "b.txt").write_text("b")
    (tmp_path / "d" / "deep" / "c.txt").write_text("c")
    (tmp_path / "d" / "nul.bin").write_bytes(b"a\0b")
    (tmp_path / "d" / "latin1.txt").write_bytes(b"\xe4")
    (tmp_path / "d" / "empty.txt").write_bytes(b"")
    (tmp_path / "d" / "link.txt").symlink_to("b.txt")
    done = run("submit", "./d", "--json", cwd=tmp_path, ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert account["submitted"] == account["completed"] == 2
    assert account["skipped"] == 3
    assert account["skipped_reasons"] == {"binary": 2, "empty": 1, "too_large": 0, "unreadable": 0}
    by_path = {item["path"]: item for item in account["workflows"]}
    assert by_path["d/deep/c.txt"]["state"] == "COMPLETED"
    assert by_path["d/deep/c.txt"]["workflow_id"] == WORKFLOW
    assert by_path["d/nul.bin"] == {"path": "d/nul.bin", "state": "SKIPPED", "reason": "binary"}
    assert sorted(r["body"]["file_path"] for r in stub.requests) == ["d/b.txt", "d/deep/c.txt"]


def test_submit_skips_a_file_past_the_content_limit(api, tmp_path):
    stub = api(completed)
    (tmp_path / "fits").write_bytes(b"x" * (10 << 20))
    (tmp_path / "large").write_bytes(b"x" * ((10 << 20) + 1))
    done = run("submit", "fits", "large", "--json", cwd=tmp_path, ORCHESTRATOR_URL=stub.url)
    account = json.loads(done.stdout)
    assert [item["state"] for item in account["workflows"]] == ["COMPLETED", "SKIPPED"]
    assert account["skipped_reasons"]["too_large"] == 1


def test_submit_reads_standard_input(api):
    stub = api(completed)
    done = run("submit", "-", stdin=b"from a pipe", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 0, done.stderr
    assert stub.requests[0]["body"]["content"] == "from a pipe"


@pytest.mark.parametrize("separator", ["\n", "\0"])
def test_submit_takes_a_list_of_files(api, tmp_path, separator):
    stub = api(completed)
    names = ["one.txt", "two words.txt", "três.txt"]
    for name in names:
        (tmp_path / name).write_text(name)
    listed = separator.join(names).encode() + separator.encode()
    done = run("submit", "--files-from", "-", stdin=listed, cwd=tmp_path, ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 0, done.stderr
    assert sorted(r["body"]["content"] for r in stub.requests) == sorted(names)


def test_a_missing_file_fails_but_does_not_stop_the_others(api, tmp_path):
    stub = api(completed)
    (tmp_path / "there.txt").write_text("x")
    done = run("submit", "gone.txt", "there.txt", cwd=tmp_path, ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 1
    assert "cannot read gone.txt" in done.stderr
    assert len(stub.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_submit_comes_back_with_the_same_key(api, status):
    later = (status, {"Retry-After": "0"}, {"code": "queue_full", "title": "the queue is full"})
    stub = api(later, later, completed)
    done = run("submit", "-", stdin=b"x", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 0, done.stderr
    assert len(stub.requests) == 3
    assert len({r["headers"]["idempotency-key"] for r in stub.requests}) == 1
    assert len({json.dumps(r["body"], sort_keys=True) for r in stub.requests}) == 1


def test_retry_after_is_obeyed(api):
    stub = api((503, {"Retry-After": "1"}, {}), completed)
    done = run("submit", "-", "--json", stdin=b"x", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 0
    assert json.loads(done.stdout)["seconds"] >= 1


def test_submit_gives_up_when_its_time_is_over(api):
    stub = api(
        (503, {}, {"code": "database_unavailable", "title": "the database is not available"})
    )
    done = run("submit", "-", "--retry-seconds", "0", stdin=b"x", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 1
    assert "refused 1" in done.stdout
    assert "the database is not available" in done.stderr


def test_an_orchestrator_that_is_away_is_told(tmp_path):
    done = run(
        "submit", "-", "--retry-seconds", "0", stdin=b"x", ORCHESTRATOR_URL="http://127.0.0.1:1"
    )
    assert done.returncode == 1
    assert "refused 1" in done.stdout
    assert "127.0.0.1:1" in done.stderr


def test_waiting_for_an_orchestrator_is_told_once(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    done = run(
        "submit", tmp_path, "--retry-seconds", "1", ORCHESTRATOR_URL="http://127.0.0.1:1"
    )
    assert done.returncode == 1
    assert done.stderr.count("trying again for up to 1 s") == 1
    assert "refused 3" in done.stdout


def test_a_refusal_for_good_is_not_repeated(api):
    stub = api(
        (422, {}, {"code": "invalid_request", "detail": "content is too short", "status": 422})
    )
    done = run("submit", "-", stdin=b"x", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 1
    assert len(stub.requests) == 1
    assert "content is too short (422 invalid_request)" in done.stderr


def test_submit_polls_when_the_wait_was_too_short(api):
    stub = api(
        (202, {}, workflow("PROCESSING")), (200, {}, workflow("PROCESSING")), (200, {}, workflow())
    )
    done = run("submit", "-", stdin=b"x", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 0, done.stderr
    assert [r["path"] for r in stub.requests][1:] == [f"/api/v1/workflows/{WORKFLOW}"] * 2
    assert "completed 1" in done.stdout


def test_no_wait_only_submits(api):
    stub = api((202, {}, workflow("PENDING")))
    done = run(
        "submit", "-", "--no-wait", "--no-intelligence", stdin=b"x", ORCHESTRATOR_URL=stub.url
    )
    assert done.returncode == 0, done.stderr
    (request,) = stub.requests
    assert request["path"] == "/api/v1/workflows"
    assert request["body"]["enable_intelligence"] is False
    assert f"workflow {WORKFLOW} ACCEPTED" in done.stdout


def test_a_failed_workflow_exits_1_and_says_why(api):
    stub = api(
        (200, {}, workflow("FAILED", error={"error": "States.Timeout", "cause": "too slow"}))
    )
    done = run("submit", "-", stdin=b"x", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 1
    assert "failed 1" in done.stdout
    assert "States.Timeout" in done.stderr


def test_keys_of_ones_own(api, tmp_path):
    stub = api(completed)
    for name in "ab":
        (tmp_path / name).write_text(name)
    run("submit", "a", "--key", "k", cwd=tmp_path, ORCHESTRATOR_URL=stub.url)
    run("submit", "a", "b", "--key", "k", cwd=tmp_path, ORCHESTRATOR_URL=stub.url)
    keys = sorted(r["headers"]["idempotency-key"] for r in stub.requests)
    assert keys == ["k", "k:a", "k:b"]


def test_submit_any_workflow(api, tmp_path):
    stub = api(completed)
    (tmp_path / "input.json").write_text('{"n": 12345678901234567}')
    done = run(
        "submit",
        "--workflow",
        "w",
        "--input",
        "@input.json",
        cwd=tmp_path,
        ORCHESTRATOR_URL=stub.url,
    )
    assert done.returncode == 0, done.stderr
    body = stub.requests[0]["body"]
    assert body["workflow"] == "w"
    assert body["input"] == {"n": 12345678901234567}


def test_the_tokens_go_to_the_reducer(api):
    stub = api(completed)
    done = run("submit", "-", "--after-tokens", stdin=b"x", ORCHESTRATOR_URL=stub.url)
    assert done.stdout == f"1.0:7:{WORKFLOW}\n"
    assert "submitted 1" in done.stderr
    reducer = api((200, {}, {"items": [{"namespace": "n", "values": {"total_stamps": 3}}]}))
    counted = run(
        "totals",
        "--namespace",
        "n",
        "--after-from",
        "-",
        stdin=done.stdout.encode(),
        REDUCER_URL=reducer.url,
    )
    assert counted.returncode == 0, counted.stderr
    waited, asked = [urllib.parse.urlsplit(r["path"]) for r in reducer.requests]
    assert urllib.parse.parse_qs(waited.query) == {"after": [f"1.0:7:{WORKFLOW}"]}
    assert asked.path == "/api/v1/namespaces"
    assert counted.stdout.split() == ["namespace", "total_stamps", "n", "3"]


# -- looking, against a stub --


def test_list_follows_the_cursor(api):
    def page(request):
        cursor = urllib.parse.parse_qs(urllib.parse.urlsplit(request["path"]).query).get("cursor")
        n = 2 if cursor else 1
        return 200, {}, {"items": [workflow(n=n)], "next_cursor": None if cursor else "c/1"}

    stub = api(page)
    done = run("list", "--namespace", "a b", "--json", ORCHESTRATOR_URL=stub.url)
    assert [item["n"] for item in json.loads(done.stdout)] == [1, 2]
    assert (
        "namespace=a%20b" in stub.requests[0]["path"] or "namespace=a+b" in stub.requests[0]["path"]
    )
    assert "cursor=c%2F1" in stub.requests[1]["path"]


def test_list_stops_at_its_limit(api):
    stub = api((200, {}, {"items": [workflow(), workflow()], "next_cursor": "more"}))
    done = run("list", "--limit", "2", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 0
    assert len(stub.requests) == 1
    assert len(done.stdout.splitlines()) == 3  # head and two rows


def test_watch_shows_each_change_once(api):
    stub = api(
        (200, {}, workflow("PENDING")),
        (200, {}, workflow("PROCESSING", current_step="hash_generation")),
        (200, {}, workflow("PROCESSING", current_step="hash_generation")),
        (200, {}, workflow()),
    )
    done = run("watch", WORKFLOW, "--interval-ms", "10", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["PENDING", "PROCESSING  hash_generation", "COMPLETED"]


def test_watch_exits_1_when_it_failed(api):
    stub = api((200, {}, workflow("FAILED")))
    assert run("watch", WORKFLOW, ORCHESTRATOR_URL=stub.url).returncode == 1


def test_an_unknown_workflow_exits_1(api):
    stub = api((404, {}, {"code": "not_found", "detail": "there is no workflow x"}))
    done = run("get", "x/y", ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 1
    assert "there is no workflow x (404 not_found)" in done.stderr
    assert stub.requests[0]["path"] == "/api/v1/workflows/x%2Fy"


def test_cancel_posts(api):
    stub = api((409, {}, {"code": "conflict", "detail": "it has ended", "state": "COMPLETED"}))
    done = run("cancel", WORKFLOW, ORCHESTRATOR_URL=stub.url)
    assert done.returncode == 1
    assert (stub.requests[0]["method"], stub.requests[0]["path"]) == (
        "POST",
        f"/api/v1/workflows/{WORKFLOW}/cancel",
    )


def test_health_of_nodes_that_are_away():
    done = run("health", ORCHESTRATOR_URL="http://127.0.0.1:1", REDUCER_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout.count("unreachable") == 2


def test_a_control_character_reaches_no_terminal(api):
    stub = api((200, {}, workflow("COMPLETED", current_step="\x1b[2Jevil")))
    done = run("get", WORKFLOW, ORCHESTRATOR_URL=stub.url)
    assert "\x1b" not in done.stdout


# -- contracts and topics --


def test_shipped_contracts_are_valid():
    done = run("contracts", "check", ROOT / "contracts" / "workflows")
    assert done.returncode == 0, done.stdout
    assert " 0 errors" in done.stdout


def test_a_broken_contract_is_placed(tmp_path):
    path = tmp_path / "broken.asl.json"
    path.write_text(
        '{\n  "StartAt": "A",\n  "States": {\n    "A": {"Type": "Pass", "Next": "B"}\n  }\n}\n'
    )
    done = run("contracts", "check", path)
    assert done.returncode == 1
    assert f"{path}:4:" in done.stdout
    assert "1 errors" in done.stdout
    account = json.loads(run("contracts", "check", path, "--json").stdout)
    assert account["valid"] is False
    assert account["findings"][0]["line"] == 4


def test_topics_follow_the_variables():
    listed = json.loads(run("topics", "list", "--json").stdout)
    by_name = {item["topic"]: item["partitions"] for item in listed}
    assert by_name["dev.omninode_bridge.onex.workflows.v1"] == 10
    assert by_name["dev.omninode_bridge.onex.workflows.v1.dlq"] == 3
    assert by_name["dev.omninode_bridge.onex.evt.stamp-workflow-completed.v1"] == 3
    other = json.loads(
        run(
            "topics",
            "list",
            "--json",
            ENVIRONMENT="production",
            KAFKA_WORKFLOW_TOPIC="mine",
            KAFKA_WORKFLOW_PARTITIONS="4",
        ).stdout
    )
    by_name = {item["topic"]: item["partitions"] for item in other}
    assert by_name["mine"] == 4
    assert "prod.omninode_bridge.onex.evt.node-heartbeat.v1" in by_name


def test_topics_without_a_broker_are_an_error():
    done = run("topics", "create", "--wait", "0", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr


# -- migrations --


def test_migrations_up_status_down(database_url):
    environment = {"DATABASE_URL": database_url, "MIGRATIONS_DIR": str(ROOT / "migrations")}
    status = run("migrate", "status", **environment)
    assert status.returncode == 1 and "pending" in status.stdout
    dry = json.loads(run("migrate", "up", "--dry-run", "--json", **environment).stdout)
    assert dry and all(step["dry_run"] for step in dry)
    assert run("migrate", "status", **environment).returncode == 1
    up = run("migrate", "up", **environment)
    assert up.returncode == 0, up.stderr
    assert len(up.stdout.splitlines()) == len(dry)
    assert run("migrate", "up", **environment).stdout == "nothing to do\n"
    rows = json.loads(run("migrate", "status", "--json", **environment).stdout)
    assert [row["status"] for row in rows] == ["applied"] * len(dry)
    down = run("migrate", "down", **environment)
    assert down.stdout.startswith("reverted") and len(down.stdout.splitlines()) == 1
    assert run("migrate", "down", "--to", "0", **environment).returncode == 0
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'workflow%'")
        assert cursor.fetchone() == (0,)
    connection.close()


def test_a_database_that_is_away_is_told():
    done = run(
        "migrate",
        "up",
        DATABASE_URL="postgresql://postgres:secret@127.0.0.1:1/x",
        MIGRATIONS_DIR=str(ROOT / "migrations"),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "secret" not in done.stderr


# -- with a real bridge --


def test_documents_travel_the_whole_way(bridge, tmp_path):
    namespace = harness.unique("ctl")
    for n in range(20):
        (tmp_path / f"{n}.txt").write_text(f"document {n}\n" * (n + 1))
    (tmp_path / "picture.bin").write_bytes(os.urandom(64) + b"\0")
    done = bridge.bridgectl("submit", tmp_path, "--namespace", namespace, "--json", check=False)
    account = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (account["submitted"], account["completed"], account["skipped"]) == (20, 20, 1)
    ids = {item["workflow_id"] for item in account["workflows"] if "workflow_id" in item}
    assert len(ids) == 20
    tokens = "\n".join(item["after"] for item in account["workflows"] if "after" in item)
    assert len(tokens.splitlines()) == 20
    totals = bridge.bridgectl(
        "totals", "--namespace", namespace, "--after-from", "-", "--json", stdin=tokens.encode()
    )
    (row,) = json.loads(totals.stdout)
    assert row["values"]["total_stamps"] == 20
    assert row["values"]["total_size_bytes"] == sum(
        path.stat().st_size for path in tmp_path.glob("*.txt")
    )
    listed = json.loads(
        bridge.bridgectl("list", "--namespace", namespace, "--limit", "7", "--json").stdout
    )
    assert len(listed) == 7
    assert {item["workflow_id"] for item in listed} <= ids
    everything = json.loads(
        bridge.bridgectl("list", "--namespace", namespace, "--limit", "1000", "--json").stdout
    )
    assert [item["workflow_id"] for item in everything] == sorted(ids, reverse=True)


def test_one_workflow_can_be_looked_at(bridge):
    namespace = harness.unique("ctl")
    done = bridge.bridgectl("submit", "-", "--namespace", namespace, "--json", stdin=b"hello\n")
    (item,) = json.loads(done.stdout)["workflows"]
    shown = json.loads(bridge.bridgectl("get", item["workflow_id"], "--json").stdout)
    assert shown["state"] == "COMPLETED"
    assert shown["result"]
    assert bridge.bridgectl("watch", item["workflow_id"]).stdout == "COMPLETED\n"
    history = json.loads(bridge.bridgectl("history", item["workflow_id"], "--json").stdout)
    assert history
    again = bridge.bridgectl("cancel", item["workflow_id"], check=False)
    assert again.returncode == 1
    assert "409" in again.stderr
    missing = bridge.bridgectl("get", str(uuid.uuid4()), check=False)
    assert missing.returncode == 1
    assert "404" in missing.stderr


def test_the_same_key_is_the_same_workflow(bridge):
    namespace = harness.unique("ctl")
    answers = [
        json.loads(
            bridge.bridgectl(
                "submit", "-", "--namespace", namespace, "--key", "once", "--json", stdin=b"x"
            ).stdout
        )
        for _ in range(2)
    ]
    assert len({answer["workflows"][0]["workflow_id"] for answer in answers}) == 1


def test_submit_outlives_a_killed_orchestrator(bridge, tmp_path):
    """Every document once, though answers and connections are lost in the middle."""
    namespace, count = harness.unique("ctl"), harness.scaled(300)
    for n in range(count):
        (tmp_path / f"{n}.txt").write_text(f"document {n}\n")
    submitting = subprocess.Popen(
        [str(PROGRAMS / "bridgectl"), "submit", str(tmp_path), "--namespace", namespace, "--json"],
        env={**parts.clean_environment(), **bridge.settings},
        stdout=subprocess.PIPE,
    )
    for accepted in (count // 6, count // 2):
        harness.wait_until(
            lambda: sum(bridge.states(namespace).values()) >= accepted, 60, f"{accepted} accepted"  # noqa: B023
        )
        bridge.orchestrator.kill()
        bridge.orchestrator.start()
    account = json.loads(submitting.communicate(timeout=120 * harness.deadline_factor())[0])
    assert submitting.returncode == 0, account
    assert account["submitted"] == account["completed"] == count
    assert len({item["workflow_id"] for item in account["workflows"]}) == count
    assert bridge.states(namespace) == {"COMPLETED": count}
    bridge.wait_total(namespace, count)


def test_health_and_contracts_of_a_running_bridge(bridge):
    done = bridge.bridgectl("health", "--wait", "20")
    assert "orchestrator" in done.stdout and "reducer" in done.stdout
    assert "metadata_stamping" in bridge.bridgectl("contracts", "list").stdout
    assert bridge.bridgectl("topics", "check").returncode == 0
