"""Classes as the objects that are there: member by member, or by the statement that a library makes them of."""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property, lru_cache
from types import FunctionType
from typing import TYPE_CHECKING, Any

from fanfold.codec.classes import is_code
from fanfold.source import pickled, refusals
from fanfold.source.functions import Located, by_name, locate, take_globals
from fanfold.source.functions import space_of as _space
from fanfold.source.local_names import local_names, untold_names
from fanfold.source.modules import has_name, held_by, imports_in, is_library, is_replaced, module_name, unwrapped
from fanfold.source.rebound import function_of
from fanfold.source.texts import Source, UseSite, bound_names, clean, dotted, names_in, parse, read, tree_hash, tree_of

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

# Classes that make fields of what their body says: dataclasses, pydantic's, attrs', named tuples, and Enums.

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


#: What Python keeps in a class for itself, and msgspec to find it faster.
PYTHONS_OWN = frozenset(
    {
        "__dict__", "__weakref__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__",
        "__slotnames__", "_abc_impl", "__abstractmethods__", "__annotate__", "__annotate_func__", "__slots__",
        "__annotations_cache__", "__orig_bases__", "__classcell__", "__annotations__", "__msgspec_cache__",
    }
)  # fmt: skip
_DATACLASS = frozenset(
    {
        "__init__", "__repr__", "__eq__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__", "__setattr__",
        "__delattr__", "__match_args__", "__replace__", "__dataclass_fields__", "__dataclass_params__",
    }
)  # fmt: skip
#: Of a class in C, which nothing can be set on.
_IMMUTABLE = 1 << 8
#: Whose hooks for new classes do nothing that a class's members do not say.
_HARMLESS_HOOKS = ("typing", "builtins")


def describe(graph: Graph, made: type) -> Any:
    """The node of a class."""
    module, name = made.__module__, made.__qualname__
    if (node := _made_by_library(graph, made)) is not None:
        return node
    if type(module) is not str or is_library(module):
        return _of_library(graph, made)
    namespace = vars(sys.modules[module]) if module in sys.modules else {}
    if module != "__main__" and namespace and namespace is not graph.home and has_name(made, module, name):
        return by_name(graph, module, name)
    graph.note_lane("source", name, "a class", 0, module)
    if "_fields" in vars(made) and "_make" in vars(made) and issubclass(made, tuple):
        return _named_tuple(graph, made)
    if is_enum(made) or not _is_plain(made):
        return _not_plain(graph, made, namespace)
    return _by_members(graph, made)


def _made_by_library(graph: Graph, made: type) -> Any:
    """The node of what SQLAlchemy has mapped, or pydantic has made of a generic model; None for all else."""
    node = None
    if "sqlalchemy" in sys.modules:
        from fanfold.source.libraries import mapped

        node = mapped.describe(graph, made)
    if node is None and "__pydantic_generic_metadata__" in vars(made):
        from fanfold.source.libraries import generic_models

        node = generic_models.describe(graph, made)
    if node is None and type(made).__module__ == "_ctypes":
        from fanfold.source.libraries.types_of_c import made_of

        if (parts := made_of(made)) is not None:
            node = _call(graph, parts[0], *parts[1])
    return node


def _call(graph: Graph, maker: Any, *args: Any) -> list[Any]:
    from fanfold.source.instances import call  # which imports this

    return call(graph, maker, *args)


def _not_plain(graph: Graph, made: type, namespace: dict[str, Any]) -> Any:
    """The node of a class that a metaclass or a decorator of a library has had a hand in.

    Where its statement reads variables of a function that has returned, it is made of what it is now.
    """
    found = _statement(made, namespace)
    if found is not None and (node := _by_statement(graph, made, namespace, found)) is not None:
        return node
    if is_enum(made) or type(made).__name__ == "_TypedDictMeta":
        from fanfold.source.called_classes import describe_called

        return describe_called(graph, made)
    if "__dataclass_fields__" in vars(made) or type(made) is type:
        return _by_members(graph, made)
    if type(made).__module__.partition(".")[0] == "msgspec":  # cloudpickle would make it anew without its fields
        raise refusals.struct_of_gone_names(made)
    return pickled.describe(graph, made, "a class of which Python has not kept the statement")


