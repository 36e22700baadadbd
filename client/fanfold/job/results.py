"""What a job's runs were given and what they gave back, read from the stores."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

from fanfold.codec import decode, decode_json
from fanfold.codec.data_notes import untold_plain_data
from fanfold.codec.registry import IN_PLACE
from fanfold.contract.records import no_collection
from fanfold.core.models import Event, EventKind, JobHeader, Output, PathRules, sha256
from fanfold.engines.base import Engine, Stores, was_submitted_here
from fanfold.errors import CodecError, ResultDamaged
from fanfold.settings import current
from fanfold.stores.keys import blob_key, bundle_key, sha256_in
from fanfold.stores.packing import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from fanfold.codec.classes import Definitions
    from fanfold.core.fold import JobState


#: What stands in arguments for a large value.
_BLOB = r'"\$blob":\s*\["[^"]*",\s*"([0-9a-f]{64})"(?:,\s*"([^"]*)")?'


@contextmanager
def _noting(damaged: list[str]) -> Iterator[None]:
    try:
        yield
    except ResultDamaged as error:
        damaged.append(error.message)


def _has_objects(codec: str, data: Any) -> bool:
    """Whether a result's text says that objects have been taken apart."""
    if codec == "parts/1":  # the text comes first, after its length
        data = memoryview(data)[8 : 8 + int.from_bytes(data[:8], "little")]
    return codec in ("json/1", "parts/1") and b'{"$graph"' in bytes(data)


#: So many short results are read as one text.
_READ_TOGETHER = 500
#: Of results in a bucket so many are fetched side by side, and so many bytes at most: they wait to be decoded.
_FETCHED_TOGETHER, _FETCHED_BYTES = 32, 16 << 20
#: A job that is read says so this often.
_NOTED_EACH_S = 60.0

#: The codec of what was pickled.
PICKLE = "pickle/1"


