"""What an operator looks at, and what calls for one: a dashboard, alarms, a budget."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from fanfold.contract import cloud
from fanfold.contract.instances import LIST_PRICES
from fanfold.contract.layout import REALTIME_MEMORY_MIB
from infra.processing import ProcessingStack
from infra.realtime import every_function_name
from infra.settings import Settings
from infra.storage import StorageStack

_PERIOD = Duration.minutes(5)
#: Periods that something is to last before it is an alarm. A wide job keeps somewhat more calls waiting than may run at
#: once: only the account's quota being used up for an hour is news.
_PATIENCE = {"FunctionThrottles": 12}
_USD_PER_GB_S = {"x86_64": LIST_PRICES.lambda_gb_second, "arm64": LIST_PRICES.lambda_gb_second_arm64}
#: What Fanfold spends on. By service, since a budget by tag stays silent until somebody activates the tag.
_SERVICES = [
    "AWS Lambda",
    "AWS Step Functions",
    "Amazon DynamoDB",
    "Amazon Elastic Compute Cloud - Compute",
    "Amazon Simple Storage Service",
]


class ObservabilityStack(Stack):
    """Reads the other stacks, and nothing depends on it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        storage: StorageStack,
        processing: ProcessingStack,
        **stack: Any,
    ) -> None:
        super().__init__(scope, id, **stack)
        self._settings = settings
        # By name, which is fixed: an import of each would keep the processing stack from taking a clone away again.
        self._functions = [
            lambda_.Function.from_function_name(self, f"Function{n}", name)
            for n, name in enumerate(every_function_name(settings))
        ]
        self._machines = processing.fanout.machines
        topic = self._topic()
        if settings.alarm_email:
            topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
        alarms = [self._alarm(name, metric, topic) for name, metric in self._alarming(storage).items()]
        self._dashboard(alarms)
        if settings.monthly_budget_usd:
            self._budget(settings.monthly_budget_usd, str(settings.alarm_email))

    def _topic(self) -> sns.Topic:
        """Where alarms go. A policy of its own takes the place of the one by which SNS lets the account's alarms in."""
        topic = sns.Topic(self, "Alarms", enforce_ssl=True)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        return topic

    def _alarming(self, storage: StorageStack) -> dict[str, cloudwatch.IMetric]:
        """What should not happen. A run that fails by its own code is no alarm: the function answers well then."""
        return {
            # One over all clones: a region has a quota of alarms, and nobody wants ten mails of one fault.
            **{f"Function{kind.title()}": self._sum(kind) for kind in ("errors", "throttles")},
            "DistributedFailed": self._machines[cloud.DISTRIBUTED].metric_failed(period=_PERIOD),
            "DedicatedFailed": self._machines[cloud.DEDICATED].metric_failed(period=_PERIOD),
            "ExpressTimedOut": self._machines[cloud.EXPRESS].metric_timed_out(period=_PERIOD),
            "TableThrottles": storage.table.metric("WriteThrottleEvents", period=_PERIOD, statistic="Sum"),
        }

    def _sum(self, kind: str) -> cloudwatch.IMetric:
        """One of a function's metrics, over all clones."""
        metrics: dict[str, cloudwatch.IMetric] = {
            f"{kind}{n}": getattr(function, f"metric_{kind}")(period=_PERIOD, statistic="Sum")
            for n, function in enumerate(self._functions)
        }
        if len(metrics) == 1:
            return next(iter(metrics.values()))
        return cloudwatch.MathExpression(
            expression=" + ".join(metrics), using_metrics=metrics, label=kind, period=_PERIOD
        )

    def _alarm(self, name: str, metric: cloudwatch.IMetric, topic: sns.Topic) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=1,
            evaluation_periods=_PATIENCE.get(name, 1),
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
        return alarm

    def _dashboard(self, alarms: list[cloudwatch.Alarm]) -> None:
        board = cloudwatch.Dashboard(
            self,
            "Dashboard",
            # Dashboards belong to no region: without its name, a deployment elsewhere would take this one over.
            dashboard_name=f"{cloud.resource_name(self._settings.deployment, 'overview')}-{self.region}",
            default_interval=Duration.hours(6),
        )
        board.add_widgets(cloudwatch.AlarmStatusWidget(alarms=alarms, width=24, title="Alarms"))
        board.add_widgets(
            _graph("Runs", [self._own(cloud.METRIC_RUNS, "Sum"), self._own(cloud.METRIC_FAILED, "Sum")]),
            _graph("Realtime calls", [self._sum(kind) for kind in ("invocations", "errors", "throttles")]),
        )
        board.add_widgets(
            _graph("Realtime duration, ms", self._durations()),
            _graph("Wait for a place, s", [self._own(cloud.METRIC_WAIT_S, s) for s in ("p50", "p95", "max")]),
        )
        board.add_widgets(
            _graph("Executions", [m.metric_started() for m in self._machines.values()]),
            _graph("Dollars per hour", self._usd_per_hour()),
        )

    def _durations(self) -> list[cloudwatch.IMetric]:
        return [f.metric_duration(statistic=of) for f in self._functions for of in ("p50", "p95", "max")]

    def _own(self, name: str, statistic: str) -> cloudwatch.Metric:
        """A metric that the image emits."""
        return cloudwatch.Metric(
            namespace=cloud.METRIC_NAMESPACE,
            metric_name=name,
            dimensions_map={cloud.METRIC_DIMENSION: self._settings.deployment},
            statistic=statistic,
            label=f"{name} {statistic}",
            period=_PERIOD,
        )

    def _usd_per_hour(self) -> list[cloudwatch.IMetric]:
        hour = Duration.hours(1)
        using: dict[str, cloudwatch.IMetric] = {}
        for n, function in enumerate(self._functions):
            using[f"ms{n}"] = function.metric_duration(statistic="Sum", period=hour)
            using[f"calls{n}"] = function.metric_invocations(period=hour)
        gb_s_per_ms = REALTIME_MEMORY_MIB / 1024 / 1000
        terms = (
            f"ms{n} * {gb_s_per_ms * _USD_PER_GB_S[processor]:.12f} + calls{n} * {LIST_PRICES.lambda_request:.9f}"
            for n, processor in enumerate(every_function_name(self._settings).values())
        )
        realtime = cloudwatch.MathExpression(
            expression=" + ".join(terms), using_metrics=using, label="realtime", period=hour
        )
        return [realtime, self._own(cloud.METRIC_MACHINE_USD, "Sum").with_(period=hour, label="machines")]

    def _budget(self, usd: int, email: str) -> None:
        subscriber = {"subscriptionType": "EMAIL", "address": email}
        budgets.CfnBudget(
            self,
            "Budget",
            budget={
                "budgetType": "COST",
                "timeUnit": "MONTHLY",
                "budgetLimit": {"amount": usd, "unit": "USD"},
                "costFilters": {"Service": _SERVICES},
            },
            notifications_with_subscribers=[
                {
                    "notification": {
                        "notificationType": kind,
                        "comparisonOperator": "GREATER_THAN",
                        "threshold": percent,
                        "thresholdType": "PERCENTAGE",
                    },
                    "subscribers": [subscriber],
                }
                for kind, percent in (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
            ],
        )


def _graph(title: str, left: list[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=left, width=12, height=6)
