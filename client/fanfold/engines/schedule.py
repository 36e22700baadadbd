"""Schedules: when a UDF is to be run by itself, and what the deployment keeps of it to do so."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from fanfold.codec import encode_json
from fanfold.contract.records import NamedTuple
from fanfold.core.models import JobHeader
from fanfold.errors import InputError
from fanfold.stores.packing import header_from_text, header_to_text

#: Of the name of a schedule, as EventBridge Scheduler takes it.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
_FIELDS = "minute (0-59), hour (0-23), day (1-31), month (1-12), day of the week (0-6 from Sunday, or MON)"


class Listing(NamedTuple):
    """Files of S3 that a pattern matches when a job is due, and the arguments of a run before and after its address."""

    pattern: str
    before: str
    after: str

    def arguments(self, address: str) -> str:
        """Those of the run of one file, as encoded text."""
        return f"{self.before}{encoded_address(address)}{self.after}"


def encoded_address(address: str) -> str:
    """An address as it stands among arguments."""
    return encode_json(address, put_blob=lambda *_: None, name="the address of a file")


def listing_of(pattern: str, addresses: Sequence[str], texts: Iterable[str]) -> Listing:
    """How the arguments of a run follow from its file's address. Raises `InputError` where they do not."""
    first, *_ = texts = list(texts)
    before, address, after = first.partition(encoded_address(addresses[0]))
    listing = Listing(pattern, before, after)
    if not address or any(map(operator.ne, map(listing.arguments, addresses), texts)):
        raise InputError(
            f"The files of {pattern!r} cannot be listed anew for each job: the UDF does not take the address itself.",
            next_step="take the address as a str, or give list(fanfold.files(...)), the files of now.",
        )
    return listing


class Definition(NamedTuple):
    """What is run, and when: the header that each of its jobs has but for id and time, and what its inputs refer to."""

    name: str
    cron: str
    timezone: str
    header: JobHeader
    #: Large arguments, by the hashes of their bytes: each job renews them.
    blobs: tuple[str, ...] = ()
    #: The files that each job lists anew; None where its inputs are those that were written down.
    listing: Listing | None = None

    def to_text(self) -> str:
        """As JSON."""
        return json.dumps({**self._asdict(), "header": header_to_text(self.header)})

    @classmethod
    def from_text(cls, text: str | bytes) -> Definition:
        """What `to_text` wrote. Raises `StoreError` for a header that is damaged."""
        facts: dict[str, Any] = json.loads(text)
        header = header_from_text(facts["header"], cancelled_at=None)
        listing = Listing(*facts["listing"]) if facts.get("listing") else None
        return cls(facts["name"], facts["cron"], facts["timezone"], header, tuple(facts["blobs"]), listing)


class Scheduled(NamedTuple):
    """A schedule that there is. `paused`: it starts no job until it is resumed."""

    definition: Definition
    paused: bool


class ScheduleKeeper(Protocol):
    """Keeps the schedules of a deployment."""

    def put(self, definition: Definition) -> None:
        """Keep a schedule, in place of one of that name. Its inputs are those of the job `definition.header.id`."""

    def all(self) -> list[Scheduled]: ...  # noqa: D102
    def owner_of(self, name: str) -> str:
        """Whose schedule has that name; "" where there is none."""

    def get(self, name: str) -> Scheduled:
        """The schedule of that name. Raises `InputError` where there is none."""

    def pause(self, name: str, paused: bool) -> None: ...  # noqa: D102
    def remove(self, name: str) -> None: ...  # noqa: D102


def check_name(name: object) -> str:
    """A schedule's name. Raises `InputError`."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a schedule's name.",
            next_step="a name has letters, digits, dots, dashes and underscores, 64 at most, such as nightly.",
        )
    return name


def no_such(name: str, known: Iterable[str]) -> InputError:
    """The error for a schedule that there is not."""
    names = ", ".join(sorted(known))
    return InputError(
        f"There is no schedule {name!r}.", next_step=f"there is {names}." if names else "there is none at all yet."
    )


def aws_cron(text: object) -> str:
    """A line of cron, five fields, as EventBridge writes it. Raises `InputError` for one that it cannot say.

    Each field is written out as a list: ranges across the week's end and steps mean something else there.
    """
    fields = _SHORT.get(text, text).split() if isinstance(text, str) else []
    if len(fields) != 5:
        raise InputError(
            f"{text!r} is not a time of cron.", next_step=f'write five fields, as in "0 6 * * *": {_FIELDS}.'
        )
    minute = _field(text, fields[0], 0, 59)
    hour = _field(text, fields[1], 0, 23)
    day = _field(text, fields[2], 1, 31)
    month = _field(text, fields[3], 1, 12, _MONTHS)
    weekday = _field(text, fields[4], 0, 7, _DAYS)
    if weekday != "*":
        if day != "*":
            raise InputError(
                f"{text!r} names days of the month and of the week, and AWS takes one of them.",
                next_step="make two schedules, one for each.",
            )
        numbers = sorted({int(number) % 7 for number in weekday.split(",")})
        return f"cron({minute} {hour} ? {month} {','.join(_DAYS[number] for number in numbers)} *)"
    return f"cron({minute} {hour} {day} {month} ? *)"


def _field(text: object, field: str, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    """One field as a list of numbers, or `*`."""
    if field == "*":
        return "*"
    numbers: set[int] = set()
    for part in field.split(","):
        found = _PART.fullmatch(part)
        first, last = _ends(found, low, high, names) if found else (-1, -1)
        step = int((found and found["step"]) or 1)
        if not low <= first <= last <= high or not step:
            raise InputError(f"{text!r} is not a time of cron: {part!r}.", next_step=f"the fields are {_FIELDS}.")
        numbers.update(range(first, last + 1, step))
    return "*" if len(numbers) == high - low + 1 else ",".join(map(str, sorted(numbers)))


def _ends(found: re.Match[str], low: int, high: int, names: tuple[str, ...]) -> tuple[int, int]:
    if found["first"] == "*":
        return low, high if names is not _DAYS else 6
    first = _number(found["first"], low, names)
    if found["last"] is not None:
        return first, _number(found["last"], low, names)
    return first, high if found["step"] else first


def _number(word: str, low: int, names: tuple[str, ...]) -> int:
    """A number or a name's; -1 for neither."""
    if word.upper() in names:
        return names.index(word.upper()) + low
    return int(word) if word.isdecimal() else -1
