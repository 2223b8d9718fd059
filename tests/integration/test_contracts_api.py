# SPDX-License-Identifier: MIT
"""Versions of contracts: publish, list, read, delete; files on SIGHUP; running workflows stay on
theirs; instances on one database follow each other."""

import json
import shutil
import signal
import threading
import urllib.parse

import pytest
import web
from harness import ROOT, Bridge, wait_until
from test_openapi import Document, shipped

YAML = {"Content-Type": "application/yaml"}
DESCRIBED = Document(shipped("orchestrator"))
ONE_VERSION = "/api/v1/contracts/{name}/versions/{version}"


def pass_machine(result) -> dict:
    return {"StartAt": "Say", "States": {"Say": {"Type": "Pass", "Result": result, "End": True}}}


def contract(name: str, version: str, result="said", **fields) -> dict:
    return {"name": name, "version": version, "state_machine": pass_machine(result), **fields}


def waiting(name: str, version: str, path: str = "/wait") -> dict:
    """Calls metadata-stamping, and answers with the version that it is."""
    task = {
        "Type": "Task",
        "Resource": "onex:http:invoke",
        "Parameters": {"Service": "metadata-stamping", "Method": "GET", "Path": path},
        "ResultPath": None,
        "TimeoutSeconds": 300,
        "Next": "Say",
    }
    say = {"Type": "Pass", "Result": {"ran": version}, "End": True}
    machine = {"StartAt": "Call", "States": {"Call": task, "Say": say}}
    return contract(name, version, services=["metadata-stamping"], state_machine=machine)


class Gate:
    """A service that answers when it is opened."""

    def __init__(self):
        self.open = threading.Event()

    def __call__(self, _method, _path, _body):
        return (200, b"{}") if self.open.wait(300) else None


def prepare(bridge, directory):
    """Database, broker and a contracts directory of the test's own; no node is started."""
    bridge.contracts = directory / "contracts"
    shutil.copytree(ROOT / "contracts", bridge.contracts)
    bridge.environment["CONTRACTS_DIR"] = str(bridge.contracts)
    bridge.migrate()
    bridge.start_embedded_broker()
    return bridge


@pytest.fixture
def prepared(empty_bridge, directory):
    return prepare(empty_bridge, directory)


@pytest.fixture
def node(prepared):
    prepared.start_orchestrator()
    return prepared


def publish(bridge, document, query: str = "", server: str = "orchestrator") -> web.Answer:
    answer = web.call("POST", f"{bridge.url(server)}/api/v1/contracts{query}", document)
    DESCRIBED.check("post", "/api/v1/contracts", answer)
    return answer


def delete(bridge, name: str, version: str, server: str = "orchestrator") -> web.Answer:
    url = f"{bridge.url(server)}/api/v1/contracts/{name}/versions/{version}"
    answer = web.call("DELETE", url)
    DESCRIBED.check("delete", ONE_VERSION, answer)
    return answer


def submit(bridge, workflow, version=None, server="orchestrator", wait_ms=60000, key=None):
    body = {"workflow": workflow, "input": {}, **({"version": version} if version else {})}
    headers = {"Idempotency-Key": key} if key else None
    path = f"/api/v1/workflows?wait={wait_ms}" if wait_ms else "/api/v1/workflows"
    return web.call("POST", bridge.url(server) + path, body, headers)


def result_of(answer: web.Answer):
    assert answer.status == 200, answer
    assert answer.json["state"] == "COMPLETED", answer
    return answer.json["result"]


def item(bridge, name: str, server: str = "orchestrator") -> dict | None:
    items = web.get(bridge.url(server) + "/api/v1/contracts").json["items"]
    return next((entry for entry in items if entry["name"] == name), None)


def versions(bridge, name: str, server: str = "orchestrator") -> list[str]:
    found = item(bridge, name, server)
    return [entry["version"] for entry in found["versions"]] if found else []


