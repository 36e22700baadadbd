"""How classes are made: bare, as a dataclass, or by their statements, compiled and executed, and what these read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from fanfold.source.rebuild import FUTURES, Builder, NotYet, copied, refill


def make_class(builder: Builder, ref: int, parts: dict[str, Any]) -> type:
    """A class that its metaclass or a decorator of a library makes of its statement."""
    space = _begin(builder, ref, parts["space"])
    try:
        given = [builder.get(value) for _, value in parts["given"]]
        local = {name: builder.get(value) for name, value in parts.get("local", {}).items()}
        code = builder.program.statement(parts)
        _read(builder, ref, code, parts, space)
        _fill_for(builder)
    finally:
        builder.doing.discard(ref)
    if ref not in builder.made:
        builder.made[ref] = made = executed(code, parts, space, given, local)
        made.__qualname__ = parts["qualname"]
        for name, value in parts.get("members", ()):
            builder.later(lambda v, name=name: setattr(made, name, v), value)  # type: ignore[misc]
    found: type = builder.made[ref]
    return found


def make_models(builder: Builder, ref: int, parts: dict[str, Any]) -> bool:
    """What SQLAlchemy has mapped, and its tables: their statements, executed in their order.

    Raises `CaptureError` where the tables are not what they are where the job was submitted.
    """
    space = _begin(builder, ref, parts["space"])
    try:
        given = [None if each is None else builder.get(each) for _, each in parts["entries"]]
        codes = [
            builder.program.setup_code(where, is_applied=each is not None, postponed=is_postponed)
            for each, (where, is_postponed) in zip(given, _places(parts), strict=True)
        ]
        for code, (where, _) in zip(codes, _places(parts), strict=True):
            # What needs these classes itself was not there when the statements were executed.
            _read(builder, ref, code, {**parts, "source": where[0], "line": where[1]}, space, may_wait=False)
        _fill_for(builder)
    finally:
        builder.doing.discard(ref)
    if ref not in builder.made:
        builder.made[ref] = True
        before = [(each, copied(each)) for each in builder.made.values() if type(each) in (list, dict, set)]
        for code, applied_to in zip(codes, given, strict=True):
            execute_again(code, space, applied_to)
        refill([(value, kept) for value, kept in before if value != kept])  # as it is now: it was done here already
        from fanfold.source.libraries.mapped_tables import check_tables

        check_tables(parts, space)
        for name, attribute, value in parts["members"]:
            builder.later(lambda v, at=(name, attribute): setattr(space[at[0]], at[1], v), value)  # type: ignore[misc]
    return True


def execute_again(code: CodeType, names: dict[str, Any], applied_to: Any) -> None:
    """Execute a statement of the top of a file, or have its decorator register what it stands above."""
    if applied_to is None:
        exec(code, names)  # noqa: S102 - the user's own statement
    else:
        eval(code, names)(applied_to)  # noqa: S307 - the same


def set_up(builder: Builder, graph: dict[str, Any]) -> None:
    """Have modules hold what they hold where the job was submitted, and do again what the top of the file set up."""
    for module, name, args, keywords, text in graph.get("effects", ()):
        _take_effect(builder, module, name, (args, keywords), text)
    for change in graph.get("after", ()):
        _change(builder, *change)
    for where, space, given in graph.get("setup", ()):
        code = builder.program.setup_code(where, is_applied=given is not None)
        execute_again(code, builder.space(space), builder.build([None] if given is None else given))
    if "settings" in graph or "filled" in graph:
        from fanfold.source.set_here import set_as_there

        set_as_there(builder, graph)


def _take_effect(builder: Builder, module: str, name: str, given: tuple[Any, Any], text: str) -> None:
    """Make a call again that changes other code; where its package is not installed, say so to errors."""
    program = builder.program
    try:
        function = program.imported(module, name)
    except (ModuleNotFoundError, AttributeError):
        program.bundle = program.bundle._replace(left_statements=(text, *program.bundle.left_statements))
        return
    function(*builder.build(given[0]), **builder.build(given[1]))


def _change(builder: Builder, module: str, name: str, ref: Any) -> None:
    """Have a module hold under a dotted name what it holds where the job was submitted; nothing where `ref` is None."""
    if not name:
        sys.modules[module] = None if ref is None else builder.build(ref)  # type: ignore[assignment]
        return
    where, _, last = name.rpartition(".")
    owner = builder.program.imported(module, where)
    if ref is not None:
        setattr(owner, last, builder.build(ref))
    elif last in vars(owner):
        delattr(owner, last)


def _places(parts: dict[str, Any]) -> Iterator[tuple[list[int], bool]]:
    """Where each statement is, and whether its text leaves annotations unevaluated."""
    yield from ((where, where[0] in parts["postponed"]) for where, _ in parts["entries"])


def _begin(builder: Builder, ref: int, number: int) -> dict[str, Any]:
    """The names that a statement is executed in. Raises `NotYet` where another one is about to be."""
    if builder.on_the_way or ref in builder.doing:  # one at a time: what this one needs may be what is being made
        raise NotYet
    builder.doing.add(ref)
    try:
        return builder.names_of(number)
    except BaseException:
        builder.doing.discard(ref)
        raise


def _read(
    builder: Builder, ref: int, code: CodeType, parts: dict[str, Any], space: dict[str, Any], *, may_wait: bool = True
) -> None:
    """Make what a statement reads. Raises `NotYet` where that is being made, and the statement needs it."""
    for name, each, is_direct in read_first(code, parts, builder.nodes, builder.spaces, space):
        node = builder.nodes[each]
        if node[0] == "held" and node[1] == ref:
            continue  # one of these statements binds it
        needed = is_direct and each != ref and may_wait
        if each in builder.doing:
            if needed:
                raise NotYet
            continue
        try:
            space[name] = builder.get(each)
        except NotYet:
            if needed:
                raise


def _fill_for(builder: Builder) -> None:
    """Fill what a statement reads, and execute no other meanwhile."""
    builder.on_the_way += 1
    try:
        builder.fill()
    finally:
        builder.on_the_way -= 1


def executed(code: CodeType, parts: dict[str, Any], space: dict[str, Any], given: list[Any], local: Any) -> Any:
    """The class that a statement makes. Its names are the module's; those of functions around it are its maker's."""
    found: dict[str, Any] = {}
    space[_GIVEN] = given
    try:
        exec(code, space, found)  # noqa: S102 - the user's own class
        return found[parts["name"]] if not local else found[_MAKER](**local)[parts["name"]]
    finally:
        space.pop(_GIVEN, None)


#: Names that no source has: of the values given to a class's statement, and of the function that executes it.
_GIVEN, _MAKER = "·given", "·make"


def statement_code(text: str, path: str, parts: dict[str, Any]) -> CodeType:
    """The code that makes a class of its statement, with what is given in the place of some expressions."""
    import ast

    tree = _tree(text, path)
    lines = (parts["name"], parts["line"])
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and (n.name, n.lineno) == lines)
    node.decorator_list = [each for n, each in enumerate(node.decorator_list) if n not in parts["without"]]
    spots = {tuple(spot): number for number, (spot, _) in enumerate(parts["given"])}

    class Give(ast.NodeTransformer):
        def generic_visit(self, n: ast.AST) -> ast.AST:
            spot = tuple(getattr(n, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
            if isinstance(n, ast.expr) and spot in spots:
                name = ast.Name(_GIVEN, ast.Load())
                taken = ast.Subscript(name, ast.Constant(spots[spot]), ast.Load())
                return ast.fix_missing_locations(ast.copy_location(taken, n))
            return super().generic_visit(n)

    made = Give().visit(node)
    flags = FUTURES if parts.get("postponed") else 0
    if not parts.get("local"):
        return _compiled(ast.Module([made], []), path, flags)
    arguments = ast.parse(f"def f({', '.join(parts.get('local', {}))}): return locals()").body[0]
    arguments.name, arguments.body = _MAKER, [made, *arguments.body]  # type: ignore[attr-defined]
    module = ast.fix_missing_locations(ast.Module([arguments], []))
    return _compiled(module, path, flags)


#: What a code has that is executed when it is called, and not where it stands: a function's.
_OPTIMIZED = 0x1
#: Functions whose code is executed where they stand, or asked for by what makes a class.
_EXECUTED_THERE = re.compile(r"<(lambda|genexpr|listcomp|setcomp|dictcomp|generic parameters of .*)>|__annotate\w*__")


def read_first(
    code: CodeType, parts: dict[str, Any], nodes: list[Any], spaces: list[Any], space: dict[str, Any]
) -> Iterator[tuple[str, int, bool]]:
    """The names that a statement reads as it is executed, with their nodes, and whether it reads them itself.

    Of what stands in a text alone, the classes whose statements are above it, and where annotations are evaluated when
    they are asked for, those of them that are no statements of the same text below it.
    """
    known = {**spaces[parts["space"]].get("names", {}), **spaces[parts["space"]].get("globals", {})}
    for name, how in _names_read(code, known, space):
        if type(known[name]) is not int:
            continue
        node = nodes[known[name]]
        is_lazy = how == "annotated" and node[0] == "statement"
        if (how != "said" and not is_lazy) or _stands_above(node, parts):
            yield name, known[name], how != "called"
        elif is_lazy and node[1]["source"] != parts["source"]:
            yield name, known[name], False


def _stands_above(node: list[Any], parts: dict[str, Any]) -> bool:
    if node[0] != "statement":
        return False
    return bool(node[1]["source"] == parts["source"] and node[1]["line"] < parts["line"])


def _names_read(code: CodeType, known: Mapping[str, Any], space: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names with how they are read: by the statement itself, in annotations since 3.14, by what it calls, in texts."""
    seen: set[str] = set()
    said: set[str] = set()
    pending = [(each, "annotated" if "__annotate" in each.co_name else "itself") for each in _executed_at_once(code)]
    pending.sort(key=lambda each: each[1], reverse=True)  # what the statement reads itself must be there
    while pending:
        at, how = pending.pop(0)
        if how == "itself":
            said.update(word for each in at.co_consts if isinstance(each, str) for word in re.findall(r"\w+", each))
        for name in at.co_names:
            if name in known and name not in seen:
                seen.add(name)
                yield name, how
                if isinstance(function := space.get(name), FunctionType):
                    pending.extend((each, "called") for each in _all(function.__code__))
    yield from ((name, "said") for name in sorted(said - seen) if name in known)