class Contents:
    """Inputs, results and output of one job's runs."""

    def __init__(self, header: JobHeader, stores: Stores) -> None:
        self._header = header
        self._stores = stores
        self._manifest = Manifest(stores.objects, header.id, header.count)
        #: Whether this reader has agreed to run what others' results bring along.
        self.opted_in = current().allow_pickle
        #: Whether its results may be frames, or are to be made one.
        self.may_be_frames = False
        self._own: bool | None = None
        self._definitions: Definitions | None = None
        self._noted_at = -_NOTED_EACH_S
        #: The size of each result in a bucket that is about to be read, in their order; and what is here of them.
        self._expected: dict[str, int] = {}
        self._fetched: dict[str, bytes | None] = {}

    def arguments(self, index: int) -> dict[str, Any]:
        """What the run was called with, the job's constants included; other jobs' results are named, not loaded."""
        return {**self.own_arguments(index), **self.constants()}

    def own_arguments(self, index: int) -> dict[str, Any]:
        """What the run was called with, without what all runs have in common."""
        return self._as_they_were(self._manifest.arguments(index))

    def _as_they_were(self, text: str) -> dict[str, Any]:
        if '{"$graph"' in text and not self._header.costs_money and self._is_own():
            with suppress(CodecError):  # what only a worker has stays plain data
                return self._decode_own(text)
        with untold_plain_data() if '{"$' in text else nullcontext():
            arguments: dict[str, Any] = decode_json(text, get_value=self._seen)
        return arguments

    def _decode_own(self, text: str) -> dict[str, Any]:
        """The same as the objects that they were, of a job that this user has submitted on this machine."""
        arguments: dict[str, Any] = decode_json(
            text, get_value=self._seen, trusted=True, from_source=self._own_classes()
        )
        return arguments

    def loaded_arguments(self, index: int) -> dict[str, Any]:
        """What the run was called with, the results of other jobs' runs among it; constants included."""
        texts = (self._manifest.arguments(index), self._header.constants)
        own, constants = (decode_json(text, get_blob=self._blob) for text in texts)
        return {**own, **constants}

    def labels(self, indexes: Iterable[int]) -> list[dict[str, Any]]:
        """What each of these runs was called with, without what all have in common: where only some give a parameter,
        its default stands with the others."""
        some = [self.own_arguments(index) for index in indexes]
        named = {name for one in some for name in one}
        defaults = decode_json(self._header.defaults) if any(len(one) != len(named) for one in some) else {}
        return [one | {name: defaults[name] for name in named if name not in one and name in defaults} for one in some]

    def own_text(self, index: int) -> str:
        """The same as it was written down."""
        return self._manifest.arguments(index)

    def constants(self) -> dict[str, Any]:
        """What all runs were called with."""
        return self._as_they_were(self._header.constants)

    def _seen(self, codec: str, sha256: str, key: str = "", run: str = "") -> Any:
        """A large argument; of another job's result that it is one, for there may be gigabytes of them."""
        if key:
            from fanfold.codec.stored import StoredResult

            return StoredResult(codec, sha256, key, run)
        return decode(codec, self._blob(sha256))

    def value(self, index: int, output: Output, *, cached: bool = False) -> Any:
        """A run's result. Raises `ResultDamaged` where its bytes are gone or are not the ones that were stored.

        `cached`: another job has computed it, which in a shared store may be somebody else's.
        """
        self._note_use()
        data = self.read_checked(index, output, writable=output.codec in IN_PLACE)
        if (
            output.codec == "json/1" and type(data) is bytes and b'{"$' not in data
        ):  # as most are, and nothing in it runs code
            return decode(output.codec, data)
        trusted = self.may_run_code(output, cached=cached)
        if not trusted or not _has_objects(output.codec, data):
            return decode(output.codec, data, allow_pickle=trusted)
        return decode(output.codec, data, allow_pickle=True, from_source=self._own_classes())

    def load_pandas_meanwhile(self, state: JobState) -> None:
        """Import pandas, which takes half a second, while runs go on whose results may need it at their end."""
        if self.may_be_frames and not state.done and "pandas" not in sys.modules:
            from threading import Thread

            Thread(target=_import_pandas, name="fanfold-pandas").start()

    def read_plain(self, state: JobState, indexes: Iterable[int], values: dict[int, Any]) -> None:
        """Add the values of those of these runs whose result is short JSON in its event, intact, and nothing but JSON.

        They are read as one text: one by one they would take five times as long. Others are left as they are, and
        are expected to be read next.
        """
        self._note_use()
        left = [index for index in indexes if index not in values]
        for start in range(0, len(left), _READ_TOGETHER):
            some, texts = [], []
            for index, codec, digest, text in state.inline_outputs(left[start : start + _READ_TOGETHER]):
                if codec == b"json/1" and b'{"$' not in text and sha256(text).hexdigest().encode() == digest:
                    some.append(index)
                    texts.append(text)
            with suppress(ValueError, RecursionError):  # one of them is no JSON: each is read alone, which says so
                read = json.loads(b"[%b]" % b",".join(texts))
                if len(read) == len(some):
                    values.update(zip(some, read, strict=True))
        self.expect(state, (index for index in left if index not in values))

    def expect(self, state: JobState, indexes: Iterable[int]) -> None:
        """Have results of these runs that are far away fetched some at a time, as soon as the first of them is read."""
        outputs = filter(None, map(state.output, indexes)) if self._header.costs_money else ()
        self._expected = {output.key: output.size for output in outputs if output.key is not None}

    def _read_object(self, key: str, *, writable: bool) -> Any:
        if key in self._expected:
            self._fetch_from(key)
        data = self._fetched.pop(key, None)
        if data is None:
            return self._stores.objects.get_writable(key) if writable else self._stores.objects.get(key)
        return bytearray(data) if writable else data

    def _fetch_from(self, first: str) -> None:
        """Fetch what is expected, from one result on."""
        keys, size = [first], self._expected.pop(first, 0)
        for key, more in list(islice(self._expected.items(), _FETCHED_TOGETHER - 1)):
            if size + more > _FETCHED_BYTES:
                break
            keys.append(key)
            size += self._expected.pop(key, 0)
        if len(keys) > 1:
            self._fetched = dict(zip(keys, self._stores.objects.get_several(keys), strict=True))

    def _note_use(self) -> None:
        """Have the job kept that is read: on this machine what has not been used for longest goes first."""
        if (now := time.monotonic()) - self._noted_at >= _NOTED_EACH_S:
            self._noted_at = now
            self._stores.note_use(self._header.id)

    def _own_classes(self) -> Definitions:
        """The classes of the job's own code, for what this process does not have."""
        if self._definitions is None:
            from fanfold.job.definitions import JobDefinitions

            self._definitions = JobDefinitions(
                (self._header.code_hash, *self._header.fixed_hashes)[-1],
                lambda: self._stores.objects.get(bundle_key(self._header.current_bundle_sha256)),
                self._blob,
            )
        return self._definitions

    def may_run_code(self, output: Output, *, cached: bool) -> bool:
        """Whether to rebuild what runs code: by the reader's word, or of a job that this user submitted from here."""
        if output.codec == PICKLE and self._header.serializer != "pickle":
            return False  # no run of this job has written that
        if self.opted_in:
            return True
        return self._is_own() and not (cached and self._header.costs_money)

    def _is_own(self) -> bool:
        if self._own is None:
            self._own = was_submitted_here(self._header.id)
        return self._own

    def read_checked(self, index: int, output: Output, *, writable: bool = False) -> Any:
        """A result's bytes, which match their hash. Raises `ResultDamaged` naming the run.

        `writable`: in memory that is the caller's own, which bytes that came in an event are not.
        """
        objects = self._stores.objects
        try:
            inside = output.inline
            data = inside if inside is not None else self._read_object(str(output.key), writable=writable)
        except ResultDamaged as error:
            if objects.exists(str(output.key)):
                raise self._damage_error(index, "is damaged: its bytes do not match their hash") from error
            raise self._damage_error(index, f"is missing ({error.message.rstrip('.')})") from error
        checked = output.inline is None and sha256_in(str(output.key)) == output.sha256  # by the store
        if not checked and sha256(data).hexdigest() != output.sha256:
            raise self._damage_error(index, "is damaged: its bytes do not match their hash")
        return data

    def damaged_sources(self) -> list[str]:
        """What is damaged or missing of all that the runs were given: source, inputs and large arguments."""
        damaged: list[str] = []
        with _noting(damaged):
            self._stores.objects.get(bundle_key(self._header.bundle_sha256))
        blobs = {key or sha256 for sha256, key in re.findall(_BLOB, self._header.constants)}
        with _noting(damaged):
            for arguments in self._manifest:
                blobs.update(key or sha256 for sha256, key in re.findall(_BLOB, arguments))
        for name in sorted(blobs):
            with _noting(damaged):
                self._blob(name)
        return damaged

    def forget(self, indexes: Iterable[int]) -> None:
        """Take these runs' results out of the cache, so that the next submit computes them instead of finding them."""
        from fanfold.engines.reuse import CacheReader, paths_in_code

        some = list(indexes)
        keys, texts = self._manifest.cache_keys(some), [self._manifest.arguments(index) for index in some]
        rules = self._header.path_rules or PathRules()
        here, code = not self._header.costs_money, paths_in_code(self._stores, self._header)
        reader = CacheReader(self._stores, rules, self._header.constants, here=here, code=code)
        self._stores.cache.forget(list({*keys, *reader.stored_keys(keys, texts)}))

    def telemetry(self, *kinds: EventKind) -> Iterator[Event]:
        """The events so far of these kinds: of what runs print, use, or have computed as steps."""
        events, cursor = self.telemetry_page(None)
        while events:
            yield from (event for event in events if event.kind in kinds)
            events, cursor = self.telemetry_page(cursor)

    def telemetry_page(self, cursor: str | None) -> tuple[list[Event], str]:
        """The next events of output, load and steps after `cursor`, and where to go on: behind an empty page, too."""
        return self._stores.log.read_since(self._header.id, cursor, channel="telemetry")

    def _blob(self, sha256: str) -> bytes:
        return self._stores.objects.get(blob_key(sha256))

    def _damage_error(self, index: int, how: str) -> ResultDamaged:
        return ResultDamaged(
            f"The result of run {index} of job {self._header.id} {how}.",
            next_step="the same submit computes it again; `job.verify()` lists all that are damaged.",
        )


