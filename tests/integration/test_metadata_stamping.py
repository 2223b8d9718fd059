# SPDX-License-Identifier: MIT
"""MetadataStamping as a process: every path, with a real PostgreSQL, without one, and while it is down."""

import concurrent.futures
import signal
import uuid

import psycopg2
import pytest
import web
from harness import ROOT, Server, free_port, program, unique, wait_until

PREFIX = "/api/v1/metadata-stamping"
MIGRATION = ROOT / "migrations" / "0002_metadata_stamps.up.sql"


class Service:
    """One running MetadataStamping."""

    def __init__(self, directory, **environment):
        port = free_port()
        self.server = Server(
            "stamping",
            program("metadata-stamping"),
            f"http://127.0.0.1:{port}",
            {
                "BIND_ADDRESS": "127.0.0.1",
                "HTTP_THREADS": "32",
                "METADATA_STAMPING_PORT": str(port),
                **environment,
            },
            directory / "stamping.log",
        )
        self.server.start()
        self.client = web.Client(self.server.url)

    def call(self, method, path, body=None, headers=None):
        return web.call(method, self.server.url + path, body, headers)

    def post(self, path, body):
        return self.client.call("POST", PREFIX + path, body)

    def get(self, path):
        return self.client.call("GET", PREFIX + path)

    def stamp(self, content, **more):
        answer = self.post("/stamp", {"content": content, **more})
        assert answer.status == 200, answer
        return answer.json["data"]

    def validate(self, content, **options):
        answer = self.post("/validate", {"content": content, "options": options})
        assert answer.status == 200, answer
        return answer.json["data"]

    def close(self):
        self.client.close()
        assert self.server.stop() == 0


def migrate(url):
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(MIGRATION.read_text())
    connection.close()


def rows(url, statement, *values):
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        result = cursor.fetchall()
    connection.close()
    return result


@pytest.fixture(scope="module")
def module_database(postgres):
    url = postgres.create_database(unique("stamps").replace("-", "_"))
    migrate(url)
    return url


@pytest.fixture(scope="module")
def service(session_directory, module_database):
    made = Service(session_directory, DATABASE_URL=module_database)
    yield made
    made.close()


@pytest.fixture(scope="module")
def memory_service(session_directory):
    """Without a database."""
    directory = session_directory / "memory"
    directory.mkdir()
    made = Service(directory)
    yield made
    made.close()


def fault(answer):
    """The first error of an answer's {detail: {status, error: [...]}}."""
    detail = answer.json["detail"]
    assert detail["status"] == "error" and detail["data"] is None
    return detail["error"][0]


# -- hash --

ABC = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain; charset=utf-8"])
def test_hash_of_a_raw_body(service, kind):
    answer = service.call("POST", PREFIX + "/hash?namespace=x", b"abc", {"Content-Type": kind})
    assert answer.status == 200
    data = answer.json["data"]
    assert (data["file_hash"], data["file_size_bytes"]) == (ABC, 3)
    assert data["performance_grade"] in "ABC" and data["execution_time_ms"] >= 0