def reloads(bridge) -> float:
    return bridge.metric("contract_reloads_total")


def reload(bridge) -> None:
    """SIGHUP, and waits until the directory has been read."""
    before = reloads(bridge)
    bridge.orchestrator.process.send(signal.SIGHUP)
    wait_until(lambda: reloads(bridge) == before + 1, 20, "the directory to be read again")


def put(bridge, file: str, document) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    (bridge.contracts / "workflows" / file).write_text(text, encoding="utf-8")


# -- publishing --


def test_publish_answers_and_repeats(node):
    first = publish(node, contract("greet", "1.0.0"))
    assert first.status == 201, first
    assert first.json == {
        "name": "greet",
        "version": "1.0.0",
        "outcome": "created",
        "dry_run": False,
        "warnings": [],
    }
    assert first.headers["Location"] == "/api/v1/contracts/greet/versions/1.0.0"
    again = publish(node, contract("greet", "1.0.0"))
    assert (again.status, again.json["outcome"]) == (200, "unchanged")
    other = publish(node, contract("greet", "1.0.0", result="other"))
    assert (other.status, other.json["code"]) == (409, "version_differs")
    assert result_of(submit(node, "greet")) == "said"
    text = "# with a comment\n" + json.dumps(contract("greet", "1.0.0"))
    as_yaml = web.call("POST", node.url("orchestrator") + "/api/v1/contracts", text, YAML)
    assert (as_yaml.status, as_yaml.json["outcome"]) == (200, "unchanged"), as_yaml
    assert node.metric("contract_publish_total", result="created") == 1
    assert node.metric("contract_publish_total", result="unchanged") == 2
    assert node.metric("contract_publish_total", result="conflict") == 1
    assert node.metric("contract_publish_total", result="invalid") == 0


def test_a_dry_run_tells_and_changes_nothing(node):
    tried = publish(node, contract("greet", "1.0.0"), "?dry_run=true")
    assert (tried.status, tried.json["outcome"], tried.json["dry_run"]) == (200, "created", True)
    assert item(node, "greet") is None
    assert submit(node, "greet").status == 422
    assert node.sql("SELECT count(*) FROM contracts WHERE name = 'greet'") == [(0,)]
    assert publish(node, contract("greet", "1.0.0")).status == 201
    other = publish(node, contract("greet", "1.0.0", result="other"), "?dry_run=true")
    assert other.status == 409, other
    assert publish(node, contract("greet", "1.0.0"), "?dry_run=perhaps").status == 422


BROKEN = """\
name: broken
version: 1.0.0
services: [metadata-stamping, nobody]
input_state: {type: objekt}
events:
  workflow_started: {typ: x}
state_machine:
  StartAt: Frist
  States:
    First:
      Type: Task
      Resource: onex:http:invok
      Parameters: {Service: onextree, Method: GET, Path: /}
      Next: Gone
"""


def test_all_findings_of_a_broken_body(node):
    answer = web.call(
        "POST", node.url("orchestrator") + "/api/v1/contracts?file=team/broken.yaml", BROKEN, YAML
    )
    assert (answer.status, answer.json["code"]) == (422, "invalid_contract"), answer
    DESCRIBED.check("post", "/api/v1/contracts", answer)
    found = {}
    for finding in answer.json["findings"]:
        assert finding["file"] == "team/broken.yaml"
        assert finding["severity"] in ("error", "warning") and finding["message"]
        found.setdefault(finding["code"], (finding["line"], finding["column"]))
    assert found["CONTRACT_UNKNOWN_SERVICE"] == (3, 31)
    assert found["CONTRACT_UNDECLARED_SERVICE"][0] == 13
    assert found["CONTRACT_BAD_EVENT"][0] == 6
    assert found["ASL_UNKNOWN_RESOURCE"] == (12, 7)
    assert found["ASL_UNKNOWN_STATE"][0] in (8, 14)
    assert any(code.startswith("SCHEMA_") and place[0] == 4 for code, place in found.items()), found
    assert node.metric("contract_publish_total", result="invalid") == 1
    assert node.sql("SELECT count(*) FROM contracts WHERE name = 'broken'") == [(0,)]