#: Seconds between two looks at how much home holds.
_LOOK_FOR_ROOM_S = 3600.0


def make_room_now_and_then(engine: Engine) -> None:
    """Once an hour, beside the job, see that this machine's home holds no more than it may."""
    settings = current()
    stamp = settings.home / "room-looked-at"
    try:
        age_s = time.time() - stamp.stat().st_mtime
    except OSError:
        age_s = 0.0
    if settings.home_limit_gb and not 0 < age_s < _LOOK_FOR_ROOM_S:
        with suppress(OSError):  # a home that cannot be written to grows no more
            stamp.touch()
        if age_s:
            from threading import Thread

            from fanfold.job.room import make_room_quietly

            Thread(target=make_room_quietly, args=(engine,), name="fanfold-room").start()


# Results as one frame: frames put together under the arguments they belong to, other values in a column.


def _import_pandas() -> None:
    from threading import main_thread

    with suppress(ImportError, Warning):  # who needs it next meets the same
        try:
            with no_collection():
                import_module("pandas")
        except RuntimeError:  # "can't register atexit after shutdown": a run has failed, and the caller has ended
            if main_thread().is_alive():
                raise


#: The column that holds values that are no frames.
RESULT = "result"


def fold_results(
    inputs: Sequence[dict[str, Any]] | Sequence[int], values: Sequence[Any], *, flatten: bool = True
) -> pd.DataFrame:
    """One frame of all values, indexed by the arguments, or by the runs' numbers where those are given instead.

    Frames (pandas, GeoPandas, polars, pyarrow) are concatenated with the arguments as leading index levels; a run
    whose frame has no rows adds none. Dicts make a row each, their keys the columns. Beside frames or dicts a None is
    left out, which is said on stderr. Other values stand in a `result` column, one row each; `flatten=False` keeps
    frames and dicts as such values too. A mixture is kept one row each, which is said on stderr as well.
    """
    import pandas as pd

    kept = [number for number, value in enumerate(values) if value is not None]
    if flatten and kept:
        some, index = [values[number] for number in kept], _index([inputs[number] for number in kept])
        frames = [as_pandas(value) for value in some]
        whole = None
        if all(frame is not None for frame in frames):
            whole = _concatenate(index, [frame for frame in frames if frame is not None])
        elif all(map(is_record, some)):
            from fanfold.job.tables import of_records

            whole = _with_level_names(of_records(some, index))
        if whole is not None:
            say_none(len(values) - len(kept), len(values))
            return whole
        _say_mixed(some, frames)
    column = pd.Series(values, index=_index(inputs), name=RESULT, dtype=_dtype(values) if _is_plain(values) else object)
    return column.to_frame()


