"""ministack with the CloudFormation types that it lacks: three of Batch, backed by its Batch, and two of EC2 that are
made in name alone: a flow log, and a rule of a security group. An alarm on a sum is one on its first metric.

Run with the Python of `.venv-ministack`; it imports nothing of ours. Prints nothing: it is up when its port answers.
"""

import json
from collections.abc import Callable
from typing import Any

from ministack.app import main
from ministack.services import batch
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Made = tuple[str, Properties]


def _answer(call: Callable[[Properties], Any], payload: Properties) -> Properties:
    status, _, body = call(payload)
    answer: Properties = json.loads(body)
    if status != 200:
        raise ValueError(answer.get("message") or answer)
    return answer


def _body(props: Properties, name_key: str, name: str) -> Properties:
    """CloudFormation's PascalCase as Batch's camelCase, but for tags, whose keys are the user's."""
    camel: Properties = provisioners._pascal_to_camel({key: value for key, value in props.items() if key != "Tags"})
    return {**camel, name_key: name, "tags": props.get("Tags", {})}


def _creator(
    call: Callable[[Properties], Any], kind: str, checked: Callable[[Properties], None] = lambda body: None
) -> Callable[[str, Properties, str], Made]:
    """A handler's `create` that makes the resource in ministack's own Batch."""
    name_key, arn_key = f"{kind[0].lower()}{kind[1:]}Name", f"{kind[0].lower()}{kind[1:]}Arn"

    def create(logical_id: str, props: Properties, stack: str) -> Made:
        name = props.get(f"{kind}Name") or provisioners._physical_name(stack, logical_id)
        body = _body(props, name_key, name)
        checked(body)
        arn = _answer(call, body)[arn_key]
        return arn, {f"{kind}Arn": arn}

    return create


def _update_environment(arn: str, old: Properties, new: Properties, stack: str) -> Made:
    _answer(batch._update_compute_environment, {**_body(new, "computeEnvironment", arn)})
    return arn, {"ComputeEnvironmentArn": arn}


def _register_again(arn: str, old: Properties, new: Properties, stack: str) -> Made:
    """A job definition's update is its next revision."""
    name = new["JobDefinitionName"]
    again = _answer(batch._register_job_definition, _body(new, "jobDefinitionName", name))["jobDefinitionArn"]
    return again, {"JobDefinitionArn": again}


def _known_environment(body: Properties) -> None:
    """A queue of an environment that does not exist is refused, as Batch does."""
    for place in body["computeEnvironmentOrder"]:
        name = str(place["computeEnvironment"]).rsplit("/", 1)[-1]
        if name not in batch._compute_envs:
            raise ValueError(f"no compute environment {name}")


def _forget(store: Any) -> Callable[[str, Properties], None]:
    return lambda arn, props: store.pop(arn.rsplit("/", 1)[-1].split(":")[0], None)


def _in_name(id: str) -> dict[str, Callable[..., Any]]:
    """Handlers of what nothing here looks at again."""
    return {"create": lambda logical_id, props, stack: (id, {"Id": id}), "delete": lambda *_: None}


_plain_alarm = provisioners._cw_metric_alarm_record


def _alarm(name: str, props: Properties) -> Any:
    """An alarm on a sum, which ministack's CloudWatch refuses, is kept as one on the first metric of the sum."""
    first = next((query["MetricStat"] for query in props.get("Metrics", []) if "MetricStat" in query), None)
    if first is not None:
        rest = {key: value for key, value in props.items() if key != "Metrics"}
        props = {**rest, **first["Metric"], "Statistic": first["Stat"], "Period": first["Period"]}
    return _plain_alarm(name, props)


provisioners._cw_metric_alarm_record = _alarm
provisioners._RESOURCE_HANDLERS.update(
    {
        "AWS::Batch::ComputeEnvironment": {
            "create": _creator(batch._create_compute_environment, "ComputeEnvironment"),
            "update": _update_environment,
            "delete": _forget(batch._compute_envs),
        },
        "AWS::Batch::JobQueue": {
            "create": _creator(batch._create_job_queue, "JobQueue", _known_environment),
            "delete": _forget(batch._job_queues),
        },
        "AWS::Batch::JobDefinition": {
            "create": _creator(batch._register_job_definition, "JobDefinition"),
            "update": _register_again,
            "delete": _forget(batch._job_definitions),
        },
        "AWS::EC2::FlowLog": _in_name("fl-00000000000000001"),
        "AWS::EC2::SecurityGroupIngress": _in_name("sgr-00000000000000001"),
    }
)

if __name__ == "__main__":
    main()