def meaning(node: Any) -> Any:
    """What a class's node means for the code hash, whatever its module and lines, and the Python that compiled it."""
    kind, parts = node[0], node[1]
    if kind == "statement":
        given = [value for _, value in parts["given"]]
        return [kind, parts["meaning"], given, parts.get("local"), _clean_members(parts["members"])]
    if kind == "class":
        left_out = ("module", "qualname", "compiled")
        known = {name: value for name, value in parts.items() if name not in left_out}
        return [kind, {**known, "members": _clean_members(parts["members"])}]
    return node


def _clean_members(members: list[Any]) -> list[Any]:
    return [[n, [clean(v[0])] if n == "__doc__" and type(v) is list and v[0] else v] for n, v in members]


def _of_library(graph: Graph, made: type) -> Any:
    module, name = made.__module__, made.__qualname__
    if type(module) is not str:  # of sympy's functions
        return pickled.describe(graph, made, "a class without a module")
    if not has_name(made, module, name):
        for where in (module, "types", "builtins", f"_{module}", *_holders(made)):  # `_datetime.date` is in C
            if held := held_by(made, where):
                return by_name(graph, where, held)
        if made.__flags__ & _IMMUTABLE:
            raise graph.refuse(made, f"a class in C that `{module}.{name}` no longer stands for")
        if not _is_plain(made):
            return pickled.describe(graph, made)
        return _by_members(graph, made)
    for attribute, value in [] if module == "builtins" else list(vars(made).items()):
        if _is_put_there(value, module):
            graph.after.append((module, f"{name}.{attribute}", graph.ref(value, f".{attribute}")))
    return by_name(graph, module, name)


def _holders(made: type) -> list[str]:
    """The modules that hold a class in C of which nobody has said where it is, a package before its parts."""
    if made.__module__ != "builtins":
        return []
    held = [n for n, m in list(sys.modules.items()) if getattr(m, "__dict__", {}).get(made.__name__) is made]
    return sorted(held, key=lambda name: (name.count("."), name))


def _is_put_there(value: Any, module: str) -> bool:
    """Whether a member of a library's class is somebody else's."""
    function = getattr(value, "__func__", value.fget if type(value) is property else value)
    if type(value).__module__ == "unittest.mock":
        return True
    if not (isinstance(function, FunctionType) and is_replaced(function)):
        return False
    if module.startswith("sqlalchemy.") and function.__name__.startswith(
        "_generated_"
    ):  # which it writes when it needs it
        return False
    return function.__module__ != module and not is_library(str(function.__module__))


def _is_plain(made: type) -> bool:
    """Whether nothing but the class's members makes it what it is."""
    if type(made).__module__ not in ("builtins", "abc") and is_library(type(made).__module__):
        return False
    members = vars(made)
    if "__attrs_attrs__" in members or "__pydantic_fields__" in members:
        return False
    if "__dataclass_fields__" in members and "__slots__" in members:
        return False
    above = [base for base in made.__mro__[1:] if is_library(base.__module__)]
    return not any("__init_subclass__" in vars(b) and b.__module__ not in _HARMLESS_HOOKS for b in above)


# Member by member


