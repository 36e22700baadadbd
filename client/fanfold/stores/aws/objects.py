"""Objects in the deployment's bucket: whole or not there at all, each with a checksum that S3 has compared."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fanfold.core.processes import Locked
from fanfold.errors import FanfoldError, ResultDamaged, StoreError, StoreUnavailable
from fanfold.stores.aws.account import Account, Refused
from fanfold.stores.keys import checked_bytes, checked_key, hash_of

#: A file larger than this is uploaded in parts of this size, which grow where S3's 10,000 would not do.
_PART_BYTES = 16 << 20
_PARTS = 10_000
#: Parts on their way at a time, each of which is in memory; where results are stored there may be little of that.
_PARTS_AT_ONCE = 4
_DELETE_BATCH = 1_000
#: S3 copies up to 5 GiB in one call.
_COPY_BYTES = 5 << 30
#: Pauses between tries to read a body that broke off.
_BODY_PAUSES_S = (0.1, 0.5, 2.0)

_MISSING = ("NoSuchKey", "404", "NotFound")
#: Of `put_if_absent`: it is there already; it is being written right now.
_THERE, _UNDERWAY = ("PreconditionFailed", "412"), ("ConditionalRequestConflict", "409")
_BEHIND_THE_END = ("InvalidRange", "416")
_CHECKSUM: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"}


def _etag_of(parts: Sequence[dict[str, Any]]) -> str:
    """What S3 calls the object that these parts make up, unless it is encrypted with a key of one's own."""
    digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'


