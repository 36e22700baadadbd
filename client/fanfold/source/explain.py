"""What a capture takes along and by which lane, what it leaves behind, and what the code hash covers."""

from __future__ import annotations

import json
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import as_html
from fanfold.source.capture import Captured
from fanfold.source.load import Bundle

#: What each lane is, as a reader would say it.
LANES = {
    "source": "source text, compiled where it runs",
    "value": "the exact value",
    "name": "imported by name",
    "object": "taken apart: its class and its state",
    "compiled": "as Python has compiled it: needs the same Python",
    "pickle": "as cloudpickle writes it: needs the same Python and versions",
    "module": "a module of your project, whole",
    "setup": "a statement of the top of the file, executed again",
    "left": "stays behind",
}


class Travels(NamedTuple):
    """One thing and its lane: `size` in bytes, 0 where it has none of its own; `where` is its file and line."""

    lane: str
    name: str
    what: str
    size: int = 0
    where: str = ""


class Explanation(NamedTuple):
    """What travels with a UDF. Prints as text; `as_dict()` is for JSON, and a notebook shows it as a table."""

    name: str
    things: tuple[Travels, ...]
    left: tuple[Travels, ...]
    code_hash: str
    size: int
    needs: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "name": self.name,
            "code_hash": self.code_hash,
            "covers": COVERS,
            "size_bytes": self.size,
            "travels": [each._asdict() for each in self.things],
            "left_behind": [each._asdict() for each in self.left],
            "needs": list(self.needs),
        }

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.size:,} bytes, code hash {self.code_hash[:16]}", f"  The hash covers {COVERS}."]
        for lane, meaning in LANES.items():
            things = [each for each in (*self.things, *self.left) if each.lane == lane]
            lines += [f"{lane}: {meaning}"] if things else []
            lines += [f"  {_line(each)}" for each in things]
        lines += [f"needs: {each}" for each in self.needs]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)  # at a prompt

    def _repr_html_(self) -> str:
        cells = (
            f"<tr><td>{as_html(each.lane)}</td><td>{as_html(each.name)}</td><td>{as_html(each.what)}</td>"
            f"<td>{each.size or ''}</td><td>{as_html(each.where)}</td></tr>"
            for each in (*self.things, *self.left)
        )
        head = "".join(f"<th>{title}</th>" for title in ("lane", "name", "what", "bytes", "where"))
        title = f"{as_html(self.name)}: {self.size:,} bytes, code hash <code>{self.code_hash[:16]}</code>"
        return f"<table><caption>{title}</caption><tr>{head}</tr>{''.join(cells)}</table>"


COVERS = (
    "the syntax of all functions and classes that travel, the values that they hold, the modules of your project, and "
    "the names that are imported; no comment, blank line, file name or line number"
)


def explain(udf: Any) -> Explanation:
    """What travels with a UDF, by which lane, with sizes in bytes; what stays behind and why; and its code hash.

    Nothing is sent. Raises `CaptureError` where something it uses cannot travel.
    """
    captured = Captured(udf, sealing=_no_sealing)
    bundle = captured.bundle
    things = [Travels(*each) for each in captured.graph.lanes()]
    things += [Travels("setup", text, "set-up", where=where) for text, where in captured.taken]
    left = [Travels("left", each.text, each.why, where=f"{each.path}:{each.line}") for each in captured.left]
    return _explanation(bundle, things, left)


def _no_sealing() -> Any:
    """What seals where nothing is sent: anybody's key."""
    from fanfold.codec.sealed import KEY_BYTES, Sealing, SealingKey

    return Sealing(lambda: (SealingKey(bytes(range(KEY_BYTES)), bytes(KEY_BYTES)), ""))


def explain_bundle(bundle: Bundle) -> Explanation:
    """What has travelled with a UDF, as far as its bundle tells: of a job, from any process and any day."""
    graph = json.loads(bundle.graph)
    nodes = graph["nodes"]
    things = [
        _of_node(name, nodes[ref] if isinstance(ref, int) else ["value", json.dumps(ref)])
        for space in graph.get("spaces", ())
        for name, ref in {**space.get("globals", {}), **space.get("names", {})}.items()
    ]
    left = [Travels("left", text, "a statement of the top of the file") for text in bundle.left_statements]
    left += [Travels("left", name, "a name that its code has in a string alone") for name in bundle.left_names]
    return _explanation(bundle, things, left)


def _explanation(bundle: Bundle, things: list[Travels], left: list[Travels]) -> Explanation:
    """What is said of a bundle: these `things`, its modules, the packages that go by name, and what is `left`."""
    files = [source for source in bundle.sources if source.kind != "entry"]
    modules = [Travels("module", each.module, each.kind, len(each.text.encode()), each.path) for each in files]
    named = [Travels("name", name, "an installed package or the standard library") for name in bundle.imports]
    order = list(LANES)
    return Explanation(
        name=bundle.entry,
        things=tuple(sorted({*things, *modules, *named}, key=lambda each: (order.index(each.lane), each.name))),
        left=tuple(left),
        code_hash=bundle.code_hash,
        size=len(bundle.to_bytes()),
        needs=tuple(f"{what} needs {package} {version}" for what, package, version in bundle.needs),
    )


def _of_node(name: str, node: list[Any]) -> Travels:
    """What a name of the UDF's module stands for, from its node of the graph."""
    kind = node[0]
    if kind == "function":
        is_text = node[1].get("code", ["text"])[0] == "text"
        return Travels("source" if is_text else "compiled", name, "a function")
    if kind == "class":
        return Travels("source", name, "a class")
    if kind == "value":
        return Travels("value", name, "a value", len(str(node[1])))
    if kind == "import":
        return Travels("name", name, ".".join(filter(None, map(str, node[1:3]))))
    return Travels("object", name, f"a {kind}")


def _line(each: Travels) -> str:
    size = f", {each.size:,} bytes" if each.size else ""
    where = f"  ({each.where})" if each.where else ""
    return f"{each.name}: {each.what}{size}{where}"
