"""Capturing a UDF: the object that is there, with all that it refers to, and nothing else.

Five lanes, tried in this order: source, exact values by a codec, by name what a library has, objects taken apart, and
code as Python has compiled it. What can take none is refused by name, file and line. See `graph` and `rebuild`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from fanfold.source import refusals, setup
from fanfold.source.bundle import Bundle
from fanfold.source.decorators import udf_function, unwrapped
from fanfold.source.fingerprint import code_hash
from fanfold.source.graph import Graph, Ref
from fanfold.source.project import Project

#: Of a notebook of many cells, as many names as an error may be about.
_MOST_NAMES = 500

PutBlob = Callable[[str, bytes], object]


def capture(fn: Any, *, put_blob: PutBlob | None = None) -> Bundle:
    """A callable or a UDF with everything it refers to, ready to be sent.

    `put_blob(sha256_hex, data)` keeps large values (frames, arrays) apart; without it they travel in the bundle.
    Raises `CaptureError`, which names the variable, the file and line, and the next step, where something it uses
    cannot travel.
    """
    return Captured(fn, put_blob).bundle


class Captured:
    """A captured UDF: its bundle, and the graph that it was made of."""

    def __init__(self, fn: Any, put_blob: PutBlob | None = None) -> None:
        self.udf = udf_function(fn) or fn
        if not callable(self.udf):
            raise refusals.not_a_function(self.udf)
        self._blobs: dict[str, bytes] = {}
        self._put_blob = put_blob or self._blobs.__setitem__
        namespace = _namespace(self.udf)
        try:
            self.bundle = self._captured(namespace)
            if self.bundle.module in {source.module for source in self.bundle.sources if source.kind != "entry"}:
                # Its own module is one that others import: both must mean the same module.
                self.bundle = self._captured(None)
        except RecursionError:
            raise refusals.too_deep(self.udf) from None

    def reference(self, thing: Any) -> Any:
        """What `load.part_of` makes of it the class or function that an argument refers to: of the UDF's own graph.

        What the UDF does not mention is added to the graph, and counts in the cache key by its meaning.
        Raises `CaptureError`.
        """
        graph = self.graph
        number = graph.ref(thing)
        if not isinstance(number, int) or number < self._size:
            return number
        if number not in self._added:
            self._added[number] = graph.meaning(number)
            self.bundle = self._bundle(self.bundle.code_hash)
        return [number, self._added[number]]

    def _captured(self, namespace: dict[str, Any] | None) -> Bundle:
        project = Project()
        self.graph = graph = Graph(project, self._put_blob, namespace)
        root = graph.ref(self.udf)
        home = _namespace(self.udf) or {}
        entry = _name(self.udf)
        if namespace is not None:
            self._name_it(graph, namespace, entry, root)
        subclasses = graph.take_subclasses()
        statements, self.left = setup.take(graph, home) if namespace is not None else ([], [])
        self.taken = [(each.text, each.where) for each in statements]
        project.settle(graph)
        parts = {("graph", graph.meaning(root)), ("setup", *(s.meaning for s in statements)), *project.parts}
        self._document = {"subclasses": subclasses, "setup": [[list(s.code), s.space, s.given] for s in statements]}
        self._root, self._size = root, len(graph.nodes)
        #: What arguments refer to besides, by number, and what it means.
        self._added: dict[int, str] = {}
        return self._bundle(code_hash(parts))

    def _bundle(self, code_hash: str) -> Bundle:
        """All that has been captured, put together."""
        graph, home, project = self.graph, _namespace(self.udf) or {}, self.graph.project
        document = {**self._document, **project.settle(graph)}
        return Bundle(
            entry=_name(self.udf),
            module=str(home.get("__name__", "__main__")),
            package=str(home.get("__package__") or ""),
            sources=(*graph.kept.files(), *(f for _, f in sorted(project.files.items()))),
            code_hash=code_hash,
            graph=graph.document(self._root, document),
            imports=tuple(sorted(project.imports)),
            blobs=self._blobs,
            needs=graph.all_needs(),
            left_names=_left_names(graph, home),
            left_statements=tuple(f"line {each.line}: {each.text}" for each in self.left),
        )

    def _name_it(self, graph: Graph, namespace: dict[str, Any], entry: str, root: Ref) -> None:
        """Have the UDF under its name in its module, where pickle and `inspect` look for it."""
        held = namespace.get(entry)
        if (udf_function(held) or held) is self.udf:
            for space in graph.spaces:
                if space.get("key") == namespace.get("__name__"):
                    space["names"].setdefault(entry, root)


def _left_names(graph: Graph, namespace: dict[str, Any]) -> tuple[str, ...]:
    """The names of a module that no code that travels uses."""
    taken = {name for space in graph.spaces for kind in ("globals", "names") for name in space.get(kind, ())}
    left = [name for name in namespace if not name.startswith("_") and name not in taken]
    return tuple(sorted(left)[:_MOST_NAMES])


def _name(udf: Any) -> str:
    name = getattr(udf, "__name__", None) or getattr(getattr(udf, "func", None), "__name__", None)
    return name if isinstance(name, str) else type(udf).__name__


def _namespace(udf: Any) -> dict[str, Any] | None:
    """The namespace of the module that a UDF is written in; None where it is written in none."""
    while isinstance(udf, (functools.partial, MethodType)):
        udf = udf.func if isinstance(udf, functools.partial) else udf.__func__
    inner = unwrapped(udf)
    if isinstance(inner, FunctionType):
        return inner.__globals__
    owner = udf if isinstance(udf, type) else type(udf)
    module = sys.modules.get(owner.__module__)
    return vars(module) if module is not None else None
