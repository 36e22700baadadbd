"""How inputs, events and results are packed into bytes: every binary format that a store keeps stands here.

Three things are packed: a job's inputs as a manifest, its events as pages, and results of the cache as entries. The
facts of a result (seconds, codec, hash, size) are one record, which pages and entries share.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate, compress, repeat
from math import isnan, nan
from pathlib import Path
from struct import Struct
from struct import error as struct_error
from types import TracebackType
from typing import Any

from fanfold.contract.records import NamedTuple, made_of, no_collection
from fanfold.core.models import (
    NO_DATA,
    CacheEntry,
    Event,
    EventKind,
    JobHeader,
    Output,
    RunError,
    RunStatus,
    Usage,
    compact_to,
    sha256,
)
from fanfold.errors import UPDATE, ResultDamaged, StoreError, StoreTooNew
from fanfold.stores.disk import disk_errors, told
from fanfold.stores.keys import inputs_index_key, inputs_key
from fanfold.stores.protocols import ObjectStore

# A manifest: one line of arguments a run, and beside it an index of offsets and cache keys.
#
# Written once, as a stream, before anything starts; read by pages ever after. A million inputs take 40 MB of index, at
# whose end stands a hash of each page: arguments that have changed on the disk are never run, nor taken for others.

#: Of each run: where its line ends, in bytes from the start, and its cache key.
_ENTRY = Struct("<Q32s")
_PAGE_RUNS = 1000
_PAGES_OF_KEYS = 4
_DIGEST_BYTES = 32


class ManifestWriter:
    """Collects inputs in files of `folder`; `store` moves them to where they stay. Raises `StoreError`."""

    def __init__(self, folder: Path, job_id: str) -> None:
        self._job_id = job_id
        self._folder = folder
        self._lines_path, self._index_path = folder / f"{job_id}.jsonl", folder / f"{job_id}.idx"
        with disk_errors(folder):
            self._lines = self._lines_path.open("wb")
            self._index = self._index_path.open("wb")
        self._end = 0
        #: Of the page that is being filled.
        self._page_lines: list[bytes] = []
        self._page_entries: list[bytes] = []
        self._digests: list[bytes] = []
        self.count = 0

    def add(self, arguments: str, cache_key: bytes) -> None:
        """The next run's arguments (encoded text without line breaks) and its cache key (32 bytes)."""
        line = arguments.encode() + b"\n"
        self._end += len(line)
        self._page_lines.append(line)
        self._page_entries.append(_ENTRY.pack(self._end, cache_key))
        self.count += 1
        if self.count % _PAGE_RUNS == 0:
            self._end_page()

    def store(self, objects: ObjectStore) -> None:
        """Keep what was collected among the objects."""
        if self.count % _PAGE_RUNS:
            self._end_page()
        with disk_errors(self._folder):
            self._index.write(b"".join(self._digests))
            self._lines.close()
            self._index.close()
        objects.put_file(inputs_key(self._job_id), self._lines_path)
        objects.put_file(inputs_index_key(self._job_id), self._index_path)

    def _end_page(self) -> None:
        lines, entries = b"".join(self._page_lines), b"".join(self._page_entries)
        try:
            self._lines.write(lines)
            self._index.write(entries)
        except OSError as error:
            raise told(error, self._folder) from error
        self._digests.append(_page_hash(lines, entries))
        self._page_lines, self._page_entries = [], []

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path, file in ((self._lines_path, self._lines), (self._index_path, self._index)):
            with suppress(OSError):  # no room for what it still had to write: that has been told
                file.close()
            path.unlink(missing_ok=True)


def _page_hash(lines: bytes, entries: bytes) -> bytes:
    """The hash of a page: of its lines, and of its part of the index."""
    return sha256(sha256(lines).digest() + sha256(entries).digest()).digest()


class _Page(NamedTuple):
    """Some runs from `first` on: their lines, where these begin and the last one ends, and their cache keys."""

    first: int
    lines: list[str]
    ends: list[int]
    keys: list[str]


