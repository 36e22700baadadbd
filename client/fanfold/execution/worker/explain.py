"""What the environment of a run has to do with its error: no shared memory, a full disk, a role that may not.

Imported where a run has failed: nothing of it is on the way of one that succeeds.
"""

from __future__ import annotations

import errno
import os
import re
import time
import traceback
from collections.abc import Iterator

from fanfold.contract.layout import ENV_CONFINED, ENV_RUN_AS, ENV_SCRATCH
from fanfold.contract.records import NamedTuple
from fanfold.core.refusals import refusal_in

SHARED_MEMORY = "/dev/shm"  # noqa: S108  where Linux keeps it
_MIB = 1 << 20


class WhyHere(NamedTuple):
    """What to add to the error's message, and what to do."""

    note: str
    next_step: str


def explain(error: BaseException) -> WhyHere | None:
    """What the place where this ran has to do with `error`, or with one that it came from; None for nothing."""
    for one in _chain(error):
        found = _no_shared_memory(one) or _read_only(one) or _no_room(one) or _not_allowed(one)
        if found is not None:
            return found
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(5):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


# Shared memory

#: What making a semaphore or a block of shared memory says where there is no /dev/shm: it depends on the C library.
_MISSING = (errno.ENOSYS, errno.ENOENT, errno.EACCES, errno.EROFS, errno.EPERM)
_MADE_BY = ("multiprocessing", "concurrent/futures/process", "joblib/externals/loky", "torch/multiprocessing")


def _no_shared_memory(error: BaseException) -> WhyHere | None:
    if not isinstance(error, OSError) or error.errno not in _MISSING or _has_shared_memory():
        return None
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not any(name in file.replace(os.sep, "/") for file in files for name in _MADE_BY):
        return None
    return WhyHere(
        f"there is no {SHARED_MEMORY} here, as always in AWS Lambda; multiprocessing's Pool, Queue and Lock need it,"
        " and so does ProcessPoolExecutor",
        "use threads (concurrent.futures.ThreadPoolExecutor), multiprocessing.Process with a Pipe, or more inputs;"
        ' or run it on a machine, which has shared memory: instance_type="small".',
    )


def _has_shared_memory() -> bool:
    return os.path.isdir(SHARED_MEMORY) and ENV_CONFINED not in os.environ


def _read_only(error: BaseException) -> WhyHere | None:
    """Writing where nobody may: of a function's disk, /tmp alone is its own."""
    if not isinstance(error, OSError) or error.errno != errno.EROFS or not _as_in_lambda():
        return None
    return WhyHere(
        "in AWS Lambda a run can write to its working folder and to /tmp, and to nothing else",
        "write to a relative path, to tempfile's folder, or to fanfold.scratch_path() for what its worker may keep;"
        ' or run it on a machine: instance_type="small".',
    )


def _as_in_lambda() -> bool:
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ or ENV_CONFINED in os.environ


# Room

_FULL = (errno.ENOSPC, errno.EDQUOT)
#: So many files and folders are looked at, and for so long: the run has failed already, and its caller waits.
_MOST_FILES, _MOST_S = 20_000, 0.2


def _no_room(error: BaseException) -> WhyHere | None:
    if not isinstance(error, OSError) or error.errno not in _FULL:
        return None
    return full_disk(os.fspath(error.filename) if isinstance(error.filename, (str, os.PathLike)) else None)


def full_disk(path: str | None) -> WhyHere:
    """What fills the disk that `path` is on (the run's own where that is not known), and what makes it larger."""
    if _is_shared(path):
        size_mib = _size_mib(SHARED_MEMORY)
        return WhyHere(
            f"{SHARED_MEMORY}, where processes share memory, is full: it has {size_mib:,} MiB",
            "share less at a time, or ask for a larger machine: shared memory is half of its memory.",
        )
    temporary, kept = os.environ.get("TMPDIR") or "/tmp", os.environ.get(ENV_SCRATCH)  # noqa: S108
    parts = {"this run's folder": _own_folder(temporary), "its temporary files": temporary}
    if kept:
        parts["what its worker keeps in scratch_path()"] = kept
    sizes = {name: _used_mib(folder) for name, folder in parts.items() if folder}
    if _as_in_lambda():  # all of /tmp is this worker's
        all_mib = _used_mib("/tmp")  # noqa: S108
        sizes["other files in /tmp"] = None if all_mib is None else max(0, all_mib - sum(filter(None, sizes.values())))
    told = ", ".join(f"{name} {size:,} MiB" for name, size in sizes.items() if size is not None)
    room_mib = _size_mib(_folder_of(temporary if path is None else path))
    return WhyHere(f"the disk is full: of its {room_mib:,} MiB {told or 'nothing is left'}", _more_disk())


