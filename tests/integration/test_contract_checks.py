# SPDX-License-Identifier: MIT
"""Does `bridgectl contracts check` tell every mistake of the broken contracts, in its place? Do `graph` and
`verify` show the control flow as it is?"""

import json
import os
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree

import harness
import parts
import pytest
from harness import PROGRAMS, ROOT

BROKEN = "tests/contracts/broken"


def contracts(*arguments, cwd=ROOT):
    return subprocess.run(
        [str(PROGRAMS / "bridgectl"), "contracts", *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=180 * harness.deadline_factor(),
        cwd=cwd,
        env=parts.clean_environment(),
    )


def check(*arguments, cwd=ROOT):
    return contracts("check", *arguments, cwd=cwd)


def test_broken_contracts_have_exactly_these_findings():
    done = check(BROKEN)
    assert done.stdout == (ROOT / f"{BROKEN}.expected").read_text()
    assert done.returncode == 1
    assert done.stderr == ""


def test_every_broken_contract_has_a_finding_and_they_are_in_order():
    files = sorted(path.name for path in (ROOT / BROKEN).iterdir())
    assert len(files) == 20
    account = json.loads(check(BROKEN, "--json").stdout)
    assert account["valid"] is False
    assert account["findings_left_out"] == 0
    places = [
        (finding["file"], finding["line"], finding["column"]) for finding in account["findings"]
    ]
    assert places == sorted(places)
    assert sorted({place[0].rsplit("/", 1)[1] for place in places}) == files
    for finding in account["findings"]:
        assert re.fullmatch(r"(ASL|CONTRACT|SCHEMA|YAML|JSON)_[A-Z_]+", finding["code"])


def test_the_documentation_shows_what_is_printed():
    lines = set((ROOT / f"{BROKEN}.expected").read_text().splitlines())
    text = (ROOT / "docs" / "contract-checks.md").read_text()
    shown = [line.strip() for line in text.splitlines() if line.startswith(f"    {BROKEN}/")]
    assert len(shown) >= 10
    assert [line for line in shown if line not in lines] == []


def test_findings_are_bounded(tmp_path):
    states = ",".join(f'"S{i}":{{"Type":"Pass"}}' for i in range(1500))
    path = tmp_path / "many.asl.json"
    path.write_text(f'{{"StartAt":"S0","States":{{{states}}}}}')
    done = check(path, cwd=tmp_path)
    assert done.stdout.splitlines()[-2:] == ["and 500 more", "1 files, 1500 errors, 0 warnings"]
    assert len(done.stdout.splitlines()) == 1002


def test_the_shipped_contracts_have_no_findings():
    done = check(ROOT / "contracts" / "workflows")
    assert re.fullmatch(r"\d+ files, 0 errors, 0 warnings\n", done.stdout)
    assert done.returncode == 0


# -- pictures --


def test_a_contract_is_drawn_in_every_form(tmp_path):
    file = ROOT / "contracts" / "workflows" / "metadata_stamping.yaml"
    mermaid = contracts("graph", file).stdout
    assert mermaid.startswith("stateDiagram-v2\n") and 'state "stamp_creation" as ' in mermaid
    assert contracts("graph", file, "--format", "dot").stdout.startswith("digraph ")
    assert "stamp_creation (Task) -> aggregate_results\n" in contracts("graph", file, "--format", "text").stdout
    picture = tmp_path / "picture.svg"
    done = contracts("graph", file, "--format", "svg", "--output", picture)
    assert (done.returncode, done.stdout) == (0, "")
    names = {part.text for part in xml.etree.ElementTree.parse(picture).iter() if part.text}
    assert {"gather", "hash_generation", "onextree_intelligence", "catch States.ALL"} <= names


def test_graph_refuses_what_it_cannot_draw(tmp_path):
    assert contracts("graph", ROOT / BROKEN / "03_transitions.yaml").returncode == 1
    assert contracts("graph", tmp_path / "none.yaml").returncode == 1
    file = ROOT / "contracts" / "workflows" / "metadata_stamping.yaml"
    assert contracts("graph", file, "--format", "gif").returncode == 2
    assert contracts("graph", file, "--graphviz").returncode == 2
    assert contracts("graph", file, "--output", tmp_path / "none" / "x").returncode == 1


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_the_dot_form():
    file = ROOT / "contracts" / "workflows" / "metadata_stamping.yaml"
    done = contracts("graph", file, "--format", "svg", "--graphviz")
    assert done.returncode == 0, done.stderr
    assert xml.etree.ElementTree.fromstring(done.stdout).tag.endswith("svg")


# -- verify --


def test_the_shipped_contracts_are_proved():
    done = contracts("verify", ROOT / "contracts" / "workflows", ROOT / "contracts" / "examples", "--no-spin")
    assert done.returncode == 0, done.stdout
    assert "NO " not in done.stdout and "? " not in done.stdout
    assert done.stdout.count("every run can come to an end") == 11


def test_a_fault_is_told_with_a_way_to_it(tmp_path):
    machine = {
        "StartAt": "Book",
        "States": {
            "Book": {"Type": "Task", "Resource": "r", "Next": "Pay"},
            "Pay": {"Type": "Task", "Resource": "r", "End": True},
            "Free": {"Type": "Pass", "End": True},
        },
    }
    machine["States"]["Pay"]["Catch"] = [{"ErrorEquals": ["Declined"], "Next": "Free"}]
    document = {"name": "book", "version": "1.0.0", "state_machine": machine}
    document["verify"] = {"compensations": {"Free": "Book"}}
    file = tmp_path / "book.json"
    file.write_text(json.dumps(document))
    done = contracts("verify", file, "--no-spin")
    assert done.returncode == 1
    assert 'a run fails after "Book" has succeeded, and "Free" has not run' in done.stdout
    assert "        1. Book succeeds\n        2. Pay fails with another error\n" in done.stdout
    account = json.loads(contracts("verify", file, "--no-spin", "--json").stdout)
    assert account["faults"][0]["code"] == "compensation_missing"
    assert account["faults"][0]["path"] == ["Book succeeds", "Pay fails with another error"]


def random_machine(numbers, depth=0, prefix="S"):
    """A machine of any shape that compiles; its loops may or may not be left."""
    count = numbers.randrange(2, 5)
    names = [f"{prefix}{i}" for i in range(count)]
    states = {}
    for i, name in enumerate(names):
        onwards = names[i + 1] if i + 1 < count else None
        kind = numbers.choice(["Task", "Task", "Choice", "Pass", "Parallel" if depth < 1 else "Pass"])
        following = {"Next": onwards} if onwards else {"End": True}
        if onwards and numbers.random() < 0.25:
            following = {"Next": numbers.choice(names)}
        if kind == "Choice" and onwards:
            rule = {"Variable": "$.a", "IsNull": True, "Next": numbers.choice(names)}
            states[name] = {"Type": "Choice", "Choices": [rule], "Default": onwards}
            continue
        if kind == "Parallel":
            inner = [random_machine(numbers, depth + 1, f"{name}{letter}") for letter in "xy"]
            states[name] = {"Type": "Parallel", "Branches": inner, **following}
        elif kind == "Task":
            states[name] = {"Type": "Task", "Resource": "r", **following}
        else:
            states[name] = {"Type": "Pass", **following}
        if kind in ("Task", "Parallel") and numbers.random() < 0.5:
            error = numbers.choice(["States.ALL", "E1"])
            states[name]["Catch"] = [{"ErrorEquals": [error], "Next": numbers.choice(names)}]
    return {"StartAt": names[0], "States": states}


@pytest.mark.skipif(shutil.which("spin") is None, reason="spin is not installed")
@pytest.mark.parametrize("seed", range(int(os.environ.get("SPIN_MACHINES", "6"))))
def test_spin_finds_what_we_find(tmp_path, seed):
    """Machines of random shape, with random compensations: both say the same."""
    numbers = random.Random(seed)
    for attempt in range(1000):
        machine = random_machine(numbers)
        names = list(machine["States"])
        document = {"name": "m", "version": "1.0.0", "state_machine": machine}
        document["verify"] = {"compensations": {numbers.choice(names): numbers.choice(names)}}
        file = tmp_path / f"m{attempt}.json"
        file.write_text(json.dumps(document))
        done = contracts("verify", file, "--json")
        if done.stdout:  # it compiles
            break
    account = json.loads(done.stdout)
    assert account["complete"] is True
    assert account["spin"] == "agrees", (account, machine, document["verify"])
