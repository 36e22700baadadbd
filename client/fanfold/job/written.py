"""Files that a person asks for are written whole or not at all, and what is in the way is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fanfold.core.unfinished import unfinished
from fanfold.errors import InputError


def path_here(given: object) -> Path:
    """A path of this machine as a caller has written it, `~` for the home. Raises `InputError` for what is none."""
    if not isinstance(given, (str, os.PathLike)) or not str(given).strip():
        raise InputError(f"{given!r} is not a path.", next_step='give one of this machine, such as "results".')
    if "://" in str(given):
        raise InputError(
            f"{given} is not a path of this machine.",
            next_step="write it here, and copy it there: `aws s3 cp --recursive`, or `fanfold cp`.",
        )
    return Path(given).expanduser()


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside `path` for a file or a folder, which takes that name when the block ends well.

    It ends as `path` does, since drivers go by that. Raises `InputError` where `path` cannot be written.
    """
    half_written = unfinished(path)
    try:
        yield half_written
        half_written.replace(path)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    finally:
        _remove(half_written)


def write_page(path: Path, html: str) -> Path:
    """Write a page for a browser and return its path. Raises `InputError` where it cannot be written.

    Of what runs say, what is no Unicode is written out: half of a surrogate pair, as names of files have it.
    """
    page = html.encode("utf-8", "backslashreplace")
    with written_whole(path) as half_written:
        half_written.write_bytes(page)
    return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)


def _cannot_be_written(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be written: {error.strerror or error}.", next_step="give another path.")
