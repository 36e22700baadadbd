"""What every result cache does. An implementation's tests inherit the class and hand in the fixture `cache`."""

from __future__ import annotations

import math

import pytest

from fanfold.stores.protocols import ResultCache
from tests.stores.samples import an_entry, an_output

DAY_S = 86_400.0


class ResultCacheContract:
    """Entries come back as they were recorded while they are young enough."""

    @pytest.fixture
    def cache(self) -> ResultCache:
        raise NotImplementedError

    def test_entries_come_back_as_they_were_recorded(self, cache):
        inline, stored = an_entry("a"), an_entry("b")._replace(output=an_output(b"large", key="results/k/h"))
        cache.record([inline, stored])
        found = cache.lookup([inline.key, stored.key, an_entry("c").key], max_age_s=DAY_S)
        assert found == {inline.key: inline, stored.key: stored}

    def test_an_empty_result_is_a_result(self, cache):
        entry = an_entry("a", data=b"")
        cache.record([entry])
        assert cache.lookup([entry.key], max_age_s=DAY_S)[entry.key].output.inline == b""

    def test_what_is_too_old_is_not_found(self, cache):
        young, old = an_entry("young", age_s=100), an_entry("old", age_s=300)
        cache.record([young, old])
        assert list(cache.lookup([young.key, old.key], max_age_s=200)) == [young.key]
        assert cache.lookup([young.key, old.key], max_age_s=0) == {}

    def test_the_newer_entry_counts_whichever_was_recorded_last(self, cache):
        older, newer = an_entry("a", age_s=50, data=b"older"), an_entry("a", data=b"newer")
        for order in ([older, newer], [newer, older]):
            for entry in order:
                cache.record([entry])
            assert cache.lookup([older.key], max_age_s=DAY_S) == {older.key: newer}

    def test_thousands_of_keys_are_looked_up_at_once(self, cache):
        entries = [an_entry(str(number)) for number in range(2500)]
        cache.record(entries)
        others = [an_entry(f"other {number}").key for number in range(2500)]
        keys = [key for pair in zip((entry.key for entry in entries), others, strict=True) for key in pair]
        assert cache.lookup(keys, max_age_s=DAY_S) == {entry.key: entry for entry in entries}

    def test_of_entries_that_are_recorded_together_each_is_replaced_and_forgotten_by_itself(self, cache):
        entries = {name: an_entry(name, age_s=10) for name in map(str, range(300))}
        cache.record(list(entries.values()))
        newer = {name: an_entry(name, data=b"newer") for name in ("0", "150", "299", "300")}
        cache.record([*newer.values(), an_entry("7", age_s=50, data=b"older")])
        cache.forget([entries["5"].key, entries["200"].key, newer["299"].key, an_entry("never there").key])
        left = {**entries, **newer}
        for name in ("5", "200", "299"):
            del left[name]
        keys = [entry.key for entry in {**entries, **newer}.values()]
        assert cache.lookup(keys, max_age_s=DAY_S) == {entry.key: entry for entry in left.values()}
        cache.record([entries["5"]])
        assert cache.lookup([entries["5"].key], max_age_s=DAY_S) == {entries["5"].key: entries["5"]}

    def test_of_two_entries_of_one_key_that_are_recorded_together_the_newer_counts(self, cache):
        older, newer = an_entry("a", age_s=50, data=b"older"), an_entry("a", data=b"newer")
        others = [an_entry(str(number)) for number in range(200)]
        cache.record([newer, *others, older])
        assert cache.lookup([older.key], max_age_s=DAY_S) == {older.key: newer}

    def test_the_same_key_twice_is_one_answer(self, cache):
        entry = an_entry("a")
        cache.record([entry])
        assert cache.lookup([entry.key, entry.key], max_age_s=DAY_S) == {entry.key: entry}

    def test_who_joins_a_flight_is_told_who_was_there_before(self, cache):
        assert [cache.join_flight("f", job) for job in ("a", "b", "c")] == [[], ["a"], ["a", "b"]]
        assert cache.join_flight("other", "d") == []
        cache.leave_flight("f", ["a", "c", "never there"])
        assert cache.join_flight("f", "e") == ["b"]

    def test_what_is_forgotten_is_not_found(self, cache):
        entry, other = an_entry("a"), an_entry("b")
        cache.record([entry, other])
        cache.forget([entry.key, an_entry("never recorded").key])
        assert cache.lookup([entry.key, other.key], max_age_s=DAY_S) == {other.key: other}

    def test_nothing_asked_nothing_found(self, cache):
        cache.record([])
        cache.forget([])
        assert cache.lookup([], max_age_s=DAY_S) == {}

    def test_a_consistent_look_gives_what_was_just_recorded(self, cache):
        entry = an_entry("a")
        cache.record([entry])
        assert cache.lookup([entry.key], max_age_s=math.inf, consistent=True) == {entry.key: entry}
