"""The local stores do what every store does."""

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