def test_warnings_do_not_refuse(node):
    document = waiting("slow", "1.0.0")
    del document["state_machine"]["States"]["Call"]["TimeoutSeconds"]
    answer = publish(node, document)
    assert answer.status == 201, answer
    assert all(finding["severity"] == "warning" for finding in answer.json["warnings"])


NO_CONTRACTS = [  # body, content type, query, status, code
    (b"{}", "text/plain", "", 415, "unsupported_media_type"),
    (b"{}", None, "", 415, "unsupported_media_type"),
    (b"{}", "application/yaml", "?file=a.json", 422, "invalid_request"),
    (b"{}", "application/json", "?file=a.yaml", 422, "invalid_request"),
    (b"{}", "application/yaml", "?fiel=a.yaml", 422, "invalid_request"),
    (b"{", "application/json; charset=utf-8", "", 422, "invalid_contract"),
    (b"[" * 100000, "application/json", "", 422, "invalid_contract"),
    (b"[" * 100000, "application/yaml", "", 422, "invalid_contract"),
    (b"", "application/yaml", "", 422, "invalid_contract"),
    (b"\xff\xfe", "application/yaml", "", 422, "invalid_contract"),
    (b" " * ((1 << 20) + 1), "application/yaml", "", 413, "too_large"),
]


def test_bodies_that_are_no_contract(node):
    for body, content_type, query, status, code in NO_CONTRACTS:
        headers = {"Content-Type": content_type} if content_type else {}
        answer = web.call(
            "POST", node.url("orchestrator") + "/api/v1/contracts" + query, body, headers
        )
        assert (answer.status, answer.json["code"]) == (status, code), (body[:20], query, answer)
        DESCRIBED.check("post", "/api/v1/contracts", answer)
    assert web.get(node.url("orchestrator") + "/health/live").status == 200


def test_deep_definitions_do_not_exhaust_a_small_stack(node):
    def nested(depth):
        inner = pass_machine("deep")
        for level in range(depth):
            name = f"P{level}"
            parallel = {"Type": "Parallel", "Branches": [inner], "End": True}
            inner = {"StartAt": name, "States": {name: parallel}}
        return inner

    fine = publish(node, {"name": "deep", "version": "1.0.0", "state_machine": nested(12)})
    assert fine.status == 201, fine
    # States Language says nothing of the input: its nesting is bounded by JSON alone.
    schema = {"type": "object"}
    for _ in range(40):
        schema = {"type": "object", "properties": {"a": schema}}
    assert publish(node, contract("deep", "1.1.0", input_state=schema)).status in (201, 422)
    assert publish(node, {**contract("deep", "1.2.0"), "state_machine": nested(60)}).status == 422


def test_a_plain_state_machine_has_the_name_of_its_file(node):
    answer = publish(node, pass_machine("plain"), "?file=dir/plain-one.asl.json")
    assert answer.status == 201, answer
    assert (answer.json["name"], answer.json["version"]) == ("plain-one", "1.0.0")
    assert result_of(submit(node, "plain-one")) == "plain"
    node.orchestrator.kill()
    node.orchestrator.start()
    assert result_of(submit(node, "plain-one", "1.0.0")) == "plain"


def test_an_api_key_is_needed(prepared):
    prepared.start_orchestrator(API_KEY="one-key", API_KEY_REQUIRED="true")
    url = prepared.url("orchestrator") + "/api/v1/contracts"
    assert web.call("POST", url, contract("greet", "1.0.0")).status == 401
    assert web.call("DELETE", url + "/greet/versions/1.0.0").status == 401
    key = {"X-API-Key": "one-key"}
    assert web.call("POST", url, contract("greet", "1.0.0"), key).status == 201


# -- versions --


