"""The stores of a deployment: one DynamoDB table and one S3 bucket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fanfold.contract.cloud import DATA_PREFIX
from fanfold.core.models import CacheEntry, Event
from fanfold.errors import InputError
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.cache import DynamoResultCache
from fanfold.stores.aws.keeping import Keeper
from fanfold.stores.aws.log import DynamoEventLog
from fanfold.stores.aws.objects import S3ObjectStore
from fanfold.stores.aws.secrets import DeploymentSecrets
from fanfold.stores.aws.table import Table

__all__ = ["AwsStores"]


class AwsStores:
    """The event log, the objects and the cache of a deployment, for any number of processes at once.

    `retention_s`: seconds that jobs are kept. `scratch`: a folder for what is on its way. `read_ahead`: False for one
    that reads little of many jobs. `secrets`: where UDFs' secrets are (`secrets.DeploymentSecrets`).
    """

    def __init__(
        self,
        account: Account,
        *,
        table: str,
        bucket: str,
        retention_s: float,
        scratch: Path,
        read_ahead: bool = True,
        secrets: str = "",
    ) -> None:
        self.account = account
        self.scratch = scratch
        self.table = Table(account, table)
        self.objects = S3ObjectStore(account, bucket, read_ahead=read_ahead)
        self.log = DynamoEventLog(self.table, self.objects, retention_s=retention_s)
        self.cache = DynamoResultCache(self.table, retention_s=retention_s)
        self.secrets = DeploymentSecrets(account, secrets)
        #: Where runs keep data: `fanfold.data_path()`.
        self.data_place = f"s3://{bucket}/{DATA_PREFIX}"

    def keep(self, job_id: str, *, within_s: float | None = None) -> bool:
        """Move a job's expiry on where that is due, so that nothing of it goes while anything of it lives."""
        return Keeper(self.table, self.objects, self.log.job_headers, self.log.events_of).keep(
            job_id, within_s=within_s
        )

    def sync(self) -> None:
        """Nothing to do: DynamoDB and S3 answer when what they were given is on several disks."""

    def remove_jobs(self, job_ids: Sequence[str]) -> int:
        """Raises `InputError`: a deployment removes its jobs by itself."""
        raise InputError(
            f"A deployment's jobs ({', '.join(job_ids)}) are not removed by hand.",
            next_step="wait for them to go after its setting `retention_days`.",
        )

    def record(self, events: Sequence[Event], entries: Sequence[CacheEntry]) -> None:
        """Append events and offer results to the cache, in one call where they are few."""
        new = self.cache.record_older(entries) if entries else []
        self.table.put_all([*self.log.items(events), *self.cache.items(new)])
        self.log.announce({event.job_id for event in events})