def _by_members(graph: Graph, made: type) -> Any:
    bases = getattr(made, "__bases__", ())
    parts: dict[str, Any] = {
        "name": made.__name__,
        "qualname": made.__qualname__,
        "module": made.__module__,
        "metaclass": graph.ref(type(made)),
        "bases": [graph.ref(base, f" (base {base.__name__})") for base in bases],
    }
    first = {}
    if compiled := {n: vars(made)[n] for n in ("__firstlineno__", "__static_attributes__") if n in vars(made)}:
        parts["compiled"] = {n: v if type(v) is int else sorted(v) for n, v in compiled.items()}
    if "__slots__" in vars(made):
        slots = vars(made)["__slots__"]
        kept = slots if type(slots) in (str, list, dict) else tuple(slots)
        first["__slots__"] = graph.ref(kept, ".__slots__")
    if "__orig_bases__" in vars(made):
        first["__orig_bases__"] = graph.ref(vars(made)["__orig_bases__"])
    if first:
        parts["first"] = first
    is_dataclass = "__dataclass_fields__" in vars(made)
    parts["members"] = [
        [name, graph.ref(value, f".{name}")]
        for name, value in list(vars(made).items())
        if name not in PYTHONS_OWN and not _is_slot(value) and not (is_dataclass and _is_generated(name, value))
    ]
    if annotations := annotations_of(made):
        parts["members"].insert(0, ["__annotations__", graph.ref(annotations)])
        _take_annotated(graph, made, annotations)
    if is_dataclass:
        parts["dataclass"] = _dataclass(graph, made)
    abstract = vars(made).get("__abstractmethods__")
    if abstract or (abstract is not None and any(getattr(base, "__abstractmethods__", ()) for base in bases)):
        parts["abstract"] = sorted(abstract)
    if registered := _registered(made):
        parts["registered"] = [graph.ref(each) for each in registered]
    note_home(graph, made)
    return ["class", parts]


def _take_annotated(graph: Graph, made: type, annotations: dict[str, Any]) -> None:
    """Have what annotations that are text name travel, where it can: `typing.get_type_hints` asks for it."""
    module = sys.modules.get(made.__module__)
    if module is None or not (texts := [each for each in annotations.values() if type(each) is str]):
        return
    number = _space(graph, vars(module))
    names = {name for text in texts for name in names_in(_parsed(text)) if name in vars(module)}
    if "of" not in graph.spaces[number]:
        usage = UseSite(made.__module__, ast.Pass(lineno=1), made.__qualname__)
        travelling = frozenset(name for name in names if graph.can_travel(vars(module)[name]))
        take_globals(graph, number, vars(module), travelling, usage)


def _parsed(text: str) -> list[ast.AST]:
    try:
        return [tree_of(text.strip(), mode="eval")]
    except SyntaxError:
        return []


def note_home(graph: Graph, made: type) -> None:
    """Have the class under its name in its module, where pickle looks for it."""
    module = sys.modules.get(made.__module__)
    if module is not None and vars(module).get(made.__qualname__) is made:
        number = _space(graph, vars(module))
        if "of" not in graph.spaces[number]:
            graph.spaces[number]["names"].setdefault(made.__qualname__, graph.ref(made))


def annotations_of(made: type) -> dict[str, Any]:
    """The annotations of a class's own."""
    try:
        found = vars(made).get("__annotations__") if sys.version_info < (3, 14) else made.__annotations__
    except Exception:  # noqa: BLE001 - evaluated now, and may name what is not there
        from fanfold.source.unevaluated import annotations_as_far

        found = annotations_as_far(made)
    return dict(found) if isinstance(found, dict) else {}


def _registered(made: type) -> list[type]:
    """What `Base.register(...)` has been told."""
    if "_abc_impl" not in vars(made):
        return []
    import _abc  # type: ignore[import-not-found]

    found = [each() for each in _abc._get_dump(made)[0]]
    return sorted((each for each in found if each is not None), key=lambda c: c.__qualname__)


def _is_generated(name: str, value: Any) -> bool:
    """Whether `dataclass` has made a member, and will again."""
    if name not in _DATACLASS:
        return False
    function = unwrapped(value)
    if isinstance(function, FunctionType):
        path = function.__code__.co_filename
        return path == "<string>" or path == getattr(sys.modules["dataclasses"], "__file__", "")
    return name in ("__hash__", "__match_args__", "__dataclass_fields__", "__dataclass_params__")