def test_new_workflows_take_the_newest_or_the_one_they_name(node):
    for version in ("1.2.0", "1.10.0", "1.9.0", "2.0.0-rc.1"):
        assert publish(node, contract("greet", version, result=version)).status == 201
    assert versions(node, "greet") == ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.2.0"]
    assert item(node, "greet")["version"] == "1.10.0"
    assert result_of(submit(node, "greet")) == "1.10.0"
    assert result_of(submit(node, "greet", "1.2.0")) == "1.2.0"
    assert result_of(submit(node, "greet", "2.0.0-rc.1")) == "2.0.0-rc.1"
    unknown = submit(node, "greet", "3.0.0")
    assert unknown.status == 422 and "3.0.0" in unknown.json["detail"], unknown
    whole = node.get("/api/v1/contracts/greet").json
    assert (whole["version"], whole["source"], whole["offered"]) == ("1.10.0", "published", True)
    assert whole["state_machine"] == pass_machine("1.10.0")
    one = node.get("/api/v1/contracts/greet/versions/1.2.0").json
    assert one["state_machine"] == pass_machine("1.2.0")
    assert (one["live_workflows"], one["deleted_at"]) == (0, None)
    assert node.get("/api/v1/contracts/greet/versions/9.9.9").status == 404
    assert node.get("/api/v1/contracts/nothing").status == 404


def test_only_pre_releases_are_taken_by_name_alone(node):
    assert publish(node, contract("early", "1.0.0-rc.1")).status == 201
    assert item(node, "early")["version"] is None
    assert submit(node, "early").status == 422
    assert result_of(submit(node, "early", "1.0.0-rc.1")) == "said"
    assert node.get("/api/v1/contracts/early").json["version"] == "1.0.0-rc.1"


def test_running_workflows_stay_on_their_version_after_kill(prepared, stub):
    gate = Gate()
    service = stub(prepared.port("stamping"), gate)
    prepared.start_orchestrator()
    assert publish(prepared, waiting("walk", "1.0.0")).status == 201
    old = submit(prepared, "walk", wait_ms=None)
    assert (old.status, old.json["version"]) == (202, "1.0.0"), old
    wait_until(lambda: service.calls, 20, "the call of the old version")
    assert publish(prepared, waiting("walk", "2.0.0", "/new")).status == 201
    new = submit(prepared, "walk", wait_ms=None)
    assert (new.status, new.json["version"]) == (202, "2.0.0"), new
    prepared.orchestrator.kill()
    prepared.orchestrator.start()
    late = submit(prepared, "walk", wait_ms=None)
    assert late.json["version"] == "2.0.0", late
    one = prepared.get("/api/v1/contracts/walk/versions/1.0.0").json
    two = prepared.get("/api/v1/contracts/walk/versions/2.0.0").json
    assert (one["live_workflows"], two["live_workflows"]) == (1, 2)
    gate.open.set()
    for answer, version in ((old, "1.0.0"), (new, "2.0.0"), (late, "2.0.0")):
        ended = prepared.wait_workflow(answer.json["workflow_id"])
        assert (ended["state"], ended["version"]) == ("COMPLETED", version), ended
        assert ended["result"] == {"ran": version}


