"""What of moto this cloud stands on; where an upgrade of moto moves something, this says what."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
from moto.awslambda.models import LambdaFunction
from moto.backends import list_of_moto_modules
from moto.batch.models import BatchBackend, Job
from moto.core.serialize import BaseJSONSerializer
from moto.core.utils import method_names_from_class
from moto.dynamodb.models.table import StreamShard, Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.s3.models import FakeBucket
from moto.scheduler.models import EventBridgeSchedulerBackend
from moto.stepfunctions.models import Execution, StateMachine, StepFunctionBackend

from tests.cloud.deploy import ROOT

#: Method, and the parameters that the seam relies on.
SEAMS = [
    (LambdaFunction.invoke, ["self", "body", "request_headers", "response_headers"]),
    (StreamShard.add, ["self", "old", "new"]),
    (EventBridgeSchedulerBackend.create_schedule, ["self", "name", "schedule_expression", "target"]),
    (EventBridgeSchedulerBackend.update_schedule, ["self", "name", "schedule_expression", "target"]),
    (Job.run, ["self"]),
    (Job.describe, ["self"]),
    (Job.describe_short, ["self"]),
    (Job.terminate, ["self", "reason"]),
    (Job._mark_stopped, ["self", "success"]),
    (Job._start_attempt, ["self"]),
    (Job._stop_attempt, ["self"]),
    (BatchBackend.submit_job, ["job_name", "job_def_id", "job_queue", "array_properties", "container_overrides"]),
    (BatchBackend.list_jobs, ["array_job_id", "filters"]),
    (StepFunctionBackend.create_state_machine, ["self", "name", "definition", "roleArn", "sm_type"]),
    (StepFunctionBackend.get_execution_history, ["self", "execution_arn"]),
    (StepFunctionBackend.list_map_runs, ["self", "execution_arn"]),
    (StepFunctionBackend.describe_map_run, ["self", "map_run_arn"]),
    (
        StepFunctionBackend.update_map_run,
        ["self", "map_run_arn", "max_concurrency", "tolerated_failure_count", "tolerated_failure_percentage"],
    ),
    (StateMachine.start_execution, ["region_name", "account_id", "execution_name", "execution_input"]),
    (StateMachine._handle_name_input_idempotency, ["self", "name", "execution_input"]),
    (StateMachine._validate_execution_input, ["self", "execution_input"]),
    (
        Execution.__init__,
        ["region_name", "account_id", "state_machine_name", "execution_name", "state_machine_arn", "execution_input"],
    ),
    (Execution.stop, ["self"]),
    (Table.query, ["self", "hash_key", "range_comparison", "range_objs", "limit", "index_name"]),
    (Table.all_items, ["self"]),
    (BaseJSONSerializer._serialize_type_structure, ["serialized", "value", "shape", "key"]),
    (method_names_from_class, ["clazz"]),
    (list_of_moto_modules, []),
    (DomainDispatcherApplication.__call__, ["environ", "start_response"]),
]

#: Attributes that are set where an object is made, and read or changed here.
ATTRIBUTES = [
    (Job, ["array_properties", "container_overrides", "job_definition", "job_queue", "job_stopped_reason", "stop"]),
    (Job, ["_child_jobs", "exit_code", "job_id", "job_stopped"]),
    (LambdaFunction, ["environment_vars", "image_config", "timeout", "memory_size", "function_name"]),
    (Execution, ["status", "stop_date", "error", "cause", "output", "execution_arn"]),
    (Table, ["items"]),
    (FakeBucket, ["keys"]),
]


def test_moto_is_pinned_to_the_version_whose_seams_these_are():
    assert f"=={version('moto')}" in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(("method", "parameters"), SEAMS, ids=lambda value: getattr(value, "__qualname__", ""))
def test_the_method_is_called_as_it_was(method, parameters):
    assert set(parameters) <= set(inspect.signature(method).parameters)


@pytest.mark.parametrize(("kind", "names"), ATTRIBUTES, ids=lambda value: getattr(value, "__qualname__", ""))
def test_the_object_still_has_its_attributes(kind, names):
    source = "".join(inspect.getsource(base) for base in kind.__mro__ if base.__module__.startswith("moto"))
    assert [name for name in names if f"self.{name}" not in source] == []
