"""Who may do what: statements that name exact resources, for workers, for UDFs and for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from fanfold.contract import cloud
from infra.settings import Settings
from infra.storage import StorageStack

#: Reading of what has no name of its own: why a job waits, and how many functions the account may run at once.
READS_OF_ALL = [
    "batch:DescribeComputeEnvironments",
    "batch:DescribeJobQueues",
    "batch:DescribeJobs",
    "batch:ListJobs",
    "lambda:GetAccountSettings",
]
_JOB_PREFIXES = ("udf/*", "jobs/*", "blobs/*", "results/*", "schedules/*")


def allow(
    actions: Sequence[str], resources: Iterable[str], conditions: dict[str, Any] | None = None
) -> iam.PolicyStatement:
    """One statement that allows these actions on these ARNs."""
    return iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)


def arn(scope: Construct, service: str, resource: str, name: str, *, colon: bool = False) -> str:
    """ARN of a resource of this account and region; `colon` where its kind is parted from its name by one."""
    format_ = ArnFormat.COLON_RESOURCE_NAME if colon else ArnFormat.SLASH_RESOURCE_NAME
    return Stack.of(scope).format_arn(service=service, resource=resource, resource_name=name, arn_format=format_)


def widening_statements(scope: Construct, deployment: str) -> list[iam.PolicyStatement]:
    """What a ramp needs to have more of a Distributed Map's children run side by side: to find its Map Run, and that.

    Step Functions names a Map Run after its state machine, the label of the state, and a number of its own.
    """
    name = cloud.resource_name(deployment, cloud.DISTRIBUTED)
    return [
        allow(["states:ListMapRuns"], [arn(scope, "states", "execution", f"{name}:*", colon=True)]),
        allow(["states:UpdateMapRun"], [arn(scope, "states", "mapRun", f"{name}/{cloud.MAP_RUN_LABEL}:*", colon=True)]),
    ]


def worker_statements(storage: StorageStack) -> list[iam.PolicyStatement]:
    """What Fanfold's own code needs wherever a run executes: inputs and code in, events and results out."""
    return [
        allow(
            [
                "dynamodb:BatchGetItem",
                "dynamodb:BatchWriteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ],
            [storage.table.table_arn],
        ),
        allow(["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], job_objects(storage)),
        list_bucket(storage),
    ]


def opening_statements(storage: StorageStack) -> list[iam.PolicyStatement]:
    """What a worker needs to open the secret arguments of a job: nobody else may."""
    key = storage.sealing_key
    return [] if key is None else [allow(["kms:Decrypt"], [key.key_arn])]


def sealing_statements(storage: StorageStack) -> list[iam.PolicyStatement]:
    """What a submitter needs to seal them: a new data key for each job, and the one that their names are made with."""
    key = storage.sealing_key
    if key is None:
        return []
    names = {"StringEquals": {f"kms:EncryptionContext:{cloud.SEALED_FOR}": cloud.NAMES}}
    return [allow(["kms:GenerateDataKey"], [key.key_arn]), allow(["kms:Decrypt"], [key.key_arn], names)]


def job_objects(storage: StorageStack) -> list[str]:
    """ARNs of what jobs keep in the bucket; what UDFs keep there under `data/` is not among them."""
    return [storage.bucket.arn_for_objects(prefix) for prefix in _JOB_PREFIXES]


def list_bucket(storage: StorageStack) -> iam.PolicyStatement:
    """Listing the bucket, without which S3 answers 403, not 404, for a key that is not there.

    No condition on the prefix: GetObject and HeadObject carry none, so it would be 403 again.
    """
    return allow(["s3:ListBucket"], [storage.bucket.bucket_arn])


def secrets_statement(scope: Construct, settings: Settings, actions: Sequence[str]) -> iam.PolicyStatement:
    """These actions on UDFs' secrets, and on no others: below the prefix of the settings.

    `actions` are Secrets Manager's; where secrets are in SSM, what comes to the same there.
    """
    service, _, prefix = settings.secrets_place.partition(":")
    if service == "ssm":
        names = sorted({_IN_PARAMETER_STORE[action] for action in actions})
        return allow(names, [arn(scope, "ssm", "parameter", f"{prefix.removeprefix('/')}*")])
    return allow(actions, [arn(scope, "secretsmanager", "secret", f"{prefix}*", colon=True)])


#: SecureStrings under the account's own key of SSM: who may read the parameter may have it decrypted.
_IN_PARAMETER_STORE = {
    "secretsmanager:GetSecretValue": "ssm:GetParameter",
    "secretsmanager:CreateSecret": "ssm:PutParameter",
    "secretsmanager:PutSecretValue": "ssm:PutParameter",
    "secretsmanager:DeleteSecret": "ssm:DeleteParameter",
}


def worker_role(scope: Construct, id: str, *, service: str, settings: Settings, storage: StorageStack) -> iam.Role:
    """The role of what runs in the image, under Lambda or ECS."""
    role = iam.Role(scope, id, assumed_by=iam.ServicePrincipal(service))
    for statement in (
        *worker_statements(storage),
        *opening_statements(storage),
        secrets_statement(scope, settings, ["secretsmanager:GetSecretValue"]),
    ):
        role.add_to_policy(statement)
    return role


def data_role(scope: Construct, *, settings: Settings, storage: StorageStack, workers: Sequence[iam.Role]) -> iam.Role:
    """The role whose credentials a UDF gets: the user's buckets and `data/`, nothing of Fanfold's own records."""
    trusted = iam.CompositePrincipal(*(iam.ArnPrincipal(worker.role_arn) for worker in workers))
    role = iam.Role(scope, "DataRole", assumed_by=trusted)
    for statement in data_statements(settings, storage):
        role.add_to_policy(statement)
    for worker in workers:
        worker.add_to_policy(allow(["sts:AssumeRole"], [role.role_arn]))
    return role


def let_assume(data: iam.Role, worker: iam.Role) -> None:
    """Let one more role take the data role's place."""
    assert data.assume_role_policy is not None, "every role that is made here has one"
    trusted = [iam.ArnPrincipal(worker.role_arn)]
    data.assume_role_policy.add_statements(iam.PolicyStatement(actions=["sts:AssumeRole"], principals=trusted))
    worker.add_to_policy(allow(["sts:AssumeRole"], [data.role_arn]))


def data_statements(settings: Settings, storage: StorageStack) -> list[iam.PolicyStatement]:
    """Read and write under `data/` and in `write_buckets`, read in `read_buckets`, with the keys of both."""
    partition = Stack.of(storage).partition
    read, write = (
        [f"arn:{partition}:s3:::{name}" for name in names] for names in (settings.read_buckets, settings.write_buckets)
    )
    mine = storage.bucket.arn_for_objects(f"{cloud.DATA_PREFIX}*")
    statements = [
        list_bucket(storage),
        allow(["s3:GetObject"], [mine, *(f"{bucket}/*" for bucket in [*read, *write])]),
        allow(
            ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], [mine, *(f"{bucket}/*" for bucket in write)]
        ),
    ]
    if read or write:
        statements.append(allow(["s3:ListBucket", "s3:GetBucketLocation"], [*read, *write]))
    if settings.public_data:
        # Open buckets are those of other accounts; what this account keeps is reached by the statements above alone.
        elsewhere = {"StringNotEquals": {"s3:ResourceAccount": Stack.of(storage).account}}
        statements.append(allow(["s3:GetObject", "s3:ListBucket"], [f"arn:{partition}:s3:::*"], elsewhere))
    if settings.kms_keys:
        statements.append(allow(["kms:Decrypt", "kms:GenerateDataKey"], settings.kms_keys))
    return statements
