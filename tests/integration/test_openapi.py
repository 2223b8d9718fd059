# SPDX-License-Identifier: MIT
"""Do the nodes answer as their /openapi.json says? Every path is called, every member of an answer must
be described, every member that must be there is there, and has its type."""

import json
import re
import urllib.parse
import xml.etree.ElementTree

import pytest
import web
from harness import ROOT, unique

TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


class Document:
    def __init__(self, document: dict):
        self.document = document

    def resolve(self, value: dict) -> dict:
        while "$ref" in value:
            node = self.document
            for name in value["$ref"].removeprefix("#/").split("/"):
                node = node[name]
            value = node
        return value

    def faults(self, schema: dict, value, place: str) -> list[str]:
        """What of a value the schema does not say."""
        schema = self.resolve(schema)
        found = []
        for several in {"oneOf", "anyOf"} & schema.keys():
            tried = [self.faults(choice, value, place) for choice in schema[several]]
            return [] if any(not faults for faults in tried) else tried[0]
        if "enum" in schema and value not in schema["enum"]:
            found.append(f"{place}: {value!r} is none of {schema['enum']}")
        if "type" in schema:
            names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            fits = isinstance(value, tuple(_flat(TYPES[name] for name in names)))
            if isinstance(value, bool) and "boolean" not in names:
                fits = False
            if not fits:
                return [*found, f"{place}: {value!r} is no {' or '.join(names)}"]
        if schema.get("format") == "date-time" and isinstance(value, str):
            if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value):
                found.append(f"{place}: {value!r} is no RFC 3339 time in UTC")
        if isinstance(value, dict) and "properties" in schema:
            found += [f"{place}: {name} is missing" for name in schema.get("required", []) if name not in value]
            for name, member in value.items():
                if name in schema["properties"]:
                    found += self.faults(schema["properties"][name], member, f"{place}.{name}")
                elif not schema.get("additionalProperties"):
                    found.append(f"{place}: {name} is not described")
        if isinstance(value, list) and "items" in schema:
            for n, item in enumerate(value):
                found += self.faults(schema["items"], item, f"{place}[{n}]")
        return found

    def check(self, method: str, path: str, answer: web.Answer) -> None:
        """The answer is one that the path describes for its status."""
        place = f"{method.upper()} {path} {answer.status}"
        responses = self.document["paths"][path][method]["responses"]
        assert str(answer.status) in responses, f"{place} is not described: {answer}"
        content = self.resolve(responses[str(answer.status)]).get("content", {})
        kind = answer.headers["Content-Type"].partition(";")[0]
        assert kind in content, f"{place} answers {kind}, described: {list(content)}"
        if kind.endswith("json"):
            faults = self.faults(content[kind]["schema"], answer.json, "answer")
            assert not faults, f"{place}: " + "; ".join(faults)


def _flat(types):
    for kind in types:
        if isinstance(kind, tuple):
            yield from kind
        else:
            yield kind


