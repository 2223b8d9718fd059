#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random state machines with random task results, run by `contracts run --cases` and by model.py.

    tests/cases/random_machines.py [--program build/release/bridgectl] [--seed 1] [--count 3000]

Status, output, error, and how often each state was entered must be the same. Prints the smallest machine
that differs, and exits 1 when there is one; the seed repeats it.
"""
import argparse
import collections
import json
import os
import random
import subprocess
import sys

import model

TIMEOUT_S = 300
DEPTH_MAX = 2  # of Parallel and Map within each other
VARIABLES = ("x", "y")
ERRORS = ("E1", "E2", "States.Timeout")
VALUES = (0, 1, "x", None, True, {"a": 1, "b": 2}, [1, {"z": 2}], [1, 2, 3])


class Maker:
    """Makes machines from one seed. Every transition goes forward, so each machine ends."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def chance(self, share):
        return self.random.random() < share

    def machine(self):
        return self.scope("s", DEPTH_MAX, [])

    def scope(self, prefix, depth, outer):
        """The states of a machine, a branch or an ItemProcessor, with variables of their own."""
        names = ["%s%d" % (prefix, i) for i in range(self.random.randint(1, 5 if depth else 3))]
        own = ["%s_%s" % (prefix, variable) for variable in VARIABLES]
        states = {}
        for i, name in enumerate(names):
            states[name] = self.state(name, names[i + 1:], depth, own, outer)
        keep_reachable(names[0], states)
        self.assign_all(states, own)
        return {"StartAt": names[0], "States": states}

    def assign_all(self, states, own):
        """What no state can have assigned must not be read: so some state assigns each variable."""
        able = [state for state in states.values() if state["Type"] not in ("Succeed", "Fail")]
        if able:
            fields = self.pick(able).setdefault("Assign", {})
            fields.update((name, 1) for name in own if name + ".$" not in fields)

    def state(self, name, later, depth, own, outer):
        kinds = ["Pass"] * 3 + ["Task"] * 3 + ["Wait"] + (["Parallel", "Map"] * 2 if depth else [])
        if later:
            kinds.append("Choice")
        elif self.chance(0.12):
            kinds = ["Succeed", "Fail"]
        kind = self.pick(kinds)
        state = {"Type": kind}
        self.add_data_flow(state, own + outer)
        getattr(self, "add_" + kind.lower())(state, name, later, depth, own, outer)
        if kind in ("Task", "Parallel", "Map"):
            self.add_errors(state, later, own)
        if kind not in ("Succeed", "Fail") and self.chance(0.35):
            state["Assign"] = self.assignment(own)
        if kind not in ("Succeed", "Fail", "Choice"):
            state.update({"Next": self.pick(later) if self.chance(0.15) else later[0]}
                         if later else {"End": True})
        return state

    def add_data_flow(self, state, readable):
        kind = state["Type"]
        if kind != "Fail":
            if self.chance(0.06):
                state["InputPath"] = self.pick([None, "$.a", "$.r", "$.b", "$"])
            if self.chance(0.06):
                state["OutputPath"] = self.pick([None, "$.a", "$.r", "$"])
        if kind in ("Pass", "Task", "Parallel") and self.chance(0.5):
            state["Parameters"] = self.template(readable)
        if kind in ("Task", "Parallel", "Map") and self.chance(0.25):
            state["ResultSelector"] = self.pick([{"all.$": "$"}, {"f.$": "$[0]"}, {"p": {"a.$": "$"}}])
        if kind in ("Pass", "Task", "Parallel", "Map") and self.chance(0.65):
            state["ResultPath"] = self.pick([None, "$", "$.r", "$.a", "$.p.a", "$.b.c"])

    def add_pass(self, state, name, later, depth, own, outer):
        if "Parameters" not in state and self.chance(0.5):
            state["Result"] = self.pick(VALUES)

    def add_task(self, state, name, later, depth, own, outer):
        state["Resource"] = "onex:test:task"

    def add_wait(self, state, name, later, depth, own, outer):
        state["Seconds"] = self.random.randint(1, 9999999)  # two that end at once are unlikely

    def add_succeed(self, state, name, later, depth, own, outer):
        pass

    def add_fail(self, state, name, later, depth, own, outer):
        state.update(Error=self.pick(ERRORS[:2]), Cause="as told")

    def add_choice(self, state, name, later, depth, own, outer):
        state["Choices"] = []
        for _ in range(self.random.randint(1, 2)):
            rule = {**self.rule(name, own + outer), "Next": self.pick(later)}
            if self.chance(0.3):
                rule["Assign"] = self.assignment(own)
            state["Choices"].append(rule)
        if self.chance(0.9):
            state["Default"] = self.pick(later)

    def add_parallel(self, state, name, later, depth, own, outer):
        state["Branches"] = [self.scope("%sb%d" % (name, i), depth - 1, own + outer)
                             for i in range(self.random.randint(1, 3))]

    def add_map(self, state, name, later, depth, own, outer):
        state["ItemProcessor"] = self.scope(name + "m", depth - 1, own + outer)
        if self.chance(0.7):
            state["ItemsPath"] = self.pick(["$.l", "$$.Execution.Input.l"])
        if self.chance(0.5):
            state["ItemSelector"] = self.pick([
                {"a.$": "$$.Map.Item.Value", "p.$": "$"}, {"r.$": "$.l", "l.$": "$.l"},
                {"a.$": "$$.Map.Item.Index", "b": 1, "l": [1]}])
        if self.chance(0.5):
            state["MaxConcurrency"] = self.random.randint(0, 3)

    def add_errors(self, state, later, own):
        if self.chance(0.45):
            state["Retry"] = [self.retrier() for _ in range(self.random.randint(1, 2))]
        if not later or self.chance(0.5):
            return
        names = [["E1"], ["States.TaskFailed"], ["States.ALL"]][self.random.randint(0, 2):]
        state["Catch"] = [{"ErrorEquals": errors, "Next": self.pick(later)} for errors in names]
        for catcher in state["Catch"]:
            if self.chance(0.6):
                catcher["ResultPath"] = self.pick([None, "$.e", "$.a"])
            if self.chance(0.3):
                catcher["Assign"] = {self.pick(own) + ".$": "$.Error"}

    def retrier(self):
        names = [["E1"], ["E2"], ["E1", "E2"], ["States.TaskFailed"], ["States.Timeout"],
                 ["States.IntrinsicFailure"], ["States.ParameterPathFailure"]]
        return {"ErrorEquals": self.pick(names), "IntervalSeconds": self.random.randint(1, 99999),
                "MaxAttempts": self.random.randint(0, 2), "BackoffRate": self.pick([1, 1.5, 2])}

    def assignment(self, own):
        fields = {}
        for variable in self.random.sample(own, self.random.randint(1, len(own))):
            if self.chance(0.6):
                fields[variable] = self.pick(VALUES)
            else:
                fields[variable + ".$"] = self.pick(["$", "$$.State.Name", "$" + variable])
        return fields

    def rule(self, name, readable):
        present = {"Variable": "$.a", "IsPresent": True}
        rule = self.pick([
            {"Variable": self.path(readable), "IsPresent": self.pick([True, False])},
            {"And": [present, {"Variable": "$.a", "NumericGreaterThan": self.random.randint(0, 3)}]},
            {"And": [present, {"Variable": "$.a", "IsNumeric": True}]},
            {"And": [present, {"Variable": "$.b", "IsPresent": True},
                     {"Variable": "$.a", "NumericEqualsPath": "$.b"}]},
            {"Variable": "$$.State.Name", "StringEquals": name}])
        if self.chance(0.3):
            rule = {"Not": rule}
        return {"Or": [rule, present]} if self.chance(0.2) else rule

    def template(self, readable):
        fields = {}
        for name in self.random.sample("abpq", self.random.randint(1, 3)):
            kind = self.random.random()
            if kind < 0.5:
                fields[name + ".$"] = self.path(readable)
            elif kind < 0.6:
                fields[name + ".$"] = "States.MathAdd($.a, 1)"
            else:
                fields[name] = {"p.$": self.path(readable)} if kind < 0.8 else self.pick(VALUES)
        return fields

    def path(self, readable):
        kind = self.random.random()
        if kind < 0.15 and readable:
            return "$" + self.pick(readable)
        return self.pick(["$", "$", "$", "$.a", "$.a", "$.b", "$.p.a", "$$.State.Name"])

    def input(self):
        return {"a": self.pick([0, 1, 2, 5, "t"]), "b": self.pick([1, 2, {"c": 3}]),
                "p": {"a": self.random.randint(0, 3)},
                "l": self.pick([[], [1], [1, 2, 3], [{"a": 1, "b": 2}, {"a": 9}]])}

    def mocks(self, machine):
        mocks = []
        for task in tasks(machine):
            for _ in range(self.random.randint(1, 6)):
                answer = {"output": self.pick(VALUES)} if self.chance(0.6) else \
                    {"error": self.pick(ERRORS), "cause": "as told"}
                mocks.append({"state": task, **answer})
        return mocks


