"""What UDFs and people keep below `fanfold.data_path()` in a deployment: one prefix of its bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fanfold.contract.cloud import DATA_PREFIX
from fanfold.errors import InputError, StoreError
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.failures import error_code, explain
from fanfold.stores.aws.objects import S3ObjectStore
from fanfold.stores.protocols import DataFile

_MISSING = ("NoSuchKey", "404", "NotFound")


class BucketData:
    """The files below the prefix."""

    def __init__(self, account: Account, objects: S3ObjectStore) -> None:
        self._account = account
        self._objects = objects
        self._bucket = objects.bucket

    def beginning(self, prefix: str) -> Iterator[DataFile]:
        """The files whose name begins so, by name."""
        for found in self._objects.listed(DATA_PREFIX + prefix, on="data:"):
            name = found["Key"].removeprefix(DATA_PREFIX)
            if name and not name.endswith("/"):  # some programs mark folders with an empty object
                yield DataFile(name, found["Size"], found["LastModified"].timestamp())

    def upload(self, pairs: Sequence[tuple[Path, str]]) -> None:
        """Keep copies of files under names, large ones in parts. Raises what `Account.call` raises."""
        how = _transfer(alone=len(pairs) == 1)

        def upload_one(pair: tuple[Path, str]) -> None:
            path, name = pair
            s3 = self._account.client("s3")
            _explained(
                lambda: s3.upload_file(str(path), self._bucket, DATA_PREFIX + name, Config=how), "put_object", name
            )

        list(self._account.each(upload_one, pairs))

    def download(self, pairs: Sequence[tuple[str, Path]]) -> None:
        """Copy files to this machine. Raises `InputError` where there is none, else what `Account.call` raises."""
        how = _transfer(alone=len(pairs) == 1)

        def download_one(pair: tuple[str, Path]) -> None:
            name, path = pair
            s3 = self._account.client("s3")
            _explained(
                lambda: s3.download_file(self._bucket, DATA_PREFIX + name, str(path), Config=how), "get_object", name
            )

        list(self._account.each(download_one, pairs))


def _transfer(*, alone: bool) -> Any:
    """How boto3 moves a file: in parts side by side, unless files themselves go side by side."""
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(use_threads=alone)


def _explained(move: Callable[[], Any], operation: str, name: str) -> None:
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        move()
    except S3UploadFailedError as error:  # it wraps what botocore raised, and keeps it as text alone
        cause = error.__context__
        raise explain(cause if isinstance(cause, Exception) else error, "s3", operation, f"data:{name}") from error
    except (ClientError, BotoCoreError) as error:
        if error_code(error) in _MISSING:
            raise InputError(f"There is no data:{name}.", next_step="`fanfold ls` shows what there is.") from error
        raise explain(error, "s3", operation, f"data:{name}") from error
    except OSError as error:
        raise StoreError(
            f"data:{name} could not be copied: {error.strerror or error}.",
            next_step="see that the file and its folder are yours to read and write, and that there is room.",
        ) from error