def shipped(node: str) -> dict:
    return json.loads((ROOT / "nodes" / node / "openapi.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("node", ["orchestrator", "reducer"])
def test_the_description_holds_together(node):
    """Every reference has its place, every path parameter its description, every id is used once."""
    document = Document(shipped(node))

    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                document.resolve(value)
            for member in value.values():
                walk(member)
        elif isinstance(value, list):
            for member in value:
                walk(member)

    walk(document.document)
    ids = []
    for path, item in document.document["paths"].items():
        shared = [document.resolve(p) for p in item.get("parameters", [])]
        for method, operation in item.items():
            if method == "parameters":
                continue
            ids.append(operation["operationId"])
            own = [document.resolve(p) for p in operation.get("parameters", [])]
            described = {p["name"] for p in shared + own if p["in"] == "path"}
            assert described == set(re.findall(r"{(\w+)}", path)), path
            assert operation["summary"] and operation["responses"]
    assert len(ids) == len(set(ids))
    components = json.dumps(document.document)
    for kind in ("schemas", "parameters", "responses"):
        for name in document.document["components"][kind]:
            assert f"#/components/{kind}/{name}" in components, f"{kind}/{name} is not used"


@pytest.fixture
def served(bridge):
    """A bridge with one ended workflow, and the descriptions as the nodes serve them."""
    namespace = unique("api")
    made = bridge.submit("text\n", namespace=namespace, correlation_id=unique("c"), wait_ms=60000)
    assert made.status == 200, made
    bridge.wait_total(namespace, 1)
    return bridge, made


def fill(path: str, workflow_id: str) -> str:
    for name, value in (
        ("workflow_id", workflow_id), ("name", "metadata_stamping"), ("version", "1.0.0"),
        ("service", "onextree"),
    ):
        path = path.replace("{" + name + "}", value)
    return path


def example_query(document: Document, operation: dict) -> str:
    """The examples of an operation that cannot do without parameters."""
    parameters = [document.resolve(p) for p in operation.get("parameters", [])]
    parameters = [p for p in parameters if p["in"] == "query"]
    if not any(p.get("required") for p in parameters):
        return ""
    return "?" + urllib.parse.urlencode({p["name"]: p["example"] for p in parameters if "example" in p})


@pytest.mark.parametrize("node", ["orchestrator", "reducer"])
def test_every_path_that_is_read_answers_as_described(served, node):
    bridge, made = served
    base = bridge.url(node)
    document = Document(web.get(base + "/openapi.json").json)
    assert document.document == shipped(node)
    for path, item in document.document["paths"].items():
        if "get" not in item:
            continue
        query = example_query(document, item["get"])
        answer = web.get(base + fill(path, made.json["workflow_id"]) + query)
        assert answer.status == 200, f"{path}: {answer}"
        document.check("get", path, answer)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_written_answers_as_described(served):
    bridge, made = served
    document = Document(shipped("orchestrator"))
    document.check("post", "/api/v1/workflows", made)
    document.check("post", "/api/v1/workflows", bridge.submit("accepted"))
    document.check("post", "/api/v1/workflows", bridge.submit("", key="k"))
    document.check("post", "/api/v1/workflows", bridge.call("POST", "/api/v1/workflows", "no object"))
    document.check("post", "/workflow/submit", bridge.call("POST", "/workflow/submit", {"content": "x"}))
    batch = {"workflows": [{"content": "a"}, {"content": "b", "idempotency_key": "b"}, {"content": ""}]}
    answer = bridge.call("POST", "/api/v1/workflows/batch", batch)
    assert [item["status"] // 100 for item in answer.json["items"]] == [2, 2, 4], answer
    document.check("post", "/api/v1/workflows/batch", answer)
    cancel = "/api/v1/workflows/{workflow_id}/cancel"
    document.check("post", cancel, bridge.call("POST", fill(cancel, made.json["workflow_id"])))


def test_a_failed_workflow_answers_as_described(served):
    bridge, _ = served
    document = Document(shipped("orchestrator"))
    bridge.servers["stamping"].stop()
    made = bridge.submit("nobody stamps this")
    bridge.call("POST", f"/api/v1/workflows/{made.json['workflow_id']}/cancel")
    for path in ("/api/v1/workflows/{workflow_id}", "/api/v1/workflows/{workflow_id}/history"):
        document.check("get", path, bridge.get(fill(path, made.json["workflow_id"])))


@pytest.mark.parametrize("node", ["orchestrator", "reducer"])
def test_errors_answer_as_described(served, node):
    bridge, _ = served
    document = Document(shipped(node))
    path = "/api/v1/workflows" if node == "orchestrator" else "/api/v1/aggregations"
    for query in ("limit=0", "limit=1001", "limit=x", "cursor=garbage", "no_such=1"):
        answer = web.get(f"{bridge.url(node)}{path}?{query}")
        assert answer.status == 422, f"{query}: {answer}"
        document.check("get", path, answer)


def test_contracts_are_drawn_in_the_forms_that_are_described(bridge):
    described = Document(shipped("orchestrator"))
    path = "/api/v1/contracts/metadata_stamping"
    begins = {"mermaid": "stateDiagram-v2", "dot": "digraph ", "svg": "<svg ", "text": "gather ("}
    versions = "/api/v1/contracts/{name}/versions/{version}"
    for place, called in (("", "/api/v1/contracts/{name}"), ("/versions/1.0.0", versions)):
        for form, begin in begins.items():
            answer = bridge.get(f"{path}{place}?format={form}")
            assert answer.status == 200, answer
            described.check("get", called, answer)
            assert answer.text.startswith(begin)
        assert bridge.get(path + place + "?format=json").json["name"] == "metadata_stamping"
        refused = bridge.get(path + place + "?format=gif")
        described.check("get", called, refused)
        assert (refused.status, refused.json["field"]) == (422, "format")
    svg = xml.etree.ElementTree.fromstring(bridge.get(path + "?format=svg").text)
    assert "hash_generation" in {part.text for part in svg.iter()}


def test_the_pages_load_nothing_from_elsewhere():
    for page in (ROOT / "nodes").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "http://" not in text.replace("http://127.0.0.1", "") and "https://" not in text, page
        assert "innerHTML" not in text, page


def test_pages_may_run_their_own_scripts_only(served):
    bridge, _ = served
    for node in ("orchestrator", "reducer"):
        for path in ("/", "/docs"):
            answer = web.get(bridge.url(node) + path)
            policy = answer.headers["Content-Security-Policy"]
            assert re.search("default-src '(none|self)'", policy), policy
            assert "script-src" in policy and "http" not in policy and "*" not in policy, policy
            assert "<script" in answer.text