def _executed_at_once(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and (
            inner.co_name == _MAKER or not inner.co_flags & _OPTIMIZED or _EXECUTED_THERE.match(inner.co_name)
        ):
            yield from _executed_at_once(inner)


def _all(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _all(inner)


def setup_code(text: str, path: str, where: list[int], *, is_applied: bool, flags: int = 0) -> CodeType:
    """The code of the statement that begins there, or of what `is_applied` there: a decorator, or what a call calls."""
    _, line, column = where
    import ast

    tree = _tree(text, path)
    inner = [each for each in ast.walk(tree) if isinstance(each, ast.stmt)]
    every = [*tree.body, *inner, *(d for n in inner for d in getattr(n, "decorator_list", ()))]
    node: Any = next(n for n in every if (n.lineno, n.col_offset) == (line, column))
    if is_applied and isinstance(node, ast.Expr):
        node = node.value.func  # type: ignore[attr-defined]
    if is_applied and isinstance(node, ast.Assign):
        node = setter_of(node.targets[0])
    is_decorator = isinstance(node, ast.expr)
    whole = ast.Expression(node) if is_decorator else ast.Module([node], [])
    return _compiled(whole, path, flags, "eval" if is_decorator else "exec")


def setter_of(target: Any) -> Any:
    """What sets an attribute or an item that a statement assigns to: a function of the value, as an expression."""
    import ast

    given = ast.arguments(posonlyargs=[], args=[ast.arg("value")], kwonlyargs=[], kw_defaults=[], defaults=[])
    value = ast.Name("value", ast.Load())
    if isinstance(target, ast.Attribute):
        called: Any = ast.Name("setattr", ast.Load())
        args = [target.value, ast.Constant(target.attr), value]
    else:
        called, args = ast.Attribute(target.value, "__setitem__", ast.Load()), [target.slice, value]
    made = ast.Lambda(given, ast.Call(called, args, []))
    return ast.fix_missing_locations(ast.copy_location(made, target))


def _tree(text: str, path: str) -> Any:
    """The tree of a text. Raises `CaptureError` where this Python cannot read it."""
    from fanfold.source.needs import unreadable
    from fanfold.source.texts import tree_of

    try:
        return tree_of(text, path)
    except SyntaxError as error:
        raise unreadable(path, error) from error


def _compiled(tree: Any, path: str, flags: int, mode: str = "exec") -> CodeType:
    """The code of a tree. Raises `CaptureError` where this Python cannot read it."""
    from fanfold.source.needs import unreadable
    from fanfold.source.texts import compiled

    try:
        return compiled(tree, path, flags, mode)
    except SyntaxError as error:
        raise unreadable(path, error) from error


def write_dataclass(made: type, parts: dict[str, Any], given: dict[str, Any], annotations: dict[str, Any]) -> None:
    """Have `dataclass` write the methods of a class that has been made member by member."""
    import dataclasses
    import typing

    missing = object()
    now = {name: vars(made).get(name, missing) for name in given}
    unknown = () if sys.version_info >= (3, 14) else ("doc",)
    for name, settings in given.items():
        setattr(made, name, dataclasses.field(**{n: value for n, value in settings.items() if n not in unknown}))
    # An annotation may be text, of names that the worker does not have: what it meant is known.
    marks = {**dict.fromkeys(parts.get("class", ()), typing.ClassVar)}
    marks |= {name: dataclasses.InitVar(annotations[name]) for name in parts.get("init", ())}
    made.__annotations__ = {n: marks.get(n, a) for n, a in annotations.items() if n in given or n in marks}
    dataclasses.dataclass(made, **parts["options"])
    made.__annotations__ = annotations
    for name, value in now.items():
        if value is not missing:
            setattr(made, name, value)
        elif name in vars(made):
            delattr(made, name)


def bare_class(metaclass: type, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> type:
    """A class without members. What its bases do with each new class (`__init_subclass__`) has been done already."""
    silenced = [(base, c) for base in bases for c in base.__mro__ if _is_made(c) and "__init_subclass__" in vars(c)]
    kept = [(c, vars(c)["__init_subclass__"]) for _, c in silenced]
    for c, _ in kept:
        type.__setattr__(c, "__init_subclass__", classmethod(_do_nothing))
    try:
        # Of a metaclass of the user's only what Python itself does, for the rest has been done.
        maker = next(m for m in metaclass.__mro__ if m.__module__ in ("abc", "typing", "builtins"))
        made: type = maker.__new__(metaclass, name, bases, space)
    finally:
        for c, hook in kept:
            type.__setattr__(c, "__init_subclass__", hook)
    return made


def _do_nothing(_cls: type, /, **_: Any) -> None:
    """In the place of a hook that has done its work already."""


def _is_made(one: type) -> bool:
    """Whether a class was made from a bundle, not imported."""
    loader = getattr(sys.modules.get(one.__module__), "__loader__", None)
    return type(loader).__module__ == "fanfold.source.load"