def is_record(value: Any) -> bool:
    """Whether a value makes a row of a table, its keys the columns."""
    return type(value) is dict and bool(value) and all(isinstance(key, str) for key in value)


def nothing_to_hold(path: Path, what: str, results: int) -> CodecError:
    """The error where none of so many results can be written as the ending wants them."""
    step = "see job.errors()." if not results else f"have a run return a {what}: all results are None, or empty."
    return CodecError(f"{path.name} would hold nothing: no run has a {what}.", next_step=step)


def say_none(left_out: int, count: int) -> None:
    """Say on stderr how many results are None, and so have no place in what is put together."""
    if left_out:
        results = "1 result is" if left_out == 1 else f"{left_out:,} results are"
        sys.stderr.write(f"fanfold: {results} None, of {count:,}, and left out; job.results() has all.\n")


def _say_mixed(values: Sequence[Any], frames: Sequence[object]) -> None:
    """Say on stderr that frames, or dicts, stand in a column as they are, since there is another value among them."""
    kinds = list(dict.fromkeys(type(value).__name__ for value in values))
    if len(kinds) > 1 and (any(frame is not None for frame in frames) or any(map(is_record, values))):
        told = (
            f"fanfold: the results are of several kinds ({', '.join(kinds[:3])}), so each stands in a row of its own,"
        )
        sys.stderr.write(f"{told} in the column {RESULT!r}.\n")


def _with_level_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, whose index levels are not called like its columns: `reset_index` and `to_file` refuse that."""
    names = [name if name is None or name not in frame.columns else f"arg_{name}" for name in frame.index.names]
    if names != list(frame.index.names):
        frame.index = frame.index.set_names(names)
    return frame


#: What is longer is cut, where it is the text of something else; and what is no label, as it is nothing to read.
_LABEL_CHARACTERS, _LONGEST_LABEL = 80, 1000


def argument_frame(inputs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row of arguments a run."""
    import pandas as pd

    return pd.DataFrame.from_records(list(inputs), index=pd.RangeIndex(len(inputs), name="run"))


