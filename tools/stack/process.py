# SPDX-License-Identifier: MIT
"""Processes that outlive the one that starts them, who holds a port, and waiting with a deadline.

A process is known by its pid and its start time, so a number that the system has given away again
is never mistaken for ours. All waiting is for a condition; deadlines grow with DEADLINE_FACTOR.
"""

import contextlib
import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import time


class Failure(Exception):
    """One sentence for the person at the terminal."""


def deadline_factor() -> float:
    """Slow builds (asan, tsan, valgrind) and slow machines need more time."""
    given = os.environ.get("DEADLINE_FACTOR")
    if given:
        return float(given)
    return {"asan": 3.0, "tsan": 6.0}.get(os.environ.get("MODE", ""), 1.0)


def wait_until(condition, seconds: float, what: str, interval: float = 0.02):
    """The first true value of condition(), or Failure that names what did not come.

    A Failure that condition() raises passes through at once. The last look begins after the
    deadline, so that a machine which stood still meanwhile is no reason to give up.
    """
    end = time.monotonic() + seconds * deadline_factor()
    while True:
        late = time.monotonic() > end
        value = condition()
        if value:
            return value
        if late:
            raise Failure(f"{what}: not within {seconds * deadline_factor():.0f} s")
        time.sleep(interval)
        interval = min(interval * 1.5, 0.25)


def start_time(pid: int) -> int:
    """Clock ticks from boot to the start of a living process; 0 when there is none."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


class Process:
    """One process in a session of its own, writing to a log file."""

    def __init__(self, name: str, pid: int, started: int, settings: dict, log: str):
        self.name = name
        self.pid = pid
        self.started = started
        self.settings = settings  # what it was started with and must not change behind its back
        self.log = pathlib.Path(log)
        self.child: subprocess.Popen | None = None

    @classmethod
    def start(
        cls,
        name: str,
        command: list[str],
        environment: dict,
        log: pathlib.Path,
        *,
        settings: dict | None = None,
        user: pwd.struct_passwd | None = None,
        directory: pathlib.Path | None = None,
    ) -> "Process":
        log.parent.mkdir(parents=True, exist_ok=True)
        identity = {}
        if user is not None and user.pw_uid != os.geteuid():
            identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with open(log, "ab") as output:
            child = subprocess.Popen(
                command,
                env=environment,
                cwd=directory or log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity,
            )
        process = cls(name, child.pid, start_time(child.pid), settings or {}, str(log))
        process.child = child
        return process

    @classmethod
    def load(cls, path: pathlib.Path) -> "Process | None":
        """The process that a file tells of, when it still runs."""
        try:
            process = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return process if process.running else None

    def save(self, path: pathlib.Path) -> None:
        path.write_text(
            json.dumps(
                {
                    "name": self.name,
                    "pid": self.pid,
                    "started": self.started,
                    "settings": self.settings,
                    "log": str(self.log),
                }
            ),
            encoding="utf-8",
        )

    @property
    def running(self) -> bool:
        if self.child is not None and self.child.poll() is not None:
            return False
        now = start_time(self.pid)
        return now != 0 and now == self.started

    @property
    def exit_code(self) -> int | None:
        """Of a process that this very program started and that has ended (-9 when killed)."""
        return self.child.poll() if self.child is not None else None

    def send(self, number: int) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait_end(self, seconds: float) -> int | None:
        """Waits until it has ended; its exit code when known."""
        wait_until(lambda: not self.running, seconds, f"{self.name} (pid {self.pid}) ending")
        if self.child is not None:  # its first thread has ended; the last one follows at once
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(60)
        return self.exit_code

    def stop(self, seconds: float = 60, number: int = signal.SIGTERM) -> bool:
        """Asks it to end, kills it after the time; False when it had to be killed."""
        self.send(number)
        self.send(signal.SIGCONT)
        try:
            self.wait_end(seconds)
            return True
        except Failure:
            self.kill()
            return False

    def kill(self) -> None:
        """kill -9, and waits for the end."""
        self.send(signal.SIGKILL)
        wait_until(lambda: not self.running, 60, f"{self.name} (pid {self.pid}) dying")

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log, indented."""
        try:
            with open(self.log, "rb") as source:
                source.seek(0, os.SEEK_END)
                source.seek(max(0, source.tell() - 32768))
                text = source.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join("    " + line for line in text.splitlines()[-lines:])


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_is_free(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def port_holder(port: int) -> str:
    """Who listens on a TCP port: "nginx (pid 812)", as well as this user may see."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor) in inodes:
                        name = (process / "comm").read_text(encoding="utf-8").strip()
                        return f"{name} (pid {process.name})"
    return "a process of another user" if inodes else "a process that cannot be seen from here"
