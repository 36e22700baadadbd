"""The stack that must survive: what is kept, how it is protected, what expires."""

from __future__ import annotations

from typing import Any

from fanfold.core.models import CacheEntry, Output
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.cache import DynamoResultCache
from fanfold.stores.aws.table import Table
from tests.infra.templates import Templates, exports, imports


def test_the_table_is_on_demand_protected_and_expires_by_itself(templates: Templates) -> None:
    table = templates.one("AWS::DynamoDB::Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["DeletionProtectionEnabled"] is True
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [("pk", "HASH"), ("sk", "RANGE")]


def test_the_table_outlives_its_stack(templates: Templates) -> None:
    (table,) = templates.resources("AWS::DynamoDB::Table").values()
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_jobs_can_be_listed_by_owner_and_by_team_newest_first(templates: Templates) -> None:
    indexes = {index["IndexName"]: index for index in templates.one("AWS::DynamoDB::Table")["GlobalSecondaryIndexes"]}
    assert set(indexes) == {"jobs-by-owner", "jobs-by-team"}
    for index in indexes.values():
        assert index["KeySchema"][1] == {"AttributeName": "listed_id", "KeyType": "RANGE"}
        assert index["Projection"]["ProjectionType"] == "ALL"


def test_every_bucket_is_private_encrypted_unversioned_and_kept(templates: Templates) -> None:
    for bucket in templates.resources("AWS::S3::Bucket").values():
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties["BucketEncryption"]
        assert "VersioningConfiguration" not in properties
        assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_a_bucket_answers_over_tls_only(templates: Templates) -> None:
    policies = templates.resources("AWS::S3::BucketPolicy").values()
    assert len(policies) == len(templates.resources("AWS::S3::Bucket"))
    for policy in policies:
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        denied = [statement["Condition"] for statement in statements if statement["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied
        assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def _lifecycle(templates: Templates) -> dict[str, dict[str, Any]]:
    for bucket in templates.properties("AWS::S3::Bucket"):
        rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
        if "results" in rules:
            return rules
    raise LookupError("no bucket for results")


def test_what_jobs_keep_expires_and_what_udfs_keep_does_not(tuned: Templates) -> None:
    rules = _lifecycle(tuned)
    assert rules["aborted-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}
    expiring = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules.values() if "ExpirationInDays" in rule}
    assert expiring == {"results/": 20, "jobs/": 10, "blobs/": 375}


def test_a_cached_result_outlives_the_last_job_that_reuses_it(tuned: Templates) -> None:
    """The cache forgets an entry as many days after its run as a job is kept: a job of that day still refers to it."""
    kept_s = 10 * 86_400.0
    cache = DynamoResultCache(Table(Account(), "t"), retention_s=kept_s)
    entry = CacheEntry("k", Output("json", "0" * 64, 1, b"1", None), 1000.0, 1.0, "j")
    (item,) = cache.items([entry])
    last_job_expires_at = float(item["expires_at"]["N"]) + kept_s
    days = _lifecycle(tuned)["results"]["ExpirationInDays"]
    assert entry.created_at + days * 86_400 >= last_job_expires_at


def test_a_job_s_source_never_expires_under_a_later_job_of_the_same_udf(templates: Templates) -> None:
    """Both find it under the hash of its bytes, so that its age says nothing of when it is needed."""
    assert [rule for rule in _lifecycle(templates).values() if rule.get("Prefix") == "udf/"] == []


def test_access_logs_can_be_left_out(templates: Templates, tuned: Templates) -> None:
    assert len(templates.resources("AWS::S3::Bucket")) == 2
    assert "LoggingConfiguration" not in tuned.one("AWS::S3::Bucket")


def test_other_stacks_only_read_what_the_storage_stack_exports(templates: Templates) -> None:
    exported = set(exports(templates.by_stack["Storage"]))
    for stack in ("Processing", "Observability"):
        for name in imports(templates.by_stack[stack]):
            assert name in exported or name.startswith("Fanfold-main-Processing")