class Manifest:
    """Reads a job's inputs, a page of a thousand runs at a time. Any number of threads may."""

    def __init__(self, objects: ObjectStore, job_id: str, count: int) -> None:
        self._objects = objects
        self._job_id = job_id
        self._lines_key, self._index_key = inputs_key(job_id), inputs_index_key(job_id)
        self._digests: bytes | None = None
        self._count = count
        self._page = _Page(-1, [], [], [])
        #: Of the last pages, by their first run: a run's key is asked for when it ends, with the next page open.
        self._keys: dict[int, list[str]] = {}

    def arguments(self, index: int) -> str:
        """The run's arguments, as encoded text."""
        page = self._turned_to(index)
        return page.lines[index - page.first]

    def cache_key(self, index: int) -> str:
        """The run's cache key, 64 hex digits."""
        first = index - index % _PAGE_RUNS
        keys = self._keys.get(first) or self._turned_to(index).keys
        return keys[index - first]

    def extent(self, index: int) -> tuple[int, int]:
        """From and up to which byte of the inputs the run's arguments stand."""
        page = self._turned_to(index)
        position = index - page.first
        return page.ends[position], page.ends[position + 1] - 1

    def __iter__(self) -> Iterator[str]:
        return (self.arguments(index) for index in range(self._count))

    def arguments_of(self, indexes: Iterable[int]) -> list[str]:
        """The arguments of several runs, in a third of the time."""
        page, texts = self._page, []
        for index in indexes:
            if not 0 <= index - page.first < len(page.lines):
                page = self._turned_to(index)
            texts.append(page.lines[index - page.first])
        return texts

    def cache_keys(self, indexes: Iterable[int]) -> list[str]:
        """The cache keys of several runs, in a third of the time."""
        first, page, keys = 0, list[str](), list[str]()
        for index in indexes:
            if not 0 <= index - first < len(page):
                first = index - index % _PAGE_RUNS
                page = self._keys.get(first) or self._turned_to(index).keys
            keys.append(page[index - first])
        return keys

    def _turned_to(self, index: int) -> _Page:
        """The page with that run. Another thread may turn to another one meanwhile: use what is returned."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        page = self._page
        if page.first != index - index % _PAGE_RUNS:
            page = self._page = self._read(index - index % _PAGE_RUNS)
            recent = [*self._keys.items()][1 - _PAGES_OF_KEYS :]
            self._keys = {**dict(recent), page.first: page.keys}
        return page

    def _read(self, first: int) -> _Page:
        last = min(first + _PAGE_RUNS, self._count)
        before = max(first - 1, 0)
        raw = self._objects.get_range(self._index_key, before * _ENTRY.size, last * _ENTRY.size)
        if len(raw) != (last - before) * _ENTRY.size:
            raise self._damage_error(first)
        entries = list(_ENTRY.iter_unpack(raw))
        start = entries.pop(0)[0] if first else 0
        data = self._objects.get_range(self._lines_key, start, entries[-1][0])
        self._check(first, data, raw[_ENTRY.size :] if first else raw)
        try:
            lines = data.decode().split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise self._damage_error(first) from error
        if len(lines) != len(entries):
            raise self._damage_error(first)
        ends = [start, *(end for end, _ in entries)]
        return _Page(first, lines, ends, [key.hex() for _, key in entries])

    def _check(self, first: int, lines: bytes, entries: bytes) -> None:
        """Raises `ResultDamaged` where a page is not as it was written. The first jobs have no hashes to tell by."""
        if self._digests is None:
            pages = -(-self._count // _PAGE_RUNS)
            end = self._count * _ENTRY.size
            self._digests = self._objects.get_range(self._index_key, end, end + pages * _DIGEST_BYTES)
        if not self._digests:
            return
        at = first // _PAGE_RUNS * _DIGEST_BYTES
        if _page_hash(lines, entries) != self._digests[at : at + _DIGEST_BYTES]:
            raise self._damage_error(first)

    def _damage_error(self, first: int) -> ResultDamaged:
        last = min(first + _PAGE_RUNS, self._count) - 1
        return ResultDamaged(
            f"The inputs of runs {first} to {last} of job {self._job_id} are damaged: they are not what was stored.",
            next_step="submit the same inputs again; what is in the cache is not computed again.",
        )


# Events as pages: what one append tells of a job is one packed record; a row an event would take five times as
# long.

# Positions are what is stored: only ever add at the end.
_KINDS = (
    *(EventKind(name) for name in ("queued", "started", "finished", "machine", "log", "usage")),
    *(EventKind(name) for name in ("process", "runner", "dispatch", "queue", "throttle", "execution_failure")),
    EventKind("stop"),
    EventKind("cache"),
    EventKind("environment"),
    EventKind("step"),
    *(EventKind(name) for name in ("stage", "larger")),
)
_STATUSES = (
    None,
    *(RunStatus(name) for name in ("queued", "running", "succeeded", "cached", "failed")),
    *(RunStatus(name) for name in ("timed_out", "out_of_memory", "cancelled", "lost")),
)
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_STATUS_NUMBERS = {status: number for number, status in enumerate(_STATUSES)}

#: id, run, attempt, kind, status, at, whether a result record belongs to it
_HEAD = Struct("<14siiBBd?")
#: seconds, CPU seconds and peak MiB (NaN: no usage);
#: number of the codec (-1: no output), sha256, size, inline size (-1: not inline)
_RESULT = Struct("<dddh32sqi")

_ID_BYTES, _SHA256_BYTES = 14, 32

#: Formats of events in one piece, and of an entry of the cache (1 was an earlier one).
_FORMAT, _COMPRESSED, _ENTRY_FORMAT = 1, 2, 2
_COMPRESS_ABOVE_BYTES = 512
_MADE_AT = Struct("<d")
#: A fact that events have which were written before each record had a kind of its own (see `older_events`).
BEFORE_KINDS = "machine"
#: What bytes that are not what was packed are found out by.
_DAMAGE = (struct_error, zlib.error, ValueError, LookupError)

#: heads, results, inline, codecs, notes
EventPage = tuple[bytes, bytes | None, bytes | None, str | None, str | None]
COLUMNS = "heads, results, inline, codecs, notes"


def pack(events: Sequence[Event]) -> EventPage:
    """The events of one job as a page."""
    with no_collection():
        return _pack(events)


def _pack(events: Sequence[Event]) -> EventPage:
    if not events:
        return b"", None, None, None, None
    # By columns: nearly all of the work is then the interpreter's own.
    _, runs, attempts, kinds, ats, ids, statuses, outputs, errors, usages, data = zip(*events, strict=True)
    have = [output is not None or usage is not None for output, usage in zip(outputs, usages, strict=True)]
    results = _pack_results(list(compress(outputs, have)), list(compress(usages, have)))
    event_ids = compact_each(_ID_BYTES, ids)
    numbers = map(_KIND_NUMBERS.__getitem__, kinds), map(_STATUS_NUMBERS.__getitem__, statuses)
    heads = map(_HEAD.pack, event_ids, runs, attempts, *numbers, ats, have)
    notes = {
        position: _note(events[position], event_id, results.unpacked)
        for position, (event_id, output, error, facts) in enumerate(zip(event_ids, outputs, errors, data, strict=True))
        if error is not None or facts or not event_id or (output is not None and _needs_note(output, results.unpacked))
    }
    told = _to_json(notes) if notes else None
    return b"".join(heads), results.records or None, results.inline or None, results.codecs or None, told


def _needs_note(output: Output, unpacked: Collection[str]) -> bool:
    return output.key is not None or output.sha256 in unpacked


def compact_each(size: int, texts: Sequence[str]) -> list[bytes]:
    """`compact_to` for each of these texts: of hexadecimal ones all at once."""
    joined = "".join(texts)
    with suppress(ValueError):
        packed = bytes.fromhex(joined)
        if packed.hex() == joined and {*map(len, texts)} == {2 * size}:
            return [packed[start : start + size] for start in range(0, len(packed), size)]
    return [compact_to(size, text) for text in texts]


def unpack(job_id: str, page: EventPage) -> list[Event]:
    """The events that `pack` was given. Raises `StoreError` for a page that is damaged, or a newer Fanfold's."""
    with no_collection(), _damage_named(job_id):
        return _unpack(job_id, page)


