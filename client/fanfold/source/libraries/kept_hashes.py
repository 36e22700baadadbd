"""Hashes that an object of a library's keeps of itself, as a frozen configuration does: each process has another.

What is hashed is in the object's state too, so the code hash goes by that. A hash that an object of the user's keeps
counts, for nobody knows what else it is taken for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

#: Less may be a number of the object's own.
_LEAST = 1 << 32
#: What a class has as its hash that says nothing of its objects' state.
_NO_OWN: tuple[Any, ...] = (None, object.__hash__)


def leave_out(graph: Graph, value: Any, state: Any) -> None:
    """Have the state of a library's object mean what it does without the hash that it keeps of itself."""
    if type(value).__hash__ in _NO_OWN:
        return
    try:
        own = hash(value)
    except Exception:  # noqa: BLE001 - a library's `__hash__`, which may raise anything
        return
    number = graph.number_of(state) if abs(own) >= _LEAST else None
    if number is not None and graph.nodes[number]:
        _leave_out(graph, number, state, own)


def _leave_out(graph: Graph, number: int, state: Any, own: int) -> None:
    node = graph.nodes[number]
    if node[0] == "value":
        from fanfold.source.instances import encoded

        graph.give_meaning(number, ["value", encoded(_without(state, own))])
    elif node[0] == "dict":
        # As it was described: an object that makes its attributes when it is asked, as a mock does, has more by now.
        graph.give_meaning(number, ["dict", [refs for refs in node[1] if not _are_hash(refs, own)]])
    elif node[0] == "tuple":
        for ref, part in zip(node[1], state, strict=False):
            if type(ref) is int and type(part) is dict and graph.nodes[ref]:
                _leave_out(graph, ref, part, own)


def _without(state: Any, own: int) -> Any:
    if type(state) is tuple:
        return tuple([_without(part, own) for part in state])
    return {k: v for k, v in state.items() if not _is_hash(k, v, own)} if type(state) is dict else state


def _are_hash(refs: list[Any], own: int) -> bool:
    return all(type(ref) is list for ref in refs) and _is_hash(refs[0][0], refs[1][0], own)


def _is_hash(name: Any, value: Any, own: int) -> bool:
    return type(name) is str and "hash" in name.lower() and type(value) is int and value == own
