#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real Apache Kafka 4.1 on this machine: one process in KRaft mode, jars fetched by Maven.

    tools/kafka/kafka.py fetch                    jars into ~/.cache/omninode-bridge/kafka
    tools/kafka/kafka.py run DIRECTORY [--port N] broker on 127.0.0.1:N (29092), data in DIRECTORY,
                                                  in the foreground until ^C

`make up BROKER=kafka` and `make test-kafka` use the functions below. The broker keeps its data, so
it can be stopped and started again in the same directory; topics are never created by themselves.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

VERSION = "4.1.0"
HERE = pathlib.Path(__file__).resolve().parent
HEAP = "-Xmx512m"


def cache_directory() -> pathlib.Path:
    """One set of jars for all clones of one user; KAFKA_CACHE_DIR puts it elsewhere."""
    default = pathlib.Path.home() / ".cache" / "omninode-bridge" / "kafka"
    return pathlib.Path(os.environ.get("KAFKA_CACHE_DIR") or default) / VERSION


def libraries() -> pathlib.Path:
    """The directory with all jars, fetched when it is not there yet."""
    target = cache_directory() / "libs"
    if target.is_dir():
        return target
    for program in ("mvn", "java"):
        if not shutil.which(program):
            raise RuntimeError(f"{program} is missing: run tools/install-packages.sh kafka")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fetched = pathlib.Path(scratch) / "libs"
        command = ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        command.append(f"-DoutputDirectory={fetched}")
        if subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode != 0:
            raise RuntimeError("Maven could not fetch the jars (its words are above)")
        try:
            fetched.rename(target)  # all or nothing; a second fetch at the same time is as good
        except OSError:
            if not target.is_dir():
                raise
    return target


def java(main_class: str, *arguments: str) -> list[str]:
    """The command line of one of Kafka's programs."""
    return [
        "java",
        HEAP,
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=4",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-cp",
        f"{libraries()}/*",
        main_class,
        *arguments,
    ]


def properties(data: pathlib.Path, port: int, controller_port: int) -> str:
    """server.properties of a single node that is broker and controller."""
    return "\n".join(
        [
            "process.roles=broker,controller",
            "node.id=1",
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names=CONTROLLER",
            f"controller.quorum.voters=1@127.0.0.1:{controller_port}",
            f"log.dirs={data}",
            "auto.create.topics.enable=false",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=4",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "share.coordinator.state.topic.replication.factor=1",
            "group.initial.rebalance.delay.ms=0",
            "num.network.threads=2",
            "num.io.threads=4",
            "log.cleaner.dedupe.buffer.size=16777216",
            "",
        ]
    )


def prepare(directory: pathlib.Path, port: int, controller_port: int) -> list[str]:
    """Writes server.properties, formats the storage the first time, gives the command to run."""
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / "data"
    settings = directory / "server.properties"
    settings.write_text(properties(data, port, controller_port), encoding="utf-8")
    if not (data / "meta.properties").is_file():
        identity = (
            subprocess.run(
                java("kafka.tools.StorageTool", "random-uuid"),
                check=True,
                text=True,
                capture_output=True,
            )
            .stdout.strip()
            .splitlines()[-1]
        )
        done = subprocess.run(
            java("kafka.tools.StorageTool", "format", "-t", identity, "-c", str(settings)),
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"formatting Kafka's storage failed: {done.stdout}{done.stderr}")
    return java("kafka.Kafka", str(settings))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="fetch the jars")
    run = commands.add_parser("run", help="run a broker in the foreground")
    run.add_argument("directory", type=pathlib.Path)
    run.add_argument("--port", type=int, default=29092)
    run.add_argument("--controller-port", type=int, default=0, help="default: port + 1")
    arguments = parser.parse_args()
    if arguments.command == "fetch":
        print(libraries())
        return 0
    controller_port = arguments.controller_port or arguments.port + 1
    command = prepare(arguments.directory.resolve(), arguments.port, controller_port)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
