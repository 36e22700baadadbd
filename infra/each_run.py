"""The body of both realtime state machines: call the function once per run, and write down a death."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Aws, Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as sfn_tasks
from constructs import Construct

from fanfold.contract import cloud, payloads
from fanfold.contract.invocation import PREFIX, Answer, names
from fanfold.contract.layout import REALTIME_TIMEOUT_S

#: What Lambda answers when the run has not begun: too many run already, or the function is not ready yet.
WAITS = [f"{PREFIX}{name}" for name in names(Answer.THROTTLED, Answer.NOT_READY)]
#: What Lambda answers when the fault is its own; the run may have happened, which the fold does not mind.
SERVICE_ERRORS = [f"{PREFIX}{name}" for name in names(Answer.RETRY)]
#: How long a new environment of an image takes at most before its 120 s begin: it is loaded, and its handler imported.
COLD_START_S = 15
#: The function's own timeout must be the one to speak first; with one retry both fit into an Express execution's 300 s.
CALL_TIMEOUT_S = int(REALTIME_TIMEOUT_S) + COLD_START_S


class EachRun(Construct):
    """An inline Map over `$.Items`, 40 at once, that no lost run can fail.

    Every state puts out `{}`: a Map gathers what its iterations put out, a Distributed Map what its children do, and
    fails once that is more than 256 KiB, even where its `ResultPath` throws it away. With inputs as outputs, which is
    what states do by default, jobs of some thousand runs would end so; with `{}` it takes 87,000 children.

    An Express execution has 300 s in all. At worst a run waits 151 s for throttles, is called for 125 s, and its death
    is written with waits of 1 + 2 + 4 s: 283 s. An error of Lambda's own comes within seconds, and is worth a second
    call; where it comes late and after a long throttle, the execution ends first, and `reconcile` finds the run lost.
    """

    def __init__(self, scope: Construct, id: str, *, table: dynamodb.ITable) -> None:
        super().__init__(scope, id)
        call = sfn.CustomState(self, "Call", state_json=_call())
        # Nobody but a client that watches starts a run again that was refused to the end: it pays to be patient here.
        # A function that sleeps wakes up within 106 s.
        # Short pauses: one call with bad luck keeps a whole child of a Map Run from ending (`make scale`).
        call.add_retry(errors=WAITS, max_attempts=32, max_delay=Duration.seconds(5), **_backoff())
        call.add_retry(errors=SERVICE_ERRORS, max_attempts=1, **_backoff())
        record = record_failed_execution(
            self,
            "RecordFailure",
            table=table,
            kind="finished",
            shard="$.run.shard",
            numbers={"index": "$.run.index", "attempt": "$.run.attempt"},
        )
        # States.ALL leaves States.DataLimitExceeded out.
        for errors in (["States.ALL"], ["States.DataLimitExceeded"]):
            call.add_catch(record, errors=errors, result_path="$.failure")
        self.map = sfn.Map(
            self,
            "EachRun",
            items_path="$.Items",
            item_selector={"job.$": "$.BatchInput.job", "run.$": "$$.Map.Item.Value"},
            max_concurrency=payloads.RUNS_PER_CHILD,
            result_path=sfn.JsonPath.DISCARD,
            output_path=sfn.JsonPath.DISCARD,
        )
        self.map.item_processor(call)


def _call() -> dict[str, Any]:
    """Which clone is called, the client says with each run. A construct for it would want to know at synthesis."""
    return {
        "Type": "Task",
        "Resource": f"arn:{Aws.PARTITION}:states:::lambda:invoke",
        "Parameters": {"FunctionName.$": "$.run.function", "Payload.$": "$"},
        "TimeoutSeconds": CALL_TIMEOUT_S,
        "ResultPath": sfn.JsonPath.DISCARD,
        "OutputPath": sfn.JsonPath.DISCARD,
        "End": True,
    }


def _backoff() -> dict[str, Any]:
    return {"interval": Duration.seconds(1), "backoff_rate": 2, "jitter_strategy": sfn.JitterType.FULL}


def record_failed_execution(
    scope: Construct,
    id: str,
    *,
    table: dynamodb.ITable,
    kind: str,
    shard: str,
    numbers: Mapping[str, str],
    then: sfn.IChainable | None = None,
) -> sfn_tasks.DynamoPutItem:
    """Write the event of a failed execution, from `$.job` and the error at `$.failure`.

    `payloads.FAILED_EXECUTION_ATTRIBUTES` names its attributes.

    `shard` and `numbers` are paths or intrinsic functions. If even that fails, things go on as if it had not:
    `reconcile` will find the run missing, and its siblings must not pay for it.
    """
    item = {
        cloud.PARTITION_KEY: _string(f"States.Format('job#{{}}#{{}}', $.job.id, {shard})"),
        cloud.SORT_KEY: _string("States.Format('{}#{}', $$.State.EnteredTime, States.UUID())"),
        cloud.EXPIRES_AT: _number("$.job.expires_at"),
        "kind": sfn_tasks.DynamoAttributeValue.from_string(kind),
        **{name: _number(path) for name, path in numbers.items()},
        "at": _string("$$.State.EnteredTime"),
        "status": sfn_tasks.DynamoAttributeValue.from_string(payloads.FAILED_EXECUTION),
        "failure": _string("States.JsonToString($.failure)"),
        "execution": _string("$$.Execution.Id"),
        cloud.WAKES: _number("1"),
    }
    nothing = sfn.JsonPath.DISCARD
    # What goes on from here may say why; what does not must put out nothing (see `EachRun`).
    puts_out = None if then else nothing
    state = sfn_tasks.DynamoPutItem(scope, id, table=table, item=item, result_path=nothing, output_path=puts_out)
    state.add_retry(errors=["States.ALL"], max_attempts=3, **_backoff())
    unrecorded = sfn.Pass(scope, f"{id}Failed", output_path=puts_out)
    state.add_catch(unrecorded, errors=["States.ALL"], result_path=nothing)
    if then:
        state.next(then)
        unrecorded.next(then)
    return state


def _string(path: str) -> sfn_tasks.DynamoAttributeValue:
    return sfn_tasks.DynamoAttributeValue.from_string(sfn.JsonPath.string_at(path))


def _number(path: str) -> sfn_tasks.DynamoAttributeValue:
    """DynamoDB's JSON carries a number as text."""
    text = path if path.lstrip("-").isdigit() else sfn.JsonPath.string_at(f"States.Format('{{}}', {path})")
    return sfn_tasks.DynamoAttributeValue.number_from_string(text)
