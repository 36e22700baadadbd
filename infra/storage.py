"""The stack of what must survive: the table and the bucket."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from fanfold.contract import cloud
from infra.settings import Settings


def expiry_days(settings: Settings) -> dict[str, int]:
    """Days by prefix until what jobs leave in the bucket goes. What UDFs keep under `data/` stays.

    Source bundles and large arguments are kept once under the hash of their bytes, and a later job that has the same
    ones finds them there: bundles are small and stay, arguments stay a year longer than any job of their first day.
    A result serves from the cache for `retention_days`, and the job that it serves last is kept as long again.
    """
    days = settings.retention_days
    return {"results/": 2 * days, "jobs/": days, "blobs/": days + 365}


class StorageStack(Stack):
    """Everything that an update must not replace and a `cdk destroy` must not delete."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self.table = _table(self)
        self.bucket = _bucket(self, settings)
        self.sealing_key = _sealing_key(self) if settings.seal_arguments else None


def _table(scope: Construct) -> dynamodb.Table:
    table = dynamodb.Table(
        scope,
        "Table",
        partition_key=_text(cloud.PARTITION_KEY),
        sort_key=_text(cloud.SORT_KEY),
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        time_to_live_attribute=cloud.EXPIRES_AT,
        stream=dynamodb.StreamViewType.NEW_IMAGE,  # what wakes the shepherd
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        deletion_protection=True,
        removal_policy=RemovalPolicy.RETAIN,
    )
    for index, key in ((cloud.INDEX_BY_OWNER, cloud.OWNER_KEY), (cloud.INDEX_BY_TEAM, cloud.TEAM_KEY)):
        table.add_global_secondary_index(
            index_name=index, partition_key=_text(key), sort_key=_text(cloud.INDEX_SORT_KEY)
        )
    return table


def _sealing_key(scope: Construct) -> kms.Key:
    """What jobs' data keys are sealed under. It stays as long as the jobs: without it their secrets are not read."""
    return kms.Key(
        scope,
        "SealingKey",
        description="Fanfold: seals the secret arguments of jobs",
        enable_key_rotation=True,
        removal_policy=RemovalPolicy.RETAIN,
    )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def _bucket(scope: Construct, settings: Settings) -> s3.Bucket:
    return s3.Bucket(
        scope,
        "Bucket",
        **_private(),
        versioned=False,
        lifecycle_rules=[
            s3.LifecycleRule(id="aborted-uploads", abort_incomplete_multipart_upload_after=Duration.days(3)),
            *(
                s3.LifecycleRule(id=prefix.strip("/"), prefix=prefix, expiration=Duration.days(days))
                for prefix, days in expiry_days(settings).items()
            ),
        ],
        server_access_logs_bucket=_access_logs(scope) if settings.access_logs else None,
        server_access_logs_prefix="bucket/" if settings.access_logs else None,
    )


def _access_logs(scope: Construct) -> s3.Bucket:
    return s3.Bucket(
        scope, "AccessLogs", **_private(), lifecycle_rules=[s3.LifecycleRule(id="old", expiration=Duration.days(90))]
    )


def _private() -> dict[str, Any]:
    return {
        "encryption": s3.BucketEncryption.S3_MANAGED,
        "enforce_ssl": True,
        "minimum_tls_version": 1.2,
        "block_public_access": s3.BlockPublicAccess.BLOCK_ALL,
        "object_ownership": s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        "removal_policy": RemovalPolicy.RETAIN,
    }
