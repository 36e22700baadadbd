import pytest

for contract in ("event_log_contract", "object_store_contract", "result_cache_contract"):
    pytest.register_assert_rewrite(f"tests.stores.{contract}")


@pytest.fixture
def stores(tmp_path):
    from fanfold.stores.local import LocalStores

    with LocalStores.open(tmp_path / "home") as opened:
        yield opened
