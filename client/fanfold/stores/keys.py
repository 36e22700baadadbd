"""Under which key each thing is kept, what may be a key or a job's id, and whether bytes are those of their name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from fanfold.core.models import sha256
from fanfold.errors import InputError, JobNotFound, ResultDamaged

if TYPE_CHECKING:
    from mmap import mmap

    from fanfold.stores.protocols import ObjectStore

Data = TypeVar("Data", bound="bytes | bytearray | mmap")

#: Segments of harmless characters, none of which is `.` or `..`: a key can never lead out of the store.
_KEY = re.compile(r"(?:(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+(?:/(?!\Z)|\Z))+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_JOB_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def bundle_key(sha256: str) -> str:
    """Key of a UDF's source bundle, named after its bytes."""
    return f"udf/{sha256}"


def inputs_key(job_id: str) -> str:
    """Key of a job's inputs: one line of JSON an input, in order."""
    return f"jobs/{job_id}/inputs.jsonl"


def inputs_index_key(job_id: str) -> str:
    """Key of the offsets and cache keys that belong to a job's inputs."""
    return f"jobs/{job_id}/inputs.idx"


def constants_key(job_id: str) -> str:
    """Key of the arguments that all runs of a job have in common, where they are too long for its header's item."""
    return f"jobs/{job_id}/constants.json"


def work_key(job_id: str, dispatch: str) -> str:
    """Key of the list of runs that one start gave to the dedicated machines or to the distributed state machine."""
    return f"jobs/{job_id}/work-{dispatch}"


def overflow_key(job_id: str, sha256: str) -> str:
    """Key of events that together are too large for one item of the table."""
    return f"jobs/{job_id}/events/{sha256}"


def stack_key(job_id: str, question: str) -> str:
    """Key of the answer to one question of where a run stands now."""
    return f"jobs/{job_id}/stacks/{question}"


def notice_key(job_id: str, end: str) -> str:
    """Key that is there when somebody has been told of one end of a job."""
    return f"jobs/{job_id}/told-{end}"


def definition_key(schedule: str) -> str:
    """Key of what a schedule runs, and when. Nothing below `schedules/` goes by itself."""
    return f"schedules/{schedule}/definition.json"


def scheduled_key(schedule: str, key: str) -> str:
    """Key under which a schedule keeps what stands at `key` for the job that it was made from."""
    return f"schedules/{schedule}/{key}"


def schedule_prefix(schedule: str) -> str:
    """What the keys of all objects of a schedule begin with."""
    return f"schedules/{schedule}/"


def listing_key(job_id: str) -> str:
    """Key of the addresses of files that a schedule's job has found: its inputs, one a line."""
    return f"jobs/{job_id}/listing"


def result_key(cache_key: str, sha256: str) -> str:
    """Key of one result: under the run it answers, named after its bytes."""
    return f"results/{cache_key}/{sha256}"


def blob_key(sha256: str) -> str:
    """Key of a large argument or global value, named after its bytes; of another job's result, which has one, that."""
    return sha256 if sha256.startswith(_LYING) else f"blobs/{sha256}"


#: Where an argument may lie that is another job's result.
_LYING = ("results/", "blobs/")


def libraries_key(image: str) -> str:
    """Key of the names of the system libraries that an image has, by its identity."""
    return f"blobs/libraries-{image}"


class BlobWriter:
    """Keeps large values under their hash; what `put_blob` of the codec wants."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def __call__(self, sha256: str, data: bytes) -> None:
        """Keep `data`, whose hash is known."""
        self._objects.put_if_absent(blob_key(sha256), data)

    def put_pieces(self, pieces: Sequence[bytes | memoryview]) -> str:
        """Keep what these make up one after the other, without a copy where the store can; its hash."""
        return self._objects.put_by_hash(blob_key, pieces)


def blob_reader(objects: ObjectStore) -> Callable[[str, int, int], bytes]:
    """What reads a blob, given by its hash, from one place up to another."""
    return lambda sha256, start, stop: objects.get_range(blob_key(sha256), start, stop)


# Neither a key nor a job's id can lead anywhere but to where it belongs.


def checked_key(key: str) -> str:
    """`key` itself. Raises `InputError` for what is not an object's key."""
    if not _KEY.fullmatch(key):
        raise InputError(
            f"{key!r} is not an object key.",
            next_step="use letters, digits, dots, dashes and underscores, in parts divided by single slashes.",
        )
    return key


def sha256_in(key: str) -> str | None:
    """The hash that an object is named after; None for one that is not named so."""
    name = key.rpartition("/")[2]
    return name if _SHA256.fullmatch(name) else None


#: From here on OpenSSL, which hashes up to seven times as much in a second, is worth the 8 ms of its loading.
_MUCH_BYTES = 256 * 1024


def hash_of(pieces: Sequence[bytes | memoryview]) -> str:
    """The SHA-256 of what these make up one after the other."""
    if sum(map(len, pieces)) < _MUCH_BYTES:
        return sha256(b"".join(pieces)).hexdigest()
    import hashlib

    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def checked_bytes(key: str, data: Data, *, place: object) -> Data:
    """`data` itself, read under `key` in `place`. Raises `ResultDamaged` where it is not what the key says."""
    expected = sha256_in(key)
    if expected is not None and sha256(data).hexdigest() != expected:
        raise ResultDamaged(
            f"The object {key} in {place} is damaged: its bytes do not match their hash.",
            next_step="submit again: what is damaged is stored or computed afresh.",
        )
    return data


def checked_job_id(job_id: str) -> str:
    """`job_id` itself. Raises `InputError` for what can be no job's id."""
    if not _JOB_ID.fullmatch(job_id):
        raise InputError(
            f"{job_id[:80]!r} is not a job id.",
            next_step="a job id looks like 20260131-141502-river-7f3a09c4; `fanfold jobs` lists them.",
        )
    return job_id


# The error for a job id that a store does not know.


def job_not_found(job_id: str, latest: Sequence[str], *, place: str) -> JobNotFound:
    """The error that names the ids which come near, or else the latest; `latest` ids newest first."""
    from difflib import get_close_matches  # costs 5 ms, and only a misspelt id needs it

    near = get_close_matches(job_id, latest, n=3, cutoff=0.75)
    if near:
        next_step = f"did you mean {' or '.join(near)}?"
    elif latest:
        next_step = f"the latest jobs are {', '.join(latest[:3])}; `fanfold jobs` lists all."
    else:
        next_step = "there are no jobs yet; check FANFOLD_HOME, or which deployment is meant."
    return JobNotFound(f"There is no job {job_id!r} in {place}.", next_step=next_step)
