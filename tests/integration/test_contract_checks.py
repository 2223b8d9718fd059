# SPDX-License-Identifier: MIT
"""Does `bridgectl contracts check` tell every mistake of the broken contracts, in its place?"""

import json
import re
import subprocess

import harness
import parts
from harness import PROGRAMS, ROOT

BROKEN = "tests/contracts/broken"


def check(*arguments, cwd=ROOT):
    return subprocess.run(
        [str(PROGRAMS / "bridgectl"), "contracts", "check", *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60 * harness.deadline_factor(),
        cwd=cwd,
        env=parts.clean_environment(),
    )


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