def test_hash_of_a_form_is_of_the_raw_octets(service):
    content = b"\r\n\x00\xff# ONEX:uid=a,hash=b,ts=1\n"
    form = (
        b'--xx\r\nContent-Disposition: form-data; name="file"; filename="data"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--xx--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=xx"}
    answer = service.call("POST", PREFIX + "/hash", form, kind)
    raw = service.call(
        "POST", PREFIX + "/hash", content, {"Content-Type": "application/octet-stream"}
    )
    assert answer.json["data"]["file_hash"] == raw.json["data"]["file_hash"]
    assert answer.json["data"]["file_size_bytes"] == len(content)


def test_hash_of_nothing_and_faults(service):
    raw = {"Content-Type": "application/octet-stream"}
    assert service.call("POST", PREFIX + "/hash", b"", raw).json["data"]["file_hash"] == EMPTY
    answer = service.call("POST", PREFIX + "/hash", b"{}", {"Content-Type": "application/json"})
    assert answer.status == 415
    answer = service.call("POST", PREFIX + "/hash", b"--x--", {"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status == 422 and fault(answer)["field"] == "file"
    answer = service.call("POST", PREFIX + "/hash?name=x", b"a", raw)
    assert answer.status == 422 and fault(answer)["field"] == "name"


def test_hash_of_a_large_body(service):
    content = b"x" * (20 << 20)
    raw = {"Content-Type": "application/octet-stream"}
    answer = service.call("POST", PREFIX + "/hash", content, raw)
    assert answer.json["data"]["file_size_bytes"] == len(content)


# -- stamp, validate --


@pytest.mark.parametrize("kind", ["lightweight", "rich"])
def test_a_stamp_is_valid_and_tampering_shows(service, kind):
    content = f"{unique('text')}\nzweite Zeile: grün\n"
    data = service.stamp(content, options={"stamp_type": kind})
    assert data["success"] is True and data["stamp_type"] == kind
    assert data["stamp"] in data["stamped_content"] and content in data["stamped_content"]
    found = service.validate(data["stamped_content"])
    assert found["is_valid"] is True and found["stamps_found"] == 1
    assert found["current_hash"] == data["file_hash"]
    assert found["validation_details"][0]["stamp_type"] == kind
    broken = service.validate(data["stamped_content"].replace("zweite", "dritte"))
    assert broken["is_valid"] is False and broken["stamps_found"] == 1
    assert broken["validation_details"][0]["stamp_hash"] == data["file_hash"]
    lenient = service.validate(
        data["stamped_content"].replace("zweite", "dritte"), check_tampering=False
    )
    assert lenient["is_valid"] is True


def test_validate_without_a_stamp_is_a_clean_answer(service):
    found = service.validate("no stamp here")
    assert found["success"] is True
    assert (found["is_valid"], found["stamps_found"], found["validation_details"]) == (False, 0, [])


def test_validate_against_an_expected_hash(service):
    data = service.stamp(unique("expected"))
    content = data["stamped_content"]
    assert service.validate(content, expected_hash=data["file_hash"].upper())["is_valid"] is True
    assert service.validate(content, expected_hash="0" * 64)["is_valid"] is False


def test_strict_mode_wants_every_stamp_to_fit(service):
    content = service.stamp(unique("strict"))["stamped_content"]
    old = "# ONEX:uid=old,hash=" + "0" * 64 + ",ts=2020-01-01T00:00:00+00:00\n"
    assert service.validate(old + content)["is_valid"] is False
    assert service.validate(old + content, strict_mode=False)["is_valid"] is True
    assert service.validate(old + content)["stamps_found"] == 2


def test_stamping_again_replaces_the_stamp_and_keeps_the_identity(service, module_database):
    content = unique("again") + "\n"
    first = service.stamp(content)
    second = service.stamp(first["stamped_content"], options={"stamp_type": "rich"})
    third = service.stamp(second["stamped_content"])
    assert first["stamp_id"] == second["stamp_id"] == third["stamp_id"]
    assert third["stamped_content"] == first["stamped_content"]
    assert second["stamped_content"].startswith(content)
    assert service.validate(second["stamped_content"])["stamps_found"] == 1
    assert rows(module_database, "SELECT count(*) FROM metadata_stamps WHERE file_hash = %s", first["file_hash"]) == [(1,)]


def test_every_field_of_the_request_is_stored(service):
    namespace = unique("fields")
    wish = {
        "content": unique("fields"),
        "file_path": "docs/ä b.md",
        "content_type": "text/markdown",
        "metadata": {"author": "me", "version": "1.2", "deep": {"a": [1, None]}},
        "protocol_version": "1.0",
        "namespace": namespace,
        "intelligence_data": {"score": 0.5},
        "version": 7,
        "op_id": str(uuid.uuid4()),
        "metadata_version": "0.2",
        "workflow_id": str(uuid.uuid4()),
    }
    data = service.post("/stamp", wish).json["data"]
    assert data["stamp"].endswith(",author=me,v=1.2")
    stored = service.get(f"/stamp/{data['file_hash']}?namespace={namespace}").json["data"]
    for name in ("file_path", "content_type", "protocol_version", "namespace", "intelligence_data",
                 "version", "op_id", "metadata_version", "workflow_id"):
        assert stored[name] == wish[name], name
    assert stored["id"] == stored["stamp_id"] == data["stamp_id"]
    assert stored["file_size"] == len(wish["content"])
    assert stored["created_at"] == data["created_at"]
    assert stored["stamp_data"]["metadata"] == wish["metadata"]
    assert stored["stamp_data"]["stamp"] == data["stamp"]
    repeat = service.post("/stamp", {"content": wish["content"], "namespace": namespace}).json
    assert repeat["metadata"] == {"stored": True, "repeated": True}
    assert repeat["data"]["op_id"] == wish["op_id"] and repeat["data"]["version"] == 7


def test_the_same_content_in_two_namespaces(service):
    content, a, b = unique("both"), unique("a"), unique("b")
    first = service.stamp(content, namespace=a)
    second = service.stamp(content, namespace=b)
    assert first["file_hash"] == second["file_hash"] and first["stamp_id"] != second["stamp_id"]
    path = f"/stamp/{first['file_hash'].upper()}"
    assert service.get(f"{path}?namespace={a}").json["data"]["id"] == first["stamp_id"]
    assert service.get(f"{path}?namespace={b}").json["data"]["id"] == second["stamp_id"]
    assert service.get(path).json["data"]["id"] == second["stamp_id"]


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "content"),
        ({"content": 5}, "content"),
        ({"content": "x", "colour": 1}, "colour"),
        ({"content": "x", "options": {"stamp_type": "heavy"}}, "options.stamp_type"),
        ({"content": "x", "version": 0}, "version"),
        ({"content": "x", "op_id": "no"}, "op_id"),
        ({"content": "x", "namespace": ""}, "namespace"),
        ({"content": "x", "metadata": {"author": "a\nb"}}, "metadata.author"),
        ([], None),
    ],
)
def test_faults_name_the_field(service, body, field):
    answer = service.post("/stamp", body)
    assert answer.status == 422
    assert (fault(answer)["code"], fault(answer)["field"]) == ("VALIDATION_ERROR", field)


