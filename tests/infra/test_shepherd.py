"""What looks after jobs that nobody waits for: one function, woken by what happens and by alarms."""

from __future__ import annotations

import json

from fanfold.contract import cloud
from tests.infra.templates import Templates


def _function(templates: Templates) -> dict:
    functions = templates.properties("AWS::Lambda::Function")
    (found,) = (one for one in functions if one.get("ImageConfig", {}).get("Command") == [cloud.SHEPHERD_HANDLER])
    return found


def test_it_has_the_image_of_the_runs_and_costs_nothing_at_rest(full: Templates) -> None:
    function = _function(full)
    assert function["Code"]["ImageUri"] in {one["Code"]["ImageUri"] for one in full.run_functions()}
    assert "ReservedConcurrentExecutions" not in function
    assert full.resources("AWS::Scheduler::Schedule") == {}, "nothing calls it by the clock"
    (rule,) = full.properties("AWS::Events::Rule")
    assert "ScheduleExpression" not in rule


def test_items_that_carry_the_mark_wake_it_and_no_others(templates: Templates) -> None:
    (mapping,) = templates.properties("AWS::Lambda::EventSourceMapping")
    there = {"N": [{"exists": True}]}
    new, cancelled = (json.loads(one["Pattern"]) for one in mapping["FilterCriteria"]["Filters"])
    assert new == {"eventName": ["INSERT"], "dynamodb": {"NewImage": {cloud.WAKES: there}}}
    told_of = {cloud.TELLS: there, "cancelled_at": there}
    assert cancelled == {"eventName": ["MODIFY"], "dynamodb": {"NewImage": told_of}}
    assert templates.one("AWS::DynamoDB::Table")["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def test_the_end_of_a_standard_execution_wakes_it(templates: Templates) -> None:
    (rule,) = templates.properties("AWS::Events::Rule")
    pattern = rule["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.states"], ["Step Functions Execution Status Change"])
    assert len(pattern["detail"]["stateMachineArn"]) == 2
    assert pattern["detail"]["status"] == ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


def test_people_may_make_schedules_of_the_deployment_that_call_it_and_nothing_else(templates: Templates) -> None:
    groups = {one["Name"] for one in templates.properties("AWS::Scheduler::ScheduleGroup")}
    assert groups == {cloud.deadlines_group("main"), cloud.schedules_group("main")}
    statements = [one for one in templates.statements_of("PeopleUser") if "scheduler:CreateSchedule" in one["Action"]]
    (statement,) = statements
    assert json.dumps(statement["Resource"]).rstrip('"]} ').endswith(f"{cloud.schedules_group('main')}/*")


def test_alarms_may_call_it_and_nothing_else(templates: Templates) -> None:
    statements = templates.statements_of("ShepherdAlarmRole")
    name = cloud.resource_name("main", "shepherd")
    assert [(one["Action"], one["Resource"].rpartition(":")[2]) for one in statements] == [
        ("lambda:InvokeFunction", name)
    ]
    assert _function(templates)["FunctionName"] == name
