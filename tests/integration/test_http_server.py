# SPDX-License-Identifier: MIT
"""The HTTP server that all our programs share, seen from outside through the two companions."""

import concurrent.futures
import signal
import socket
import time

import pytest
import web
from harness import Server, free_port, program, wait_until

PREFIX = "/api/v1/metadata-stamping"


def make(directory, name="onextree", port=None, **environment):
    port = port or free_port()
    return Server(
        name, program(name), f"http://127.0.0.1:{port}",
        {"BIND_ADDRESS": "127.0.0.1", "HTTP_THREADS": "16", "ONEXTREE_PORT": str(port),
         "METADATA_STAMPING_PORT": str(port), **environment},
        directory / f"{name}-{port}.log")


@pytest.fixture
def start(directory):
    """start(name, VARIABLE=value): a running server, stopped afterwards."""
    made = []

    def run(name="onextree", **environment):
        server = make(directory, name, **environment)
        made.append(server)
        server.start()
        return server

    yield run
    for server in made:
        server.stop()


class Raw:
    """A plain connection, for what an HTTP library would not send."""

    def __init__(self, server, timeout=60):
        host, port = server.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.buffer = b""

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def answer(self, head_only=False):
        """Status, headers (lower case) and body of the next answer."""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        length = 0 if head_only else int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            self.more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(lines[0].split()[1]), headers, body

    def more(self):
        data = self.socket.recv(65536)
        assert data, f"closed after {self.buffer!r}"
        self.buffer += data

    def is_closed(self):
        return self.socket.recv(1) == b""


def get(path, *headers):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n" + "".join(f"{h}\r\n" for h in headers) + "\r\n"


# -- routes --


