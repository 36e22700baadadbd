"""What may be a key, and what may be a job's id: neither can lead anywhere but to where it belongs."""

from __future__ import annotations

import re

from fanfold.errors import InputError

#: Segments of harmless characters, none of which is `.` or `..`: a key can never lead out of the store.
_KEY = re.compile(r"(?:(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+(?:/(?!\Z)|\Z))+")
_JOB_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def checked_key(key: str) -> str:
    """`key` itself. Raises `InputError` for what is not an object's key."""
    if not _KEY.fullmatch(key):
        raise InputError(
            f"{key!r} is not an object key.",
            next_step="use letters, digits, dots, dashes and underscores, in parts divided by single slashes.",
        )
    return key


def checked_job_id(job_id: str) -> str:
    """`job_id` itself. Raises `InputError` for what can be no job's id."""
    if not _JOB_ID.fullmatch(job_id):
        raise InputError(
            f"{job_id[:80]!r} is not a job id.",
            next_step="a job id looks like 20260131-141502-river-7f3a; `fanfold jobs` lists them.",
        )
    return job_id
