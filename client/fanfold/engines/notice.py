"""Telling somebody that a job has ended (`notify=`): what is said, and to which addresses."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from fanfold.contract.records import NamedTuple
from fanfold.core.fold import JobState
from fanfold.core.formatting import Dollars, counted, duration
from fanfold.core.models import BAD, UNTOLD, JobHeader, JobStatus, StopRecord, to_event
from fanfold.errors import InputError
from fanfold.stores.keys import notice_key
from fanfold.stores.state import read_state

if TYPE_CHECKING:
    from fanfold.engines.base import Stores
    from fanfold.stores.protocols import EventLog

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]+")
#: Where http:// never leaves the machine.
_HERE = ("localhost", "127.0.0.1", "::1")
_LONGEST = 2_000
#: An address has so long to answer.
_ANSWERS_WITHIN_S = 10.0
#: Before each try of this machine's to reach it.
_PAUSES_S = (0.0, 2.0, 8.0)
#: Of the first error, so many characters are told.
_ERROR_CHARACTERS = 500


class Notice(NamedTuple):
    """What is told of a job that has ended: a subject, and the facts as JSON."""

    subject: str
    text: str


def check_notify(target: object, topics: Collection[str] | None, *, here: bool = False) -> str:
    """The address that `notify=` names. Raises `InputError` for one at which nobody can be told.

    `topics` are the SNS topics that a deployment may write to; None where it tells nobody. `here`: it is this machine
    that tells.
    """
    if not isinstance(target, str) or len(target) > _LONGEST or not target.isprintable() or " " in target:
        raise InputError(f"notify={target!r} is no address.", next_step=_ADDRESSES)
    if target.startswith("arn:"):
        if here and _TOPIC.fullmatch(target):
            raise InputError(
                f"notify={target!r} is for jobs of a deployment, which writes to the topic by itself.",
                next_step='here give an https:// address, or run it there: engine="aws".',
            )
        _check_topic(target, topics)
        return target
    parts = urlsplit(target)
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise InputError(f"notify={target!r} can be read by others on its way.", next_step="write it with https://.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"notify={target!r} is no address.", next_step=_ADDRESSES)
    if topics is None:
        raise InputError("This deployment tells nobody of a job's end.", next_step=_DEPLOY)
    return target


_ADDRESSES = 'give notify="https://..." or the ARN of an SNS topic, "arn:aws:sns:...".'
_DEPLOY = "deploy it again with this version of Fanfold, or leave notify= out."


def _check_topic(target: str, topics: Collection[str] | None) -> None:
    if not _TOPIC.fullmatch(target):
        raise InputError(f"notify={target!r} is no SNS topic.", next_step=_ADDRESSES)
    if topics is None:
        raise InputError("This deployment tells nobody of a job's end.", next_step=_DEPLOY)
    if target not in topics:
        known = f" It may write to {', '.join(topics)}." if topics else ""
        raise InputError(
            f"{target} is not among the topics that may be written to here.{known}",
            next_step="have it added to the deployment's `notify_topics`, or give an https:// address.",
        )


def notice_of(state: JobState, cost_usd: float) -> Notice:
    """What is told of a job that has ended."""
    header, status = state.header, state.status
    counts = {one.value: count for one, count in state.counts().items() if count}
    ended_at = state.last_end_at()
    took_s = None if ended_at is None else max(0.0, ended_at - header.created_at)
    words = [counted(header.count, "run"), *(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())]
    words += [duration(took_s)] if took_s is not None else []
    words += [str(Dollars(cost_usd))] if header.costs_money else []
    facts: dict[str, Any] = {
        "text": f"{header.name} · {header.id} · {status.value}: {', '.join(words)}",
        "job": header.id,
        "name": header.name,
        "owner": header.owner,
        "status": status.value,
        "outcome": _outcome(state),
        "runs": header.count,
        "counts": counts,
        "seconds": None if took_s is None else round(took_s, 3),
        "cost_usd": float(cost_usd),
        "reason": state.stop_reason or _first_error(state),
        "tags": dict(tag.split("=", 1) for tag in header.tags),
    }
    # A subject of SNS is ASCII without line breaks, and has at most 100 characters.
    subject = f"Fanfold: {header.name} {_outcome(state)} ({header.id})".encode("ascii", "replace").decode()[:100]
    return Notice(subject, json.dumps(facts))


def _outcome(state: JobState) -> str:
    """Done, failed, or stopped: by somebody, by its budget, or since all its first runs failed."""
    if state.status is JobStatus.COMPLETED:
        return "done"
    return "failed" if state.header.cancelled_at is None else "stopped"


def _first_error(state: JobState) -> str:
    errors = (state.error(index) for index in state.indexes(*BAD))
    error = next((one for one in errors if one is not None), None)
    return "" if error is None else f"{error.type}: {error.message}"[:_ERROR_CHARACTERS]


def end_mark(state: JobState) -> str:
    """What tells one end of a job from the next, that of its retry."""
    return f"{state.status.value} {state.last_end_at() or 0.0:.3f}"


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would have the notice sent on as a GET without it, or to an address that nobody has checked."""

    def redirect_request(self, *_: Any) -> None:
        """None: the answer counts as it is."""


def post(url: str, notice: Notice) -> str:
    """Send a notice to an address; why it has not arrived, or ""."""
    headers = {"Content-Type": "application/json", "User-Agent": "fanfold"}
    request = Request(url, notice.text.encode(), headers)  # noqa: S310 - https, or this machine: `check_notify`
    try:
        with build_opener(_NoRedirect()).open(request, timeout=_ANSWERS_WITHIN_S):
            return ""
    except HTTPError as error:
        error.close()  # it is the answer as well, and holds the connection
        return f"it answers {error.code} {error.reason}"
    except URLError as error:
        return f"no answer ({error.reason})"
    except (OSError, ValueError) as error:
        return f"no answer ({error})"


def place_of(header: JobHeader) -> str:
    """Where a job's end is told, for messages: of an address its host alone, whose path is often a password."""
    target = header.notify
    parts = urlsplit(target)
    return target if target.startswith("arn:") else f"{parts.scheme}://{parts.hostname}"


def tell_end_here(stores: Stores, job_id: str) -> None:
    """Tell, once, that a job of this machine has ended, where somebody is to be told of it and it has."""
    state = read_state(stores.log, stores.log.get_job(job_id))
    if not state.header.notify or not state.done:
        return
    end = hashlib.sha256(end_mark(state).encode()).hexdigest()[:12]
    if not stores.objects.put_if_absent(notice_key(job_id, end), b"told"):
        return  # another process has seen the same end
    failure = ""
    for pause_s in _PAUSES_S:
        time.sleep(pause_s)
        failure = post(state.header.notify, notice_of(state, 0.0))
        if not failure:
            return
    record_untold(stores.log, state.header, failure)


def record_untold(log: EventLog, header: JobHeader, reason: str) -> None:
    """Record that nobody could be told of a job's end."""
    log.append([to_event(header.id, StopRecord(UNTOLD, f"{place_of(header)}: {reason}"))])