def inner_machines(state):
    return state.get("Branches", []) + [state[f] for f in ("ItemProcessor",) if f in state]


def tasks(machine):
    for name, state in machine["States"].items():
        if state["Type"] == "Task":
            yield name
        for inner in inner_machines(state):
            yield from tasks(inner)


def keep_reachable(start, states):
    reached, open_names = {start}, [start]
    while open_names:
        state = states[open_names.pop()]
        rules = state.get("Choices", []) + state.get("Catch", [])
        for name in [state.get("Next"), state.get("Default")] + [rule["Next"] for rule in rules]:
            if name and name not in reached:
                reached.add(name)
                open_names.append(name)
    for name in set(states) - reached:
        del states[name]


def without_causes(value):
    """The text of a cause is the interpreter's own."""
    if isinstance(value, dict):
        return {k: without_causes(v) for k, v in value.items() if k != "Cause"}
    return [without_causes(v) for v in value] if isinstance(value, list) else value


def difference(case, answer):
    """What the two say differently, "" when they agree."""
    (kind, told), visits = model.simulate(case["definition"], case["input"], case["mocks"])
    if answer.get("invalid"):
        return "refused: " + json.dumps(answer["findings"])
    if kind == "error":
        same = answer["status"] == "FAILED" and answer["error"] == told
        return "" if same else "the model fails with %s" % told
    if answer["status"] != "SUCCEEDED":
        return "the model succeeds"
    if without_causes(answer["output"]) != without_causes(told):
        return "the model's output is %s" % json.dumps(told)
    entered = collections.Counter(e["name"] for e in answer["states"] if e["event"] == "Entered")
    return "" if entered == visits else "the model enters %s" % dict(visits)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/%s/bridgectl" % os.environ.get("MODE", "release"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3000)
    options = parser.parse_args()
    maker = Maker(options.seed)
    cases = []
    for i in range(options.count):
        machine = maker.machine()
        cases.append({"id": str(i), "definition": machine, "input": maker.input(),
                      "mocks": maker.mocks(machine)})
    process = subprocess.run([options.program, "contracts", "run", "--cases", "-"], check=False,
                             input="".join(json.dumps(case) + "\n" for case in cases).encode(),
                             stdout=subprocess.PIPE, timeout=TIMEOUT_S)
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    ends = collections.Counter(answer.get("status", "refused") for answer in answers)
    found = []
    for case, answer in zip(cases, answers):
        text = difference(case, answer)
        if text:
            found.append((len(json.dumps(case)), int(case["id"]), text, case, answer))
    for _, _, text, case, answer in sorted(found)[:1]:
        print("%s\n    case  %s\n    got   %s" % (text, json.dumps(case), json.dumps(answer)))
    print("seed %d: %d machines (%s), %d answered, %d differ" % (
        options.seed, len(cases), ", ".join("%d %s" % (n, end) for end, n in sorted(ends.items())),
        len(answers), len(found)))
    return 1 if found or len(answers) != len(cases) or ends["SUCCEEDED"] < len(cases) // 10 else 0


if __name__ == "__main__":
    sys.exit(main())
