"""A UDF's parameters as fields of a form, and what is written there as arguments."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.core.shown import short
from fanfold.errors import InputError
from fanfold.source.texts import tree_of


class Field(NamedTuple):
    """A parameter: the kind of input that suits it, the text it shows at first, and what it may be chosen from."""

    name: str
    kind: str
    default: str
    required: bool
    #: What may be chosen, as (text, value).
    options: tuple[tuple[str, Any], ...] = ()
    annotation: str = ""
    #: A default that only the UDF can compute, or None, as it is written there.
    computed: str = ""
    #: Whether None may be given, which no text can say.
    takes_none: bool = False
    #: Whether what is typed is read as a Python value, because no annotation will make text fit.
    literal: bool = False
    #: The numbers' kinds of a union with text (`int | str`): what reads as one of these is it, what stands in quotes is
    #: the text.
    numbers: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The parameter's name and what is known of it."""
        stars = {"mapping": "**", "rest": "*"}.get(self.kind, "")
        annotation = f": {self.annotation}" if self.annotation else ""
        return f"{stars}{self.name}{annotation}{' (required)' if self.required else ''}"

    def value(self, text: str) -> Any:
        """The argument that a text in this field stands for. Raises `InputError`."""
        if self.kind == "choice":
            return next((value for label, value in self.options if label == text), text)
        if self.numbers:
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                found = ast.literal_eval(_PYTHONS.get(text, text))
                return found if type(found).__name__ in (*self.numbers, "str") else text
        elif self.literal:
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                return ast.literal_eval(_PYTHONS.get(text, text))
        return text


#: What JSON writes otherwise than Python.
_PYTHONS = {"true": "True", "false": "False", "null": "None"}


def text_of(value: Any) -> str:
    """A value as it is written in a form."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):  # a set, a complex number, infinity: as Python writes it
        return repr(value)


def arguments(fields: tuple[Field, ...], given: Mapping[str, str], nulls: frozenset[str]) -> dict[str, Any]:
    """The arguments that were given in a form; what nobody touched is not among them. Raises `InputError`."""
    chosen: dict[str, Any] = {}
    for one in fields:
        text = given.get(one.name, "")
        if one.name in nulls:
            chosen[one.name] = None
        elif text != "" and one.kind == "mapping":
            chosen.update(_mapping(one.name, text))
        elif text != "" and one.kind == "rest":
            chosen[one.name] = _several(one.name, text)
        elif text != "":
            chosen[one.name] = one.value(text)
    return chosen


_NAMED_VALUES = 'write an object such as {"a": 1}.'


def _mapping(name: str, text: str) -> dict[str, Any]:
    found = _written(text)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InputError(f"**{name} is no object of names and values: {short(text)}.", next_step=_NAMED_VALUES)
    return found


def _several(name: str, text: str) -> list[Any]:
    """The values of an `*args`, which the SDK takes as a list."""
    found = _written(text)
    if not isinstance(found, (list, tuple)):
        raise InputError(f"*{name} is no list: {short(text)}.", next_step='write a list such as [1, "two"].')
    return list(found)


def _written(text: str) -> Any:
    """A value that is written in JSON or as Python writes it; `_NO_DEFAULT` where it is neither."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(text.strip())
    return _NO_DEFAULT


# One parameter as a field of a form, from its annotation and default as they are written.

_KINDS = {"int": "number", "float": "number", "date": "date", "datetime": "datetime-local"}
_ENUMS = ("Enum", "StrEnum", "IntEnum")
_NO_DEFAULT = object()
#: Names that stand for other names are followed so far: one may stand for itself.
_MOST_NAMES = 8


def field_of(arg: ast.arg, default: ast.expr | None, known: Mapping[str, Any]) -> Field:
    """The field for a parameter; `known` is what the module says of its names.

    A default that has to be computed is left out of the form and so to the UDF, and stands there as a hint.
    """
    hint = _evaluated(arg.annotation)
    annotation = "" if hint is None else ast.unparse(hint)
    inner = _bare(hint, known)
    kind, options = _input_for(inner, known)
    text = None if default is None else _value(default, known)
    computed = ast.unparse(default) if default is not None and text is None else ""
    takes_none = _takes_none(hint, default, known)
    shown = _option_text(text, options)
    literal = _is_literal(inner, default, known)
    numbers = _numbers_beside_text(inner)
    if numbers and default is not None and isinstance(_literal(default, known), str):
        shown = quoted_number(shown)
    return Field(arg.arg, kind, shown, default is None, options, annotation, computed, takes_none, literal, numbers)


