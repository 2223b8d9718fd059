#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole bridge on this machine: make run, up, down, status and logs.

    tools/stack/stack.py up|down|status|logs|run

Everything lives under build/run: stack.env (addresses and pids for scripts), logs/, state of each
part, and the private PostgreSQL's data. Variables: MODE, BROKER=embedded|kafka, PORT_BASE,
ORCHESTRATORS, REDUCERS, and every option of the programs. `down` keeps the data; PURGE=1 removes
it.
"""

import argparse
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys

import job
import parts
import web
from parts import ROOT, EmbeddedBroker, KafkaBroker, Postgres, run_program
from plan import Plan, Settings, instance_name, settings_from, variable_name
from process import Failure, Process, port_holder, port_is_free

RUN = ROOT / "build" / "run"
EXIT_FINE, EXIT_NO = 0, 1


def say(text: str) -> None:
    """Prints; a reader that went away (`make up | head`) is no reason to stop half-way."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Stack:
    """The parts that run now, found again by their state files."""

    def __init__(self, run: pathlib.Path):
        self.run = run
        self.state = run / "parts"
        self.state.mkdir(parents=True, exist_ok=True)
        (run / "logs").mkdir(exist_ok=True)
        self.settings_file = run / "stack.json"
        self.remembered = self.load_settings()
        self.plan: Plan | None = None

    # -- state --

    def load_settings(self) -> Settings | None:
        try:
            return Settings(**json.loads(self.settings_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def save_settings(self) -> None:
        self.settings_file.write_text(
            json.dumps(dataclasses.asdict(self.plan.settings)), encoding="utf-8"
        )

    def process(self, name: str) -> Process | None:
        return Process.load(self.state / f"{name}.json")

    def remember(self, name: str, process: Process) -> Process:
        process.save(self.state / f"{name}.json")
        return process

    def forget(self, name: str) -> None:
        (self.state / f"{name}.json").unlink(missing_ok=True)

    def running(self) -> dict[str, Process]:
        found = {path.stem: self.process(path.stem) for path in sorted(self.state.glob("*.json"))}
        return {name: process for name, process in found.items() if process}

    # -- up --

    def up(self) -> None:
        running = self.running()
        self.plan = Plan(settings_from(os.environ, self.remembered if running else None), self.run)
        self.check_built()
        self.stop_surplus(running)
        self.check_ports()
        self.save_settings()
        postgres = self.start_postgres()
        broker = self.start_broker()
        control = {**parts.clean_environment(), **self.plan.common(postgres.url(), broker.address)}
        bridgectl = self.plan.programs / "bridgectl"
        run_program([bridgectl, "migrate", "up"], control, "bridgectl migrate up")
        run_program([bridgectl, "topics", "create"], control, "bridgectl topics create")
        self.start_servers(postgres.url(), broker.address)
        self.write_environment(postgres, broker.address)

    def check_built(self) -> None:
        programs = [
            "bridge-orchestrator",
            "bridge-reducer",
            "metadata-stamping",
            "onextree",
            "bridgectl",
        ]
        if self.plan.settings.broker == "embedded":
            programs.append("bridge-broker")
        missing = [name for name in programs if not (self.plan.programs / name).exists()]
        if missing:
            raise Failure(
                f"not built: {', '.join(missing)} (make build MODE={self.plan.settings.mode})"
            )

    def wanted(self) -> list[str]:
        """All parts of the stack in the order in which they start."""
        settings = self.plan.settings
        return [
            "postgres",
            "broker",
            "stamping",
            "onextree",
            *(instance_name("orchestrator", n + 1) for n in range(settings.orchestrators)),
            *(instance_name("reducer", n + 1) for n in range(settings.reducers)),
        ]

    def stop_surplus(self, running: dict[str, Process]) -> None:
        """Stops instances above the wanted numbers."""
        for name in set(running) - set(self.wanted()):
            say(f"stopping {name}")
            running[name].stop()
            self.forget(name)

    def check_ports(self) -> None:
        """Every port of what is about to start must be free; says all that are not."""
        busy = []
        for name in self.wanted():
            if self.process(name):
                continue
            ports_name = name
            if name == "broker":
                if self.plan.settings.broker == "embedded":
                    continue
                ports_name = "kafka"
            for port in self.plan.ports_of(ports_name):
                if not port_is_free(port):
                    busy.append(f"port {port} for {name} is held by {port_holder(port)}")
        if busy:
            raise Failure("; ".join(busy) + "; stop it, or choose other ports with PORT_BASE=20000")

    def postgres(self) -> Postgres:
        return Postgres(
            self.run / "postgres", self.plan.port("postgres"), self.plan.log("postgres")
        )

    def start_postgres(self) -> Postgres:
        postgres = self.postgres()
        postgres.process = self.process("postgres")
        if not postgres.process:
            say("starting PostgreSQL")
            self.remember("postgres", postgres.start())
        return postgres

    def start_broker(self) -> EmbeddedBroker | KafkaBroker:
        log = self.plan.log("broker")
        if self.plan.settings.broker == "kafka":
            broker = KafkaBroker(
                self.run / "kafka", self.plan.port("kafka"), self.plan.port("kafka-controller"), log
            )
        else:
            broker = EmbeddedBroker(self.plan.programs / "bridge-broker", self.run, log)
        broker.process = self.process("broker")
        if broker.process:
            broker.address = broker.process.settings["address"]
        elif self.plan.settings.broker == "kafka":
            say("starting Kafka")
            self.remember("broker", broker.start())
        else:
            say("starting the embedded broker")
            environment = {**parts.clean_environment(), **self.plan.common("", "127.0.0.1:1")}
            topics = parts.declared_topics(self.plan.programs / "bridgectl", environment)
            self.remember("broker", broker.start(topics))
        return broker

    def start_servers(self, database_url: str, bootstrap: str) -> None:
        servers = self.plan.servers(database_url, bootstrap)
        for name, server in servers.items():
            needs_broker = name.startswith(("orchestrator", "reducer"))
            settings = {"address": bootstrap} if needs_broker else {}
            server.process = self.process(name)
            if server.process and server.process.settings != settings:
                say(f"restarting {name}: the broker has another address now")
                server.stop()
                server.process = None
            if not server.process:
                say(f"starting {name}")
                self.remember(name, server.launch(settings))
        for server in servers.values():
            server.wait_ready()

    def write_environment(self, postgres: Postgres, bootstrap: str) -> None:
        """build/run/stack.env, readable by its owner only: it holds the database's password."""
        plan, running = self.plan, self.running()
        values = {"DATABASE_URL": postgres.url(), "KAFKA_BOOTSTRAP_SERVERS": bootstrap}
        for name in self.wanted():
            kind, _, number = name.partition("-")
            instance = int(number or 1)
            if kind not in ("postgres", "broker"):
                values[variable_name(name, "URL")] = plan.url(kind, instance)
            if kind in ("orchestrator", "reducer"):
                values[variable_name(name, "METRICS_URL")] = plan.url(f"{kind}-metrics", instance)
            if name in running:
                values[variable_name(name, "PID")] = str(running[name].pid)
        target = self.run / "stack.env"
        beside = self.run / "stack.env.new"
        beside.write_text(
            "".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8"
        )
        beside.chmod(0o600)
        beside.rename(target)

    # -- down, status, logs --

    def down(self, purge: bool) -> None:
        """Stops in the reverse order of the start; nodes get their time to drain."""
        running = self.running()
        first = [name for name in running if name.startswith(("orchestrator", "reducer"))]
        then = [name for name in running if name in ("stamping", "onextree")]
        for name in first + then + [name for name in ("broker",) if name in running]:
            say(f"stopping {name}")
            if not running[name].stop(20):
                say(f"  {name} did not end in time and was killed")
            self.forget(name)
        settings = self.remembered or Settings()
        self.plan = Plan(settings, self.run)
        postgres = self.postgres()
        if "postgres" in running:
            say("stopping PostgreSQL")
            postgres.process = running["postgres"]
            postgres.stop()
            self.forget("postgres")
        (self.run / "stack.env").unlink(missing_ok=True)
        if purge:
            shutil.rmtree(postgres.directory, ignore_errors=True)
            shutil.rmtree(self.run, ignore_errors=True)
        if not running:
            say("nothing was running")

    def status(self) -> bool:
        """One line for each part; true when all are ready."""
        running = self.running()
        if not running or not self.remembered:
            say("the stack is not running; `make up` starts it")
            return False
        self.plan = Plan(self.remembered, self.run)
        postgres = self.postgres()
        all_ready = True
        say(f"{'part':<16} {'pid':>8}  {'state':<10} address")
        for name in self.wanted():
            process = running.get(name)
            kind, _, number = name.partition("-")
            if name == "postgres":
                ready, address = bool(process) and postgres.answers(), f"127.0.0.1:{postgres.port}"
            elif name == "broker":
                ready = bool(process)
                address = process.settings["address"] if process else "-"
            else:
                address = self.plan.url(kind, int(number or 1))
                ready = bool(process) and web.is_ready(address)
            state = "ready" if ready else "not ready" if process else "stopped"
            say(f"{name:<16} {process.pid if process else '-':>8}  {state:<10} {address}")
            all_ready = all_ready and ready
        return all_ready

    def logs(self) -> None:
        """The last lines of all logs, or of PART=name; goes on following on a terminal."""
        wanted = os.environ.get("PART")
        files = [
            str(path)
            for path in sorted((self.run / "logs").glob("*.log"))
            if not wanted or path.stem == wanted
        ]
        if not files:
            raise Failure(f"no log{f' of {wanted}' if wanted else ''} in {self.run / 'logs'}")
        follow = ["-F"] if sys.stdout.isatty() else []
        subprocess.run(["tail", "-n", "40", *follow, *files], check=False)

    # -- run --

    def urls(self) -> None:
        say("")
        for name in ("orchestrator", "reducer"):
            metrics = self.plan.url(f"{name}-metrics") + "/metrics"
            say(f"  {name:<13} {self.plan.url(name)}   (/docs describes the API)   {metrics}")
        for name in ("stamping", "onextree"):
            say(f"  {name:<13} {self.plan.url(name)}")
        say("  build/run/stack.env holds all addresses and pids, for scripts\n")
        say("It keeps running: `make status` shows it, `make logs` reads it, `make down` ends it.")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["up", "down", "status", "logs", "run"])
    command = parser.parse_args().command
    stack = Stack(RUN)
    if command == "logs":
        stack.logs()
        return EXIT_FINE
    if command == "status":
        return EXIT_FINE if stack.status() else EXIT_NO
    with open(RUN / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once would start parts twice
        if command == "down":
            stack.down(os.environ.get("PURGE", "") not in ("", "0"))
            return EXIT_FINE
        stack.up()
    fine = True
    if command == "run":
        fine = job.stamp_tree(stack.plan, os.environ.get("DIR"))
    stack.urls()
    return EXIT_FINE if fine else EXIT_NO


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"stack: {failure}", file=sys.stderr)
        sys.exit(EXIT_NO)
    except KeyboardInterrupt:
        sys.exit(130)