@contextmanager
def _damage_named(job_id: str) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGE, TypeError, AttributeError, StopIteration) as error:
        raise StoreError(
            f"What is recorded of job {job_id} is damaged: {type(error).__name__}: {error}.",
            next_step="other jobs are as they were; submit this one again: what is in the cache is not computed again.",
        ) from error


def _unpack(job_id: str, page: EventPage) -> list[Event]:
    heads, packed_results, inline, codecs, notes = page
    if not heads:
        return []
    ids, runs, attempts, kinds, statuses, ats, have = zip(*_HEAD.iter_unpack(heads), strict=True)
    if max(kinds) >= len(_KINDS):
        raise StoreTooNew(
            f"A newer Fanfold has recorded an event of job {job_id} that this one does not know (kind {max(kinds)}).",
            next_step=UPDATE,
        )
    outputs, usages = _unpack_results(packed_results or b"", inline or b"", (codecs or "").split("\n"))
    if not all(have):
        results = zip(outputs, usages, strict=True)
        outputs, usages = zip(*[next(results) if has else (None, None) for has in have], strict=True)
    columns = (
        *(repeat(job_id), runs, attempts, map(_KINDS.__getitem__, kinds), ats, map(bytes.hex, ids)),
        *(map(_STATUSES.__getitem__, statuses), outputs, repeat(None), usages, repeat(NO_DATA)),
    )
    events = made_of(Event, columns, len(ids))
    if notes is not None:
        for position, note in json.loads(notes).items():
            events[int(position)] = _amended(events[int(position)], note)
    return events


