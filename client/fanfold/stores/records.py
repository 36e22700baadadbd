"""How a job's header is written down: one line of JSON that a later version can still read."""

from __future__ import annotations

import json

from fanfold.models import JobHeader

_FIELDS = tuple(name for name in JobHeader._fields if name != "cancelled_at")
_TUPLES = ("parameters", "retry_on")


def header_to_text(header: JobHeader) -> str:
    """The header as JSON, without the cancel flag: that changes, and is kept beside it."""
    return json.dumps({name: getattr(header, name) for name in _FIELDS}, separators=(",", ":"))


def header_from_text(text: str, *, cancelled_at: float | None) -> JobHeader:
    """The header that `header_to_text` wrote; fields this version does not know are passed over."""
    facts = json.loads(text)
    known = {name: facts[name] for name in _FIELDS if name in facts}
    known.update({name: tuple(known[name]) for name in _TUPLES if name in known})
    return JobHeader(**known, cancelled_at=cancelled_at)
