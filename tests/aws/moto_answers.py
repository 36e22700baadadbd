"""moto's answers, worded in the time that it takes to find what they tell.

For each attribute of an item moto tries ten types under up to twenty names, which took three quarters of a query's
time; and for each request it lists its own folder and what its classes can do, which never change.
"""

from __future__ import annotations

from functools import cache, wraps
from typing import Any

from moto import backends
from moto.core import responses
from moto.core.serialize import BaseJSONSerializer

#: The shape of what DynamoDB keeps under one name: `{"S": "text"}`, one type and its value.
_ATTRIBUTE = "AttributeValue"


def install() -> None:
    """Have answers worded so. Again is harmless."""
    if hasattr(BaseJSONSerializer._serialize_type_structure, "__wrapped__"):
        return
    _word_attributes_by_their_type()
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    responses.method_names_from_class = cache(responses.method_names_from_class)


def _word_attributes_by_their_type() -> None:
    by_trying_all = BaseJSONSerializer._serialize_type_structure

    @wraps(by_trying_all)
    def by_type(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        kind = next(iter(value)) if shape.name == _ATTRIBUTE and type(value) is dict and len(value) == 1 else None
        if not key or kind not in shape.members:
            by_trying_all(self, serialized, value, shape, key)
            return
        worded = self.MAP_TYPE()
        if value[kind] is not None:
            self._serialize(worded, value[kind], shape.members[kind], kind)
        self._default_serialize(serialized, worded, shape, key)

    BaseJSONSerializer._serialize_type_structure = by_type