def events_to_bytes(events: Sequence[Event]) -> bytes:
    """The events of one job as a page in one piece."""
    heads, results, inline, codecs, notes = pack(events)
    told = (notes or "").encode()
    form = _FORMAT
    if len(told) > _COMPRESS_ABOVE_BYTES:  # JSON of logs and tracebacks: a fifth remains
        form, told = _COMPRESSED, zlib.compress(told)
    return _join(form, [heads, results or b"", inline or b"", (codecs or "").encode(), told])


def events_from_bytes(job_id: str, data: bytes) -> list[Event]:
    """The events that `events_to_bytes` was given. Raises `StoreError` as `unpack` does."""
    with _damage_named(job_id):
        if data[0] not in (_FORMAT, _COMPRESSED):
            raise events_too_new()
        heads, results, inline, codecs, notes = _split(data, 5)
        told = zlib.decompress(notes) if data[0] == _COMPRESSED else notes
        return _unpack(job_id, (heads, results, inline, codecs.decode(), told.decode() or None))


def events_too_new() -> StoreTooNew:
    """The error for an item that this Fanfold cannot read."""
    return StoreTooNew(
        "A newer Fanfold wrote some of this job's events.",
        next_step=UPDATE,
    )


def object_keys(notes: str) -> list[str]:
    """The keys of all objects that a page refers to, of events or of the cache."""
    return [note["key"] for note in json.loads(notes).values() if note.get("key")]


#: What an event has in the place of a result; and what is packed in the place of the half of one.
_NO_RESULT = None, None
_NO_USAGE, _NO_OUTPUT = Usage(nan, nan, nan), Output("", "", 0)


class _Results(NamedTuple):
    """Packed results: their records, what is inline of them, their codecs; and the hashes that could not be packed."""

    records: bytes = b""
    inline: bytes = b""
    codecs: str = ""
    unpacked: Collection[str] = ()


def _pack_results(outputs: Sequence[Output | None], usages: Sequence[Usage | None]) -> _Results:
    if not outputs:
        return _Results()
    times = zip(*[usage or _NO_USAGE for usage in usages], strict=True)
    names, sha256s, sizes, inlines, _ = zip(*[output or _NO_OUTPUT for output in outputs], strict=True)
    codecs = {codec: number for number, codec in enumerate(dict.fromkeys(filter(None, names)))}
    digests = compact_each(_SHA256_BYTES, sha256s)
    inline_sizes = [-1 if inline is None else len(inline) for inline in inlines]
    records = map(_RESULT.pack, *times, [codecs.get(name, -1) for name in names], digests, sizes, inline_sizes)
    unpacked = {sha256 for sha256, digest in zip(sha256s, digests, strict=True) if not digest}
    return _Results(b"".join(records), b"".join(filter(None, inlines)), "\n".join(codecs), unpacked)


