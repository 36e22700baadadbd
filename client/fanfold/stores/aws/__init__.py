"""The stores of a deployment: one DynamoDB table and one S3 bucket."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.contract.cloud import DATA_PREFIX
from fanfold.core.models import CacheEntry, Event, JobHeader
from fanfold.errors import InputError
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.cache import DynamoResultCache
from fanfold.stores.aws.keeping import Keeper
from fanfold.stores.aws.log import DynamoEventLog
from fanfold.stores.aws.objects import S3ObjectStore
from fanfold.stores.aws.secrets import DeploymentSecrets
from fanfold.stores.aws.table import Table

if TYPE_CHECKING:
    from fanfold.codec.sealed import Sealing, SealingKey
    from fanfold.stores.aws.data_files import BucketData
    from fanfold.stores.aws.sealing import DeploymentSealing

__all__ = ["AwsStores"]


class AwsStores:
    """The event log, the objects and the cache of a deployment, for any number of processes at once.

    `retention_s`: seconds that jobs are kept. `scratch`: a folder for what is on its way. `read_ahead`: False for one
    that reads little of many jobs. `secrets`: where UDFs' secrets are (`secrets.DeploymentSecrets`).
    `sealing_key`: what secret arguments are sealed with (`sealing.DeploymentSealing`).
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
        sealing_key: str = "",
    ) -> None:
        self.account = account
        self.scratch = scratch
        self.table = Table(account, table)
        self.objects = S3ObjectStore(account, bucket, read_ahead=read_ahead)
        self.log = DynamoEventLog(self.table, self.objects, retention_s=retention_s)
        self.cache = DynamoResultCache(self.table, retention_s=retention_s)
        self.secrets = DeploymentSecrets(account, secrets)
        self._sealing_key = sealing_key
        #: Where runs keep data: `fanfold.data_path()`.
        self.data_place = f"s3://{bucket}/{DATA_PREFIX}"

    def sealing(self, job_id: str, kept: str = "") -> Sealing:
        """What seals a job's secret arguments; `kept` is what its header keeps of it already."""
        return self._seals.sealing(job_id, kept)

    def sealing_key(self, header: JobHeader) -> SealingKey:
        """What opens a job's sealed secrets. Raises `ConfigurationError` for those who may not."""
        return self._seals.read(header)

    @property
    def data(self) -> BucketData:
        """The files that UDFs and people keep there."""
        from fanfold.stores.aws.data_files import BucketData

        return BucketData(self.account, self.objects)

    @cached_property
    def _seals(self) -> DeploymentSealing:
        from fanfold.stores.aws.sealing import DeploymentSealing  # it brings what few jobs need

        return DeploymentSealing(self.table, self._sealing_key)

    def keep(self, job_id: str, *, within_s: float | None = None) -> bool:
        """Move a job's expiry on where that is due, so that nothing of it goes while anything of it lives."""
        return Keeper(self.table, self.objects, self.log.job_headers, self.log.events_of).keep(
            job_id, within_s=within_s
        )

    def sync(self) -> None:
        """Nothing to do: DynamoDB and S3 answer when what they were given is on several disks."""

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """While it is entered, calls of this thread that get no answer are given up after so many seconds, about."""
        return self.account.within(seconds)

    def note_use(self, job_id: str) -> None:
        """Nothing: a deployment's jobs stay for as long as it says."""

    def used_at(self, job_id: str) -> float:  # noqa: ARG002
        """Never that anybody would ask."""
        return 0.0

    def remove_jobs(self, job_ids: Sequence[str]) -> int:
        """Raises `InputError`: a deployment removes its jobs by itself."""
        raise InputError(
            f"A deployment's jobs ({', '.join(job_ids)}) cannot be removed by hand.",
            next_step="wait for them to go after its setting `retention_days`.",
        )

    def record(self, events: Sequence[Event], entries: Sequence[CacheEntry]) -> None:
        """Append events and offer results to the cache, in one call where they are few."""
        new = self.cache.record_older(entries) if entries else []
        self.table.put_all([*self.log.items(events), *self.cache.items(new)])
        self.log.announce({event.job_id for event in events})
