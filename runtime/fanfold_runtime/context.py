"""What a worker in AWS finds around it: the deployment's stores, as its environment names them, and a pool."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fanfold.contract.cloud import ENV_BUCKET, ENV_SEALING_KEY, ENV_SECRETS, ENV_TABLE
from fanfold.core.models import JobHeader
from fanfold.errors import ConfigurationError
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Account

#: What runs print is held back so long: a line each would be a write each.
TELEMETRY_S = 1.0


def enter_own_folder() -> Path:
    """The one place that Lambda lets anyone write to; on a machine a folder of its root disk.

    Runs are performed from there on: the image's own folder, in which the runtime starts, takes no file of theirs.
    """
    temporary = Path(tempfile.gettempdir())
    os.chdir(temporary)
    return make_folder(temporary / "fanfold")


def make_folder(path: Path) -> Path:
    """A folder of the runtime's, whatever a run has put in its place: UDFs run as the same user."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        path.chmod(0o700)
    return path


def open_stores(folder: Path, environment: Mapping[str, str] = os.environ, *, read_ahead: bool = False) -> AwsStores:
    """The stores of the deployment that this is a part of. Raises `ConfigurationError`."""
    try:
        table, bucket = environment[ENV_TABLE], environment[ENV_BUCKET]
    except KeyError as error:
        raise ConfigurationError(
            f"{error.args[0]} is not set: this is not a deployment's function or machine.",
            next_step="deploy with `make deploy`, which sets it.",
        ) from error
    scratch = make_folder(folder / "scratch")
    return AwsStores(
        Account(),
        table=table,
        bucket=bucket,
        retention_s=0.0,
        scratch=scratch,
        read_ahead=read_ahead,
        secrets=environment.get(ENV_SECRETS, ""),
        sealing_key=environment.get(ENV_SEALING_KEY, ""),
    )


def get_header(stores: AwsStores, job_id: str, shard: int) -> JobHeader:
    """The job's header, from the copy for a shard.

    Results are from now on offered to the cache for as long as this job's are kept.
    """
    # Not as of a second ago: after a cancel nothing may begin that the canceller does not see, after a retry all may.
    head = stores.log.job_headers.read_copy(job_id, shard)
    stores.cache.retention_s = head.retention_s
    return head.header


def hide_from_udfs() -> None:
    """Keep this process's environment and memory from its children, which run as the same user (Linux only)."""
    import ctypes
    import sys

    if sys.platform == "linux":
        pr_set_dumpable = 4
        ctypes.CDLL(None).prctl(pr_set_dumpable, 0)
