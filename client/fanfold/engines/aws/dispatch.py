"""What one start gave to AWS: which runs, by which path, and how that is remembered.

Its name is made of its runs, so that a start that was cut off and is repeated is the same start again.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from fanfold.contract.cloud import shard_of
from fanfold.contract.payloads import INLINE_ARGUMENTS_BYTES, RUNS_PER_CHILD, DispatchJob, RunItem
from fanfold.contract.records import NamedTuple
from fanfold.core import models as job_records
from fanfold.core.models import DispatchRecord, Event, JobHeader, RunRef
from fanfold.stores.packing import Manifest
from fanfold.stores.protocols import ObjectStore

DIRECT = "direct"
#: The state of a dispatch that AWS has refused to start, so that nothing of it has begun.
REFUSED = "refused"

#: Ranges are written as text up to here; of more, only the first and the last run of each attempt are.
_RANGES_CHARACTERS = 4_000

#: First and last index of runs that are to make the same attempt.
RunRange = tuple[int, int, int]


class Dispatch(NamedTuple):
    """Runs given to AWS in one go. `at`: when, in seconds since 1970; `state`: starting, started or refused."""

    name: str
    path: str
    ranges: tuple[RunRange, ...]
    at: float = 0.0
    state: str = "starting"

    def covers(self, index: int, attempt: int) -> bool:
        """Whether the attempt was part of it; may say so of a neighbour where there were very many."""
        place = bisect_right(self.ranges, (attempt, index, 1 << 60)) - 1
        if place < 0:
            return False
        of, first, last = self.ranges[place]
        return of == attempt and first <= index <= last


def make_dispatch(path: str, runs: Sequence[RunRef]) -> Dispatch:
    """The dispatch of these runs by a path."""
    digest = hashlib.sha256(pack(runs)).hexdigest()[:12]
    return Dispatch(f"{path}-{digest}", path, _ranges(runs))


def split(dispatch: Dispatch, runs: Sequence[RunRef], apart: Collection[tuple[int, int]]) -> list[Dispatch]:
    """A dispatch of these runs as the part that may have begun, and as one of its own the part that is set apart.

    Nothing where one would also cover runs of the other: what may run must never be taken for what does not.
    """
    parts = [run for run in runs if run[:2] not in apart], [run for run in runs if run[:2] in apart]
    if not all(parts):
        return []
    begun, rest = dispatch._replace(ranges=_ranges(parts[0])), make_dispatch(dispatch.path, parts[1])
    mixed = any(rest.covers(*run[:2]) for run in parts[0]) or any(begun.covers(*run[:2]) for run in parts[1])
    return [] if mixed else [begun, rest]


def to_event(job_id: str, dispatch: Dispatch, state: str, reason: str = "") -> Event:
    """The event that remembers a dispatch; `reason` where it failed or was refused."""
    ranges = ",".join(f"{attempt}:{first}-{last}" for attempt, first, last in dispatch.ranges)
    return job_records.to_event(job_id, DispatchRecord(dispatch.name, dispatch.path, state, ranges, reason))


def of_event(event: Event) -> Dispatch:
    """The dispatch that a `dispatch` event remembers."""
    [record] = job_records.records([event], DispatchRecord)
    ranges = []
    for text in record.runs.split(","):
        attempt, _, extent = text.partition(":")
        first, _, last = extent.partition("-")
        ranges.append((int(attempt), int(first), int(last)))
    return Dispatch(record.name, record.path, tuple(ranges), event.at, record.state)


def pack(runs: Sequence[RunRef]) -> bytes:
    """The runs as bytes, 12 each: what dedicated machines take their work from."""
    numbers = array("i")
    for run in runs:
        numbers.extend((run.index, run.attempt, -1 if run.first_attempt is None else run.first_attempt))
    return numbers.tobytes()


def unpack(data: bytes) -> Iterator[RunRef]:
    """The runs that `pack` was given."""
    numbers = array("i")
    numbers.frombytes(data)
    for at in range(0, len(numbers), 3):
        index, attempt, first = numbers[at : at + 3]
        yield RunRef(index, attempt, None if first < 0 else first)


RUN_BYTES = 12


def _ranges(runs: Sequence[RunRef]) -> tuple[RunRange, ...]:
    ranges: list[RunRange] = []
    for index, attempt, *_ in sorted(runs, key=lambda run: (run.attempt, run.index)):
        if ranges and ranges[-1][0] == attempt and ranges[-1][2] >= index - 1:
            ranges[-1] = (attempt, ranges[-1][1], index)
        else:
            ranges.append((attempt, index, index))
    if len(ranges) * 12 <= _RANGES_CHARACTERS:
        return tuple(ranges)
    attempts = sorted({span[0] for span in ranges})
    ends = {of: [span for span in ranges if span[0] == of] for of in attempts}
    return tuple((of, ends[of][0][1], ends[of][-1][2]) for of in attempts)


# Runs as the items that state machines carry.


def run_items(
    header: JobHeader, runs: Iterable[RunRef], *, objects: ObjectStore, functions: Sequence[str]
) -> Iterator[RunItem]:
    """An item for each invocation, in turn for each of the function's clones. Long arguments travel by reference.

    One invocation performs several runs where the job asks for it, but none that has failed before: it might take the
    others' time, or end the function.
    """
    batch: list[RunItem] = []
    for item in _single_items(header, runs, objects, functions):
        if header.batch_size == 1 or item["attempt"] > 0:
            yield item
            continue
        batch.append(item)
        if len(batch) == header.batch_size:
            yield _together(batch)
            batch = []
    if batch:
        yield _together(batch)


def _together(batch: list[RunItem]) -> RunItem:
    """The first, which has the others with it."""
    first, *others = batch
    if others:
        first["more"] = others
    return first


def _single_items(
    header: JobHeader, runs: Iterable[RunRef], objects: ObjectStore, functions: Sequence[str]
) -> Iterator[RunItem]:
    manifest = Manifest(objects, header.id, header.count)
    for index, attempt, *_ in runs:
        yield {
            "index": index,
            "attempt": attempt,
            "shard": shard_of(index, header.count),
            "function": functions[index % len(functions)],
            "key": manifest.cache_key(index),
            "arguments": _arguments(manifest, index),
        }


def express_input(job: DispatchJob, items: Sequence[RunItem]) -> str:
    """The input of one Express execution."""
    return _json({"BatchInput": {"job": job}, "Items": items})


def batches(items: Iterable[RunItem]) -> Iterator[list[RunItem]]:
    """The items, as many together as one Express execution takes: its state must hold all their runs."""
    batch: list[RunItem] = []
    runs = 0
    for item in items:
        more = 1 + len(item.get("more", ()))
        if batch and runs + more > RUNS_PER_CHILD:
            yield batch
            batch, runs = [], 0
        batch.append(item)
        runs += more
    if batch:
        yield batch


def runs_of_item(item: RunItem) -> Iterator[tuple[int, int]]:
    """The runs that an invocation performs, each with its attempt."""
    return ((one["index"], one["attempt"]) for one in (item, *item.get("more", ())))


def lines(items: Iterable[RunItem]) -> Iterator[bytes]:
    """The items as the lines of a Distributed Map's manifest."""
    return (_json(item).encode() + b"\n" for item in items)


def _arguments(manifest: Manifest, index: int) -> dict[str, Any]:
    text = manifest.arguments(index)
    # As it travels, within JSON itself: each quote and backslash takes two bytes there.
    if len(_json(text)) <= INLINE_ARGUMENTS_BYTES:
        return {"text": text}
    return {"range": list(manifest.extent(index))}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