def test_a_version_in_use_cannot_be_deleted(prepared, stub):
    gate = Gate()
    stub(prepared.port("stamping"), gate)
    prepared.start_orchestrator()
    for version in ("1.0.0", "2.0.0"):
        assert publish(prepared, waiting("walk", version)).status == 201
    running = [submit(prepared, "walk", wait_ms=None) for _ in range(3)]
    refused = delete(prepared, "walk", "2.0.0")
    assert (refused.status, refused.json["code"]) == (409, "contract_in_use"), refused
    assert refused.json["live_workflows"] == 3
    gate.open.set()
    for answer in running:
        prepared.wait_workflow(answer.json["workflow_id"])
    deleted = delete(prepared, "walk", "2.0.0")
    assert deleted.status == 200 and deleted.json["deleted_at"], deleted
    assert delete(prepared, "walk", "2.0.0").json == deleted.json
    assert versions(prepared, "walk") == ["1.0.0"]
    assert result_of(submit(prepared, "walk")) == {"ran": "1.0.0"}
    assert submit(prepared, "walk", "2.0.0").status == 422
    # It can still be read, and so can its finished workflows.
    read = prepared.get("/api/v1/contracts/walk/versions/2.0.0")
    DESCRIBED.check("get", ONE_VERSION, read)
    read = read.json
    assert read["deleted_at"] == deleted.json["deleted_at"] and read["offered"] is False
    assert prepared.workflow(running[0].json["workflow_id"])["result"] == {"ran": "2.0.0"}
    assert publish(prepared, contract("walk", "2.0.0")).status == 409
    prepared.orchestrator.kill()
    prepared.orchestrator.start()
    assert versions(prepared, "walk") == ["1.0.0"]
    back = publish(prepared, waiting("walk", "2.0.0"))
    assert back.status == 201, back
    assert result_of(submit(prepared, "walk")) == {"ran": "2.0.0"}
    assert delete(prepared, "walk", "7.0.0").status == 404


def test_a_repeat_gets_its_workflow_whatever_was_published_since(node):
    assert publish(node, contract("greet", "1.0.0")).status == 201
    first = submit(node, "greet", key="once")
    strict = {"type": "object", "required": ["more"]}
    assert publish(node, contract("greet", "2.0.0", input_state=strict)).status == 201
    again = submit(node, "greet", key="once")
    assert again.status == 200 and again.json["workflow_id"] == first.json["workflow_id"], again
    assert delete(node, "greet", "2.0.0").status == 200
    assert delete(node, "greet", "1.0.0").status == 200
    again = submit(node, "greet", key="once")
    assert again.status == 200 and again.json["workflow_id"] == first.json["workflow_id"], again
    assert submit(node, "greet", key="twice").status == 422


# -- files --


def test_files_are_read_again_on_sighup(node):
    assert versions(node, "greet") == []
    put(node, "greet.json", contract("greet", "1.0.0", result="one"))
    reload(node)
    assert item(node, "greet")["versions"][0]["source"] == "file"
    assert result_of(submit(node, "greet")) == "one"
    put(node, "greet.json", contract("greet", "1.1.0", result="two"))
    put(node, "other.yaml", "name: other\nversion: 1.0.0\nstate_machine: {StartAt: [\n")
    put(node, "new.json", contract("fresh", "1.0.0"))
    reload(node)
    assert node.metric("contract_reloads_total", result="error") == 1
    assert versions(node, "greet") == ["1.1.0"], "the good files are taken"
    assert versions(node, "fresh") == ["1.0.0"]
    lines = node.log_lines("orchestrator")
    refused = [line for line in lines if line["event"] == "contract file refused"]
    assert refused and refused[0]["file"].endswith("/workflows/other.yaml"), lines[-5:]
    assert refused[0]["line"] >= 3


def test_a_bad_file_never_replaces_a_good_one(node):
    put(node, "greet.json", contract("greet", "1.0.0", result="good"))
    reload(node)
    for bad in (
        "{",
        contract("greet", "1.1.0", surprise=1),
        contract("greet", "1.1.0", services=["nobody"]),
        contract("greet", "1.0.0", result="other content, same version"),
    ):
        errors = node.metric("contract_reloads_total", result="error")
        put(node, "greet.json", bad)
        reload(node)
        assert node.metric("contract_reloads_total", result="error") == errors + 1, bad
        assert versions(node, "greet") == ["1.0.0"], bad
        assert result_of(submit(node, "greet")) == "good"
    put(node, "greet.json", contract("greet", "1.1.0", result="better"))
    reload(node)
    assert versions(node, "greet") == ["1.1.0"]
    assert result_of(submit(node, "greet")) == "better"