def test_a_body_that_is_no_json(service):
    answer = service.call("POST", PREFIX + "/stamp", b'{"content": ')
    assert answer.status == 400 and "line 1" in fault(answer)["message"]


def test_many_at_once_make_one_row_for_each_content(service, module_database):
    namespace = unique("crowd")

    def work(n):
        body = {"content": f"content {n % 10}", "namespace": namespace}
        return web.call("POST", service.server.url + PREFIX + "/stamp", body).json["data"]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(work, range(200)))
    ids = {}
    for answer in answers:
        ids.setdefault(answer["file_hash"], set()).add((answer["stamp_id"], answer["created_at"]))
    assert len(ids) == 10 and all(len(each) == 1 for each in ids.values())
    stored = rows(module_database, "SELECT id::text FROM metadata_stamps WHERE namespace = %s", namespace)
    assert {row[0] for row in stored} == {next(iter(each))[0] for each in ids.values()}


# -- batch, protocol, transform --


def test_batch(service):
    items = [{"id": "a", "content": "1"}, {"id": "b"}, {"id": "c", "content": "2", "namespace": "other"}]
    answer = service.post("/batch", {"items": items, "namespace": unique("batch")})
    assert answer.status == 200 and answer.json["status"] == "partial"
    data = answer.json["data"]
    assert (data["total_items"], data["successful_items"], data["failed_items"]) == (3, 2, 1)
    assert [item["success"] for item in data["results"]] == [True, False, True]
    assert "items[1].content" in data["results"][1]["error"]
    assert data["overall_performance"]["performance_grade"] in "ABC"
    assert service.post("/batch", {"items": [items[1]]}).json["status"] == "error"
    assert service.post("/stamp/batch", {"items": [items[0]]}).json["status"] == "success"


def test_batch_without_items(service):
    answer = service.post("/batch", {"items": []})
    assert answer.status == 400 and fault(answer)["code"] == "EMPTY_BATCH_REQUEST"
    answer = service.post("/batch", {"items": [{"id": "x", "content": ""}] * 1001})
    assert answer.status == 422 and fault(answer)["field"] == "items"


def test_protocol(service):
    def check(content, **more):
        answer = service.post("/validate-protocol", {"content": content, **more})
        assert answer.status == 200, answer
        return answer.json["data"]["validation_result"]

    bare = check("plain")
    assert (bare["is_valid"], bare["compliance_level"]) == (False, "none") and bare["issues"]
    stamped = check(service.stamp(unique("protocol"))["stamped_content"])
    assert (stamped["is_valid"], stamped["compliance_level"]) == (True, "full")
    assert check("plain", target_protocol="other")["is_valid"] is False


def test_transform_stores_nothing(service):
    answer = service.post("/transform/stamp", {"content": unique("transform")})
    assert answer.json["metadata"]["stored"] is False
    assert service.get("/stamp/" + answer.json["data"]["file_hash"]).status == 404
    found = service.post("/transform/validate", {"content": answer.json["data"]["stamped_content"]})
    assert found.json["data"]["is_valid"] is True
    names = {each["name"] for each in service.get("/transformers").json["data"]["transformers"]}
    assert names == {"stamp", "validate"}
    schema = service.get("/schemas").json["data"]["schemas"]["stamp_request"]
    assert schema["required"] == ["content"] and schema["additionalProperties"] is False


# -- reading --


def test_stamp_by_hash_faults(service):
    answer = service.get("/stamp/xyz")
    assert answer.status == 400 and fault(answer)["code"] == "INVALID_HASH_FORMAT"
    answer = service.get("/stamp/" + "0" * 64)
    assert answer.status == 404 and fault(answer)["code"] == "STAMP_NOT_FOUND"
    answer = service.get("/stamp/" + "0" * 64 + "?namespace=x")
    assert answer.status == 404 and fault(answer)["code"] == "STAMP_NOT_FOUND_IN_NAMESPACE"