def _takes_none(hint: ast.expr | None, default: ast.expr | None, known: Mapping[str, Any]) -> bool:
    if hint is None or _last_name(hint) in ("Any", "object"):
        return default is not None and _is_none(default)
    bare = _bare(hint, known)
    return bare is not _plain(hint, known) or any(map(_is_none, _choices_of(bare)))


def _choices_of(hint: ast.expr | None) -> list[ast.expr]:
    """What stands in a `Literal`; nothing where it is none."""
    if not isinstance(hint, ast.Subscript) or _last_name(hint.value) != "Literal":
        return []
    return list(hint.slice.elts) if isinstance(hint.slice, ast.Tuple) else [hint.slice]


def _bare(hint: ast.expr | None, known: Mapping[str, Any]) -> ast.expr | None:
    """An annotation's own kind, whatever it is wrapped in and whether or not None may be given."""
    for _ in range(_MOST_NAMES):
        plain = _plain(hint, known)
        if (hint := _without_none(plain)) is plain:
            break
    return hint


def _plain(hint: ast.expr | None, known: Mapping[str, Any]) -> ast.expr | None:
    """What an annotation stands for: `Annotated[int, ...]` for `int`, and a name of the file's for what it names."""
    for _ in range(_MOST_NAMES):
        if isinstance(hint, ast.Name) and isinstance(known.get(hint.id), (ast.Subscript, ast.BinOp)):
            hint = known[hint.id]
        elif isinstance(hint, ast.Subscript) and _last_name(hint.value) == "Annotated":
            hint = hint.slice.elts[0] if isinstance(hint.slice, ast.Tuple) else hint.slice
    return hint


def _option_text(text: str | None, options: tuple[tuple[str, Any], ...]) -> str:
    """A default as its option is called."""
    return next((label for label, value in options if text in (label, text_of(value))), text or "")


def _is_literal(hint: ast.expr | None, default: ast.expr | None, known: Mapping[str, Any]) -> bool:
    """Whether text has to be read as a Python value: where a default, or a union of numbers, says it is no text."""
    if hint is not None and _last_name(hint) not in ("Any", "object"):
        names = {_last_name(node) for node in ast.walk(hint)}
        is_union = (isinstance(hint, ast.BinOp) and isinstance(hint.op, ast.BitOr)) or "Union" in names
        return is_union and bool(names & {"int", "float", "bool"}) and "str" not in names
    value = _literal(default, known)
    return value is not _NO_DEFAULT and not isinstance(value, (str, bytes))


def _numbers_beside_text(hint: ast.expr | None) -> tuple[str, ...]:
    """The numbers' kinds in a union with `str`; none where it is no such union."""
    names = [] if hint is None else [_last_name(part) for part in _parts_of_union(hint)]
    return tuple(name for name in names if name in ("int", "float", "bool")) if "str" in names else ()


def _parts_of_union(hint: ast.expr) -> list[ast.expr]:
    if isinstance(hint, ast.BinOp) and isinstance(hint.op, ast.BitOr):
        return [*_parts_of_union(hint.left), *_parts_of_union(hint.right)]
    if isinstance(hint, ast.Subscript) and _last_name(hint.value) == "Union" and isinstance(hint.slice, ast.Tuple):
        return list(hint.slice.elts)
    return [hint]


def quoted_number(text: str) -> str:
    """A text as it is written beside numbers: in quotes where it would read as one."""
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        return text if isinstance(ast.literal_eval(text), (str, tuple, list, dict, set)) else repr(text)
    return text


def _literal(node: ast.expr | None, known: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name) and isinstance(known.get(node.id), ast.expr):
        node = known[node.id]
    with suppress(ValueError):
        return _NO_DEFAULT if node is None else ast.literal_eval(node)
    return _NO_DEFAULT