def _unpack_results(
    packed: bytes, inline: bytes, codecs: list[str]
) -> tuple[Sequence[Output | None], Sequence[Usage | None]]:
    if not packed:
        return (), ()
    *times, numbers, digests, sizes, inline_sizes = zip(*_RESULT.iter_unpack(packed), strict=True)
    ends = accumulate([size if size > 0 else 0 for size in inline_sizes])
    inlines = [None if size < 0 else inline[end - size : end] for size, end in zip(inline_sizes, ends, strict=True)]
    names = [codecs[number] for number in numbers]
    outputs = made_of(Output, (names, map(bytes.hex, digests), sizes, inlines, repeat(None)), len(names))
    usages = made_of(Usage, times, len(names))
    return (
        [None if number < 0 else output for number, output in zip(numbers, outputs, strict=True)],
        [None if isnan(usage.duration_s) else usage for usage in usages],
    )


def _note(event: Event, event_id: bytes, unpacked: Collection[str]) -> dict[str, Any]:
    note: dict[str, Any] = {}
    output, error = event.output, event.error
    if not event_id:
        note["id"] = event.id
    if output is not None and output.key is not None:
        note["key"] = output.key
    if output is not None and output.sha256 in unpacked:
        note["sha256"] = output.sha256
    if error is not None:
        note["error"] = tuple(error)
    if event.data:
        note["data"] = dict(event.data)
    return note


def _amended(event: Event, note: dict[str, Any]) -> Event:
    changes: dict[str, Any] = {name: note[name] for name in ("id", "data") if name in note}
    if "error" in note:
        error = RunError(*note["error"])
        changes["error"] = error._replace(types=tuple(error.types))
    if event.output is not None:
        changes["output"] = event.output._replace(**{name: note[name] for name in ("key", "sha256") if name in note})
    event = event._replace(**changes)
    if event.kind is EventKind.MACHINE and BEFORE_KINDS in event.data:
        from fanfold.stores.older_events import upgraded

        return upgraded(event)
    return event


def _to_json(value: Any) -> str:
    # Escaped: text with a lone surrogate, which prints may hold, could not be stored otherwise.
    return _written(value)


#: Not `json.dumps`, which may be one that the user has replaced.
_written = json.JSONEncoder(separators=(",", ":")).encode


# An entry of the cache: the result's record, when and by which job it was made, and where it is.


def entry_to_bytes(entry: CacheEntry) -> bytes:
    """A result of the cache as one attribute; its cache key is not part of it."""
    output = entry.output
    facts = _pack_results([output], [Usage(entry.duration_s, nan, nan)])
    texts = (output.codec, output.sha256 if facts.unpacked else "", output.key or "", entry.job_id)
    told = [text.encode() for text in texts]
    return _join(_ENTRY_FORMAT, [facts.records, _MADE_AT.pack(entry.created_at), *told, output.inline or b""])


def entry_from_bytes(cache_key: str, data: bytes) -> CacheEntry | None:
    """The result, or None where it is forgotten or damaged, or another format's: it is computed again."""
    if not data or data[0] != _ENTRY_FORMAT:
        return None
    try:
        facts, made_at, *texts, inline = _split(data, 7)
        codec, sha256, key, job_id = (text.decode() for text in texts)
        (output,), (usage,) = _unpack_results(facts, inline, [codec])
        (created_at,) = _MADE_AT.unpack(made_at)
    except _DAMAGE:
        return None
    if output is None or usage is None:
        return None
    output = output._replace(sha256=sha256 or output.sha256, key=key or None)
    return CacheEntry(cache_key, output, created_at, usage.duration_s, job_id)


#: job, keys, times, results, inline, codecs, notes (empty ones of entries that are gone)
EntryPage = Sequence[Any]
ENTRY_COLUMNS = "job_id, keys, made_at, results, inline, codecs, notes"


