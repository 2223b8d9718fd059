# SPDX-License-Identifier: MIT
"""What the stack consists of: ports, instances, and the variables each server is given.

Ports                seed      PORT_BASE=B   further instances (n = 2, 3, ...)
  orchestrator       8060      B + 0         seed + 100 (n - 1), or B + 10 (n - 1) + index
  its metrics        9091      B + 1
  reducer            8061      B + 2
  its metrics        9092      B + 3
  metadata-stamping  8053      B + 4         -
  onextree           8080      B + 5         -
  PostgreSQL         5436      B + 6         -
  Kafka              29092     B + 7         -    (the embedded broker takes any free port)
  Kafka controller   29093     B + 8         -

The variables ORCHESTRATOR_PORT, REDUCER_PORT, METADATA_STAMPING_PORT and so on move single ports.
"""

import dataclasses
import os
import pathlib

from parts import ROOT, Server
from process import Failure

INSTANCES_MAX = 9
STATE_FILE = "stack.json"

# name: (seed port, index under PORT_BASE, variable that moves it)
PORTS = {
    "orchestrator": (8060, 0, "ORCHESTRATOR_PORT"),
    "orchestrator-metrics": (9091, 1, "ORCHESTRATOR_METRICS_PORT"),
    "reducer": (8061, 2, "REDUCER_PORT"),
    "reducer-metrics": (9092, 3, "REDUCER_METRICS_PORT"),
    "stamping": (8053, 4, "METADATA_STAMPING_PORT"),
    "onextree": (8080, 5, "ONEXTREE_PORT"),
    "postgres": (5436, 6, None),
    "kafka": (29092, 7, None),
    "kafka-controller": (29093, 8, None),
}


@dataclasses.dataclass
class Settings:
    """What cannot change while the stack runs, and how many of each node there are."""

    mode: str = "release"
    broker: str = "embedded"
    port_base: int = 0
    orchestrators: int = 1
    reducers: int = 1

    FIXED = ("mode", "broker", "port_base")


def number_from(environment, name: str, low: int, high: int) -> int:
    text = environment[name]
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise Failure(f"{name} is \"{text}\"; it must be a whole number from {low} to {high}")
    return int(text)


def settings_from(environment, running: Settings | None) -> Settings:
    """Settings from variables; what is not given stays as it is in the running stack."""
    chosen = dataclasses.replace(running) if running else Settings()
    if environment.get("MODE"):
        chosen.mode = environment["MODE"]
    if environment.get("BROKER"):
        chosen.broker = environment["BROKER"]
        if chosen.broker not in ("embedded", "kafka"):
            raise Failure(f"BROKER is \"{chosen.broker}\"; it must be embedded or kafka")
    if environment.get("PORT_BASE"):
        chosen.port_base = number_from(environment, "PORT_BASE", 1024, 65000)
    for variable, field in (("ORCHESTRATORS", "orchestrators"), ("REDUCERS", "reducers")):
        if environment.get(variable):
            setattr(chosen, field, number_from(environment, variable, 1, INSTANCES_MAX))
    if running:
        for field in Settings.FIXED:
            now, wanted = getattr(running, field), getattr(chosen, field)
            if now != wanted:
                raise Failure(
                    f"the stack runs with {field.upper()}={now}, not {wanted}: " "`make down` first"
                )
    return chosen


class Plan:
    """Ports and environments that follow from the settings."""

    def __init__(self, settings: Settings, run: pathlib.Path):
        self.settings = settings
        self.run = run
        self.programs = ROOT / "build" / settings.mode

    def port(self, name: str, instance: int = 1) -> int:
        seed, index, variable = PORTS[name]
        if instance == 1 and variable and os.environ.get(variable):
            return number_from(os.environ, variable, 1, 65535)
        if self.settings.port_base:
            return self.settings.port_base + 10 * (instance - 1) + index
        return seed + 100 * (instance - 1)

    def url(self, name: str, instance: int = 1) -> str:
        return f"http://127.0.0.1:{self.port(name, instance)}"

    def log(self, name: str) -> pathlib.Path:
        return self.run / "logs" / f"{name}.log"

    def common(self, database_url: str, bootstrap: str) -> dict:
        """Variables that every program gets; ours win where the stack itself decides."""
        return {
            "BIND_ADDRESS": os.environ.get("BIND_ADDRESS") or "127.0.0.1",
            "CONTRACTS_DIR": os.environ.get("CONTRACTS_DIR") or str(ROOT / "contracts"),
            "MIGRATIONS_DIR": os.environ.get("MIGRATIONS_DIR") or str(ROOT / "migrations"),
            "DATABASE_URL": database_url,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        }

    def servers(self, database_url: str, bootstrap: str) -> dict[str, Server]:
        """All of our servers by name, companions first."""
        common = self.common(database_url, bootstrap)
        found = {}

        def add(name: str, program: str, url: str, environment: dict) -> None:
            found[name] = Server(
                name, self.programs / program, url, {**common, **environment}, self.log(name)
            )

        add(
            "stamping",
            "metadata-stamping",
            self.url("stamping"),
            {"METADATA_STAMPING_PORT": str(self.port("stamping"))},
        )
        add(
            "onextree",
            "onextree",
            self.url("onextree"),
            {"ONEXTREE_PORT": str(self.port("onextree"))},
        )
        for n in range(1, self.settings.orchestrators + 1):
            add(
                instance_name("orchestrator", n),
                "bridge-orchestrator",
                self.url("orchestrator", n),
                {
                    "ORCHESTRATOR_PORT": str(self.port("orchestrator", n)),
                    "ORCHESTRATOR_METRICS_PORT": str(self.port("orchestrator-metrics", n)),
                    "ORCHESTRATOR_ADVERTISED_URL": self.advertised(n),
                    "METADATA_STAMPING_SERVICE_URL": self.service(
                        "METADATA_STAMPING_SERVICE_URL", "stamping"
                    ),
                    "ONEXTREE_SERVICE_URL": self.service("ONEXTREE_SERVICE_URL", "onextree"),
                },
            )
        for n in range(1, self.settings.reducers + 1):
            add(
                instance_name("reducer", n),
                "bridge-reducer",
                self.url("reducer", n),
                {
                    "REDUCER_PORT": str(self.port("reducer", n)),
                    "REDUCER_METRICS_PORT": str(self.port("reducer-metrics", n)),
                    "REDUCER_INSTANCE_ID": self.member(n),
                },
            )
        return found

    def service(self, variable: str, name: str) -> str:
        return os.environ.get(variable) or self.url(name)

    def advertised(self, instance: int) -> str:
        given = os.environ.get("ORCHESTRATOR_ADVERTISED_URL") if instance == 1 else None
        return given or self.url("orchestrator", instance)

    def member(self, instance: int) -> str:
        """Static member id of a reducer in its consumer group; no two may be the same."""
        given = os.environ.get("REDUCER_INSTANCE_ID") or "reducer"
        return given if instance == 1 else f"{given}-{instance}"

    def ports_of(self, part: str) -> list[int]:
        """Ports that a part (orchestrator-2, postgres, kafka, ...) listens on."""
        name, _, suffix = part.partition("-")
        instance = int(suffix) if suffix else 1
        return [
            self.port(port, instance)
            for port in (name, f"{name}-metrics", f"{name}-controller")
            if port in PORTS
        ]


def instance_name(name: str, instance: int) -> str:
    return name if instance == 1 else f"{name}-{instance}"


def variable_name(part: str, suffix: str) -> str:
    """orchestrator-2, URL -> ORCHESTRATOR_2_URL"""
    return f"{part.upper().replace('-', '_')}_{suffix}"