def test_a_file_that_is_gone_is_offered_no_longer(node):
    put(node, "a.json", contract("greet", "1.0.0"))
    put(node, "b.json", contract("kept", "1.0.0"))
    reload(node)
    assert publish(node, contract("kept", "1.0.0")).json["outcome"] == "unchanged"
    for file in ("a.json", "b.json"):
        (node.contracts / "workflows" / file).unlink()
    reload(node)
    assert versions(node, "greet") == []
    assert submit(node, "greet").status == 422
    assert submit(node, "greet", "1.0.0").status == 422
    assert versions(node, "kept") == ["1.0.0"], "it was published too"
    put(node, "a.json", contract("greet", "1.0.0"))
    reload(node)
    assert result_of(submit(node, "greet")) == "said"


def test_a_deleted_version_does_not_come_back_with_its_file(node):
    put(node, "a.json", contract("greet", "1.0.0"))
    reload(node)
    assert delete(node, "greet", "1.0.0").status == 200
    reload(node)
    assert versions(node, "greet") == []
    assert any("was deleted" in line["event"] for line in node.log_lines("orchestrator"))


def test_a_file_with_a_used_version_and_other_content_stops_the_start(prepared):
    server = prepared.start_orchestrator()
    assert publish(prepared, contract("greet", "1.0.0")).status == 201
    server.stop()
    put(prepared, "greet.json", contract("greet", "1.0.0", result="other"))
    server.launch()
    assert server.process.wait_end(120) == 2
    assert "greet version 1.0.0" in server.log.read_text(encoding="utf-8")


# -- several instances --


def test_instances_follow_each_other(node):
    node.start_orchestrator("second")
    both = ("orchestrator", "second")
    assert publish(node, contract("greet", "1.0.0", result="one")).status == 201
    assert result_of(submit(node, "greet", "1.0.0", server="orchestrator")) == "one"
    wait_until(lambda: versions(node, "greet", "second") == ["1.0.0"], 10, "the second to hear")
    assert publish(node, contract("greet", "1.1.0", result="two"), server="second").status == 201
    wait_until(lambda: item(node, "greet")["version"] == "1.1.0", 10, "the first to hear")
    assert delete(node, "greet", "1.1.0", "second").status == 200
    wait_until(lambda: versions(node, "greet") == ["1.0.0"], 10, "the first to hear of the end")
    # A lost connection does not lose what is published meanwhile.
    node.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'bridge-orchestrator ________-%%'"
    )
    assert publish(node, contract("greet", "2.0.0", result="three")).status == 201
    for server in both:
        wait_until(
            lambda name=server: item(node, "greet", name)["version"] == "2.0.0", 20, "all to hear"
        )


def test_an_unknown_name_is_looked_up_before_it_is_refused(node):
    """Another instance published, and its word has not come here: the database is asked."""
    assert publish(node, contract("made", "1.0.0", result="one")).status == 201
    columns = "version, file, content, content_sha256, source"
    node.sql(
        f"INSERT INTO contracts (name, {columns}) SELECT name, '1.5.0', file,"
        " replace(content, '1.0.0', '1.5.0'), sha256(replace(content, '1.0.0', '1.5.0')::bytea),"
        " source FROM contracts WHERE name = 'made'"
    )
    node.sql(
        f"INSERT INTO contracts (name, {columns}) SELECT 'quiet', version, 'quiet.json',"
        " replace(content, 'made', 'quiet'), sha256(replace(content, 'made', 'quiet')::bytea),"
        " source FROM contracts WHERE name = 'made' AND version = '1.0.0'"
    )
    assert versions(node, "made") == ["1.0.0"]
    assert result_of(submit(node, "made", "1.5.0")) == "one"
    assert result_of(submit(node, "quiet")) == "one"


