"""Classes that make fields of what their body says: dataclasses, pydantic's, attrs', named tuples, and Enums."""

from __future__ import annotations

from typing import Any

MISSING: Any = object()

#: What says that a field has no default: the classes of the marks, by name, for none of these need be imported here.
_NO_DEFAULT = {"_MISSING_TYPE", "PydanticUndefinedType", "_Nothing", "Factory"}


def makes_fields(made: type) -> bool:
    """Whether the class keeps defaults of its own."""
    members = vars(made)
    return any(n in members for n in ("__dataclass_fields__", "__pydantic_fields__", "__attrs_attrs__"))


def is_enum(made: type) -> bool:
    """Whether the class makes members."""
    return "_member_map_" in vars(made)


def declared(made: type, name: str) -> Any:
    """The default that such a class keeps for a field, or the value of a member; `MISSING` where it has none."""
    members = vars(made)
    for fields in ("__dataclass_fields__", "__pydantic_fields__"):
        if name in (known := members.get(fields) or {}):
            return _default(known[name].default)
    for field in members.get("__attrs_attrs__") or ():
        if field.name == name:
            return _default(field.default)
    if name in (known := members.get("_member_map_") or {}):
        # A `__new__` of its own may have made the value of something else.
        return MISSING if any("__new_member__" in vars(c) for c in made.__mro__) else known[name]._value_
    return (members.get("_field_defaults") or {}).get(name, MISSING)


def _default(value: Any) -> Any:
    return MISSING if type(value).__name__ in _NO_DEFAULT else value