def pack_entries(entries: Sequence[CacheEntry]) -> EntryPage:
    """Entries of the cache, all of one job, as a page: by columns, as events are."""
    keys, outputs, made_at, took_s, job_ids = zip(*entries, strict=True)
    records, inline, codecs, unpacked = _pack_results(outputs, made_of(Usage, (took_s, *[repeat(nan)] * 2), len(keys)))
    packed = compact_each(_SHA256_BYTES, keys)
    notes = {
        position: {"cache_key": keys[position], "key": output.key, "sha256": output.sha256}
        for position, output in enumerate(outputs)
        if not packed[position] or _needs_note(output, unpacked)
    }
    hashes = b"".join([key or bytes(_SHA256_BYTES) for key in packed])
    times = Struct(f"<{len(keys)}d").pack(*made_at)
    return job_ids[0], hashes, times, records, inline, codecs, _to_json(notes) if notes else None


def unpack_entries(page: EntryPage) -> list[CacheEntry]:
    """The entries that `pack_entries` was given, but for those that are gone. Raises `StoreError` as `unpack` does."""
    job_id, hashes, made_at, records, inline, codecs, told = page
    with _damage_named(job_id):
        keys, notes = _keys_of(hashes), json.loads(told or "{}")
        outputs, usages = _unpack_results(records, inline, codecs.split("\n"))
        times = Struct(f"<{len(keys)}d").unpack(made_at)
        columns = keys, outputs, times, [usage.duration_s for usage in usages if usage], repeat(job_id)
        entries = made_of(CacheEntry, columns, len(keys))
        for position, note in notes.items():
            entry = entries[int(position)]
            output = entry.output._replace(key=note.get("key"), sha256=note.get("sha256"))
            entries[int(position)] = entry._replace(key=note.get("cache_key"), output=output)
    return [entry for entry in entries if entry.key is not None] if notes else entries


def without_entries(page: EntryPage, gone: Collection[str]) -> str:
    """The notes of a page in which the entries of these keys are not to be found any more."""
    notes = json.loads(page[-1] or "{}")
    for position, key in enumerate(_keys_of(page[1])):
        if notes.get(str(position), {}).get("cache_key", key) in gone:
            notes[str(position)] = {}
    return _to_json(notes)


def _keys_of(hashes: bytes) -> list[str]:
    texts, size = hashes.hex(), 2 * _SHA256_BYTES
    return [texts[start : start + size] for start in range(0, len(texts), size)]


# Parts in one piece: the format and how long each part is but the last, and the parts.


def _join(form: int, parts: Sequence[bytes]) -> bytes:
    *lengths, _ = map(len, parts)
    return b"".join([Struct(f"<B{len(lengths)}I").pack(form, *lengths), *parts])


def _split(data: bytes, count: int) -> list[bytes]:
    head = Struct(f"<B{count - 1}I")
    parts, at = [], head.size
    for length in head.unpack_from(data)[1:]:
        parts.append(data[at : at + length])
        at += length
    return [*parts, data[at:]]


# How a job's header is written down: one line of JSON that a later version can still read.

_FIELDS = tuple(name for name in JobHeader._fields if name != "cancelled_at")
_TUPLES = tuple(name for name, default in JobHeader._field_defaults.items() if isinstance(default, tuple))


def header_to_text(header: JobHeader) -> str:
    """The header as JSON, without the cancel flag: that changes, and is kept beside it."""
    return _written({name: getattr(header, name) for name in _FIELDS})


def header_from_text(text: str | bytes, *, cancelled_at: float | None) -> JobHeader:
    """The header that `header_to_text` wrote; fields this version does not know are passed over.

    Raises `StoreError` where it is damaged.
    """
    try:
        return _header_from(json.loads(text), cancelled_at)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise StoreError(
            f"The header of a job is damaged: {error}.",
            next_step="other jobs are as they were; submit this one again.",
        ) from error


def _header_from(facts: dict[str, Any], cancelled_at: float | None) -> JobHeader:
    known = {name: facts[name] for name in _FIELDS if name in facts}
    known.update({name: tuple(known[name]) for name in _TUPLES if name in known})
    if "env" in known:
        known["env"] = tuple((name, value) for name, value in known["env"])
    known.setdefault("costs_money", known.get("engine") != "local")  # headers did not say so at first
    header = JobHeader(**known, cancelled_at=cancelled_at)
    if not isinstance(header.id, str) or not isinstance(header.count, int) or header.count < 0:
        raise ValueError(f"it says id {header.id!r} and {header.count!r} runs")
    return header