def _dataclass(graph: Graph, made: type) -> dict[str, Any]:
    """What `dataclass` was told, and its fields."""
    params = vars(made)["__dataclass_params__"]
    known = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
    own = annotations_of(made)
    kinds: dict[str, dict[str, Any]] = {"_FIELD": {}, "_FIELD_INITVAR": {}, "_FIELD_CLASSVAR": {}}
    for name, field in vars(made)["__dataclass_fields__"].items():
        if name in own:
            kinds[field._field_type.name][name] = field
    fields = {**kinds["_FIELD"], **kinds["_FIELD_INITVAR"]}
    options = {name: getattr(params, name) for name in known}
    options["match_args"] = "__match_args__" in vars(made)
    parts: dict[str, Any] = {
        "options": options,
        "fields": {name: _field(graph, name, fields[name]) for name in own if name in fields},
    }
    for key, kind in (("init", "_FIELD_INITVAR"), ("class", "_FIELD_CLASSVAR")):
        if kinds[kind]:
            parts[key] = sorted(kinds[kind])
    return parts


def _field(graph: Graph, name: str, field: Any) -> dict[str, Any]:
    parts = {n: graph.ref(getattr(field, n)) for n in ("init", "repr", "hash", "compare", "kw_only")}
    for n in ("default", "default_factory"):
        # By its class: of a class that loky has sent back, the mark is a copy.
        if _default(getattr(field, n)) is not MISSING:
            parts[n] = graph.ref(getattr(field, n), f".{name}")
    if field.metadata:
        parts["metadata"] = graph.ref(dict(field.metadata), f".{name}.metadata")
    if doc := getattr(field, "doc", None):  # from 3.14 on
        parts["doc"] = graph.ref(doc)
    return parts


def _named_tuple(graph: Graph, made: Any) -> Any:
    import collections

    defaults = [made._field_defaults[name] for name in made._fields if name in made._field_defaults]
    parts: dict[str, Any] = {
        "of": graph.ref(collections.namedtuple),
        "args": [[made.__name__], graph.ref(made._fields)],
    }
    parts["kwargs"] = {"defaults": graph.ref(defaults), "module": [made.__module__]}
    if any(name.startswith("_") for name in made._fields):
        parts["kwargs"]["rename"] = [True]
    given = {"__new__", "_make", "_replace", "__repr__", "_asdict", "__getnewargs__", "_fields", "_field_defaults",
             "__match_args__", "__replace__", "__slots__", *made._fields}  # fmt: skip
    own = {k: v for k, v in list(vars(made).items()) if k not in given and k not in PYTHONS_OWN}
    if annotations := annotations_of(made):
        own["__annotations__"] = annotations
    own["__qualname__"] = made.__qualname__
    parts["attributes"] = [[name, graph.ref(value, f".{name}")] for name, value in own.items()]
    note_home(graph, made)
    return ["call", parts]


# By its statement


def _by_statement(graph: Graph, made: type, namespace: dict[str, Any], found: tuple[Source, ast.ClassDef]) -> Any:
    source, node = found
    package = str(namespace.get("__package__") or "")
    local = local_names(made, node, source, package)
    given = [(expression, value) for expression, value in _given(made, node) if expression is not None]
    without = [n for n, each in enumerate(node.decorator_list) if not _is_library_expression(each, namespace, local)]
    left_out = [*(node.decorator_list[n] for n in without), *(expression for expression, _ in given)]
    if untold_names(node, source, local, left_out):
        return None
    usage = UseSite(source.path, node, made.__name__)
    number = graph.keep_node(source, node)
    graph.kept.belongs_to(source, made.__module__)
    space = _space(graph, namespace)
    parts: dict[str, Any] = {
        "source": number, "name": node.name, "line": node.lineno, "qualname": made.__qualname__, "space": space,
        "without": without,
        "given": [[_spot(expression), graph.ref(value)] for expression, value in given],
    }  # fmt: skip
    if source.postpones_annotations:
        parts["postponed"] = True
    if local:
        parts["local"] = {name: graph.ref(value) for name, value in local.items()}
    names = names_of_statement(node, without, [expression for expression, _ in given])
    if "of" not in graph.spaces[space]:
        take_globals(graph, space, namespace, frozenset(n for n in names if namespace.get(n) is not made), usage)
    for imported in imports_in(node, package):
        graph.project.require(imported, source.path)
    parts["members"] = [[name, graph.ref(value, f".{name}")] for name, value in _later(made, node)]
    parts["meaning"] = tree_hash(node, tuple(node.decorator_list[n] for n in without))
    note_home(graph, made)
    return ["statement", parts]


