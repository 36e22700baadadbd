"""What an s3:// path leads to: an object's ETag and its bytes, or the names and ETags of all objects below it."""

import hashlib
import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fanfold.codec.paths import ABSENT, PATTERN, CannotLook
from fanfold.errors import InputError

_CODES_ABSENT = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")


#: A client serves so long, as keys may expire; to make one takes as long as ten looks.
_KEPT_S = 60.0


class _KeptClient:
    """The client that was made last, until when it serves (time.monotonic seconds), and under which conditions."""

    client: Any = None
    until = 0.0
    conditions: object = None


def client() -> Any:
    """A client for S3, with the credentials that boto3 finds.

    Not of boto3's default session, unless there is one: that would have found its keys before the user's own code says
    which.
    """
    import boto3

    if boto3.DEFAULT_SESSION is not None:
        return boto3.client("s3")
    conditions = _conditions()
    if time.monotonic() > _KeptClient.until or _KeptClient.conditions != conditions:
        _KeptClient.client = boto3.session.Session().client("s3")
        _KeptClient.conditions, _KeptClient.until = conditions, time.monotonic() + _KEPT_S
    return _KeptClient.client


def _conditions() -> object:
    """What a client depends on: this process, the variables of AWS, and the files of keys."""
    variables = sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))
    named = [
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"),
    ]
    return os.getpid(), variables, [_moment(os.path.expanduser(path)) for path in named]


def _moment(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def of_object(s3: Any, bucket: str, key: str) -> str:
    """The ETag; of what is no object, the names and ETags below it, as of a Zarr store. Raises `CannotLook`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        if key and not key.endswith("/"):
            try:
                return str(s3.head_object(Bucket=bucket, Key=key)["ETag"])
            except ClientError as error:
                if error.response["Error"]["Code"] not in _CODES_ABSENT:
                    raise
        return _below_or_matched(s3, bucket, key)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _CODES_ABSENT:
            return ABSENT
        raise CannotLook(f"s3://{bucket}/{key} cannot be looked at ({code})") from error
    except BotoCoreError as error:
        raise CannotLook(f"s3://{bucket}/{key} cannot be looked at ({error})") from error


def bytes_of(s3: Any, bucket: str, key: str) -> bytes:
    """What an object holds. Raises `CannotLook`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except (BotoCoreError, ClientError) as error:
        raise CannotLook(f"s3://{bucket}/{key} cannot be read ({error})") from error


def _below_or_matched(s3: Any, bucket: str, key: str) -> str:
    below, pattern = _below(s3, bucket, f"{key.rstrip('/')}/" if key else ""), PATTERN.search(key)
    if below != ABSENT or pattern is None:
        return below
    return _below(s3, bucket, key[: pattern.start()])  # more than it matches: where all that is the same, so is this


def _below(s3: Any, bucket: str, prefix: str) -> str:
    digest, count = hashlib.sha256(), 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", ()):
            digest.update(f"{one['Key']}\0{one['ETag']}\n".encode())
            count += 1
    return f"{count} objects {digest.hexdigest()}" if count else ABSENT


# What a caller's own files hold: listed and read where they lie.

#: Read at a time: a request takes as long as a megabyte does.
_BLOCK_BYTES = 1 << 20


def keys_below(bucket: str, prefix: str, s3: Any = None) -> Iterator[str]:
    """The keys that begin with `prefix`, sorted; `s3` lists them. Raises `InputError` where that cannot be done."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        for page in (s3 or client()).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for one in page.get("Contents", ()):
                yield str(one["Key"])
    except (BotoCoreError, ClientError) as error:
        raise _cannot_be_read(f"s3://{bucket}/{prefix}", error) from error


def s3_file(address: str) -> Any:
    """An object as a file for reading, of which no more is fetched than is read. Raises `InputError`."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = address.removeprefix("s3://").partition("/")
    s3 = client()
    try:
        size = int(s3.head_object(Bucket=bucket, Key=key)["ContentLength"])
    except (BotoCoreError, ClientError) as error:
        raise _cannot_be_read(address, error) from error
    return io.BufferedReader(_RangedObject(s3, bucket, key, size), _BLOCK_BYTES)


class _RangedObject(io.RawIOBase):
    def __init__(self, s3: Any, bucket: str, key: str, size: int) -> None:
        self._s3, self._bucket, self._key, self._size = s3, bucket, key, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        from botocore.exceptions import BotoCoreError, ClientError

        stop = min(self._at + len(buffer), self._size)
        if stop <= self._at:
            return 0
        wanted = f"bytes={self._at}-{stop - 1}"
        try:
            data = self._s3.get_object(Bucket=self._bucket, Key=self._key, Range=wanted)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise OSError(str(error)) from error
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _cannot_be_read(address: str, error: Exception) -> InputError:
    return InputError(f"{address} cannot be read: {error}.", next_step="look at its name, and at your credentials.")


# What is put there for a caller.

_UPLOADS = 16
#: How many keys one request deletes at the most.
_DELETED_AT_ONCE = 1000


def check_bucket(address: str) -> None:
    """Raises `InputError` where nothing can be put at an address: its bucket is not there, or cannot be asked for."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client().head_bucket(Bucket=address.removeprefix("s3://").partition("/")[0])
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("403", "AccessDenied"):  # to look is another right than to write
            raise _cannot_be_written(address, error) from error
    except (BotoCoreError, ValueError) as error:
        raise _cannot_be_written(address, error) from error


def put_files(bucket: str, files: Mapping[str, Path]) -> None:
    """Upload files under their keys, large ones in parts, each whole or not at all. Raises `InputError`."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    s3 = client()

    def put(key: str) -> None:
        try:
            s3.upload_file(str(files[key]), bucket, key)
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise _cannot_be_written(f"s3://{bucket}/{key}", error) from error

    with ThreadPoolExecutor(_UPLOADS) as pool:
        list(pool.map(put, files))


def delete_keys(bucket: str, keys: Sequence[str]) -> None:
    """Delete objects. Raises `InputError` where that is refused."""
    from botocore.exceptions import BotoCoreError, ClientError

    s3 = client()
    for start in range(0, len(keys), _DELETED_AT_ONCE):
        named = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
        try:
            refused = s3.delete_objects(Bucket=bucket, Delete={"Objects": named, "Quiet": True}).get("Errors")
        except (BotoCoreError, ClientError) as error:
            raise _cannot_be_written(f"s3://{bucket}/{keys[start]}", error) from error
        if refused:
            raise _cannot_be_written(f"s3://{bucket}/{refused[0]['Key']}", refused[0]["Code"])


def _cannot_be_written(address: str, error: object) -> InputError:
    return InputError(f"{address} cannot be written: {error}.", next_step="look at its name, and at your credentials.")
