"""Log groups of our own: with a retention, and gone with the stack."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.settings import Settings


def log_group(scope: Construct, id: str, *, settings: Settings, name: str | None = None) -> logs.LogGroup:
    """A log group that keeps what it holds for `log_retention_days`."""
    group = logs.LogGroup(scope, id, log_group_name=name, removal_policy=RemovalPolicy.DESTROY)
    resource = group.node.default_child
    assert isinstance(resource, logs.CfnLogGroup)
    resource.retention_in_days = settings.log_retention_days  # the L2 takes an enumeration of words only
    return group