def _own_folder(temporary: str) -> str | None:
    """The folder that a run has to itself; the caller's own, on this machine, is not looked through."""
    own = os.path.join(os.path.dirname(temporary), "work")
    return own if "fanfold-" in temporary and os.path.isdir(own) and os.listdir(own) else None


def _more_disk() -> str:
    if _as_in_lambda():
        return (
            "write less, or to S3; or deploy with a larger realtime_disk_mib (up to 10,240), or run it on a machine:"
            ' instance_type="small".'
        )
    if "AWS_BATCH_JOB_ID" in os.environ:
        return "write less, or to S3; or deploy with a larger disk_size_gb, which every machine gets."
    return "free some room, or set TMPDIR to a folder on a larger disk before Fanfold is started."


def _is_shared(path: str | None) -> bool:
    if path is not None and os.path.isabs(path):
        return path.startswith(SHARED_MEMORY)
    return _free(SHARED_MEMORY) < _MIB and _free(os.getcwd()) >= _MIB


def _folder_of(path: str) -> str:
    folder = os.path.abspath(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _free(folder: str) -> int:
    try:
        facts = os.statvfs(folder)
    except OSError:
        return _MIB
    return facts.f_bavail * facts.f_frsize


def _size_mib(folder: str) -> int:
    facts = os.statvfs(folder)
    return facts.f_blocks * facts.f_frsize // _MIB


def _used_mib(folder: str) -> int | None:
    """What a folder's files take of its disk; None for one with too many: a /tmp that all share is no run's own."""
    used, left, until = 0, _MOST_FILES, time.monotonic() + _MOST_S
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not os.path.ismount(os.path.join(place, name))]
        left -= 1 + len(files)
        if left <= 0 or time.monotonic() > until:
            return None
        for name in files:
            try:
                used += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return used // _MIB


# Roles

_DENIED = re.compile(r"Access ?Denied|ACCESS_DENIED|not authorized to perform|\bForbidden\b|\bKMS\.\w+Denied", re.I)
_SAYS = re.compile(r"User: (?P<who>\S+) is not authorized to perform:? (?P<action>[\w:]+)")
_S3 = re.compile(r"arn:[\w-]+:s3:::(?P<bucket>[^\s/\"']+)|s3://(?P<named>[^\s/\"']+)")


def _not_allowed(error: BaseException) -> WhyHere | None:
    """A refusal by AWS inside a run that has the data role: whose role it was, and how it gets to be allowed."""
    role, said = os.environ.get(ENV_RUN_AS), str(error)
    if not role or not _is_refusal(error, said):
        return None
    told = _SAYS.search(said)
    if told is not None and role.rpartition("/")[2] not in told["who"]:
        return None  # credentials of the UDF's own
    note = f"AWS refused it to the role that runs have in this deployment, {role}"
    refusal = refusal_in(said)
    if refusal is not None and refusal.words != "kms:":
        return WhyHere(f"{note}: {refusal.who}", refusal.next_step)
    if refusal is not None:
        return WhyHere(
            f"{note}: {refusal.who}",
            "add the key's ARN to the deployment's setting kms_keys and deploy; the key's own policy has to allow"
            " the role as well.",
        )
    return WhyHere(note, _how_to_allow(said))


def _is_refusal(error: BaseException, said: str) -> bool:
    if isinstance(error, PermissionError):  # what s3fs makes of it; one of a file here names the file
        return error.filename is None
    return bool(_DENIED.search(said))


def _how_to_allow(said: str) -> str:
    found = _S3.search(said)
    bucket = (found["bucket"] or found["named"]) if found else None
    told = _SAYS.search(said)
    if told is not None and not told["action"].startswith("s3:"):
        return f"attach a policy that allows {told['action']} to that role: the stack's output DataRoleArn names it."
    which = f'"{bucket}"' if bucket else "the bucket"
    return (
        f"add {which} to the deployment's setting read_buckets (or write_buckets) and deploy: `make deploy`. A bucket"
        " of another account has to allow the role, too; open data needs public_data."
    )
