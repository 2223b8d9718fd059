# SPDX-License-Identifier: MIT
"""Do `bridgectl contracts run` and `test` do what docs/states-language.md says? No server is needed."""

import json
import subprocess

import harness
import parts
import pytest
from harness import PROGRAMS, ROOT

GREET = """\
name: greet
version: 1.0.0
description: says it again
services: [echo-service]
input_state:
  type: object
  required: [text]
  properties: { text: { type: string, minLength: 1 } }
output_state: { type: object, required: [said] }
state_machine:
  StartAt: Say
  States:
    Say:
      Type: Task
      Resource: any:resource
      TimeoutSeconds: 10
      Retry: [{ ErrorEquals: [States.Http.StatusCode.503], JitterStrategy: FULL }]
      End: true
"""

GREET_TEST = """\
cases:
  - name: says it again, at the second attempt
    input: { text: hello }
    mocks:
      - { state: Say, error: States.Http.StatusCode.503, cause: busy }
      - { state: Say, output: { said: hello } }
    expect:
      status: SUCCEEDED
      output: { said: hello }
      states: [Say]
      seconds: 0.5
  - name: no text
    input: {}
    expect: { input_invalid: true }
"""

BUSY = "States.Http.StatusCode.503"
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
TASK = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "any", "End": True}}}


def run(*arguments, stdin: str = "", cwd=None):
    return subprocess.run(
        [str(PROGRAMS / "bridgectl"), "contracts", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        text=True,
        timeout=180 * harness.deadline_factor(),
        cwd=cwd,
        env={**parts.clean_environment(), "CONTRACTS_DIR": str(ROOT / "contracts")},
    )


@pytest.fixture
def greet(tmp_path):
    (tmp_path / "greet.yaml").write_text(GREET)
    (tmp_path / "greet.test.yaml").write_text(GREET_TEST)
    return tmp_path


def write(directory, name, value):
    path = directory / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


# -- run --


def test_run_prints_one_json_object(greet):
    mocks = write(greet, "mocks.yaml", f"- {{ error: {BUSY} }}\n- {{ output: {{ said: hi }} }}\n")
    given = write(greet, "input.json", {"text": "hi"})
    done = run("run", greet / "greet.yaml", "--input", given, "--mocks", mocks, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "status": "SUCCEEDED",
        "output": {"said": "hi"},
        "error": None,
        "cause": None,
        "states": [
            {"name": "Say", "event": "Entered", "input": {"text": "hi"}},
            {"name": "Say", "event": "Exited", "output": {"said": "hi"}},
        ],
    }


def test_run_tells_people_a_story(greet):
    mocks = write(greet, "mocks.json", [{"error": BUSY, "cause": "busy"}, {"output": {"said": "hi"}}])
    done = run("run", "greet.yaml", "--input", "-", "--mocks", mocks, stdin='{"text":"hi"}', cwd=greet)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        '     0.000 s  Say (Task) <- {"text":"hi"}\n'
        "     0.000 s  Say failed, attempt 2 follows in 0.5 s: States.Http.StatusCode.503: busy\n"
        '     0.500 s  Say -> {"said":"hi"}\n'
        "\n"
        "status  SUCCEEDED after 0.500 s of the virtual clock, 2 of 2 mocks used\n"
        'output  {"said":"hi"}\n'
    )


