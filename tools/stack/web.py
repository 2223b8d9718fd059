# SPDX-License-Identifier: MIT
"""HTTP with the standard library: one call, one answer, JSON both ways."""

import http.client
import json
import urllib.parse


class Answer:
    """Status, headers and body of one answer; status 0 when there was none."""

    def __init__(self, status: int, headers, body: bytes, error: str = ""):
        self.status = status
        self.headers = headers
        self.body = body
        self.error = error

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.text[:300]}>" if self.status else f"<no answer: {self.error}>"


class Client:
    """One connection, kept open between calls and opened again when it was lost."""

    def __init__(self, base_url: str, timeout: float = 60):
        parts = urllib.parse.urlsplit(base_url)
        self.host, self.port = parts.hostname, parts.port or 80
        self.timeout = timeout
        self.connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def call(
        self, method: str, path: str, body=None, headers=None, timeout: float | None = None
    ) -> Answer:
        """Sends once; never repeats by itself, because the first one may have been taken."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False)
            sent.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port)
        self.connection.timeout = timeout or self.timeout
        if self.connection.sock is not None:
            self.connection.sock.settimeout(self.connection.timeout)
        try:
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(0, {}, b"", f"{type(error).__name__}: {error}")
        if answer.will_close:
            self.close()
        return Answer(answer.status, answer.headers, content)


def call(method: str, url: str, body=None, headers=None, timeout: float = 60) -> Answer:
    """One call on a connection of its own."""
    parts = urllib.parse.urlsplit(url)
    client = Client(url, timeout)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return client.call(method, path, body, {"Connection": "close", **(headers or {})})
    finally:
        client.close()


def get(url: str, timeout: float = 60) -> Answer:
    return call("GET", url, timeout=timeout)


def is_ready(base_url: str) -> bool:
    return get(base_url + "/health/ready", timeout=10).status == 200
