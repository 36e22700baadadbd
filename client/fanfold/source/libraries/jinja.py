"""Templates and environments of Jinja: what they hold, without the templates that an environment remembers.

Neither says to pickle what it is made of: a template's class asks for a text, which Jinja does not keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanfold.source.graph import Graph


def parts_of(value: Any) -> tuple[dict[str, Any], int | None]:
    """The state of a template or an environment, and the size of what it remembers; None where it remembers nothing."""
    state = dict(vars(value))
    cache = state.pop("cache", None)
    return state, getattr(cache, "capacity", None)


def describe(graph: Graph, value: Any) -> Any:
    """The node of a template or an environment."""
    from fanfold.source.instances import call

    state, size = parts_of(value)
    graph.note_object(value)
    kind = type(value)
    graph.note_lane("object", graph.label(), f"a {kind.__module__}.{kind.__qualname__}")
    node = call(graph, object.__new__, kind)
    for name, each in state.items():
        graph.ref(each, f".{name}")
    node[1]["state"] = graph.ref(state)
    if size is not None:
        cache = call(graph, type(value.cache), size)
        node[1]["attributes"] = [["cache", graph.number(cache)]]
    elif hasattr(value, "cache"):
        node[1]["attributes"] = [["cache", [None]]]
    return node


def reduced(value: Any) -> tuple[Any, ...]:
    """How a pickle makes a template or an environment."""
    state, size = parts_of(value)
    return made_of, (type(value), size, hasattr(value, "cache")), state


def made_of(kind: Any, size: int | None, remembers: bool) -> Any:
    """A template or an environment without its state."""
    made = object.__new__(kind)
    if remembers:
        from jinja2.environment import create_cache

        made.cache = create_cache(size or 0)
    return made