def _evaluated(hint: ast.expr | None) -> ast.expr | None:
    """An annotation that is written as a string is what stands in the string."""
    if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
        with suppress(SyntaxError):
            tree: ast.Expression = tree_of(hint.value, mode="eval")
            return tree.body
    return hint


def _without_none(hint: ast.expr | None) -> ast.expr | None:
    """`int` for `int | None`, `Optional[int]` and `Union[int, None]`."""
    if isinstance(hint, ast.BinOp) and isinstance(hint.op, ast.BitOr):
        if _is_none(hint.right):
            return hint.left
        if _is_none(hint.left):
            return hint.right
        left = _without_none(hint.left)
        return hint if left is hint.left else ast.BinOp(left, hint.op, hint.right)  # type: ignore[arg-type]
    if isinstance(hint, ast.Subscript) and _last_name(hint.value) == "Optional":
        return hint.slice
    if isinstance(hint, ast.Subscript) and _last_name(hint.value) == "Union" and isinstance(hint.slice, ast.Tuple):
        kept = [part for part in hint.slice.elts if not _is_none(part)]
        if len(kept) < len(hint.slice.elts):
            return kept[0] if len(kept) == 1 else ast.Subscript(hint.value, ast.Tuple(kept, ast.Load()), ast.Load())
    return hint


def _input_for(hint: ast.expr | None, known: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, Any], ...]]:
    options = _options(hint, known)
    if options:
        return "choice", options
    return _KINDS.get("" if hint is None else _last_name(hint), "text"), ()


def _options(hint: ast.expr | None, known: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    if parts := _choices_of(hint):
        found = (_literal(part, {}) for part in parts)
        values = [one for one in found if one is not _NO_DEFAULT and one is not None]  # None has a box of its own
        texts = [value if isinstance(value, str) else repr(value) for value in values]
        pairs = zip(texts, values, strict=True)
        return tuple((text if texts.count(text) == 1 else repr(value), value) for text, value in pairs)
    if not isinstance(hint, ast.Name):
        return ()
    if hint.id == "bool":
        return (("true", True), ("false", False))
    return tuple((text_of(value), value) for value in _members(known.get(hint.id)).values())


def _members(node: Any) -> dict[str, Any]:
    """The members of an enum that is defined in the file, each with its value."""
    if not isinstance(node, ast.ClassDef) or not any(_last_name(base) in _ENUMS for base in node.bases):
        return {}
    found: dict[str, Any] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = _member(statement.targets[0].id, statement.value, node, found)
            if not isinstance(value, (str, int, float)):
                return {}  # a choice without it would leave it out
            found[statement.targets[0].id] = value
    return found


def _member(name: str, value: ast.expr, enum: ast.ClassDef, before: Mapping[str, Any]) -> Any:
    """The value of an enum's member; what `auto()` makes of those before it."""
    if not (isinstance(value, ast.Call) and _last_name(value.func) == "auto"):
        return _literal(value, {})
    if any(_last_name(base) == "StrEnum" for base in enum.bases):
        return name.lower()
    return max((one for one in before.values() if isinstance(one, int)), default=0) + 1


def _value(node: ast.expr, known: Mapping[str, Any]) -> str | None:
    """A default as text for the form; None where there is none to be read."""
    if isinstance(node, ast.Name) and isinstance(known.get(node.id), ast.expr):
        node = known[node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        member = _members(known.get(node.value.id)).get(node.attr)
        return None if member is None else text_of(member)
    with suppress(ValueError):
        value = ast.literal_eval(node)
        return None if value is None else text_of(value)
    return _moment(node)


def _moment(node: ast.expr) -> str | None:
    """`date(2013, 1, 31)` as the form writes dates."""
    import datetime as dt

    if isinstance(node, ast.Call) and not node.keywords and _last_name(node.func) in ("date", "datetime"):
        with suppress(ValueError, TypeError, OverflowError):
            parts = [ast.literal_eval(argument) for argument in node.args]
            return str(getattr(dt, _last_name(node.func))(*parts).isoformat())
    return None


def _last_name(node: ast.AST) -> str:
    """`c` for `a.b.c` and for `c`."""
    return getattr(node, "attr", getattr(node, "id", ""))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