def test_a_stored_contract_that_names_no_service_of_ours_is_not_offered(prepared):
    server = prepared.start_orchestrator()
    assert publish(prepared, waiting("walk", "1.0.0")).status == 201
    server.stop()
    file = prepared.contracts / "services.yaml"
    text = file.read_text(encoding="utf-8").replace("  metadata-stamping:", "  another-name:")
    file.write_text(text, encoding="utf-8")
    for shipped in (prepared.contracts / "workflows").iterdir():
        shipped.unlink()
    server.start()
    assert versions(prepared, "walk") == []
    assert submit(prepared, "walk").status == 422
    read = prepared.get("/api/v1/contracts/walk/versions/1.0.0")
    assert read.status == 200 and read.json["offered"] is False, read


def test_idle_instances_hear_and_do_not_ask(prepared):
    """What is followed is heard: the beats of a listening session do not read the contracts."""
    prepared.start_orchestrator(LEASE_MS="1000")
    assert publish(prepared, contract("greet", "1.0.0")).status == 201

    def expires():
        return prepared.sql("SELECT max(lease_expires_at) FROM instances")[0][0]

    for _ in range(3):
        before = expires()
        wait_until(lambda past=before: expires() > past, 10, "a beat")
    # Reads of a table are counted when a session has nothing to do for a while, or ends.
    scans = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'contracts'"

    def settled():
        reads = prepared.sql(scans)
        past = expires()
        for _ in range(4):
            wait_until(lambda: expires() > past, 10, "a beat")
            past = expires()
        return reads == prepared.sql(scans)

    wait_until(settled, 20, "beats without a look at the contracts")


# -- the command line --


def test_publish_show_and_delete_by_command(node, directory):
    good, bad = directory / "greet.yaml", directory / "bad.yaml"
    plain = directory / "alone.asl.json"
    good.write_text("# said\n" + json.dumps(contract("greet", "1.0.0", metadata={"team": "a"})))
    bad.write_text(BROKEN)
    plain.write_text(json.dumps(pass_machine("alone")))
    tried = node.bridgectl("contracts", "publish", good, "--dry-run")
    assert tried.stdout == f"{good}: greet 1.0.0 would be published\n"
    assert item(node, "greet") is None
    done = node.bridgectl("contracts", "publish", good, bad, plain, check=False)
    assert done.returncode == 1, done
    lines = done.stdout.splitlines()
    assert lines[0] == f"{good}: greet 1.0.0 published", lines
    assert lines[-1] == f"{plain}: alone 1.0.0 published", lines
    assert any(line.startswith(f"{bad}:12:7: error ASL_UNKNOWN_RESOURCE: ") for line in lines)
    assert any("invalid_contract" in line for line in lines), lines
    again = node.bridgectl("contracts", "publish", good)
    assert again.stdout == f"{good}: greet 1.0.0 is there already\n"
    answers = json.loads(node.bridgectl("contracts", "publish", good, "--json").stdout)
    assert (answers[0]["status"], answers[0]["answer"]["outcome"]) == (200, "unchanged")
    missing = node.bridgectl("contracts", "publish", directory / "none.yaml", check=False)
    assert missing.returncode == 1 and "none.yaml" in missing.stderr

    listed = node.bridgectl("contracts", "list").stdout
    assert ["greet", "1.0.0", "1.0.0"] in [line.split()[:3] for line in listed.splitlines()]
    # What is shown can be published again, and is the same.
    shown = node.bridgectl("contracts", "show", "greet").stdout
    assert "Type: Pass" in shown and "live_workflows" not in shown
    again = directory / "again.yaml"
    again.write_text(shown)
    assert "is there already" in node.bridgectl("contracts", "publish", again).stdout
    again.write_text(shown.replace("1.0.0", "1.1.0"))
    node.bridgectl("contracts", "publish", again)
    show = ("contracts", "show", "greet", "--format")
    one = json.loads(node.bridgectl(*show, "json", "--version", "1.0.0").stdout)
    two = json.loads(node.bridgectl(*show, "json").stdout)
    assert (one["source"], two["version"]) == ("published", "1.1.0")
    assert one["state_machine"] == two["state_machine"] and two["metadata"] == {"team": "a"}
    assert node.bridgectl(*show, "png", check=False).returncode == 2

    node.bridgectl("contracts", "delete", "greet", "1.1.0")
    assert versions(node, "greet") == ["1.0.0"]
    assert node.bridgectl("contracts", "delete", "greet", "9.0.0", check=False).returncode == 1


