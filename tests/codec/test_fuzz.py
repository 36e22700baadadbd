"""Whatever bytes a decoder is given, they are a value or an error about one value: no crash, no other error, no hang.

`make fuzz` looks far, each decoder by itself; what it finds is written to the folder `corpus`, which every run of the
tests reads again. An input that ends the process is written down before it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import shapely
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fanfold.codec import decode, encode
from fanfold.codec.registry import IPC
from fanfold.core.models import CacheEntry, JobHeader, Output
from fanfold.errors import FanfoldError
from fanfold.execution.channel import Garbled, pack_started, unpack_answers
from fanfold.source.capture import capture
from fanfold.source.load import Bundle
from fanfold.stores.packing import (
    entry_from_bytes,
    entry_to_bytes,
    events_from_bytes,
    events_to_bytes,
    header_from_text,
    header_to_text,
    pack,
    unpack,
)
from tests.fold.stories import event

CORPUS = Path(__file__).parent / "corpus"
LOOKS_FAR = "FANFOLD_FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FANFOLD_FUZZ_EXAMPLES", "12"))

VALUES = {
    "json.1": [[1, {"a": (2,)}], [datetime(2024, 1, 1, tzinfo=timezone.utc), timedelta(1), {3}, 1 + 2j, {1: 2}, b"x"]],
    "parts.1": [[b"x" * 2000, np.arange(3)], {"m": scipy.sparse.csr_matrix(np.eye(2)), "w": shapely.Point(1, 2)}],
    "npy.1": [np.arange(12.0).reshape(3, 4), np.array([(1, "a")], dtype=[("x", "i4"), ("y", "U3")])],
    "png.1": [Image.new("RGB", (2, 2)), Image.new("L", (3, 1))],
    "parquet-pandas.1": [pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])})],
    "parquet-arrow.1": [pa.table({"a": [1, 2], "l": [[1], [2, 3]]})],
    "parquet-polars.2": [pl.DataFrame({"a": [1, None], "b": ["x", "y"], "l": [[1], []]})],
    "parquet-polars-series.2": [pl.Series("q", [1.5, None])],
    "ipc-arrow.1": [pa.array(["x", None]), pa.array([[1], None])],
    "geoparquet.1": [geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(1, 2)], crs=4326)],
    "labelled": [xr.DataArray(np.arange(3), dims="x", coords={"x": [1, 2, 3]})],
    "masked": [np.ma.array([1, 2], mask=[0, 1])],
    "index": [pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]), pd.Series(pd.date_range("2024", periods=2, tz="UTC"))],
}


MAPPED = [
    pd.DataFrame({"a": [1.5, 2.5], "b": [0.0, 1.0]}),
    pd.DataFrame({"i": [1, 2], "b": [True, False]}, index=pd.date_range("2024", periods=2)),
    pd.Series([1, 2], name="s"),
]


def _mapped(frame: Any) -> bytes:
    """As large ones are; damage finds more to damage in a small one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fanfold.codec.mapped_frames._LARGE_BYTES", 0)
        patch.setattr("fanfold.codec.mapped_frames._WORTH", 0)
        return bytes(encode(frame, as_file=True).data)


def _read_in_place(data: bytes) -> Any:
    return repr(decode(IPC, bytearray(data)))


def _udf(x):
    return x + len(_SHIPPED)


_SHIPPED = {"a": [1, 2]}
HEADER = header_to_text(JobHeader("id", "name", 3, "local", "anna", 1.0, "ab", "cd", parameters=("x",)))


def read_page(data: bytes) -> Any:
    """A page of events out of one piece of bytes, cut where each of its parts ends."""
    parts = [bytes(part) for part in data.split(b"|page|")]
    heads, results, inline, codecs, notes = [*parts, b"", b"", b"", b"", b""][:5]
    text = [each.decode("utf-8", "replace") or None for each in (codecs, notes)]
    return unpack("job", (heads, results or None, inline or None, *text))


_EVENTS = [event("started", 0), event("succeeded", 0), event("failed", 1)]
_ENTRY = CacheEntry("key", Output("json", "ab" * 32, 3, b"[1]"), 1.0, 2.0, "job-1")


def _page() -> bytes:
    parts = [part.encode() if isinstance(part, str) else part or b"" for part in pack(_EVENTS)]
    return b"|page|".join(parts)


#: By decoder: what reads its bytes, and bytes that it reads well.
TARGETS: dict[str, tuple[Callable[[bytes], Any], list[bytes]]] = {
    **{
        name: (partial(decode, encode(values[0]).codec), [encode(value).data for value in values])
        for name, values in VALUES.items()
    },
    "ipc-pandas.1": (_read_in_place, [_mapped(frame) for frame in MAPPED]),
    "events": (read_page, [_page()]),
    "events in one piece": (partial(events_from_bytes, "job"), [events_to_bytes(_EVENTS)]),
    "entry": (partial(entry_from_bytes, "key"), [entry_to_bytes(_ENTRY)]),
    "header": (
        lambda data: header_from_text(data.decode("utf-8", "replace"), cancelled_at=None),
        [HEADER.encode()],
    ),
    "answers": (unpack_answers, [pack_started(1, 2.0, 3) * 2]),
    "bundle": (Bundle.from_bytes, [capture(_udf).to_bytes()]),
}


def read(name: str, data: bytes) -> None:
    """Read it as that decoder does. What is found by looking far is kept."""
    found = CORPUS / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}"
    if LOOKS_FAR and not found.exists():
        found.write_bytes(data)
    with contextlib.suppress(FanfoldError, Garbled, MemoryError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        TARGETS[name][0](data)
    if LOOKS_FAR and found.name not in KEPT:
        found.unlink()


KEPT = {path.name for path in CORPUS.iterdir()}


@pytest.mark.parametrize("name", sorted(KEPT))
def test_what_was_once_not_taken_well_is_a_value_or_an_error_about_one_value(name):
    read(name.rpartition("-")[0], (CORPUS / name).read_bytes())


@st.composite
def damaged(draw: st.DrawFn, samples: list[bytes]) -> bytes:
    """Bytes that were good: some changed, some taken out or put in, the end cut off."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 4))):
        at, near_the_end = draw(st.integers(0, max(0, len(data) - 1))), draw(st.booleans())
        at = max(0, len(data) - 1 - at % 300) if near_the_end else at
        length = draw(st.sampled_from([0, 1, 1, 1, 4, 8]))
        data[at : at + length] = draw(
            st.binary(max_size=8) if draw(st.booleans()) else st.binary(min_size=1, max_size=1)
        )
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_any_and_damaged_bytes_are_a_value_or_an_error_about_one_value(name):
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged(TARGETS[name][1]) | st.binary(max_size=200))
    def look(data: bytes) -> None:
        read(name, data)

    look()


def test_the_samples_are_read_as_they_are():
    for name, (reader, samples) in TARGETS.items():
        for data in samples:
            assert reader(data) is not None, name