def _concatenate(index: pd.Index, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The frames below one another, each row under its run's arguments.

    By run number first: arguments may repeat, and `concat`'s keys must not.
    """
    import pandas as pd

    from fanfold.job.tables import concatenate

    filled = [frame for frame in frames if len(frame)] or frames[:1]
    numbers = [number for number, frame in enumerate(frames) for _ in range(len(frame))]
    together = concatenate(filled)
    arguments = index.take(numbers)
    levels = [arguments.get_level_values(level) for level in range(arguments.nlevels)]
    own = together.index
    levels += [own.get_level_values(level) for level in range(own.nlevels)]
    names = [*arguments.names, *own.names]
    together.index = pd.MultiIndex.from_arrays(levels, names=names)
    return _with_level_names(together)


def _index(inputs: Sequence[Any]) -> pd.Index:
    import pandas as pd

    numbered = bool(inputs) and isinstance(inputs[0], int)
    names = [] if numbered else list(dict.fromkeys(name for one in inputs for name in one))
    columns = [_level(labels, name) for name in names if (labels := _labels([one.get(name) for one in inputs]))]
    if not columns:
        return pd.Index(inputs if numbered else range(len(inputs)), dtype="int64", name="run")
    if len(columns) < len(names):  # runs that differ in what is no label have to differ
        columns.insert(0, pd.Index(range(len(inputs)), dtype="int64", name="run"))
    return (
        columns[0]
        if len(columns) == 1
        else pd.MultiIndex.from_arrays(columns, names=[column.name for column in columns])
    )


def _labels(values: list[Any]) -> list[Any] | None:
    """An argument of all runs as labels; None where two that differ would look the same, or no text says which it is.

    Of dicts that name themselves, as features of GeoJSON and items of STAC do, it is their `id`.
    """
    if all(type(value) is dict for value in values):
        ids = [value.get("id") for value in values]
        if all(type(one) in (str, int) for one in ids) and len(set(ids)) == len(ids):
            return ids
    if any(map(_is_no_label, values)):
        return None
    labels = list(map(_label, values))
    if any(isinstance(label, (str, bytes)) and len(label) > _LONGEST_LABEL for label in labels):
        return None
    cut = [label for label in labels if type(label) is str and len(label) == _LABEL_CHARACTERS and label[-1] == "…"]
    return labels if len(set(cut)) == len(cut) else None


def _level(labels: list[Any], name: str) -> pd.Index:
    """Labels as they are: pandas would turn 3 beside a None into 3.0, and True beside a 1 into 1."""
    import pandas as pd

    index: pd.Index = pd.Index(labels, name=name, dtype=_dtype(labels) if len(set(map(type, labels))) == 1 else object)
    return index


def _dtype(values: Sequence[Any]) -> type | None:
    """None, where pandas may choose it; its own text has no room for what is no character, as in names of files."""
    if isinstance(values[0], str) and not all(map(str.isascii, values)):
        try:
            "".join(values).encode()
        except UnicodeEncodeError:
            return object
    return None


def _is_no_label(value: Any) -> bool:
    """A table, an array or a shape, or some of them: their text is long, and that of two may be the same.

    So are a dataset, a plan of dask's or polars', and an object of which Python says no more than where it lies.
    """
    kind: Any = type(value)
    if kind.__repr__ is object.__repr__:
        return True
    if isinstance(value, (list, tuple)):
        return any(map(_is_no_label, value[:100]))
    parts = value if isinstance(value, dict) else vars(value) if hasattr(value, "__dataclass_fields__") else {}
    if parts and any(map(_is_no_label, list(parts.values())[:100])):
        return True
    package = type(value).__module__.partition(".")[0]
    is_table = hasattr(value, "__len__") or hasattr(value, "collect")
    if package in ("xarray", "dask") or (package in ("polars", "pyarrow") and is_table):
        return True
    is_array = hasattr(value, "dtype") and getattr(value, "ndim", 0) > 0
    return (
        is_array
        or type(value).__module__ == "fanfold.codec.stored"
        or as_pandas(value) is not None
        or hasattr(value, "geom_type")
    )


def _label(value: Any) -> Any:
    """An argument as an index label; what cannot be one (a list, a frame) as text."""
    if hasattr(value, "__array_interface__") and not isinstance(value, (str, int, float)):
        value = value[()]  # of no axes, since it is a label: the number or moment in it
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    try:
        hash(value)
    except TypeError:
        from fanfold.core.shown import text_of

        text = text_of(value)
        return text if len(text) <= _LABEL_CHARACTERS else f"{text[: _LABEL_CHARACTERS - 1]}…"
    return str(value) if isinstance(value, (tuple, frozenset)) else value


def _is_plain(values: Sequence[Any]) -> bool:
    """True where pandas may choose the column's type: all of one type of number, text or truth value."""
    return len({type(value) for value in values}) == 1 and isinstance(values[0], (bool, int, float, str))


def as_pandas(value: Any) -> pd.DataFrame | None:
    """A table of any library as one of pandas; None where a value is none."""
    root = type(value).__module__.partition(".")[0]
    if root in ("pandas", "geopandas"):
        import pandas as pd

        if isinstance(value, pd.Series):
            return value.to_frame(value.name if value.name is not None else RESULT)
        return value if isinstance(value, pd.DataFrame) else None
    if root in ("pyarrow", "polars") and hasattr(value, "to_pandas") and hasattr(value, "schema"):
        from fanfold.job.tables import of_arrow

        return of_arrow(value if root == "pyarrow" else value.to_arrow(), value.to_pandas())
    return None