class S3ObjectStore:
    """Bytes under keys of one bucket. `read_ahead`: whether many ranges of one object are going to be read."""

    def __init__(self, account: Account, bucket: str, *, read_ahead: bool = True) -> None:
        self._account = account
        self.bucket = bucket
        self._ahead = ReadAhead(self._read)
        self._reads_ahead = read_ahead

    def put(self, key: str, data: bytes) -> None:
        """Keep `data` under `key`, whole or not at all."""
        self._call("put_object", key, Body=data, **_CHECKSUM)

    def put_file(self, key: str, path: Path) -> None:
        """Keep the file at `path` under `key`, whole or not at all, and take the file away."""
        size = path.stat().st_size
        if size > _PART_BYTES:
            self._upload(key, path, size)
        else:
            data = path.read_bytes()
            self.put(key, data)
            self._ahead.note(key, data)
        path.unlink(missing_ok=True)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Keep `data` unless something is there already; True where it was kept."""
        for _ in range(10):
            try:
                self._call("put_object", key, expected=_THERE + _UNDERWAY, Body=data, IfNoneMatch="*", **_CHECKSUM)
            except Refused as refused:
                if refused.code in _THERE:
                    return False
            else:
                return True
        raise StoreError(
            f"{key} in bucket {self.bucket} is being written by others all the time.", next_step="call again."
        )

    def put_by_hash(self, key_of: Callable[[str], str], pieces: Sequence[bytes | memoryview]) -> str:
        """Keep what `pieces` make up under the key that their SHA-256 gives, unless it is there; the hash."""
        sha256 = hash_of(pieces)
        self.put_if_absent(key_of(sha256), b"".join(pieces))
        return sha256

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises `ResultDamaged` where there are none."""
        try:
            data = self._body(key, expected=_MISSING)
        except Refused as refused:
            raise self._missing(key) from refused
        return checked_bytes(key, data, place=f"bucket {self.bucket}")

    def get_several(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes under each of these keys, read side by side; None where that did not do: `get` says why."""

        def found(key: str) -> bytes | None:
            with suppress(StoreError):
                return self.get(key)
            return None

        return list(self._account.each(found, keys))

    def get_writable(self, key: str) -> bytearray:
        """The same, in memory that its caller may change and keep."""
        return bytearray(self.get(key))

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`; fewer at the end. Raises `ResultDamaged`."""
        if self._reads_ahead and ReadAhead.suits(key):
            return self._ahead.read(key, start, stop)
        return self._read(key, start, stop)

    def exists(self, key: str) -> bool:
        """Whether anything is under `key`."""
        return self._etag(key) is not None

    def refer(self, key: str) -> str:
        """The key itself: results are kept for longer than jobs."""
        return checked_key(key)

    def delete(self, keys: Iterable[str]) -> None:
        """Take away what is under `keys`; what is not there already is passed over."""
        every = [{"Key": checked_key(key)} for key in keys]
        for start in range(0, len(every), _DELETE_BATCH):
            some = {"Objects": every[start : start + _DELETE_BATCH], "Quiet": True}
            on = f"bucket {self.bucket}"
            answer = self._account.call("s3", "delete_objects", on=on, Bucket=self.bucket, Delete=some)
            for failed in answer.get("Errors", ()):
                raise StoreError(
                    f"{failed.get('Key')} in bucket {self.bucket} could not be deleted: {failed.get('Message')}.",
                    next_step="deleting takes the deployment's operator policy (the stack's output OperatorPolicy).",
                )

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`."""
        return (found["Key"] for found in self.listed(prefix, on=f"bucket {self.bucket}"))

    def listed(self, prefix: str, *, on: str) -> Iterator[dict[str, Any]]:
        """What S3 says of each object whose key begins with `prefix`; `on` names it in errors."""
        token = ("NextContinuationToken", "ContinuationToken")
        asked = {"Bucket": self.bucket, "Prefix": prefix}
        for answer in self._account.pages("s3", "list_objects_v2", on=on, token=token, **asked):
            yield from answer.get("Contents", ())

    def renew(self, key: str, *, older_than_s: float) -> None:
        """Write an object anew as it is, so that the bucket's rules count its age from now, if it is that old.

        Raises `ResultDamaged` where there is none.
        """
        try:
            known = self._call("head_object", key, expected=_MISSING)
        except Refused as refused:
            raise self._missing(key) from refused
        if self._account.clock.now() - known["LastModified"].timestamp() < older_than_s:
            return
        source: dict[str, Any] = {"CopySource": {"Bucket": self.bucket, "Key": key}}
        if known["ContentLength"] <= _COPY_BYTES:
            self._call("copy_object", key, MetadataDirective="REPLACE", **_CHECKSUM, **source)
        else:
            self._copy_in_parts(key, int(known["ContentLength"]), source)

    def _copy_in_parts(self, key: str, size: int, source: dict[str, Any]) -> None:
        upload = {"UploadId": self._call("create_multipart_upload", key, **_CHECKSUM)["UploadId"]}

        def part(number: int) -> dict[str, Any]:
            first = (number - 1) * _COPY_BYTES
            within = f"bytes={first}-{min(size, first + _COPY_BYTES) - 1}"
            answer = self._call("upload_part_copy", key, **upload, PartNumber=number, CopySourceRange=within, **source)
            told = answer["CopyPartResult"]
            return {"PartNumber": number, **{n: told[n] for n in ("ETag", "ChecksumSHA256") if n in told}}

        try:
            parts = list(self._account.each(part, range(1, -(-size // _COPY_BYTES) + 1)))
            self._call("complete_multipart_upload", key, **upload, MultipartUpload={"Parts": parts})
        except BaseException:
            self._abort(key, upload)
            raise

    def _read(self, key: str, start: int, stop: int) -> bytes:
        if stop <= start:
            return b""
        try:
            return self._body(key, expected=_MISSING + _BEHIND_THE_END, Range=f"bytes={start}-{stop - 1}")
        except Refused as refused:
            if refused.code in _BEHIND_THE_END:
                return b""
            raise self._missing(key) from refused

    def _body(self, key: str, *, expected: tuple[str, ...], **parameters: Any) -> bytes:
        """All of an object's bytes. A connection may break while they come, which botocore does not try again."""
        on = f"{key} in bucket {self.bucket}"
        for pause_s in _BODY_PAUSES_S:
            answer = self._call("get_object", key, expected=expected, **parameters)
            try:
                return self._account.read(answer["Body"], service="s3", operation="get_object", on=on)
            except StoreUnavailable:
                time.sleep(pause_s)
        answer = self._call("get_object", key, expected=expected, **parameters)
        return self._account.read(answer["Body"], service="s3", operation="get_object", on=on)

    def _upload(self, key: str, path: Path, size: int) -> None:
        """Upload in parts, some side by side; nothing is there before the last call."""
        upload: dict[str, Any] = {"UploadId": self._call("create_multipart_upload", key, **_CHECKSUM)["UploadId"]}
        part_bytes = max(_PART_BYTES, -(-size // _PARTS))

        def part(number: int) -> dict[str, Any]:
            with path.open("rb") as file:
                file.seek((number - 1) * part_bytes)
                answer = self._call(
                    "upload_part", key, **upload, PartNumber=number, Body=file.read(part_bytes), **_CHECKSUM
                )
            told: dict[str, Any] = {name: answer[name] for name in ("ETag", "ChecksumSHA256") if name in answer}
            return {"PartNumber": number, **told}

        numbers = range(1, -(-size // part_bytes) + 1)
        parts: list[dict[str, Any]] = []
        try:
            for start in range(0, len(numbers), _PARTS_AT_ONCE):
                parts += self._account.each(part, numbers[start : start + _PARTS_AT_ONCE])
            self._complete(key, {**upload, "MultipartUpload": {"Parts": parts}})
        except BaseException:
            self._abort(key, upload)
            raise

    def _complete(self, key: str, upload: dict[str, Any]) -> None:
        """Make a whole of the parts. What is there already stays where it is the same, as after a lost answer."""
        try:
            self._call("complete_multipart_upload", key, expected=_THERE + _UNDERWAY, IfNoneMatch="*", **upload)
        except Refused:
            if self._etag(key) == _etag_of(upload["MultipartUpload"]["Parts"]):
                self._abort(key, upload)
            else:  # damaged, or another's: this is what is to be there
                self._call("complete_multipart_upload", key, **upload)

    def _etag(self, key: str) -> str | None:
        try:
            return str(self._call("head_object", key, expected=_MISSING)["ETag"])
        except Refused:
            return None

    def _abort(self, key: str, upload: dict[str, Any]) -> None:
        with suppress(Refused, FanfoldError):  # the bucket drops what is left; why the upload failed is what to tell
            self._call("abort_multipart_upload", key, expected=("NoSuchUpload",), UploadId=upload["UploadId"])

    def _call(self, operation: str, key: str, *, expected: tuple[str, ...] = (), **parameters: Any) -> dict[str, Any]:
        on = f"{checked_key(key)} in bucket {self.bucket}"
        return self._account.call("s3", operation, on=on, expected=expected, Bucket=self.bucket, Key=key, **parameters)

    def _missing(self, key: str) -> ResultDamaged:
        return ResultDamaged(
            f"There is no object {key} in bucket {self.bucket}.",
            next_step="submit again: a result that is missing is computed afresh.",
        )


# Reads of what is written once, answered from blocks of 4 MiB: paging through a million inputs takes a few
# calls.

_BLOCK_BYTES = 4 << 20
_BLOCKS = 8
#: Keys under this prefix name what is written once.
_PREFIX = "jobs/"


class ReadAhead(Locked):
    """The blocks read last, of any key; 32 MiB at most."""

    def __init__(self, read: Callable[[str, int, int], bytes]) -> None:
        super().__init__()
        self._read = read
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    @staticmethod
    def suits(key: str) -> bool:
        """Whether what is under `key` never changes."""
        return key.startswith(_PREFIX)

    def note(self, key: str, data: bytes) -> None:
        """Remember what has just been written, whole."""
        if self.suits(key) and len(data) <= _BLOCK_BYTES * _BLOCKS // 2:
            for number in range(len(data) // _BLOCK_BYTES + 1):
                self._keep(key, number, data[number * _BLOCK_BYTES : (number + 1) * _BLOCK_BYTES])

    def read(self, key: str, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`; fewer at the end."""
        found = []
        for number in range(start // _BLOCK_BYTES, -(-stop // _BLOCK_BYTES)):
            block = self._block(key, number)
            begin = number * _BLOCK_BYTES
            found.append(block[max(0, start - begin) : stop - begin])
            if len(block) < _BLOCK_BYTES:
                break
        return b"".join(found)

    def _block(self, key: str, number: int) -> bytes:
        with self.lock:
            block = self._blocks.get((key, number))
            if block is not None:
                self._blocks.move_to_end((key, number))
                return block
        block = self._read(key, number * _BLOCK_BYTES, (number + 1) * _BLOCK_BYTES)
        self._keep(key, number, block)
        return block

    def _keep(self, key: str, number: int, block: bytes) -> None:
        with self.lock:
            self._blocks[key, number] = block
            while len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
