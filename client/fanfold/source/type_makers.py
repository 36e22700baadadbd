"""What makes variables and names of types again, as the statement or the call in the user's module has made them.

The name of the module that made it is part of such a thing, and it goes by whose globals the call is executed in. What
`type Json = dict[str, Json]` or `class Node[T: Node]` says of itself comes in a cell, which is filled later: Python,
too, looks at it when it is asked for. A worker imports this where it needs it, so nothing costly may be imported here.
"""

from __future__ import annotations

from types import CellType, CodeType, FunctionType
from typing import Any


def called_in(module: str, maker: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """What a call gives that is executed in a module of that name."""
    names = {"__name__": module, "maker": maker, "args": args, "given": given}
    return eval("maker(*args, **given)", names)  # noqa: S307 - our own text


def type_alias(module: str, name: str, parameters: tuple[Any, ...], value: CellType) -> Any:
    """What `type NAME[PARAMETERS] = VALUE` makes in a module of that name.

    The statement would make parameters of its own, in the place of those that the value has: its code is given them.
    """
    _only_a_name(name)
    made: dict[str, Any] = {"__name__": module, "said": said, "value": value}
    exec(f"def make():\n type {name} = said(value)\n return {name}", made)  # noqa: S102 - our own text
    code: CodeType = made["make"].__code__
    constants = tuple([(parameters or None) if const is None else const for const in code.co_consts])
    return FunctionType(code.replace(co_consts=constants), made)()


def type_variable(mark: str, name: str, bound: CellType | None, is_choice: bool, default: CellType | None) -> Any:
    """The type variable of `def f[NAME: BOUND = DEFAULT]`; `mark` is what stands before it, `*` or `**`.

    Where it `is_choice`, the bound is the tuple of the types that it may be.
    """
    _only_a_name(name)
    text = f"{mark}{name}"
    if bound is not None:
        text += ": (*said(bound),)" if is_choice else ": said(bound)"
    if default is not None:
        text += " = said(default)"
    made: dict[str, Any] = {"said": said, "bound": bound, "default": default}
    exec(f"def f[{text}](): ...", made)  # noqa: S102 - our own text
    return made["f"].__type_params__[0]


def called_variable(known_as: str, module: str, maker: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """The type variable of a call, for a pickle: the one that this process knows by that id, or a new one."""
    from cloudpickle import cloudpickle

    known = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(known_as)
    if known is not None:
        return known
    return cloudpickle._lookup_class_or_track(known_as, called_in(module, maker, args, given))


def empty_alias(module: str, name: str, parameters: tuple[Any, ...]) -> Any:
    """The same, for a pickle, which fills what it has made."""
    cell = CellType()
    made = type_alias(module, name, parameters, cell)
    _unfilled[id(made)] = made, (cell, None)
    return made


def empty_variable(known_as: str, mark: str, name: str, has_bound: bool, is_choice: bool, has_default: bool) -> Any:
    """The same for a type variable: the one that this process knows by that id, or a new one."""
    from cloudpickle import cloudpickle

    known = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(known_as)
    if known is not None:
        return known
    cells = CellType() if has_bound else None, CellType() if has_default else None
    made = type_variable(mark, name, cells[0], is_choice, cells[1])
    _unfilled[id(made)] = made, cells
    return cloudpickle._lookup_class_or_track(known_as, made)


#: What a pickle has made and not filled yet, by id, with the cells of what it says.
_unfilled: dict[int, tuple[Any, tuple[CellType | None, CellType | None]]] = {}


def fill(made: Any, says: tuple[Any, Any]) -> None:
    """Give one that was made empty what it says; one that was here before has that."""
    _, cells = _unfilled.pop(id(made), (None, (None, None)))
    for cell, value in zip(cells, says, strict=True):
        if cell is not None:
            cell.cell_contents = value


class Unsaid:
    """In the place of a type that cannot be told: it names what is not there, as under `TYPE_CHECKING`."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def said(cell: CellType) -> Any:
    """The type in a cell. Raises what Python raised where the type was asked for."""
    found = cell.cell_contents
    if type(found) is Unsaid:
        raise found.error.with_traceback(None)
    return found


def _only_a_name(name: str) -> None:
    from keyword import iskeyword

    if not name.isidentifier() or iskeyword(name):
        raise SyntaxError(f"{name!r} is no name of a type")
