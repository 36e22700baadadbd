"""Results collected into S3: written here first, whole, and then uploaded under their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fanfold.codec.s3_stamps import check_bucket, delete_keys, keys_below, put_files
from fanfold.errors import InputError
from fanfold.job.cube import STORE_MARKS

if TYPE_CHECKING:
    import pandas as pd


def s3_address(to: object) -> str | None:
    """The address in full where `to` is one in S3; a `Path` has lost one of its slashes."""
    text = os.fspath(to) if isinstance(to, (str, os.PathLike)) else ""
    return "s3://" + text[3:].lstrip("/") if isinstance(text, str) and re.match("s3:/", text) else None


def check_address(address: str) -> None:
    """Raises `InputError` where nothing can be put there, before anything is waited for."""
    check_bucket(address)
    if address.endswith(".zarr"):
        _keys_of_store(*_parts(address))


def collect_into_s3(address: str, collect: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """Have `collect` write a file of that name here, and upload it. Raises `InputError` where that fails."""
    bucket, key = _parts(address)
    with TemporaryDirectory(prefix="fanfold-collect-") as folder:
        path = Path(folder, key.rpartition("/")[2])
        frame = collect(path)
        if path.is_dir():
            _upload_store(bucket, key, path)
        else:
            put_files(bucket, {key: path})
    return frame


def _parts(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def _upload_store(bucket: str, key: str, folder: Path) -> None:
    """A Zarr store: what says that it is one comes last, and what was there before and is not now goes."""
    before = _keys_of_store(bucket, key)
    files = {f"{key}/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()}
    marks = {f"{key}/{mark}" for mark in STORE_MARKS} & set(files)
    put_files(bucket, {name: path for name, path in files.items() if name not in marks})
    put_files(bucket, {name: files[name] for name in marks})
    delete_keys(bucket, sorted(before - set(files)))


def _keys_of_store(bucket: str, key: str) -> set[str]:
    """What is there. Raises `InputError` where it is something else than a store."""
    keys = set(keys_below(bucket, f"{key}/"))
    if keys and not keys & {f"{key}/{mark}" for mark in STORE_MARKS}:
        raise InputError(f"What lies below s3://{bucket}/{key} is no Zarr store.", next_step="choose another name.")
    return keys
