# SPDX-License-Identifier: MIT
"""metadata-stamping away for a while under load: calls per second against time, before, during and after."""

import threading
import time

from session import Bridge, Session

DATABASE = "bench_outage"
SERVICE = "metadata-stamping"
BEFORE_SECONDS = 5
PER_SECOND = 100
BAR_COLUMNS = 50
NAMESPACE = "outage"
TASK_FAILED = 3  # workflow_events.kind


class Outage:
    """The shipped contracts with the companions; submissions come at a steady pace."""

    def __init__(self, session: Session, seconds: int):
        self.session = session
        self.seconds = seconds
        self.bridge = Bridge(session.directory, session.postgres.create_database(DATABASE), {})
        self.bridge.environment = {
            "ORCHESTRATOR_CONCURRENCY": "16",  # the companion has a thread for each connection
            "MAX_WORKFLOW_QUEUE_SIZE": "100000",
            "LOG_LEVEL": "warning",
        }
        self.submitted = 0
        self.stopping = threading.Event()
        self.pacer = threading.Thread(target=self.submit, daemon=True)

    def start(self) -> None:
        self.bridge.start()

    def submit(self) -> None:
        began = time.monotonic()
        while not self.stopping.wait(0.1):
            due = int((time.monotonic() - began) * PER_SECOND) - self.submitted
            if due < 1:
                continue
            body = {
                "workflows": [
                    {"content": f"document {self.submitted + n}", "namespace": NAMESPACE}
                    for n in range(due)
                ]
            }
            answer = self.bridge.call("POST", "/api/v1/workflows/batch", body)
            assert all(item["status"] == 202 for item in answer.json["items"]), answer
            self.submitted += due

    def sample(self) -> dict:
        def metric(name: str, **labels) -> float:
            return self.bridge.metric(name, service=SERVICE, **labels)

        return {
            "ok": metric("service_calls_total", result="ok"),
            "failed": metric("service_calls_total", result="failure"),
            "held": metric("service_steps_held"),
            "state": metric("circuit_breaker_state"),
        }

    def burned(self, since) -> int:
        rows = self.bridge.sql(
            "SELECT count(*) FROM workflow_events WHERE kind = %s AND at > %s"
            " AND state_path NOT LIKE '%%onextree%%'",
            TASK_FAILED,
            since,
        )
        return rows[0][0]

    def watch(self) -> list[dict]:
        """A sample each second, until all is done after the outage."""
        rows, last, second, opened = [], self.sample(), 0, None
        began = time.monotonic()
        self.pacer.start()
        while True:
            second += 1
            time.sleep(max(began + second - time.monotonic(), 0))
            now = self.sample()
            rows.append(
                {
                    "second": second,
                    "ok": int(now["ok"] - last["ok"]),
                    "failed": int(now["failed"] - last["failed"]),
                    "held": int(now["held"]),
                    "state": ("closed", "open", "half open")[int(now["state"])],
                }
            )
            last = now
            if opened is None and now["state"] > 0:
                opened = self.bridge.sql("SELECT clock_timestamp()")[0][0]
            if second == BEFORE_SECONDS:
                self.bridge.servers["stamping"].stop()
            if second == BEFORE_SECONDS + self.seconds:
                self.bridge.servers["stamping"].start()
            if second == 2 * BEFORE_SECONDS + self.seconds:
                self.stopping.set()
                self.pacer.join()
            if second > 2 * BEFORE_SECONDS + self.seconds and self.finished() == self.submitted:
                self.opened = opened
                return rows

    def finished(self) -> int:
        states = self.bridge.states(NAMESPACE)
        return states["COMPLETED"] + states["FAILED"]

    def show(self, rows: list[dict]) -> None:
        most = max(row["ok"] + row["failed"] for row in rows) or 1
        self.session.say("second  breaker     held  failed      ok  calls per second")
        for row in rows:
            calls = row["ok"] + row["failed"]
            bar = "#" * -(-calls * BAR_COLUMNS // most)
            self.session.say(
                f"{row['second']:6}  {row['state']:9}  {row['held']:5}  {row['failed']:6}"
                f"  {row['ok']:6}  {bar}".rstrip()
            )

    def measure(self) -> dict:
        rows = self.watch()
        self.show(rows)
        states = self.bridge.states(NAMESPACE)
        told = {
            "submitted": self.submitted,
            "completed": states["COMPLETED"],
            "failed": states["FAILED"],
            "burned": self.burned(self.opened) if self.opened is not None else None,
        }
        self.session.say(
            f"{SERVICE} away for {self.seconds} s at {PER_SECOND}/s: {told['submitted']} submitted,"
            f" {told['completed']} completed, {told['failed']} failed, attempts burned once it was open:"
            f" {told['burned']}"
        )
        return told

    def close(self) -> None:
        self.stopping.set()
        self.bridge.close()