def names_of_statement(node: ast.ClassDef, without: list[int], given: list[ast.expr]) -> set[str]:
    """The names that the statement reads when it is executed, and its methods later."""
    left_out = {id(n) for e in [*(node.decorator_list[n] for n in without), *given] for n in ast.walk(e)}
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in left_out}
    strings = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    for text in strings:
        names |= names_in(_parsed(text)) if text.isprintable() else set()
    return names


def _spot(node: ast.expr) -> list[int | None]:
    return [node.lineno, node.col_offset, node.end_lineno, node.end_col_offset]


def _given(made: type, node: ast.ClassDef) -> Iterator[tuple[ast.expr | None, Any]]:
    """The values that stand in the place of what the body says: fields' defaults and the values of an Enum."""
    bound = [name for statement in node.body for name in bound_names(statement)]
    for statement in node.body:
        target = _assigned(statement)
        expression = getattr(statement, "value", None)
        if target is None or bound.count(target) != 1 or not isinstance(expression, ast.expr):
            continue
        default = declared(made, target)
        if isinstance(expression, ast.Constant) or not names_in([expression]):
            now = vars(made).get(target, MISSING) if default is MISSING else default
            if _was_set_since(expression, now):
                yield expression, now
            continue
        if isinstance(expression, ast.Call) and (not is_enum(made) or is_code(default)):
            continue  # a field with all its settings, of which the default is only one; `enum.member(f)`
        if default is not MISSING:
            yield expression, default
        elif not makes_fields(made) and not is_enum(made) and not _is_slot(vars(made).get(target, default)):
            yield expression, vars(made)[target]  # a struct has a slot: what a field was given, its statement says


def _is_slot(member: Any) -> bool:
    """Whether a class has a field there, or nothing."""
    return member is MISSING or isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType))


#: What a literal may be of.
_LITERAL = (int, float, str, bytes, bool, type(None), list, dict, tuple, set)


def _was_set_since(expression: ast.expr, now: Any) -> bool:
    """Whether what a literal says is no longer what there is: a class variable of a model may be set."""
    if type(now) not in _LITERAL:
        return False
    try:
        said = ast.literal_eval(expression)
        return type(said) is not type(now) or bool(said != now)
    except Exception:  # noqa: BLE001 - an odd literal, or a comparison of the user's own
        return False


def _assigned(node: ast.stmt) -> str | None:
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
        return None
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def _is_library_expression(expression: ast.expr, namespace: dict[str, Any], local: dict[str, Any]) -> bool:
    """Whether a decorator is a library's: what one of the user's has done to the class, the class holds."""
    called = expression.func if isinstance(expression, ast.Call) else expression
    chain: list[str] = []
    while isinstance(called, ast.Attribute):
        chain.insert(0, called.attr)
        called = called.value
    if not isinstance(called, ast.Name):
        return False
    value = local.get(called.id, namespace.get(called.id))
    for attribute in chain:
        value = getattr(value, attribute, None)
    return is_library(str(getattr(value, "__module__", "")))


