"""What an s3:// path leads to: an object's ETag, or the names and ETags of all objects below it."""

import hashlib
from typing import Any

from fanfold.codec.paths import ABSENT, CannotLook

_CODES_ABSENT = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")


def client() -> Any:
    """A client for S3, with the credentials that boto3 finds."""
    import boto3

    return boto3.client("s3")


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
        return _below(s3, bucket, f"{key.rstrip('/')}/" if key else "")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _CODES_ABSENT:
            return ABSENT
        raise CannotLook(f"s3://{bucket}/{key} cannot be looked at ({code})") from error
    except BotoCoreError as error:
        raise CannotLook(f"s3://{bucket}/{key} cannot be looked at ({error})") from error


def _below(s3: Any, bucket: str, prefix: str) -> str:
    digest, count = hashlib.sha256(), 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", ()):
            digest.update(f"{one['Key']}\0{one['ETag']}\n".encode())
            count += 1
    return f"{count} objects {digest.hexdigest()}" if count else ABSENT
