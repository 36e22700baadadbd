"""What is packed comes back whole: events in one piece, and entries of the cache."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.core.models import CacheEntry, Event, EventKind, Output, RunError, RunStatus, Usage
from fanfold.errors import StoreTooNew
from fanfold.stores.packing import (
    entry_from_bytes,
    entry_to_bytes,
    events_from_bytes,
    events_to_bytes,
    object_keys,
    pack_entries,
    unpack_entries,
    without_entries,
)

_SECONDS = st.floats(0, 1e10)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex) | _TEXTS.filter(bool)
_OUTPUTS = st.builds(
    Output,
    _TEXTS.filter(lambda text: "\n" not in text and text != ""),
    _HASHES,
    st.integers(0, 2**60),
    st.none() | st.binary(max_size=50),
    st.none() | _TEXTS.filter(bool),
)
_ENTRIES = st.builds(CacheEntry, st.just("key"), _OUTPUTS, _SECONDS, _SECONDS, _TEXTS)
_KEYS = st.lists(_HASHES, min_size=6, max_size=6, unique=True)
_ERRORS = st.builds(RunError, _TEXTS, _TEXTS, st.text(min_size=500, max_size=600))
_EVENTS = st.builds(
    Event,
    job_id=st.just("job-1"),
    index=st.integers(-1, 2**31 - 1),
    attempt=st.integers(0, 9),
    kind=st.sampled_from(EventKind),
    at=_SECONDS,
    id=st.binary(min_size=14, max_size=14).map(bytes.hex),
    status=st.none() | st.sampled_from(RunStatus),
    output=st.none() | _OUTPUTS,
    error=st.none() | _ERRORS,
    usage=st.none() | st.builds(Usage, _SECONDS, _SECONDS, _SECONDS),
    data=st.just({}),
)


@given(_ENTRIES)
def test_an_entry_of_the_cache_comes_back_whole(entry):
    assert entry_from_bytes("key", entry_to_bytes(entry)) == entry


@given(st.lists(_ENTRIES, min_size=1, max_size=6), st.data())
def test_entries_on_a_page_come_back_whole_and_those_that_are_gone_do_not(entries, data):
    entries = [entry._replace(key=key, job_id="job-1") for entry, key in zip(entries, data.draw(_KEYS), strict=False)]
    gone = data.draw(st.sets(st.sampled_from([entry.key for entry in entries])))
    page = pack_entries(entries)
    assert unpack_entries(page) == entries
    left = [*page[:-1], without_entries(page, gone)]
    assert unpack_entries(left) == [entry for entry in entries if entry.key not in gone]
    assert set(object_keys(left[-1])) == {entry.output.key for entry in unpack_entries(left) if entry.output.key}


@given(st.lists(_EVENTS, min_size=1, max_size=4))
def test_events_in_one_piece_come_back_whole(events):
    assert events_from_bytes("job-1", events_to_bytes(events)) == events


def test_an_entry_that_is_forgotten_or_of_another_format_is_none():
    packed = entry_to_bytes(CacheEntry("key", Output("json", "ab" * 32, 1, b"1"), 1.0, 1.0, "job-1"))
    assert entry_from_bytes("key", b"") is None
    assert entry_from_bytes("key", b"\xff" + packed[1:]) is None
    assert entry_from_bytes("key", packed[:20]) is None


def test_events_of_a_newer_format_ask_for_an_upgrade():
    with pytest.raises(StoreTooNew, match="A newer Fanfold"):
        events_from_bytes("job-1", b"\xff" + bytes(40))