def test_run_indents_branches(tmp_path):
    left = {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": True}}}
    right = {"StartAt": "C", "States": {"C": {"Type": "Wait", "Seconds": 7, "End": True}}}
    parallel = {"Type": "Parallel", "Branches": [left, right], "End": True}
    machine = {"StartAt": "P", "States": {"P": parallel}}
    done = run("run", write(tmp_path, "p.asl.json", machine))
    assert done.returncode == 0, done.stderr
    assert "     0.000 s    [0] B (Pass) <- {}\n" in done.stdout
    assert "     0.000 s    [1] C waits 7 s\n" in done.stdout
    assert "     7.000 s  P -> [{},{}]\n" in done.stdout


@pytest.mark.parametrize("name", ["m.asl.json", "m.json", "m.yaml", "m"])
def test_run_takes_a_state_machine_alone(tmp_path, name):
    done = run("run", write(tmp_path, name, PASS), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["output"] == {}


def test_run_of_a_failure_exits_1(tmp_path):
    done = run("run", write(tmp_path, "m.json", TASK))
    assert done.returncode == 1
    assert "status  FAILED" in done.stdout
    assert "error   States.TaskFailed\n" in done.stdout
    assert 'cause   No mock is left for the state "A".\n' in done.stdout


def test_run_holds_input_and_output_against_the_schemas(greet):
    done = run("run", greet / "greet.yaml", "--input", "-", "--json", stdin='{"text":""}')
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["invalid"] is True
    assert [finding["code"] for finding in answer["findings"]] == ["INPUT_INVALID"]
    mocks = write(greet, "mocks.json", [{"output": {"other": 1}}])
    done = run("run", greet / "greet.yaml", "--input", "-", "--mocks", mocks, "--json", stdin='{"text":"x"}')
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["error"], answer["output"]) == ("FAILED", "Contract.OutputInvalid", None)
    assert "said" in answer["cause"]


def test_run_tells_all_that_is_wrong_with_its_files(greet):
    write(greet, "greet.yaml", GREET.replace("End: true", "Nxt: Say"))
    mocks = write(greet, "mocks.yaml", "- { output: 1 }\n- { outptu: 1 }\n")
    done = run("run", "greet.yaml", "--input", "-", "--mocks", mocks, stdin='{"text":', cwd=greet)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "greet.yaml:18:7: error ASL_UNKNOWN_FIELD" in done.stderr
    assert "-:1:9: error JSON_SYNTAX" in done.stderr
    assert f"{mocks}:2:5: error MOCK_UNKNOWN_FIELD" in done.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "give either a FILE or --cases FILE"),
        (["x.json", "--cases", "-"], "give either a FILE or --cases FILE"),
        (["--cases", "-", "--input", "x"], "has its own input and mocks"),
        (["x.json", "--input", "-", "--mocks", "-"], "only one of --input and --mocks"),
    ],
)
def test_a_wrong_command_line_exits_2(arguments, said):
    done = run("run", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


# -- run --cases --


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_cases_are_answered_line_by_line(tmp_path):
    cases = [
        json.dumps({"id": 1, "definition": PASS, "input": {"x": 1}, "expect": "ignored"}),
        "",
        "{",
        json.dumps({"id": "b", "definition": TASK, "mocks": [{"error": "E", "cause": "c"}]}),
        "[1]",
        json.dumps({"id": {"any": "value"}, "definition": {"StartAt": "A"}}),
        json.dumps({"definition": TASK, "mocks": [{"state": "A", "output": 7}]}),
    ]
    done = run("run", "--cases", write(tmp_path, "cases.jsonl", "\n".join(cases)))
    assert done.returncode == 0, done.stderr
    answers = lines(done)
    assert [answer["id"] for answer in answers] == [1, None, "b", None, {"any": "value"}, None]
    assert answers[0]["status"] == "SUCCEEDED" and answers[0]["output"] == {"x": 1}
    assert answers[1]["invalid"] is True
    assert (answers[1]["findings"][0]["code"], answers[1]["findings"][0]["line"]) == ("JSON_SYNTAX", 3)
    assert (answers[2]["status"], answers[2]["error"], answers[2]["cause"]) == ("FAILED", "E", "c")
    assert answers[3]["findings"][0]["code"] == "CASE_BAD"
    assert answers[4]["invalid"] is True
    finding = answers[4]["findings"][0]
    assert set(finding) == {"severity", "file", "line", "column", "code", "pointer", "message"}
    assert finding["line"] == 6 and finding["pointer"].startswith("/definition")
    assert answers[5]["output"] == 7


def test_a_name_given_twice_makes_a_definition_invalid_and_nothing_else():
    states = '{"A":{"Type":"Pass","End":true},"A":{"Type":"Succeed"}}'
    twice = f'{{"id":1,"definition":{{"StartAt":"A","States":{states}}}}}\n'
    in_the_input = json.dumps({"id": 2, "definition": PASS})[:-1] + ',"input":{"a":1,"a":2}}\n'
    done = run("run", "--cases", "-", stdin=twice + in_the_input)
    first, second = lines(done)
    assert [finding["code"] for finding in first["findings"]] == ["JSON_DUPLICATE_NAME"]
    assert second["output"] == {"a": 2}


def test_a_warning_does_not_make_a_case_invalid():
    task_without_timeout = {"id": 1, "definition": TASK, "mocks": [{"output": 1}]}
    done = run("run", "--cases", "-", stdin=json.dumps(task_without_timeout))
    assert lines(done)[0]["status"] == "SUCCEEDED"


def test_a_line_that_is_too_long_is_refused_and_the_next_one_runs():
    long = '{"id":1,"input":"' + "x" * (16 << 20) + '"}\n'
    done = run("run", "--cases", "-", stdin=long + json.dumps({"id": 2, "definition": PASS}) + "\n")
    first, second = lines(done)
    assert first["id"] is None and first["findings"][0]["code"] == "CASE_TOO_LARGE"
    assert second["id"] == 2 and second["status"] == "SUCCEEDED"


def test_an_answer_comes_before_the_next_case_is_sent():
    with subprocess.Popen(
        [str(PROGRAMS / "bridgectl"), "contracts", "run", "--cases", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=parts.clean_environment(),
    ) as process:
        for number in range(3):
            process.stdin.write(json.dumps({"id": number, "definition": PASS}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(180 * harness.deadline_factor()) == 0


def test_cases_that_cannot_be_read_exit_1(tmp_path):
    done = run("run", "--cases", tmp_path / "none.jsonl")
    assert done.returncode == 1
    assert "cannot read" in done.stderr


# -- test --


def test_the_tests_of_the_shipped_contracts_pass():
    done = run("test", ROOT / "contracts")
    assert done.returncode == 0, done.stdout
    assert "metadata_stamping.test.yaml" in done.stdout
    assert ", 0 failed" not in done.stdout


@pytest.mark.parametrize("path", [".", "greet.test.yaml", "greet.yaml"])
def test_tests_are_found_by_directory_by_name_and_by_contract(greet, path):
    done = run("test", path, cwd=greet)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("1 files, 2 cases, 2 passed\n")


def test_a_failing_case_shows_where_it_differs(greet):
    changed = GREET_TEST.replace("output: { said: hello }\n", "output: { said: hullo, more: 1 }\n")
    changed = changed.replace("[Say]", "[Say, Hear]").replace("seconds: 0.5", "mocks_left: 1")
    write(greet, "greet.test.yaml", changed)
    done = run("test", "greet.test.yaml", cwd=greet)
    assert done.returncode == 1
    assert done.stdout.startswith(
        "greet.test.yaml:2: FAILED: says it again, at the second attempt\n"
        "  greet.test.yaml:9: /output/said\n"
        '      - "hullo"\n'
        '      + "hello"\n'
        "  greet.test.yaml:9: /output/more\n"
        "      - 1\n"
        "  greet.test.yaml:10: /states/1\n"
        '      - "Hear"\n'
        "  greet.test.yaml:11: /mocks_left\n"
        "      - 1\n"
        "      + 0\n"
    )
    assert done.stdout.endswith("1 files, 2 cases, 1 passed, 1 failed\n")


def test_an_output_is_compared_exactly_or_in_part(greet):
    for field, passes in (("output", False), ("output_contains", True)):
        write(
            greet,
            "greet.test.yaml",
            "cases:\n"
            "- name: c\n"
            "  input: { text: x }\n"
            "  mocks: [ { output: { said: x, list: [ { a: 1, b: 2 } ], more: 1 } } ]\n"
            f"  expect: {{ {field}: {{ said: x, list: [ {{ a: 1.0 }} ] }} }}\n",
        )
        assert (run("test", greet).returncode == 0) is passes, field
    write(
        greet,
        "greet.test.yaml",
        "cases: [{name: c, input: {text: x}, mocks: [{output: {said: x, l: [1, 2]}}],\n"
        "  expect: {output_contains: {l: [1]}}}]\n",
    )
    assert run("test", greet).returncode == 1


def test_a_mock_that_is_left_over_fails_the_case(greet):
    more = GREET_TEST.replace("    expect:\n", "      - { output: 3 }\n    expect:\n", 1)
    write(greet, "greet.test.yaml", more)
    done = run("test", greet)
    assert done.returncode == 1
    assert "/mocks_left\n      - 0\n      + 1\n" in done.stdout


def test_a_failure_that_was_not_expected_names_error_and_cause(greet):
    write(greet, "greet.test.yaml", "cases: [{name: c, input: {text: x}, expect: {output: 1}}]")
    done = run("test", greet)
    assert done.returncode == 1
    assert '/status\n      - "SUCCEEDED"\n      + "FAILED"\n' in done.stdout
    assert '  it ended with States.TaskFailed: No mock is left for the state "Say".\n' in done.stdout


@pytest.mark.parametrize(
    "text, said",
    [
        ("case: []\ncases: []\n", '1:1: error TEST_UNKNOWN_FIELD: the test file has no field "case"'),
        ("contract: greet.yaml\n", "1:1: error TEST_MISSING_FIELD: the test file needs the field cases"),
        ("cases:\n- name: a\n  expcet: 1\n  expect: {}\n", '3:3: error TEST_UNKNOWN_FIELD: a case has no'),
        ("cases:\n- name: a\n  expect: {}\n", "3:3: error TEST_BAD_FIELD: expect says nothing"),
        ("cases:\n- name: a\n  expect: { staus: X }\n", '3:13: error TEST_UNKNOWN_FIELD: expect has no'),
        ("cases:\n- name: a\n  expect: { status: OK }\n", "status is SUCCEEDED, FAILED, TIMED_OUT or"),
        ("cases:\n- expect: { error: E }\n", "2:3: error TEST_MISSING_FIELD: a case needs the field name"),
        ("cases:\n- name: a\n  mocks:\n  - x: 1\n  expect: { error: E }\n", "4:5: error MOCK_UNKNOWN_FIELD"),
        ("cases: 5\n", "cases of the test file must be of the type array, not number"),
        ("contract: none.yaml\ncases: []\n", "none.yaml:1:1: error FILE_UNREADABLE"),
        ("start_time: yesterday\ncases: []\n", "1:1: error TEST_BAD_FIELD: start_time must be like"),
        ("cases: [\n", "YAML_SYNTAX"),
    ],
)
def test_what_is_wrong_with_a_test_file_has_a_place(greet, text, said):
    write(greet, "greet.test.yaml", text)
    done = run("test", "greet.test.yaml", cwd=greet)
    assert done.returncode == 1
    assert said in done.stdout
    assert "invalid" in done.stdout


def test_a_test_without_a_contract_says_so(tmp_path):
    write(tmp_path, "lonely.test.yaml", "cases: []\n")
    done = run("test", tmp_path)
    assert done.returncode == 1
    assert "there is no contract of the same name beside it" in done.stdout


def test_a_broken_contract_shows_its_findings(greet):
    write(greet, "greet.yaml", GREET.replace("StartAt: Say", "StartAt: Sya"))
    done = run("test", greet)
    assert done.returncode == 1
    assert f"{greet}/greet.yaml:11:3: error ASL_UNKNOWN_STATE" in done.stdout


def test_the_clock_may_start_elsewhere(greet):
    clock = {"Type": "Pass", "Parameters": {"t.$": "$$.Execution.StartTime"}, "End": True}
    write(greet, "clock.asl.json", {"StartAt": "A", "States": {"A": clock}})
    case = {"name": "c", "expect": {"output": {"t": "2030-05-06T05:08:09.000Z"}}}
    write(greet, "clock.test.json", {"start_time": "2030-05-06T07:08:09+02:00", "cases": [case]})
    done = run("test", greet / "clock.test.json")
    assert done.returncode == 0, done.stdout


def test_json_of_tests(greet):
    write(greet, "greet.test.yaml", GREET_TEST.replace("seconds: 0.5", "seconds: 1"))
    done = run("test", greet, "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["files"], answer["passed"], answer["failed"], answer["findings"]) == (1, 1, 1, [])
    failed, passed = answer["cases"]
    assert passed["passed"] is True and "got" not in passed
    assert failed["differences"] == [{"pointer": "/seconds", "line": 11, "expected": 1, "got": 0.5}]
    assert failed["got"]["status"] == "SUCCEEDED"


def test_nothing_to_test_exits_2(tmp_path):
    done = run("test", tmp_path)
    assert done.returncode == 2
    assert "there is no *.test.yaml" in done.stderr


def test_a_contract_that_is_named_and_has_no_tests_fails(greet):
    lonely = write(greet, "lonely.yaml", GREET)
    done = run("test", greet / "greet.yaml", lonely)
    assert done.returncode == 1
    assert f"there is no test file beside {lonely}" in done.stderr
    assert done.stdout.endswith("1 files, 2 cases, 2 passed\n")


# -- check --


def test_check_leaves_the_tests_beside_a_contract_alone(greet):
    write(greet, "greet.yaml", GREET.replace("any:resource", "onex:http:invoke"))
    done = run("check", greet, "--json")
    answer = json.loads(done.stdout)
    assert answer["files"] == 1


def test_findings_of_check_have_all_their_members(tmp_path):
    write(tmp_path, "broken.yaml", GREET.replace("End: true", "Nxt: Say").replace("greet", "no name"))
    done = run("check", tmp_path, "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["valid"] is False and len(answer["findings"]) > 3
    for finding in answer["findings"]:
        assert set(finding) == {"severity", "file", "line", "column", "code", "pointer", "message"}
        assert finding["line"] > 0 and finding["column"] > 0 and finding["code"] and finding["message"]
