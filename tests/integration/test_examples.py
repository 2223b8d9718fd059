# SPDX-License-Identifier: MIT
"""The contracts of contracts/examples: valid, and each run to its end on a whole bridge,
undisturbed and with kill -9 of the orchestrator at chosen points; then all of them at once, killed
wherever they happen to be. The outcome is always the same, and so are the effects outside: stamps,
calls, events, child workflows.
"""

import json
import subprocess

import parts
import pytest
from examples import DELIVERED, EXAMPLES, NAMES, SUCCEEDED, Account, People, Run, Stage, at
from harness import program, scaled, wait_until

LONG_PATH = "x" * 20000  # the stamping service refuses it


@pytest.fixture(scope="module")
def whole_stage(module_bridge):
    made = Stage(module_bridge)
    yield made
    made.close()


@pytest.fixture
def stage(whole_stage):
    whole_stage.clear()
    return whole_stage


def bridgectl(*arguments):
    return subprocess.run(
        [str(program("bridgectl")), "contracts", *arguments],
        env=parts.clean_environment(),
        capture_output=True,
        check=False,
        text=True,
    )


def test_nothing_is_found_wrong_with_them():
    done = bridgectl("check", EXAMPLES, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["files"] == len(NAMES) and not found["findings"], found


def test_their_own_tests_pass():
    done = bridgectl("test", EXAMPLES, "--json")
    assert done.returncode == 0, done.stdout
    tested = {path.name for path in EXAMPLES.glob("*.test.yaml")}
    assert tested == {f"{name}.test.yaml" for name in NAMES}


def test_their_control_flow_is_proved():
    done = bridgectl("verify", EXAMPLES)
    assert done.returncode == 0, done.stdout
    verdicts = [line.split()[0] for line in done.stdout.splitlines() if ": " not in line]
    assert set(verdicts) == {"yes"} and len(verdicts) >= 2 * len(NAMES), done.stdout
    assert "compensation runs only for what was done, and once" in done.stdout


# -- the stories: one workflow each, killed at every interesting point --


def saga(run: Run) -> Account:
    run.onextree.stop_at(at("index_folder:0"))
    run.submit()
    run.wait_stopped(run.onextree)
    run.kill()
    run.onextree.open()
    account = run.account()
    assert account.state == "COMPLETED" and account.result["files"] == 3, account
    assert account.stamps == {"v1/NOTES": 1, "v1/MANIFEST": 1}, account
    return account


def saga_undone(run: Run) -> Account:
    """The last step fails; killed at both steps of the way back."""
    run.stamping.stop_at(at("revoke_manifest:0"))
    run.submit()
    run.wait_stopped(run.stamping)
    run.kill()
    run.stamping.stop_at(at("revoke_notes:0"))
    run.wait_stopped(run.stamping)
    run.kill()
    run.stamping.open()
    account = run.account()
    assert account.state == "FAILED", account
    assert account.error["error"] == "States.Http.StatusCode.400", account
    paths = ("v1/NOTES", "v1/MANIFEST", "v1/NOTES.revoked", "v1/MANIFEST.revoked")
    assert account.stamps == dict.fromkeys(paths, 1), account
    return account


def fan_out(run: Run) -> Account:
    """Four items are under way, five are done, three have not begun."""
    documents = [{"path": f"{n}.txt", "content": f"document {n}"} for n in range(12)]
    documents[7]["path"] = LONG_PATH
    run.stamping.stop_at(lambda call: int(call.key.split("/")[1]) >= 5)
    run.submit(documents=documents)
    run.wait_stopped(run.stamping, 4)
    run.wait_steps_done(5)
    assert run.stamping.stopped == 4, "MaxConcurrency holds"
    run.kill()
    run.stamping.open()
    account = run.account()
    result = account.result
    assert (result["documents"], result["stamped"], result["failed"]) == (12, 11, 1), account
    assert result["failed_paths"] == [LONG_PATH], account
    assert account.stamps == {f"{n}.txt": 1 for n in range(12) if n != 7}, account
    return account


def approval(run: Run) -> Account:
    run.submit()
    token = run.wait_event("approval_requested")["task_token"]
    run.kill()
    run.stamping.stop_at(at("stamp:0"))
    answer = run.answer(token, "success", {"output": {"approved": True, "by": "ada"}})
    assert answer.status == 200, answer
    run.wait_stopped(run.stamping)
    run.kill()
    run.stamping.open()
    account = run.account()
    assert account.result["outcome"] == "approved", account
    assert account.stamps == {"a.txt": 1} and account.events["approval_requested"] == 1, account
    again = run.answer(token, "success", {"output": {"approved": False, "by": "eve"}})
    assert again.status in (404, 409, 410), f"a token is good for one answer: {again}"
    return account


def polling(run: Run) -> Account:
    """Killed while it waits, and while its second question is on the way."""
    run.stamping.stop_at(at("ask:1"), delivered=False)
    run.submit()
    run.wait_step("pause")
    run.kill()
    run.wait_stopped(run.stamping)
    run.stamp_elsewhere(2)
    run.kill()
    run.stamping.open()
    account = run.account()
    assert account.state == "COMPLETED" and account.result["stamps"] == 2, account
    assert account.calls == {"ask:0": 1, "ask:1": 1}, account
    return account


def escalation(run: Run) -> Account:
    """The first approver gives a sign of life, and then none any more."""
    run.submit()
    first = run.wait_event("decision_requested")
    assert first["approver"] == "ada", first
    assert run.answer(first["task_token"], "heartbeat").status == 200
    run.kill()
    second = run.wait_event("decision_requested", 2)
    assert second["approver"] == "bob", second
    assert second["escalated_because"] == "States.HeartbeatTimeout", second
    late = run.answer(first["task_token"], "success", {"output": {"approved": False}})
    assert late.status in (404, 409, 410), f"the first token is worth nothing any more: {late}"
    run.kill()
    answer = run.answer(second["task_token"], "success", {"output": {"approved": True}})
    assert answer.status == 200, answer
    account = run.account()
    assert account.result["approver"] == "bob" and account.result["approved"] is True, account
    assert account.events["decision_requested"] == 2, account
    return account


def child_workflow(run: Run) -> Account:
    """Killed when a child has been started and the parent does not know it yet, for each child; and
    while the second one runs, the parent having ended."""
    run.stamping.stop_at(lambda call: call.path.endswith("/stamp"))
    with run.stage.record_held("stamp_document", DELIVERED) as wait_held:
        run.submit()
        wait_held()
        run.kill()
    run.wait_stopped(run.stamping)
    with run.stage.record_held("start_receipt", SUCCEEDED) as wait_held:
        run.stamping.stop_at(lambda call: b'"content":"receipt for' in call.body)
        wait_held()
        run.kill()
    assert run.bridge.wait_workflow(run.workflow_id)["state"] == "COMPLETED"
    run.wait_stopped(run.stamping)
    run.kill()
    run.stamping.open()
    account = run.account()
    assert account.workflows == [
        ("example_child_workflow", "COMPLETED"),
        ("metadata_stamping", "COMPLETED"),
        ("metadata_stamping", "COMPLETED"),
    ], account
    assert account.stamps == {"a.txt": 1, "a.txt.receipt": 1}, account
    return account


def signal(run: Run) -> Account:
    """`released` comes before anybody waits for it, `reviewed` when it is waited for."""
    run.stamping.stop_at(at("stamp_draft:0"))
    run.submit()
    run.wait_stopped(run.stamping)
    assert run.signal("released", {"by": "ada"}).status in (200, 202)
    run.kill()
    assert run.signal("released", {"by": "ada"}).status in (200, 202), "a repeat is no error"
    run.stamping.open()
    run.wait_step("await_review")
    run.kill()
    run.signal("reviewed", {"accepted": True, "text": "last words"})
    account = run.account()
    assert account.result["outcome"] == "released" and account.recorded["signal"] == 2, account
    assert account.stamps == {"a.txt.draft": 1, "a.txt": 1}, account
    return account


def routing(run: Run) -> Account:
    run.stamping.stop_at(at("stamp:0"))
    run.submit()
    run.wait_stopped(run.stamping)
    run.kill()
    run.stamping.open()
    account = run.account()
    assert account.result["route"] == "stamped", account
    assert account.stamps == {"a.md": 1} and account.events["document_routed"] == 1, account
    return account


def event_publishing(run: Run) -> Account:
    run.stamping.stop_at(at("stamp:0"))
    run.submit()
    run.wait_stopped(run.stamping)
    hashed = run.wait_event("document_hashed")
    run.kill()
    run.stamping.open()
    account = run.account()
    assert hashed["file_hash"] == account.result["file_hash"], hashed
    for event_type in ("document_hashed", "document_stamped", "document_published"):
        assert account.events[event_type] == 1, account
    told = run.bridge.workflow(run.workflow_id)["result"]["events"]
    assert run.wait_event("document_stamped")["follows"] == told[0]
    return account


def degraded_step(run: Run) -> Account:
    """OnexTree does not answer, and then it is gone."""
    run.onextree.stop_at(lambda call: True)
    run.submit()
    run.wait_stopped(run.onextree, 2)
    run.kill()
    run.onextree.hang_up()
    account = run.account()
    assert account.result["context"]["status"] == "degraded", account
    assert account.stamps == {"src/a.c": 1}, account
    return account


STORIES = [
    saga,
    saga_undone,
    fan_out,
    approval,
    polling,
    escalation,
    child_workflow,
    signal,
    routing,
    event_publishing,
    degraded_step,
]


def test_there_is_a_story_for_each_example():
    assert {story.__name__ for story in STORIES} - {"saga_undone"} == set(NAMES)
    assert len(NAMES) == 10


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_killed_at_chosen_points_it_ends_the_same(stage, story):
    accounts = []
    for disturbed in (False, True):
        run = Run(stage, story.__name__, disturbed)
        accounts.append(story(run))
        assert (run.kills > 0) == disturbed, "the story has a place to be killed at"
        called_again = disturbed and story is not escalation  # which calls no service
        assert (run.repeats() > 0) == called_again, "calls under way at the kill are made again"
        stage.clear()
    assert accounts[0] == accounts[1]


# -- all of them at once --


def crowd(stage: Stage, copies: int) -> list[Run]:
    """Not yet submitted: so many of each example, and as many sagas that fail."""
    return [Run(stage, name) for name in [*NAMES, "saga_undone"] for _n in range(copies)]


def test_killed_anywhere_all_of_them_end_the_same(stage):
    """The orchestrator is killed each time that so many more calls have come to the stamping
    service; those that were on their way then are done, and their answers lost."""
    undisturbed = crowd(stage, 1)
    with People(stage, undisturbed) as people:
        people.wait_ended()
    wanted = {run.name: run.account() for run in undisturbed}

    copies, kills = scaled(6), 0
    runs = crowd(stage, copies)
    with People(stage, runs) as people:
        stage.stop_after(4 * copies)  # of the thirty or so that a copy of each makes
        while wait_until(lambda: stage.stamping.stopped or people.all_ended(), 60, "more calls"):
            if not stage.stamping.stopped:
                break
            stage.restart(lambda: stage.stop_after(4 * copies))
            kills += 1
    assert kills >= 5, f"killed only {kills} times before all had ended"
    records = stage.records()
    for run in runs:
        assert run.account(records) == wanted[run.name], run.name
