"""The AWS stores do what every store does; the table and the bucket are moto's, over HTTP."""

import pytest

from tests.aws.cloud import account, aws, aws_stores, deployment, moto
from tests.stores.event_log_contract import EventLogContract
from tests.stores.object_store_contract import ObjectStoreContract
from tests.stores.result_cache_contract import ResultCacheContract

__all__ = ["account", "aws", "aws_stores", "deployment", "moto"]


class TestAwsEventLog(EventLogContract):
    @pytest.fixture
    def log(self, aws_stores):
        return aws_stores.log


class TestAwsObjectStore(ObjectStoreContract):
    @pytest.fixture
    def objects(self, aws_stores):
        return aws_stores.objects


class TestAwsResultCache(ResultCacheContract):
    @pytest.fixture
    def cache(self, aws_stores):
        return aws_stores.cache
