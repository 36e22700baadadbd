"""What seals the secret arguments of a deployment's jobs: a data key of KMS for each job, which only its runs may open.

KMS keeps the deployment's key. A submitter gets a new data key under it in two forms: open, and sealed for the job's
header. Workers may open sealed data keys. Submitters may open only one: the key that makes the names of secrets, by
which the cache finds them again. The first submitter makes it and puts it into the table.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from fanfold.codec.sealed import KEY_BYTES, Sealing, SealingKey
from fanfold.contract.cloud import ENTRY, PARTITION_KEY, SEALING, SORT_KEY, sealing_context
from fanfold.core.models import JobHeader
from fanfold.core.processes import Locked
from fanfold.errors import ConfigurationError
from fanfold.stores.aws.table import Table

#: Keys of jobs that a worker has had opened; a warm one serves few.
_KEPT = 16
_NAMES_KEY = {PARTITION_KEY: {"S": SEALING}, SORT_KEY: {"S": ENTRY}}


class DeploymentSealing(Locked):
    """Data keys under a deployment's key of KMS; `key_id` is its ARN, empty where the deployment has none."""

    def __init__(self, table: Table, key_id: str) -> None:
        super().__init__()
        self._table = table
        self._key_id = key_id
        self._names = b""
        #: By what headers keep of them: keys of jobs that this process has submitted, and that it has had opened.
        self._made: dict[str, SealingKey] = {}
        self._opened: dict[str, SealingKey] = {}

    def sealing(self, job_id: str, kept: str) -> Sealing:
        """What seals a submission; `kept` is what the job's header keeps of it already."""

        def make() -> tuple[SealingKey, str]:
            if kept in self._made:
                return self._made[kept], kept
            if kept:
                raise ConfigurationError(
                    f"The secrets of job {job_id} are sealed by a key that its runs alone can open.",
                    next_step="submit the runs as a job of their own, with the secret.",
                )
            open_key, sealed_key = self._new_key(sealing_context(job_id))
            key = SealingKey(open_key, self._names_key())
            new = f"kms {key.label} {b64encode(sealed_key).decode()} {job_id}"
            self._made[new] = key
            return key, new

        return Sealing(make, kept)

    def read(self, header: JobHeader) -> SealingKey:
        """What opens a job's sealed secrets. Raises `ConfigurationError` for those who may not."""
        kept = header.sealed_with
        with self.lock:
            if kept not in self._opened:
                _, _, sealed_key, job_id = kept.split(" ")
                while len(self._opened) >= _KEPT:
                    del self._opened[next(iter(self._opened))]
                self._opened[kept] = SealingKey(self._decrypt(b64decode(sealed_key), sealing_context(job_id)))
            return self._opened[kept]

    def _names_key(self) -> bytes:
        if not self._names:
            item = self._table.get(_NAMES_KEY)
            if item is None:
                _, sealed_key = self._new_key(sealing_context())
                self._table.put_if(
                    {**_NAMES_KEY, "key": {"S": b64encode(sealed_key).decode()}},
                    f"attribute_not_exists({PARTITION_KEY})",
                )
                item = self._table.get(_NAMES_KEY)
            assert item is not None
            self._names = self._decrypt(b64decode(item["key"]["S"]), sealing_context())
        return self._names

    def _new_key(self, context: dict[str, str]) -> tuple[bytes, bytes]:
        """A new data key: open, and sealed under the deployment's key."""
        answer = self._call("generate_data_key", context, NumberOfBytes=KEY_BYTES)
        return answer["Plaintext"], answer["CiphertextBlob"]

    def _decrypt(self, sealed_key: bytes, context: dict[str, str]) -> bytes:
        opened: bytes = self._call("decrypt", context, CiphertextBlob=sealed_key)["Plaintext"]
        return opened

    def _call(self, operation: str, context: dict[str, str], **parameters: Any) -> Any:
        """Ask KMS to do something with the deployment's key. Raises `ConfigurationError` where it has none."""
        if not self._key_id:
            raise ConfigurationError(
                "This deployment has no key to seal secret arguments with.",
                next_step="deploy it with the setting `seal_arguments`, or name the secret in @udf(secrets=[...]).",
            )
        key = {"KeyId": self._key_id, "EncryptionContext": context}
        return self._table.account.call("kms", operation, on=f"key {self._key_id}", **key, **parameters)
