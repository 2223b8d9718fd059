# SPDX-License-Identifier: MIT
"""The main job of `make run`: stamps every text file of a tree, then holds the reducer's totals
against the submissions."""

import datetime
import json
import os
import pathlib
import subprocess
import urllib.parse

import parts
import web
from parts import ROOT
from process import Failure, wait_until

COUNTED_WITHIN_S = 60


def tracked_files(tree: pathlib.Path) -> list[str] | None:
    """What git tracks below a directory, or None when git knows nothing of it."""
    try:
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(tree), "ls-files", "-z"],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    return names if done.returncode == 0 and names else None


def walked_files(tree: pathlib.Path) -> list[str]:
    """Every file below a directory except hidden directories and build/."""
    found = []
    for folder, directories, names in os.walk(tree):
        directories[:] = sorted(
            name for name in directories if not name.startswith(".") and name != "build"
        )
        found += [str((pathlib.Path(folder) / name).relative_to(tree)) for name in sorted(names)]
    return found


def files_of(tree: pathlib.Path) -> list[str]:
    names = tracked_files(tree)
    if names is None:
        names = walked_files(tree)
    return [name for name in names if (tree / name).is_file() and not (tree / name).is_symlink()]


def submit(plan, tree: pathlib.Path, files: list[str], namespace: str) -> dict:
    """Submits with bridgectl, which draws the progress bar; its account of what happened."""
    environment = {
        **parts.clean_environment(),
        "ORCHESTRATOR_URL": plan.url("orchestrator"),
        "REDUCER_URL": plan.url("reducer"),
    }
    done = subprocess.run(
        [
            str(plan.programs / "bridgectl"),
            "submit",
            "--files-from",
            "-",
            "--namespace",
            namespace,
            "--json",
        ],
        cwd=tree,
        env=environment,
        input=b"\0".join(os.fsencode(name) for name in files) + b"\0",
        stdout=subprocess.PIPE,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Failure(f"bridgectl submit failed with exit status {done.returncode}") from None


def reducer_totals(reducer_url: str, namespace: str) -> dict:
    """The reducer's totals of one namespace, {} when it has none yet."""
    query = urllib.parse.urlencode({"namespace": namespace, "limit": 1000})
    answer = web.get(f"{reducer_url}/api/v1/namespaces?{query}")
    if answer.status != 200:
        return {}
    for item in answer.json["items"]:
        if namespace in (item.get("namespace"), item.get("group")):
            return item.get("values", item)
    return {}


def stamp_tree(plan, directory: str | None) -> bool:
    """True when every text file was stamped and the reducer counted exactly that."""
    tree = pathlib.Path(directory).resolve() if directory else ROOT
    if not tree.is_dir():
        raise Failure(f"DIR={directory}: there is no such directory")
    namespace = "run-" + datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%S")
    files = files_of(tree)
    print(
        f"\nstamping the text files among the {len(files)} files of {tree}, namespace {namespace}",
        flush=True,
    )
    account = submit(plan, tree, files, namespace)
    completed = [item for item in account["workflows"] if item["state"].upper() == "COMPLETED"]
    expected = {
        "total_stamps": len(completed),
        "total_size_bytes": sum((tree / item["path"]).stat().st_size for item in completed),
    }

    latest: dict = {}

    def counted() -> bool:
        latest.clear()
        latest.update(reducer_totals(plan.url("reducer"), namespace))
        return all(latest.get(name) == value for name, value in expected.items())

    try:
        wait_until(counted, COUNTED_WITHIN_S, "the reducer's totals")
    except Failure:
        pass  # the table below shows what differs
    return show(account, expected, latest)


def show(account: dict, expected: dict, latest: dict) -> bool:
    seconds = max(account.get("seconds", 0), 0.001)
    print(
        f"  submitted {account['submitted']}, completed {account['completed']}, "
        f"failed {account['failed']}, refused {account['refused']}, "
        f"skipped {account['skipped']} (binary or empty), "
        f"{account['completed'] / seconds:.0f} workflows/s"
    )
    fine = account["submitted"] == account["completed"] > 0 and account["refused"] == 0
    for name, value in expected.items():
        same = latest.get(name) == value
        fine = fine and same
        print(
            f"  {name:<17} submissions {value:>12}   reducer {latest.get(name, 0):>12}   "
            f"{'equal' if same else 'DIFFERENT'}"
        )
    print(
        (
            "  every file is stamped and counted"
            if fine
            else "  NOT every file is stamped and counted"
        ),
        flush=True,
    )
    return fine
