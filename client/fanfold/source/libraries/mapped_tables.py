"""What SQLAlchemy's tables and mappers say of themselves, to tell whether statements have made the same ones again.

A worker imports this where it needs it, and SQLAlchemy itself is only asked for what the file's own objects are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

#: Of a function in a column's default, where it lies in this process.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def tables_of(made: dict[str, Any]) -> list[str]:
    """What is mapped under each name, a line a thing."""
    return sorted(_ADDRESS.sub("", f"{name}: {each}") for name, value in made.items() for each in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    members = vars(value) if isinstance(value, type) else {}
    if (mapper := members.get("__mapper__")) is not None:
        above = mapper.inherits and mapper.inherits.class_.__qualname__
        yield f"columns {list(mapper.columns.keys())}, inherits {above}, is {mapper.polymorphic_identity!r}"
        yield repr(mapper.local_table)
    metadata = members.get("metadata", value)
    if type(metadata).__name__ == "MetaData":
        yield f"tables {sorted(metadata.tables)}"
    if type(value).__name__ == "Table":
        yield repr(value)


def version() -> str:
    """SQLAlchemy's own version: another one may say the same in other words."""
    return str(getattr(sys.modules.get("sqlalchemy"), "__version__", ""))


def check_tables(parts: dict[str, Any], space: dict[str, Any]) -> None:
    """Raises `CaptureError` where what statements have made differs from what was there when the job was submitted."""
    if parts["version"] != version():
        return
    here = tables_of({name: space[name] for name in parts["names"]})
    different = next((each for each in parts["tables"] if each not in here), None)
    different = different or next((each for each in here if each not in parts["tables"]), None)
    if different is None:
        return
    from fanfold.errors import CaptureError

    name = different.partition(":")[0]
    raise CaptureError(
        f"{name!r}, which SQLAlchemy has mapped, is not what its statements in the UDF's file give: {different[:300]}.",
        next_step=f"put {name!r} and what is mapped with it into a module of your project, which travels whole, and "
        "import it; or let its statements at the top of the file say all that it is.",
    )
