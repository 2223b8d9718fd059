# SPDX-License-Identifier: MIT
"""The contracts of test_tasks.py: one for each way a Task can wait."""

import shutil

from harness import ROOT

SERVICES = """services:
  desk: { base_url_variable: DESK_URL, base_url: "http://127.0.0.1:1", timeout_ms: 5000 }
"""

HEAD = "name: {name}\nversion: 1.0.0\n"

CONTRACTS = {
    "approval": """services: [desk]
state_machine:
  StartAt: Ask
  States:
    Ask:
      Type: Task
      Resource: onex:http:invoke.waitForTaskToken
      Parameters:
        { Service: desk, Method: POST, Path: /ask, RequestBody: { token.$: $$.Task.Token } }
      Retry: [{ ErrorEquals: [Again], IntervalSeconds: 1, MaxAttempts: 2 }]
      Catch: [{ ErrorEquals: [Refused], ResultPath: $.refusal, Next: Refused }]
      ResultPath: $.answer
      Next: Done
    Refused: { Type: Succeed }
    Done: { Type: Succeed }
""",
    "hasty": """services: [desk]
state_machine:
  StartAt: Ask
  States:
    Ask:
      Type: Task
      Resource: onex:http:invoke.waitForTaskToken
      TimeoutSecondsPath: $.timeout
      HeartbeatSeconds: 2
      Parameters:
        { Service: desk, Method: POST, Path: /ask, RequestBody: { token.$: $$.Task.Token } }
      Catch: [{ ErrorEquals: [States.Timeout], ResultPath: $.failure, Next: Late }]
      End: true
    Late: { Type: Succeed }
""",
    "announcer": """state_machine:
  StartAt: Tell
  States:
    Tell:
      Type: Task
      Resource: onex:event:publish
      Parameters: { event_type: item_told, payload: { item.$: $.item } }
      ResultPath: $.told
      Next: Wait
    Wait:
      Type: Task
      Resource: onex:signal:wait
      Parameters: { signal_name: go }
      ResultPath: $.go
      Next: Again
    Again:
      Type: Task
      Resource: onex:event:publish
      Parameters: { event_type: item_told_again, payload: { item.$: $.item } }
      ResultPath: $.again
      End: true
""",
    "letter": """state_machine:
  StartAt: Ask
  States:
    Ask:
      Type: Task
      Resource: onex:event:publish.waitForTaskToken
      Parameters: { event_type: decision_wanted, payload: { token.$: $$.Task.Token } }
      End: true
""",
    "listener": """state_machine:
  StartAt: First
  States:
    First:
      Type: Task
      Resource: onex:signal:wait
      Parameters: { signal_name: one }
      ResultPath: $.one
      Next: Second
    Second:
      Type: Task
      Resource: onex:signal:wait
      TimeoutSeconds: 3600
      Parameters: { signal_name: two }
      ResultPath: $.two
      End: true
""",
    "child": """state_machine:
  StartAt: Kind
  States:
    Kind:
      Type: Choice
      Choices:
        - { Variable: $.kind, StringEquals: fail, Next: Fails }
        - { Variable: $.kind, StringEquals: wait, Next: Waits }
      Default: Ends
    Fails: { Type: Fail, Error: Broken, Cause: "it broke" }
    Waits: { Type: Task, Resource: onex:signal:wait, Parameters: { signal_name: end }, End: true }
    Ends: { Type: Pass, Parameters: { said.$: $.kind }, End: true }
""",
    "parent": """state_machine:
  StartAt: Start
  States:
    Start:
      Type: Task
      Resource: onex:workflow:start.sync
      Parameters: { workflow_type: child, input: { kind.$: $.kind } }
      Catch: [{ ErrorEquals: [States.TaskFailed], ResultPath: $.failure, Next: Caught }]
      ResultPath: $.child
      End: true
    Caught: { Type: Succeed }
""",
    "launcher": """state_machine:
  StartAt: Start
  States:
    Start:
      Type: Task
      Resource: onex:workflow:start
      Parameters: { workflow_type: child, input: { kind.$: $.kind } }
      ResultPath: $.child
      End: true
""",
    "late_launcher": """state_machine:
  StartAt: Wait
  States:
    Wait: { Type: Wait, Seconds: 1, Next: Start }
    Start:
      Type: Task
      Resource: onex:workflow:start
      Parameters: { workflow_type: child, input: { kind.$: $.kind } }
      ResultPath: $.child
      End: true
""",
    "late_parent": """state_machine:
  StartAt: Wait
  States:
    Wait: { Type: Wait, Seconds: 2, Next: Start }
    Start:
      Type: Task
      Resource: onex:workflow:start.sync
      Parameters: { workflow_type: child, input: { kind.$: $.kind } }
      ResultPath: $.child
      End: true
""",
    "crowd": """state_machine:
  StartAt: All
  States:
    All:
      Type: Map
      ItemsPath: $.items
      MaxConcurrency: 40
      ItemProcessor:
        StartAt: Tell
        States:
          Tell:
            Type: Task
            Resource: onex:event:publish
            Parameters: { event_type: item_told, payload: { item.$: $ } }
            ResultPath: null
            Next: Start
          Start:
            Type: Task
            Resource: onex:workflow:start.sync
            Parameters: { workflow_type: child, input: { kind.$: "States.Format('{}', $)" } }
            ResultSelector: { said.$: $.output.said }
            OutputPath: $.said
            End: true
      End: true
""",
    "delegator": """state_machine:
  StartAt: Start
  States:
    Start:
      Type: Task
      Resource: onex:workflow:start.waitForTaskToken
      Parameters: { workflow_type: child, input: { kind: wait, token.$: $$.Task.Token } }
      End: true
""",
}

CONTRACTS["steady"] = CONTRACTS["hasty"].replace("HeartbeatSeconds: 2", "HeartbeatSeconds: 8")
CONTRACTS["patient"] = CONTRACTS["hasty"].replace("HeartbeatSeconds: 2", "HeartbeatSeconds: 4")
CONTRACTS["named_parent"] = CONTRACTS["parent"].replace(
    "{ workflow_type: child, ", "{ workflow_type: child, idempotency_key.$: $.name, "
)


def write_contracts(directory, wanted, services=SERVICES):
    """A directory of contracts: the texts by name, the services, and the events as shipped."""
    (directory / "workflows").mkdir(parents=True)
    (directory / "services.yaml").write_text(services)
    shutil.copy(ROOT / "contracts" / "events.yaml", directory / "events.yaml")
    for name, text in wanted.items():
        (directory / "workflows" / f"{name}.yaml").write_text(HEAD.format(name=name) + text)
