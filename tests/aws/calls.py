"""Counting what is asked of AWS, at the last moment before it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fanfold.stores.aws.account import Account


@contextmanager
def counted(account: Account) -> Iterator[Counter[str]]:
    """Calls by `service:Operation` that leave through this account's clients within; tries of one call count once."""
    calls: Counter[str] = Counter()

    def count(model, **_) -> None:
        calls[f"{model.service_model.service_name}:{model.name}"] += 1

    clients = list(account.clients.values())
    for client in clients:
        client.meta.events.register("before-call", count)
    try:
        yield calls
    finally:
        for client in clients:
            client.meta.events.unregister("before-call", count)
