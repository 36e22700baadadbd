"""The local stores do what every store does."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest

from tests.stores.event_log_contract import EventLogContract
from tests.stores.object_store_contract import ObjectStoreContract
from tests.stores.result_cache_contract import ResultCacheContract


class TestLocalEventLog(EventLogContract):
    @pytest.fixture
    def log(self, stores):
        return stores.log


class TestLocalObjectStore(ObjectStoreContract):
    @pytest.fixture
    def objects(self, stores):
        return stores.objects


class TestLocalResultCache(ResultCacheContract):
    @pytest.fixture
    def cache(self, stores):
        return stores.cache

    def test_of_many_that_join_at_once_each_two_know_one_of_the_other(self, cache):
        jobs = [f"job-{number}" for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            earlier = dict(zip(jobs, threads.map(lambda job: cache.join_flight("f", job), jobs), strict=True))
        assert sorted(map(len, earlier.values())) == list(range(8))
        assert all((b in earlier[a]) is not (a in earlier[b]) for a, b in combinations(jobs, 2))
