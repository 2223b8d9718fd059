# SPDX-License-Identifier: MIT
"""A small second interpreter of the States Language, to hold the first one against.

It is written from the specification, knows what random_machines.py makes and no more (names and indexes
in paths, one function, no time limits), and is slow and plain on purpose: a state is a generator that
yields what it waits for, a world with a virtual clock resumes it.

    outcome, visits = simulate(definition, input, mocks)

outcome is ("ok", output) or ("error", name); visits counts how often each state was entered. Mocks name
their state. As the interpreter under test, concurrent branches advance by one state each in turn, answers
come in the order of the attempts, then the earliest timer fires.
"""
import collections
import copy
import heapq
import re

CONCURRENCY_DEFAULT = 40
UNBOUNDED = 10**9
MISSING = object()


class Failure(Exception):
    def __init__(self, name, cause=None):
        super().__init__(name)
        self.name = name
        self.cause = cause


class Scope:
    """What the paths of a state can see: its data come with each call."""

    def __init__(self, variables, context):
        self.variables = variables  # a ChainMap, the innermost first
        self.context = context

    def find(self, path, data):
        root, keys = split(path)
        if root == "$$":
            data = self.context
        elif root != "$":
            if root[1:] not in self.variables:
                return MISSING
            data = self.variables[root[1:]]
        for key in keys:
            if isinstance(data, dict) and key in data:
                data = data[key]
            elif isinstance(data, list) and isinstance(key, int) and key < len(data):
                data = data[key]
            else:
                return MISSING
        return data

    def need(self, path, data, error):
        found = self.find(path, data)
        if found is MISSING:
            raise Failure(error)
        return found

    def evaluate(self, template, data):
        """A payload template."""
        if isinstance(template, list):
            return [self.evaluate(item, data) for item in template]
        if not isinstance(template, dict):
            return template
        return dict(self.field(name, value, data) for name, value in template.items())

    def field(self, name, value, data):
        if not name.endswith(".$"):
            return name, self.evaluate(value, data)
        call = re.fullmatch(r"States\.MathAdd\((.*), 1\)", value)
        found = self.need(call[1] if call else value, data, "States.ParameterPathFailure")
        if call:
            if isinstance(found, bool) or not isinstance(found, int):
                raise Failure("States.IntrinsicFailure")
            found += 1
        return name[:-2], found

    def selected(self, state, field, data):
        """InputPath and OutputPath."""
        path = state.get(field, "$")
        return {} if path is None else self.need(path, data, "States.Runtime")


def split(path):
    """("$", "$$" or "$name", keys)"""
    root, rest = re.fullmatch(r"(\$\$|\$\w*)(.*)", path).groups()
    return root, [int(index) if index else name
                  for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", rest)]


def place(raw, result, path):
    """ResultPath: a copy of the raw input with the result in it."""
    if path is None:
        return raw
    keys = split(path)[1]
    if not keys:
        return result
    if not isinstance(raw, dict):
        raise Failure("States.ResultPathMatchFailure")
    rest = "$" + "".join("." + key for key in keys[1:])
    inner = place(raw.get(keys[0], {}), result, rest) if keys[1:] else result
    return {**raw, keys[0]: inner}


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def holds(rule, data, scope):
    """Whether a choice rule is true."""
    if "And" in rule:
        return all(holds(inner, data, scope) for inner in rule["And"])
    if "Or" in rule:
        return any(holds(inner, data, scope) for inner in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], data, scope)
    if "IsPresent" in rule:
        return (scope.find(rule["Variable"], data) is not MISSING) == rule["IsPresent"]
    value = scope.need(rule["Variable"], data, "States.Runtime")
    if "IsNumeric" in rule:
        return is_number(value) == rule["IsNumeric"]
    if "NumericGreaterThan" in rule:
        return is_number(value) and value > rule["NumericGreaterThan"]
    if "NumericEqualsPath" in rule:
        other = scope.need(rule["NumericEqualsPath"], data, "States.Runtime")
        return is_number(value) and is_number(other) and value == other
    return isinstance(value, str) and value == rule["StringEquals"]


def matches(names, error):
    """Whether ErrorEquals takes an error."""
    if error in names:
        return True
    if error == "States.Runtime":
        return False
    return "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")


