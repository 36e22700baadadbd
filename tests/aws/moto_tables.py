"""moto's tables, read as fast as a table of DynamoDB: by partition.

moto sorts all items of a table for each query, and measures each item of the partition that it then leaves out: what
3,000 runs wrote took each of their readers seconds, and all of them together the square of that.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import wraps
from typing import Any, NamedTuple

from moto.dynamodb.comparisons import get_comparison_func
from moto.dynamodb.models.table import Table


class _Query(NamedTuple):
    """What the query that this thread makes can find: of a partition (None: of an index), between range keys."""

    partition: Any
    comparison: str | None
    values: Sequence[Any]

    def candidates(self, table: Table) -> list[Any]:
        if self.partition is None:
            return [
                item for some in list(table.items.values()) for item in list(some.values())
            ]  # others write meanwhile
        there = list(table.items.get(self.partition, {}).values())
        if not self.comparison:
            return there
        fits, values = get_comparison_func(self.comparison), [value.cast_value for value in self.values]
        return [item for item in there if fits(item.range_key.value, *values)]  # our range keys are texts


_under_way = threading.local()


def install() -> None:
    """Have queries look at what they can find alone. Again is harmless."""
    if not hasattr(Table.query, "__wrapped__"):
        _query_by_partition()


def _query_by_partition() -> None:
    query, all_items = Table.query, Table.all_items

    @wraps(query)
    def query_partition(
        self: Table, hash_key: Any, comparison: str | None, values: Any, *rest: Any, **named: Any
    ) -> Any:
        of_index = named.get("index_name") or any(rest[_INDEX_NAME : _INDEX_NAME + 1])
        _under_way.query = _Query(None if of_index else hash_key, comparison, values or ())
        try:
            return query(self, hash_key, comparison, values, *rest, **named)
        finally:
            _under_way.query = None

    @wraps(all_items)
    def candidates(self: Table) -> list[Any]:
        asked: _Query | None = getattr(_under_way, "query", None)
        return all_items(self) if asked is None or not self.has_range_key else asked.candidates(self)

    Table.query, Table.all_items = query_partition, candidates


#: Where `query` takes the index, after the first three of its arguments.
_INDEX_NAME = 4
