"""What an operator sees, and what calls for one."""

from __future__ import annotations

import json
from typing import Any

from fanfold.contract import cloud
from tests.infra.templates import Synthesise, Templates, resolve

_REGION = {"Ref": "AWS::Region"}


def widgets(templates: Templates) -> dict[str, Any]:
    """Properties of the dashboard's widgets, by title."""
    body = json.loads(templates.one("AWS::CloudWatch::Dashboard")["DashboardBody"])
    return {widget["properties"].get("title", ""): widget["properties"] for widget in body["widgets"]}


def test_the_dashboard_shows_runs_failures_throttles_durations_waits_and_dollars(templates: Templates) -> None:
    shown = json.dumps(widgets(templates))
    for metric in (cloud.METRIC_RUNS, cloud.METRIC_FAILED, cloud.METRIC_WAIT_S, cloud.METRIC_MACHINE_USD):
        assert f'"{metric}"' in shown
    for metric in ("Throttles", "Errors", "Duration", "ExecutionsStarted"):
        assert f'"{metric}"' in shown
    assert "Dollars per hour" in shown


def test_dollars_per_hour_are_gb_seconds_and_requests_at_the_list_price(templates: Templates) -> None:
    (expression,) = (
        row[0]["expression"]
        for row in widgets(templates)["Dollars per hour"]["metrics"]
        if isinstance(row[0], dict) and "expression" in row[0]
    )
    a_thousand_runs_of_30_s = eval(expression, {"ms0": 1000 * 30_000, "calls0": 1000})
    assert round(a_thousand_runs_of_30_s, 2) == 2.00


def test_periods_of_alarms_are_those_that_cloudwatch_takes(full: Templates) -> None:
    """Whole minutes, and together a day at most (API, PutMetricAlarm, EvaluationPeriods)."""
    for alarm in full.properties("AWS::CloudWatch::Alarm"):
        stats = [it["MetricStat"] for it in alarm.get("Metrics", ()) if "MetricStat" in it]
        periods = [alarm["Period"]] if "Period" in alarm else [it["Period"] for it in stats]
        assert periods
        for period in periods:
            assert period % 60 == 0
            assert period * alarm["EvaluationPeriods"] <= 86_400
        assert alarm.get("DatapointsToAlarm", 1) <= alarm["EvaluationPeriods"]


def test_alarms_watch_what_should_not_happen_and_tell_somebody(full: Templates) -> None:
    alarms = full.properties("AWS::CloudWatch::Alarm")
    watched = {(metric["Namespace"], metric["MetricName"]) for alarm in alarms for metric in _metrics(alarm)}
    assert watched == {
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/States", "ExecutionsFailed"),
        ("AWS/States", "ExecutionsTimedOut"),
        ("AWS/DynamoDB", "WriteThrottleEvents"),
    }
    topic = next(iter(full.resources("AWS::SNS::Topic")))
    assert {tuple(alarm["AlarmActions"]) for alarm in alarms} == {(f"<{topic}>",)}
    assert {alarm["TreatMissingData"] for alarm in alarms} == {"notBreaching"}


def _metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """What an alarm watches: one metric, or those that its sum adds up."""
    if "MetricName" in alarm:
        return [alarm]
    return [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]


def test_the_topic_lets_the_account_s_alarms_in(templates: Templates) -> None:
    """A topic policy takes the place of SNS's own: with a Deny alone in it, no alarm would ever reach anybody."""
    topic = next(iter(templates.resources("AWS::SNS::Topic")))
    statements = templates.one("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    (allowing,) = (statement for statement in statements if statement["Effect"] == "Allow")
    assert allowing["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert (allowing["Action"], allowing["Resource"]) == ("sns:Publish", f"<{topic}>")
    assert allowing["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_one_alarm_watches_all_clones_of_the_function(full: Templates, synthesise: Synthesise) -> None:
    """Ten clones made 24 alarms; a region has a quota of them, and one fault sent ten mails."""
    functions = len(full.run_functions())
    for kind in ("Errors", "Throttles"):
        (alarm,) = (
            alarm
            for alarm in full.properties("AWS::CloudWatch::Alarm")
            if {metric["MetricName"] for metric in _metrics(alarm)} == {kind}
        )
        assert len(_metrics(alarm)) == functions > 1
    counts = {len(synthesise(realtime_functions=n).properties("AWS::CloudWatch::Alarm")) for n in (1, 10)}
    assert len(counts) == 1


def test_dashboards_of_one_name_in_two_regions_are_two(templates: Templates) -> None:
    """Dashboards belong to no region: the second deploy took the first one's over."""
    assert str(templates.one("AWS::CloudWatch::Dashboard")["DashboardName"]).endswith(f"-{resolve(_REGION)}")


def test_mail_and_budget_come_by_setting(templates: Templates, full: Templates) -> None:
    assert not templates.resources("AWS::SNS::Subscription")
    assert not templates.resources("AWS::Budgets::Budget")
    assert full.one("AWS::SNS::Subscription")["Endpoint"] == "ops@example.com"
    budget = full.one("AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 500, "Unit": "USD"}
    told = {(n["Notification"]["NotificationType"], n["Notification"]["Threshold"])
            for n in budget["NotificationsWithSubscribers"]}  # fmt: skip
    assert told == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}


def test_nothing_depends_on_what_only_watches(templates: Templates) -> None:
    text = json.dumps([templates.by_stack["Storage"], templates.by_stack["Processing"]])
    assert "Fanfold-main-Observability" not in text
