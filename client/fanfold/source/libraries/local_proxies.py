"""What stands for whatever a context holds, as flask's `request`: it answers no question itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from fanfold.source.functions import by_name
from fanfold.source.modules import held_by

if TYPE_CHECKING:
    from fanfold.source.graph import Graph


def describe(graph: Graph, value: Any) -> Any:
    """The node of a proxy: the name that a library has it under. Raises `CaptureError` for one of the user's own."""
    if (known := name_of(value)) is None:
        raise graph.refuse(value, "it stands for what is there where it is asked")
    return by_name(graph, *known)


def name_of(value: Any) -> tuple[str, str] | None:
    """The module and the name under which a library holds a proxy; None where none does."""
    for module in [name for name in list(sys.modules) if name.endswith("globals") or "flask" in name]:
        if name := held_by(value, module):
            return module, name
    return None
