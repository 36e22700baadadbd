"""The deployment's one DynamoDB table: batches that end when everything is written or read."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fanfold.contract.cloud import PARTITION_KEY, SORT_KEY
from fanfold.contract.records import NamedTuple
from fanfold.errors import StoreError
from fanfold.stores.aws.account import Account, Refused

Item = dict[str, dict[str, Any]]

_WRITE_BATCH, _READ_BATCH = 25, 100
#: DynamoDB hands back what it could not do now; after this long, something is wrong with the table.
_PATIENCE_S = 120.0
_CONDITION_FAILED = "ConditionalCheckFailedException"


class Page(NamedTuple):
    """Items of one query, in order, and whether there are more."""

    items: list[Item]
    more: bool


class Table:
    """Reads and writes items, in the form in which they travel."""

    def __init__(self, account: Account, name: str) -> None:
        self.account = account
        self.name = name

    def put_all(self, items: Iterable[Item]) -> None:
        """Write items, 25 a call; again is harmless. Raises `StoreError`."""
        unique = {(item[PARTITION_KEY]["S"], item[SORT_KEY]["S"]): item for item in items}  # a batch takes no twins
        requests = [{"PutRequest": {"Item": item}} for item in unique.values()]
        for _ in self.account.each(self._write, _parts(requests, _WRITE_BATCH)):
            pass

    def get_all(self, keys: Sequence[Item], *, consistent: bool = False) -> Iterator[Item]:
        """The items that exist, 100 keys a call, in any order; `consistent`: as they are now."""
        for found in self.account.each(lambda some: self._read(some, consistent), _parts(keys, _READ_BATCH)):
            yield from found

    def get(self, key: Item) -> Item | None:
        """One item as it is now, or None."""
        answer = self._call("get_item", Key=key, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def put_if(self, item: Item, condition: str, **names_and_values: Any) -> bool:
        """Write one item where `condition` holds of what is there; False where it does not."""
        return self._on_condition("put_item", Item=item, ConditionExpression=condition, **names_and_values)

    def update_if(self, key: Item, change: str, condition: str, **names_and_values: Any) -> bool:
        """Change one item where `condition` holds of it; False where it does not."""
        return self._on_condition(
            "update_item", Key=key, UpdateExpression=change, ConditionExpression=condition, **names_and_values
        )

    def change_if(self, key: Item, change: str, condition: str, **names_and_values: Any) -> Item | None:
        """Change one item where `condition` holds of it; how it was before, or None where it does not."""
        given = {"UpdateExpression": change, "ConditionExpression": condition, "ReturnValues": "ALL_OLD"}
        try:
            answer = self._call("update_item", expected=(_CONDITION_FAILED,), Key=key, **given, **names_and_values)
        except Refused:
            return None
        before: Item = answer.get("Attributes", {})
        return before

    def update(self, key: Item, change: str, **names_and_values: Any) -> Item:
        """Change one item; how it was before."""
        answer = self._call("update_item", Key=key, UpdateExpression=change, ReturnValues="ALL_OLD", **names_and_values)
        before: Item = answer.get("Attributes", {})
        return before

    def query(self, condition: str, values: Item, *, consistent: bool = False, **more: Any) -> Page:
        """One page of the items whose keys meet `condition`."""
        answer = self._call(
            "query",
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ConsistentRead=consistent,
            **more,
        )
        return Page(answer["Items"], "LastEvaluatedKey" in answer)

    def count(self, condition: str, values: Item) -> int:
        """How many items have keys that meet `condition`; they themselves stay where they are."""
        found, more = 0, dict[str, Any]()
        while True:
            answer = self._call(
                "query", KeyConditionExpression=condition, ExpressionAttributeValues=values, Select="COUNT", **more
            )
            found += int(answer["Count"])
            if "LastEvaluatedKey" not in answer:
                return found
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _on_condition(self, operation: str, **parameters: Any) -> bool:
        try:
            self._call(operation, expected=(_CONDITION_FAILED,), **parameters)
        except Refused:
            return False
        return True

    def _call(self, operation: str, *, expected: Sequence[str] = (), **parameters: Any) -> dict[str, Any]:
        on = f"table {self.name}"
        return self.account.call("dynamodb", operation, on=on, expected=expected, TableName=self.name, **parameters)

    def _write(self, requests: list[dict[str, Any]]) -> None:
        for pause in self._pauses("written"):
            answer = self.account.call(
                "dynamodb", "batch_write_item", on=f"table {self.name}", RequestItems={self.name: requests}
            )
            requests = answer.get("UnprocessedItems", {}).get(self.name, [])
            if not requests:
                return
            pause()

    def _read(self, keys: list[Item], consistent: bool) -> list[Item]:
        found: list[Item] = []
        for pause in self._pauses("read"):
            asked = {self.name: {"Keys": keys, "ConsistentRead": consistent}}
            answer = self.account.call("dynamodb", "batch_get_item", on=f"table {self.name}", RequestItems=asked)
            found += answer["Responses"].get(self.name, [])
            keys = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if not keys:
                break
            pause()
        return found

    def _pauses(self, done: str) -> Iterator[Any]:
        """One turn after another, each with the pause to take before the next."""
        deadline = time.monotonic() + _PATIENCE_S
        longest_s = 0.05
        while time.monotonic() < deadline:
            longest_s = min(2 * longest_s, 5.0)
            yield lambda longest_s=longest_s: time.sleep(random.uniform(0, longest_s))  # noqa: S311 - jitter
        raise StoreError(
            f"Table {self.name} is so busy that not everything was {done} in {_PATIENCE_S:.0f} s.",
            next_step="call again: what was recorded is kept. A new table takes 4,000 writes a second at first.",
        )


def key(partition: str, sort: str) -> Item:
    """The key of one item."""
    return {PARTITION_KEY: {"S": partition}, SORT_KEY: {"S": sort}}


def _parts(things: Sequence[Any], size: int) -> Iterator[list[Any]]:
    return (list(things[start : start + size]) for start in range(0, len(things), size))
