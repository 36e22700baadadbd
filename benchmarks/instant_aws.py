"""AWS that answers at once, from memory: what is left of a call's time is the caller's own."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

from fanfold.contract.cloud import PARTITION_KEY, SORT_KEY
from fanfold.stores.aws.account import Account, Refused


class InstantAccount(Account):
    """The few operations that the realtime function and a submit use."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()
        #: The same, each with what it was given.
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, *, on: str, expected: Any = (), **parameters: Any) -> dict[str, Any]:
        self.calls[operation] += 1
        self.asked.append((operation, parameters))
        answer: dict[str, Any] = getattr(self, f"_{operation}")(expected, **parameters)
        return answer

    def _put_item(self, _: Any, Item: Any, **__: Any) -> dict[str, Any]:
        self.items[_key(Item)] = Item
        return {}

    def _get_item(self, _: Any, Key: Any, **__: Any) -> dict[str, Any]:
        item = self.items.get(_key(Key))
        return {"Item": item} if item else {}

    def _update_item(self, _: Any, Key: Any, **__: Any) -> dict[str, Any]:
        """Only a submit does, which says that its job may compute what others ask for; nobody else is here."""
        self.items.setdefault(_key(Key), Key)
        return {}

    def _batch_write_item(self, _: Any, RequestItems: Any) -> dict[str, Any]:
        for requests in RequestItems.values():
            for request in requests:
                item = request["PutRequest"]["Item"]
                self.items[_key(item)] = item
        return {}

    def _batch_get_item(self, _: Any, RequestItems: Any) -> dict[str, Any]:
        found = {
            table: [self.items[_key(key)] for key in asked["Keys"] if _key(key) in self.items]
            for table, asked in RequestItems.items()
        }
        return {"Responses": found}

    def _put_object(self, _: Any, Key: str, Body: bytes, **__: Any) -> dict[str, Any]:
        self.objects[Key] = Body
        return {}

    def _get_object(self, expected: Any, Key: str, Range: str = "", **__: Any) -> dict[str, Any]:
        if Key not in self.objects:
            raise Refused(expected[0])
        data = self.objects[Key]
        if Range:
            first, last = Range.removeprefix("bytes=").split("-")
            data = data[int(first) : int(last) + 1]
        return {"Body": io.BytesIO(data)}


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item[PARTITION_KEY]["S"], item[SORT_KEY]["S"]