def _later(made: type, node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    """What is set on the class once its statement has been executed: its functions as they are, and what was added."""
    bound = {name for statement in node.body for name in bound_names(statement)}
    generated = {"__new__", "__init_subclass__", "__set_name__", "__class_getitem__", "__pydantic_init_subclass__"}
    for name, value in list(vars(made).items()):
        if name in PYTHONS_OWN or (name in generated and name in bound):
            continue
        function = function_of(value)
        if function is not None:
            is_ours = not is_library(module_name(function.__globals__), function.__globals__)
            if is_ours and isinstance(locate(function), Located):
                yield name, value
        elif name not in bound and not name.startswith("_") and not _is_made_by_library(made, name, value):
            yield name, value


def _is_made_by_library(made: type, name: str, value: Any) -> bool:
    if _is_slot(value) or isinstance(value, cached_property):
        return True
    if type(value).__module__ in ("_ctypes", "ctypes"):  # what a Structure makes of its fields
        return True
    if is_enum(made) or any(name in vars(base) for base in made.__mro__[1:]):
        return True
    return declared(made, name) is not MISSING or name in annotations_of(made)


def _statement(made: type, namespace: dict[str, Any]) -> tuple[Source, ast.ClassDef] | None:
    """The statement that a class was made by. Raises `CaptureError` where there is no telling which of several."""
    located = [found for function in _functions(made) if isinstance(found := locate(function), Located)]
    for found in located:
        steps = [line for name, line, _ in found.path[:-1] if name == made.__name__]
        for node in _class_nodes(found.source).get(made.__name__, ()):
            if steps and min([d.lineno for d in node.decorator_list], default=node.lineno) == steps[-1]:
                return found.source, node
    fitting = [
        (source, node)
        for source in _sources(made, namespace)
        for node in _class_nodes(source).get(made.__name__, ())
        if _could_make(node, made)
    ]
    if sys.version_info >= (3, 13) and (line := vars(made).get("__firstlineno__")):
        exact = [f for f in fitting if min([d.lineno for d in f[1].decorator_list], default=f[1].lineno) == line]
        fitting = exact or fitting
    if len({tree_hash(node) for _, node in fitting}) > 1:
        fitting = [found for found in fitting if _has_bases(found[1], made)] or fitting
    if len({tree_hash(node) for _, node in fitting}) > 1:
        raise refusals.which_class(made, fitting[-1][0].path, [node.lineno for _, node in fitting])
    return fitting[-1] if fitting else None


def _functions(made: type) -> Iterator[FunctionType]:
    for member in vars(made).values():
        function = function_of(member)
        if function is None or function.__code__.co_filename == "<string>":
            continue
        if not is_library(module_name(function.__globals__), function.__globals__):
            yield function


def _could_make(node: ast.ClassDef, made: type) -> bool:
    """Whether a statement may have made the class: it names what the class has, and nothing that it has not."""
    members = vars(made)
    known = {*members, *annotations_of(made)}
    known |= {
        name for f in ("__dataclass_fields__", "__pydantic_fields__", "_member_map_") for name in members.get(f) or ()
    }
    known |= {field.name for field in members.get("__attrs_attrs__") or ()} | set(members.get("model_fields", ()) or ())
    said = {name for statement in node.body for name in bound_names(statement)}
    annotated = {s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}
    inherits = type(made).__name__ == "_TypedDictMeta" and any(
        (dotted(b) or ("",))[-1] != "TypedDict" for b in node.bases
    )
    if not inherits and not annotated >= set(annotations_of(made)):  # a TypedDict has its bases' as well
        return False
    if is_enum(made) and not set(members["_member_map_"]) <= said:
        return False
    return annotated <= known and {n for n in said if not n.startswith("_")} <= known


def _has_bases(node: ast.ClassDef, made: type) -> bool:
    """Whether a statement names the bases that a class has, as far as a name tells."""
    above = (*made.__mro__[1:-1], *vars(made).get("__orig_bases__", ()))
    known = {getattr(each, "__name__", "") for each in above}
    said = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return bool(said) == bool(known) and all((dotted(each) or ("",))[-1] in known for each in said)


@lru_cache(maxsize=256)
def _class_nodes(source: Source) -> dict[str, list[ast.ClassDef]]:
    found: dict[str, list[ast.ClassDef]] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            found.setdefault(node.name, []).append(node)
    return found


def _sources(made: type, namespace: dict[str, Any]) -> Iterator[Source]:
    """The texts that the class may stand in: its module's file, or what was typed into a notebook or a prompt."""
    from fanfold.source.unkept import file_of, texts_with, typed_texts

    if path := file_of(namespace):
        with suppress(OSError, SyntaxError, UnicodeError):
            yield parse(path, read(path))
        if not hasattr(sys, "ps1"):  # `python -i`
            return
    typed = ((name, text) for name, text in typed_texts() if made.__name__ in text)
    for name, text in (*typed, *texts_with(f"class {made.__name__}")):
        with suppress(SyntaxError):
            yield parse(name, text)