# -- without the database --


def test_without_the_database_nothing_is_published_and_nothing_lost(directory, own_postgres):
    bridge = prepare(Bridge(directory, own_postgres.url()), directory)
    try:
        bridge.start_orchestrator()
        assert publish(bridge, contract("greet", "1.0.0")).status == 201
        own_postgres.stop()
        refused = publish(bridge, contract("greet", "2.0.0", result="two"))
        assert refused.status == 503 and int(refused.headers["Retry-After"]) >= 1, refused
        assert delete(bridge, "greet", "1.0.0").status == 503
        assert versions(bridge, "greet") == ["1.0.0"], "what is in memory is told"
        put(bridge, "fresh.json", contract("fresh", "1.0.0"))
        reload(bridge)
        assert bridge.metric("contract_reloads_total", result="error") == 1
        assert versions(bridge, "fresh") == [], "what is not stored is not offered"
        assert versions(bridge, "metadata_stamping") == ["1.0.0"]
        own_postgres.start()
        wait_until(
            lambda: publish(bridge, contract("greet", "2.0.0", result="two")).status in (200, 201),
            60,
            "publishing to be possible again",
        )
        reload(bridge)
        assert versions(bridge, "fresh") == ["1.0.0"]
        wait_until(lambda: submit(bridge, "greet").status == 200, 60, "submissions to be accepted")
        assert result_of(submit(bridge, "greet")) == "two"
    finally:
        bridge.close()


# -- many at once --


def test_one_of_many_contents_becomes_the_version(node):
    node.start_orchestrator("second")
    answers, start = [], threading.Barrier(12)

    def race(number):
        start.wait()
        server = "orchestrator" if number % 2 else "second"
        answer = publish(node, contract("race", "1.0.0", result=number), server=server)
        answers.append((number, answer))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    won = [number for number, answer in answers if answer.status == 201]
    assert len(won) == 1 and len(answers) == 12, answers
    assert all(answer.status == 409 for number, answer in answers if number != won[0]), answers
    for server in ("orchestrator", "second"):
        one = web.get(node.url(server) + "/api/v1/contracts/race/versions/1.0.0").json
        assert one["state_machine"] == pass_machine(won[0])
    assert result_of(submit(node, "race", "1.0.0")) == won[0]


def test_publishing_while_workflows_are_submitted(node):
    """Readers of the registry and a writer: every submission gets a version that was published."""
    assert publish(node, contract("busy", "1.0.0", result="1.0.0")).status == 201
    failures, done = [], threading.Event()

    def load():
        while not done.is_set():
            answer = submit(node, "busy")
            if answer.status != 200 or answer.json["result"] != answer.json["version"]:
                failures.append(answer)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for minor in range(1, 31):
        version = f"1.{minor}.0"
        assert publish(node, contract("busy", version, result=version)).status == 201
        if minor % 3 == 0:
            answer = delete(node, "busy", f"1.{minor - 1}.0")
            assert answer.status in (200, 409), answer
    done.set()
    for thread in threads:
        thread.join(180)
    assert not failures, failures[:3]
    assert result_of(submit(node, "busy")) == "1.30.0"


def test_names_are_encoded_in_paths(node):
    version = "1.0.0-rc.1+build.7"
    answer = publish(node, contract("a.b_c-d", version))
    assert answer.status == 201, answer
    path = "/api/v1/contracts/a.b_c-d/versions/" + urllib.parse.quote(version, safe="")
    assert node.get(path).json["version"] == version
    assert node.call("DELETE", path).status == 200