class State:
    """One visit of a state: what it takes in, and what comes out."""

    def __init__(self, world, name, definition, variables, item):
        self.name, self.definition, self.world = name, definition, world
        self.item = item
        self.variables = variables
        context = {"Execution": {"Input": world.input}, "State": {"Name": name}}
        if item is not None:
            context["Map"] = {"Item": item}
        self.scope = Scope(variables, context)
        self.next = definition.get("Next")
        self.assign = definition.get("Assign")

    def run(self, raw):
        """A generator: yields what it waits for, returns its output. Assigns when it is left."""
        used = [0] * len(self.definition.get("Retry", []))
        while True:
            try:
                output, values = yield from self.attempt(raw)
                break
            except Failure as failure:
                if self.definition["Type"] not in ("Task", "Parallel", "Map"):
                    raise
                delay = self.retry_delay(failure, used)
                if delay is None:
                    output, values = self.caught(failure, raw)
                    break
                yield "timer", delay
        self.variables.update(copy.deepcopy(values))
        return output

    def attempt(self, raw):
        data = self.scope.selected(self.definition, "InputPath", raw)
        result, seen = yield from self.KINDS[self.definition["Type"]](self, data)
        values = self.scope.evaluate(self.assign or {}, seen)
        output = place(raw, result, self.definition.get("ResultPath", "$"))
        return self.scope.selected(self.definition, "OutputPath", output), values

    def retry_delay(self, failure, used):
        """The first retrier that names the error decides; None when it will not retry."""
        for i, retrier in enumerate(self.definition.get("Retry", [])):
            if matches(retrier["ErrorEquals"], failure.name):
                if used[i] >= retrier["MaxAttempts"]:
                    return None
                used[i] += 1
                return retrier["IntervalSeconds"] * retrier["BackoffRate"] ** (used[i] - 1)
        return None

    def caught(self, failure, raw):
        for catcher in self.definition.get("Catch", []):
            if matches(catcher["ErrorEquals"], failure.name):
                told = {"Error": failure.name, "Cause": failure.cause}
                self.next = catcher["Next"]
                return (place(raw, told, catcher.get("ResultPath", "$")),
                        self.scope.evaluate(catcher.get("Assign", {}), told))
        raise failure

    # Each is a generator (some by a yield that is never reached) and gives the result as
    # ResultPath takes it, and what $ is in Assign.

    def succeed(self, data):
        return data, data
        yield

    def fail(self, data):
        raise Failure(self.definition["Error"], self.definition["Cause"])
        yield

    def wait(self, data):
        yield "timer", self.definition["Seconds"]
        return data, data

    def choice(self, data):
        for rule in self.definition["Choices"]:
            if holds(rule, data, self.scope):
                self.next, self.assign = rule["Next"], rule.get("Assign")
                return data, data
        if "Default" not in self.definition:
            raise Failure("States.NoChoiceMatched")
        self.next = self.definition["Default"]
        return data, data
        yield

    def pass_on(self, data):
        if "Result" in self.definition:
            data = self.definition["Result"]
        elif "Parameters" in self.definition:
            data = self.scope.evaluate(self.definition["Parameters"], data)
        return data, data
        yield

    def task(self, data):
        self.parameters(data)
        answer = yield "answer", self.name
        if "error" in answer:
            raise Failure(answer["error"], answer.get("cause"))
        return self.shaped(answer["output"])

    def parallel(self, data):
        data = self.parameters(data)
        results = yield "fork", [self.inner(branch, data, self.item)
                                 for branch in self.definition["Branches"]], UNBOUNDED
        return self.shaped(results)

    def map(self, data):
        items = self.scope.find(self.definition.get("ItemsPath", "$"), data)
        if not isinstance(items, list):
            raise Failure("States.Runtime")
        inners = []
        for index, value in enumerate(items):
            item = {"Index": index, "Value": value}
            scope = Scope(self.variables, {**self.scope.context, "Map": {"Item": item}})
            if "ItemSelector" in self.definition:
                value = scope.evaluate(self.definition["ItemSelector"], data)
            inners.append(self.inner(self.definition["ItemProcessor"], value, item))
        most = self.definition.get("MaxConcurrency", 0) or CONCURRENCY_DEFAULT
        results = yield "fork", inners, most
        return self.shaped(results)

    def parameters(self, data):
        if "Parameters" in self.definition:
            data = self.scope.evaluate(self.definition["Parameters"], data)
        return data

    def inner(self, machine, data, item):
        return run_machine(self.world, machine, data, self.variables.new_child(), item)

    def shaped(self, result):
        if "ResultSelector" in self.definition:
            return self.scope.evaluate(self.definition["ResultSelector"], result), result
        return result, result

    KINDS = {"Succeed": succeed, "Fail": fail, "Wait": wait, "Choice": choice, "Pass": pass_on,
             "Task": task, "Parallel": parallel, "Map": map}