def test_unknown_paths_and_methods_are_problem_documents(start):
    server = start()
    answer = web.get(server.url + "/nothing/here")
    assert answer.status == 404 and answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["code"] == "not_found" and answer.json["instance"] == "/nothing/here"
    assert {"type", "title", "status", "detail"} <= set(answer.json)
    answer = web.call("DELETE", server.url + "/query")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    answer = web.call("POST", server.url + "/stats", {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    answer = web.call("OPTIONS", server.url + "/stats")
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD")
    assert web.get(server.url + "/%ff").status == 400


def test_head_has_the_head_of_get(start):
    raw = Raw(start())
    raw.send("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n" + get("/health"))
    status, headers, _ = raw.answer(head_only=True)
    again, same, body = raw.answer()
    assert status == again == 200
    assert headers["content-length"] == same["content-length"] == str(len(body))


def test_headers_of_every_answer(start):
    server = start()
    sent = {"X-Request-ID": "r-1", "X-Correlation-ID": "c-1"}
    for path, status in (("/health", 200), ("/nothing", 404)):
        answer = web.call("GET", server.url + path, headers=sent)
        assert answer.status == status
        for name, value in {
            "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
            "X-Request-ID": "r-1", "X-Correlation-ID": "c-1",
        }.items():
            assert answer.headers[name] == value
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Date"].endswith(" GMT")
    answer = web.get(server.url + "/health")
    assert answer.headers["X-Request-ID"] is None


# -- connections and bodies --


def test_keep_alive_and_pipelining(start):
    raw = Raw(start())
    raw.send(get("/health") * 3 + get("/nothing") + get("/stats", "Connection: close"))
    assert [raw.answer()[0] for _ in range(4)] == [200, 200, 200, 404]
    status, headers, _ = raw.answer()
    assert status == 200 and headers["connection"] == "close" and raw.is_closed()


def test_http_10_closes(start):
    raw = Raw(start())
    raw.send("GET /health HTTP/1.0\r\n\r\n")
    assert raw.answer()[1]["connection"] == "close" and raw.is_closed()


def test_chunked_bodies_and_continue(start):
    raw = Raw(start("metadata-stamping"))
    head = f"POST {PREFIX}/hash HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
    raw.send(head + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    _, _, chunked = raw.answer()
    raw.send(head + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert raw.answer(head_only=True)[0] == 100
    raw.send("abc")
    status, _, known = raw.answer()
    assert status == 200
    hashes = [body.split(b'"file_hash":"')[1][:64] for body in (chunked, known)]
    assert hashes[0] == hashes[1] and hashes[0].startswith(b"6437b3ac")
    raw.send(get("/health"))
    assert raw.answer()[0] == 200  # the connection is still in step


def test_a_body_needs_a_length(start):
    raw = Raw(start())
    raw.send("POST /query HTTP/1.1\r\nHost: x\r\n\r\n")
    status, _, body = raw.answer()
    assert status == 411 and b"length_required" in body


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_too_large_is_refused_without_reading_it(start, announced):
    raw = Raw(start())
    if announced:
        raw.send("POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 70000000000\r\n\r\n{")
    else:
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        raw.send(b"POST /query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    status, headers, body = raw.answer()
    assert status == 413 and headers["connection"] == "close" and b'"too_large"' in body


@pytest.mark.parametrize("path", ["/query", "/nothing"])
def test_a_refusal_reaches_a_client_that_sends_on(start, path):
    """Octets that are unread when a connection is closed would take the answer with them."""
    server = start(HTTP_THREADS="4")
    size = 8 << 20
    for _ in range(20):
        raw = Raw(server)
        raw.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n")
        raw.send(b"x" * size)
        status, headers, body = raw.answer()
        assert status == (413 if path == "/query" else 404) and headers["connection"] == "close"
        assert b'"code"' in body and raw.is_closed()


def test_a_refused_client_cannot_hold_a_thread(start):
    """Neither by silence nor by sending for ever."""
    server = start(HTTP_THREADS="4")
    silent = [Raw(server) for _ in range(2)]
    eager = [Raw(server) for _ in range(2)]
    for raw in silent + eager:
        raw.send("POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 70000000000\r\n\r\n")
    for raw in eager:
        with pytest.raises(OSError):
            while True:
                raw.send(b"x" * 65536)
    begin = time.monotonic()
    assert web.get(server.url + "/health").status == 200
    assert time.monotonic() - begin < 25, "a body may take 30 s"
    for raw in silent:
        assert raw.answer()[0] == 413 and raw.is_closed()


def test_a_body_with_two_lengths_is_refused(start):
    raw = Raw(start())
    raw.send("POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    status, headers, _ = raw.answer()
    assert status == 400 and headers["connection"] == "close"


def test_broken_query_strings(start):
    server = start()
    assert web.get(server.url + "/stats?a=%zz").json["code"] == "malformed_query"
    assert web.get(server.url + "/stats?" + "&".join("abc" for _ in range(65))).status == 400


def test_a_body_that_ends_early(start):
    raw = Raw(start())
    raw.send('POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"query":"x"}')
    raw.socket.shutdown(socket.SHUT_WR)
    status, headers, body = raw.answer()
    assert status == 400 and b"incomplete_body" in body and headers["connection"] == "close"


def test_headers_too_large_and_broken_requests(start):
    server = start()
    for text in (get("/health", "X-Long: " + "x" * 20000), "nonsense\r\n\r\n", "GET\r\n\r\n"):
        raw = Raw(server)
        raw.send(text)
        status, headers, _ = raw.answer()
        assert 400 <= status < 500 and headers["content-type"] == "application/problem+json"
    assert web.get(server.url + "/health").status == 200


def test_a_body_that_comes_octet_by_octet_is_ended(start):
    """Each octet comes in time; all of them together do not."""
    server = start(HTTP_BODY_TIMEOUT_MS="1000")
    raw = Raw(server)
    raw.send("POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
    raw.socket.settimeout(0.2)
    begin = time.monotonic()
    while True:
        try:
            raw.send("x")
            raw.more()
            break
        except TimeoutError:
            assert time.monotonic() - begin < 60
    raw.socket.settimeout(60)
    status, headers, _ = raw.answer()
    assert status == 400 and headers["connection"] == "close"
    assert time.monotonic() - begin > 0.9
    assert "request body came too slowly" in server.log.read_text()


def test_silent_and_idle_connections_are_closed(start):
    server = start()
    silent, idle = Raw(server), Raw(server)
    idle.send(get("/health"))
    idle.answer()
    assert idle.is_closed()
    silent.socket.recv(65536)


def test_more_clients_than_threads_are_all_served(start):
    server = start(HTTP_THREADS="4")

    def ask(_):
        return web.get(server.url + "/health").status

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        assert set(pool.map(ask, range(400))) == {200}


# -- who may come in --


def test_api_keys(start, directory):
    keys = directory / "keys"
    keys.write_text("first-key-0123456789abcdef, second-key-0123456789abcdef\n")
    server = start(ENVIRONMENT="staging", API_KEY_FILE=str(keys))

    def status(**headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.call("GET", server.url + "/stats", headers=sent)

    refused = status()
    assert refused.status == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.json["code"] == "unauthorized"
    for good in ("first-key-0123456789abcdef", "second-key-0123456789abcdef"):
        assert status(X_API_Key=good).status == 200
        assert status(Authorization="Bearer " + good).status == 200
    for bad in ("", "first-key", "first-key-0123456789abcdef,", "first-key-0123456789abcdefx", "," * 30):
        assert status(X_API_Key=bad).status == 401
    assert status(Authorization="Basic first-key-0123456789abcdef").status == 401
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        assert web.get(server.url + path).status == 200
    keys.write_text("third-key-0123456789abcdef\n")
    server.process.send(signal.SIGHUP)
    wait_until(lambda: status(X_API_Key="third-key-0123456789abcdef").status == 200, 5, "the new key")
    assert status(X_API_Key="first-key-0123456789abcdef").status == 401
    assert "key-0123456789" not in server.log.read_text()


def test_no_keys_are_needed_in_development(start):
    assert web.get(start().url + "/stats").status == 200


def test_cors_only_for_listed_origins(start):
    server = start(CORS_ALLOWED_ORIGINS="https://a.example, https://b.example")

    def ask(method, origin):
        sent = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return web.call(method, server.url + "/query", headers=sent).headers

    for origin in ("https://a.example", "https://b.example"):
        headers = ask("OPTIONS", origin)
        assert headers["Access-Control-Allow-Origin"] == origin
        assert headers["Access-Control-Allow-Methods"] == "POST"
        assert "X-API-Key" in headers["Access-Control-Allow-Headers"] and headers["Vary"] == "Origin"
        assert ask("DELETE", origin)["Access-Control-Allow-Origin"] == origin
    for origin in ("https://c.example", "https://a.example.evil", "null"):
        assert ask("OPTIONS", origin)["Access-Control-Allow-Origin"] is None
    assert ask("OPTIONS", "https://a.example")["Access-Control-Allow-Credentials"] is None


def test_https_is_believed_from_trusted_proxies_only(start):
    trusting = start(REQUIRE_HTTPS="true", TRUSTED_PROXIES="127.0.0.1")
    distrusting = start(REQUIRE_HTTPS="true", TRUSTED_PROXIES="10.0.0.1")
    secure, plain = {"X-Forwarded-Proto": "https"}, {"X-Forwarded-Proto": "http"}
    assert web.call("GET", trusting.url + "/stats", headers=secure).status == 200
    for server, headers in ((trusting, plain), (trusting, {}), (distrusting, secure)):
        answer = web.call("GET", server.url + "/stats", headers=headers)
        assert answer.status == 403 and answer.json["code"] == "https_required"
    assert web.get(distrusting.url + "/health").status == 200


# -- metrics, start and stop --


def test_requests_are_counted_by_route(start):
    server = start()
    for path in ("/stats", "/stats", "/nothing", "/other"):
        web.get(server.url + path)
    web.call("POST", server.url + "/query", {"query": 1})
    text = web.get(server.url + "/metrics").text
    for line in (
        'http_requests_total{route="GET /stats",status="2xx"} 2',
        'http_requests_total{route="other",status="4xx"} 2',
        'http_requests_total{route="POST /query",status="4xx"} 1',
        'http_request_duration_seconds_count{route="GET /stats"} 2',
        'http_requests_total{route="POST /generate",status="5xx"} 0',
    ):
        assert line in text, line
    assert "process_resident_memory_bytes" in text and 'build_info{version="' in text


def test_a_busy_port_is_told_with_its_holder(start, directory):
    first = start()
    port = int(first.url.rsplit(":", 1)[1])
    second = make(directory, "metadata-stamping", port)
    second.launch()
    assert second.process.wait_end(120) == 2
    said = second.log.read_text()
    assert f"port {port} on 127.0.0.1 is busy: process {first.process.pid} (onextree) listens on it" in said


def test_an_address_that_is_not_ours(directory):
    server = make(directory, BIND_ADDRESS="203.0.113.7")
    server.launch()
    assert server.process.wait_end(120) == 2
    assert "203.0.113.7" in server.log.read_text()


def test_stop_is_quick_with_idle_connections(start):
    server = start()
    idle = [Raw(server) for _ in range(5)]
    used = Raw(server)
    used.send(get("/health"))
    used.answer()
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 4, "an idle connection may stay for 5 s"
    assert len(idle) == 5
