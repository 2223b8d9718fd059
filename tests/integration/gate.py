# SPDX-License-Identifier: MIT
"""A gate in front of a real service: passes calls on, remembers them, and stops chosen ones.

So a test can kill a caller at an exact point: before the service has seen the call, or after it has
done its work and before the caller knows.
"""

import collections
import contextlib
import http.server
import socket
import threading

import web

Call = collections.namedtuple("Call", "method path key body")
FORWARDED = ("Content-Type", "Idempotency-Key", "X-Correlation-ID", "traceparent")
HELD_SECONDS_MAX = 600


class Gate:
    """An HTTP server on a port of its own.

    `stop_at(wanted)` stops the calls for which wanted(call) is true until the next change;
    `delivered` tells whether the service sees them first. `hang_up()` ends stopped and further
    calls without an answer, until `open()`.
    """

    def __init__(self, port: int, target: str):
        self.url = f"http://127.0.0.1:{port}"
        self.target = target
        self.calls: list[Call] = []
        self.lock = threading.Lock()
        self.stopped = 0  # calls that were stopped since the last change
        self.wanted = None
        self.delivered = True
        self.hanging_up = False
        self.opened = threading.Event()
        self.connections: set[socket.socket] = set()
        self.server = self.make_server(port)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def make_server(self, port: int) -> http.server.ThreadingHTTPServer:
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                gate.connections.add(self.connection)

            def finish(self) -> None:
                gate.connections.discard(self.connection)
                super().finish()

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = self.headers.get("Idempotency-Key") or ""
                answer = gate.take(Call(self.command, self.path, key, body), self.headers)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = pass_on

            def log_message(self, *_arguments) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_arguments) -> None:
                pass  # the caller was killed; that is what the gate is for

        return Server(("127.0.0.1", port), Handler)

    def take(self, call: Call, headers) -> web.Answer | None:
        with self.lock:
            self.calls.append(call)
            stops = self.wanted is not None and self.wanted(call)
            delivered, opened = self.delivered, self.opened
        answer = None
        if (not stops or delivered) and not self.hanging_up:
            answer = self.forward(call, headers)
        if stops:
            with self.lock:
                self.stopped += opened is self.opened
            opened.wait(HELD_SECONDS_MAX)
        if self.hanging_up:
            return None
        return answer or self.forward(call, headers)

    def forward(self, call: Call, headers) -> web.Answer | None:
        sent = {name: headers[name] for name in FORWARDED if headers.get(name)}
        answer = web.call(call.method, self.target + call.path, call.body or None, sent, 60)
        return answer if answer.status else None

    def stop_at(self, wanted, *, delivered: bool = True) -> None:
        self.change(wanted, False, delivered)

    def open(self) -> None:
        self.change(None, False)

    def hang_up(self) -> None:
        self.change(None, True)

    def change(self, wanted, hanging_up: bool, delivered: bool = True) -> None:
        """Calls that were stopped until now go on."""
        with self.lock:
            self.wanted = wanted
            self.delivered = delivered
            self.hanging_up = hanging_up
            self.stopped = 0
            self.opened.set()
            self.opened = threading.Event()

    def close(self) -> None:
        self.hang_up()
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