def run_machine(world, machine, data, variables, item):
    """A generator that runs a machine, a branch or an iteration, and returns its output."""
    name = machine["StartAt"]
    while True:
        world.visits[name] += 1
        state = State(world, name, machine["States"][name], variables, item)
        data = yield from state.run(data)
        if state.next is None:
            return data
        name = state.next
        yield "turn",


class Frame:
    """A running machine, branch or iteration."""

    def __init__(self, world, generator, done):
        self.world, self.generator, self.done = world, generator, done
        self.alive = True
        self.children = []

    def kill(self):
        self.alive = False
        for child in self.children:
            child.kill()

    def resume(self, value=None, failure=None):
        if not self.alive:
            return
        try:
            wish = self.generator.throw(failure) if failure else self.generator.send(value)
        except StopIteration as end:
            self.alive = False
            self.done(end.value, None)
        except Failure as end:
            self.alive = False
            self.done(None, end)
        else:
            if wish[0] == "fork":
                Fork(self, wish[1], wish[2]).start()
            else:
                self.world.wait(self, *wish)


class Fork:
    """The branches or iterations of one state."""

    def __init__(self, parent, generators, most):
        self.parent, self.generators, self.most = parent, generators, most
        self.results = [None] * len(generators)
        self.started = self.ended = 0
        self.over = False
        parent.children = []

    def start(self):
        if not self.generators:
            self.parent.resume([])
        while not self.over and self.started < len(self.generators) \
                and self.started - self.ended < self.most:
            index = self.started
            self.started += 1
            child = Frame(self.parent.world, self.generators[index],
                          lambda value, failure, index=index: self.child_ended(index, value, failure))
            self.parent.children.append(child)
            self.parent.world.ready.append(child)

    def child_ended(self, index, value, failure):
        if self.over:
            return
        self.ended += 1
        self.results[index] = value
        if failure:
            self.over = True
            for child in self.parent.children:
                child.kill()
            self.parent.resume(failure=failure)
        elif self.ended == len(self.generators):
            self.over = True
            self.parent.resume(self.results)
        else:
            self.start()


class World:
    """The virtual clock, the mocks, and who waits for what."""

    def __init__(self, data, mocks):
        self.input = data
        self.mocks = list(mocks)
        self.visits = collections.Counter()
        self.ready = collections.deque()
        self.answers = collections.deque()
        self.timers = []
        self.now = self.timers_made = 0

    def wait(self, frame, kind, what=None):
        if kind == "turn":
            self.ready.append(frame)
        elif kind == "answer":
            self.answers.append((frame, self.take_mock(what)))
        else:
            self.timers_made += 1
            heapq.heappush(self.timers, (self.now + what, self.timers_made, frame))

    def take_mock(self, state):
        for i, mock in enumerate(self.mocks):
            if mock["state"] == state:
                return self.mocks.pop(i)
        return {"error": "States.TaskFailed"}

    def advance(self):
        if self.ready:
            self.ready.popleft().resume()
        elif self.answers:
            frame, answer = self.answers.popleft()
            frame.resume(answer)
        else:
            self.now, _, frame = heapq.heappop(self.timers)
            frame.resume()


def simulate(definition, data, mocks):
    world = World(data, mocks)
    ends = []
    machine = run_machine(world, definition, data, collections.ChainMap({}), None)
    world.ready.append(Frame(world, machine, lambda value, failure: ends.append((value, failure))))
    while not ends:
        world.advance()
    value, failure = ends[0]
    return (("error", failure.name) if failure else ("ok", value)), world.visits