def test_namespace_listing_pages_newest_first(service):
    namespace = unique("list/ü")
    made = [service.stamp(f"{namespace} {n}", namespace=namespace)["stamp_id"] for n in range(5)]
    path = "/namespace/" + namespace.replace("/", "%2F").replace("ü", "%C3%BC")
    seen = []
    for offset in (0, 2, 4):
        data = service.get(f"{path}?limit=2&offset={offset}").json["data"]
        assert (data["namespace"], data["total_stamps"]) == (namespace, 5)
        assert data["pagination"] == {"limit": 2, "offset": offset, "total": 5, "has_more": offset < 4}
        seen += [stamp["id"] for stamp in data["stamps"]]
    assert seen == made[::-1]
    assert service.get(path).json["data"]["pagination"]["limit"] == 50
    for bad in ("limit=0", "limit=1001", "limit=x", "offset=-1", "page=2"):
        assert service.get(f"{path}?{bad}").status == 422, bad


# -- health, without a database, with one that is down --


def test_health_and_metrics(service):
    assert service.call("GET", "/health").json == {"status": "ok", "service": "metadata-stamping"}
    for path in ("/health", "/health/live", "/health/ready"):
        assert service.get(path).status == 200
    text = service.call("GET", "/metrics").text
    assert "stamping_stamps_total" in text and "http_requests_total" in text
    about = service.call("GET", "/").json["data"]
    assert f"POST {PREFIX}/stamp" in about["endpoints"]


def test_without_a_database_it_stamps_and_says_that_nothing_is_kept(memory_service):
    answer = memory_service.post("/stamp", {"content": "x"})
    assert answer.status == 200 and answer.json["metadata"]["stored"] is False
    uuid.UUID(answer.json["data"]["stamp_id"])
    assert memory_service.get("/health/ready").status == 200
    for path in ("/stamp/" + "0" * 64, "/namespace/x"):
        refused = memory_service.get(path)
        assert refused.status == 503 and fault(refused)["code"] == "DATABASE_NOT_CONFIGURED"


def test_a_missing_table_is_told(directory, database_url):
    with_no_table = Service.__new__(Service)
    port = free_port()
    with_no_table.server = Server(
        "stamping", program("metadata-stamping"), f"http://127.0.0.1:{port}",
        {"BIND_ADDRESS": "127.0.0.1", "HTTP_THREADS": "8", "METADATA_STAMPING_PORT": str(port),
         "DATABASE_URL": database_url}, directory / "stamping.log")
    with_no_table.server.launch()
    try:
        url = with_no_table.server.url
        wait_until(lambda: web.get(url + "/health/live").status == 200, 10, "the service living")
        answer = web.get(url + "/health/ready")
        assert answer.status == 503 and "migrate" in answer.text
        assert web.call("POST", url + PREFIX + "/stamp", {"content": "x"}).status == 503
    finally:
        with_no_table.server.stop()


def test_database_down_is_503_and_nothing_is_pretended(directory, own_postgres):
    url = own_postgres.create_database("stamps")
    migrate(url)
    service = Service(directory, DATABASE_URL=url)
    before = service.stamp("before")
    own_postgres.stop()
    answer = service.post("/stamp", {"content": "while down"})
    assert answer.status == 503 and answer.headers["Retry-After"]
    assert fault(answer)["code"] == "DATABASE_CONNECTION_ERROR"
    assert service.post("/batch", {"items": [{"id": "1", "content": "x"}]}).status == 503
    assert service.get("/stamp/" + before["file_hash"]).status == 503
    wait_until(lambda: service.get("/health/ready").status == 503, 5, "not ready")
    assert service.call("GET", "/health").status == 503
    assert service.get("/health").json["data"]["components"]["database"]["status"] == "unhealthy"
    assert service.get("/health/live").status == 200
    assert service.validate(before["stamped_content"])["is_valid"] is True
    own_postgres.start()
    wait_until(lambda: service.get("/health/ready").status == 200, 20, "ready again")
    assert service.stamp("before")["stamp_id"] == before["stamp_id"]
    service.stamp("while down")
    assert rows(url, "SELECT count(*) FROM metadata_stamps") == [(2,)]
    service.close()


def test_stop_and_reload(directory, module_database):
    service = Service(directory, DATABASE_URL=module_database)
    service.server.process.send(signal.SIGHUP)
    wait_until(lambda: '"reloaded"' in service.server.log.read_text(), 5, "the reload")
    service.stamp(unique("after reload"))
    service.close()
    assert '"stopped"' in service.server.log.read_text()
