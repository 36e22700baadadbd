"""Capturing a UDF: the object that is there, with all that it refers to, and nothing else.

Five lanes, tried in this order: source, exact values by a codec, by name what a library has, objects taken apart, and
code as Python has compiled it. What can take none is refused by name, file and line. See `graph` and `rebuild`.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import sys
import types
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from fanfold.codec.values import PutBlob
from fanfold.contract.records import NamedTuple
from fanfold.errors import CaptureError
from fanfold.source import refusals
from fanfold.source.functions import space_of, take_globals, texts_beside
from fanfold.source.graph import Graph, Ref
from fanfold.source.load import Bundle
from fanfold.source.modules import Project, held_by, imports_in, is_library, udf_function, unwrapped
from fanfold.source.texts import (
    Source,
    UseSite,
    bound_name,
    code_hash,
    dotted,
    names_in,
    shown_path,
    tree_hash,
)

if TYPE_CHECKING:
    from fanfold.codec.sealed import Sealing
    from fanfold.source.graph import Graph

# Statements at the top of the UDF's file that set something up in a package that it uses: they are executed
# again.

#: What libraries call their settings.
_SETTERS = (
    r"^(set($|_\w+|[A-Z]\w*|\w+limit|err|errcall|bufsize|defaulttimeout|context|locale|switchinterval|default)"
    r"|stack_size|umask|add_(type|charset|alias|codec)|reset_\w+|register\w*|filterwarnings|listens?_for|listen"
    r"|simplefilter|basicConfig|captureWarnings|dictConfig|enable\w*|disable\w*|configure|use|field_size_limit"
    r"|tzset|add(LevelName|Handler|Filter)|install\w*|init_printing|update)$"
)
#: What functions are called that change other code, or what a process has for itself: see `effects`.
_OF_PROCESSES = (
    r"^(apply|monkey\w*|patch\w*|inject\w*|install\w*|register_\w+|enable_\w+|activate\w*|(\w+_)?seed|chdir|nice|freeze"
    r"|insert|append|extend|set_start_method)$"
)
#: What is told to update settings, where a call is named so.
_SETTINGS = {"config", "rcParams", "options"}
#: As much of a statement as one line has room for.
_LONGEST_TEXT = 100
#: Modules whose settings are the whole process's, used or not.
_ALWAYS = {"warnings", "logging", "os", "sys", "copyreg", "locale", "decimal", "codecs", "time"}
#: What `copyreg` calls its settings, which are names of something else elsewhere.
_COPYREG = {"pickle", "constructor", "add_extension", "remove_extension"}
#: What a file imports where it may have set the whole process up within a function.
_SET_BY_CALLS = _ALWAYS - {"os", "sys"} | {"socket", "csv", "mimetypes", "getcontext", "setlocale", "simplefilter"}
#: What belongs to the process that submits.
_NOT = {"fanfold", "signal", "multiprocessing", "unittest", "pytest", "IPython"}
#: Whose objects are data, which travels as it is by now.
_OF_DATA = {"numpy", "pandas", "polars", "pyarrow", "geopandas", "shapely", "xarray", "scipy"}
#: Statements that hold others.
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try)
_SET_AGAIN = "what it sets has another value by now"
_ENVIRONMENT = ("os.environ[", "environ[")
_CALLS = "it calls something to know the value"
#: What makes a member of a class of a function.
_DESCRIPTORS = frozenset({"property", "classmethod", "staticmethod"})
_HARMLESS = (
    ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.expr_context, ast.keyword,
    ast.Dict, ast.List, ast.Tuple, ast.Set, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context,
)  # fmt: skip


#: What stays behind of a script that came through a pipe.
UNKEPT_SCRIPT = "what the script sets up at its top, of which Python has kept no text"


class Statement(NamedTuple):
    """A statement that travels: its text's number, its line and column, what it is applied to, and its meaning."""

    code: tuple[int, int, int]
    space: int
    given: Any
    meaning: str
    text: str
    where: str


class Left(NamedTuple):
    """A statement of the top of the file that stays behind, and why."""

    path: str
    line: int
    text: str
    why: str


def take(graph: Graph, namespace: dict[str, Any]) -> tuple[list[Statement], list[Left]]:
    """The statements that travel, and those that set something up and stay behind."""
    taken: list[Statement] = []
    left: list[Left] = []
    sources = texts_beside(graph.kept.sources(), namespace)
    if not sources and namespace.get("__name__") == "__main__" and namespace.get("__file__", "<stdin>") == "<stdin>":
        left.append(Left("<stdin>", 1, UNKEPT_SCRIPT, "Python has kept no text of the script"))
    for source in sources:
        for node, reason in setup_statements(graph, source, namespace):
            if not graph.executed.keys().isdisjoint((id(node), *map(id, getattr(node, "decorator_list", ())))):
                continue  # with what SQLAlchemy has mapped
            if not reason:
                try:
                    if not _takes_effect(graph, source, node, namespace):
                        taken.append(_taken(graph, source, node, namespace))
                    continue
                except CaptureError as error:
                    reason = error.message  # noqa: PLW2901
            left.append(
                Left(shown_path(source.path), node.lineno, ast.unparse(node).split("\n")[0][:_LONGEST_TEXT], reason)
            )
    return taken, left


def _takes_effect(graph: Graph, source: Source, node: ast.stmt, namespace: dict[str, Any]) -> bool:
    """Have a call be made again that changes other code, where its package is installed; False for anything else."""
    if not isinstance(node, ast.Expr) or reason_to_stay(graph, node, namespace) is not None:
        return False
    from fanfold.source.drift import evaluated
    from fanfold.source.effects import effect_of

    effect = effect_of(node, namespace)
    if effect is None:
        return False
    text = ast.unparse(node)[:_LONGEST_TEXT]
    with graph.used(UseSite(source.path, node, "the top of the file"), text):
        args = graph.ref([evaluated(each, namespace) for each in effect.args])
        keywords = graph.ref({name: evaluated(each, namespace) for name, each in effect.keywords.items()})
    graph.effects.append([effect.module, effect.name, args, keywords, f"line {node.lineno}: {text}"])
    return True


def line_now(namespace: dict[str, Any]) -> tuple[str, int] | None:
    """The file and line at which a module is being executed; None where it has been executed."""
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is namespace and frame.f_code.co_name == "<module>":
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def setup_statements(graph: Graph, source: Source, namespace: dict[str, Any]) -> Iterator[tuple[ast.stmt, str]]:
    """The statements of a text that have set something up, each with why it stays behind, if it does."""
    now = line_now(namespace)
    for node in source.tree.body:
        if now is not None and now[0] == source.path and node.lineno > now[1]:
            break  # not executed here yet, so not there either
        if isinstance(node, BLOCKS):
            yield from _in_block(graph, source, node, namespace)
            continue
        reason = reason_to_stay(graph, node, namespace)
        if reason is None:
            reason = _of_the_process(node, namespace)
        if reason:
            from fanfold.source.effects import own_of_fanfold

            reason = own_of_fanfold(node, namespace) or reason
        if reason is not None:
            yield node, reason


def _of_the_process(node: ast.stmt, namespace: dict[str, Any]) -> str | None:
    """The same of a call that changes other code (`nest_asyncio.apply()`), and of what a run has for itself."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        chain = dotted(node.value.func) or ("",)
        name = chain[-1] if len(chain) > 1 else str(getattr(namespace.get(chain[0]), "__name__", ""))
        if not re.match(_OF_PROCESSES, name):
            return None
    elif not (isinstance(node, ast.Assign) and namespace.get(_root(node.targets[0]) or "") is sys):
        return None
    from fanfold.source import effects

    effect = effects.effect_of(node, namespace)
    if effect is None:
        return effects.own_of_a_run(node, namespace) or None
    if effects.is_of_the_worker(effect):
        return effects.OF_THE_WORKER
    given = [*effect.args, *effect.keywords.values()]
    return "" if all(is_harmless(each, namespace) for each in given) else _CALLS


def _in_block(
    graph: Graph, source: Source, node: ast.stmt, namespace: dict[str, Any]
) -> Iterator[tuple[ast.stmt, str]]:
    """The same of an `if`, a loop or a `try`: most of them set nothing up."""
    if isinstance(node, ast.If) and "__name__" in names_in([node.test]):
        return  # for the process that submits alone
    inner = (each for each in ast.walk(node) if isinstance(each, ast.stmt) and not isinstance(each, BLOCKS))
    if any(reason_to_stay(graph, each, namespace) is not None for each in inner):
        from fanfold.source.blocks import setup_in_block

        yield from setup_in_block(lambda each: reason_to_stay(graph, each, namespace), source, node, namespace)


def executed_parts(graph: Graph, node: ast.stmt, namespace: dict[str, Any]) -> list[tuple[ast.AST, tuple[Any, ...]]]:
    """What is executed of a statement that travels: itself, or what is applied to a function, a class or an object."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [(each, (namespace[node.name],)) for each in node.decorator_list if _sets(graph, each, namespace)]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and (given := attached(node.value, namespace)):
        return [(node.value.func, given)]
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], (ast.Attribute, ast.Subscript)):
        from fanfold.source.effects import value_since
        from fanfold.source.statements import setter_of

        since = value_since(node, namespace)
        return [(setter_of(node.targets[0]), since)] if since and since[0] is not None else [(node, ())]
    return [(node, ())]


def attached(called: ast.Call, namespace: dict[str, Any]) -> tuple[Any, ...]:
    """The handler or filter that a call has made and given to a logger, of a class of the user's; empty for others."""
    if not isinstance(called.func, ast.Attribute) or called.func.attr not in _ATTACHES or len(called.args) != 1:
        return ()
    if is_harmless(called.args[0], namespace) or not isinstance(called.args[0], ast.Call):
        return ()
    kind, owner = _named(called.args[0].func, namespace), _named(called.func.value, namespace)
    held = getattr(owner, _ATTACHES[called.func.attr], ()) if type(owner).__module__ == "logging" else ()
    found = [each for each in held if type(each) is kind]
    return tuple(found) if len(found) == 1 else ()


#: What a logger keeps under which name.
_ATTACHES = {"addHandler": "handlers", "addFilter": "filters"}


def _named(expression: ast.expr, namespace: dict[str, Any]) -> Any:
    """What a dotted name stands for, or `logging.getLogger(NAME)` gives; None for anything else."""
    if isinstance(expression, ast.Call) and _is_getter(expression, namespace):
        of = _named(expression.func, namespace)
        names = [each.value for each in expression.args if isinstance(each, ast.Constant)]
        return of(*names) if of is _getter_of_loggers() and len(names) == len(expression.args) else None
    chain = dotted(expression)
    value = namespace.get(chain[0]) if chain else None
    for attribute in (chain or ("",))[1:]:
        value = getattr(value, attribute, None)
    return value


def _getter_of_loggers() -> Any:
    return getattr(sys.modules.get("logging"), "getLogger", None)


def _is_getter(called: ast.Call, namespace: dict[str, Any]) -> bool:
    """Whether a call gives what a library has already: `logging.getLogger("x")`, `decimal.getcontext()`."""
    value = _named(called.func, namespace)
    name = getattr(value, "__name__", "")
    is_one = callable(value) and is_library(_module_of(value)) and name.startswith(("get", "current"))
    return is_one and not called.keywords and all(isinstance(each, (ast.Constant, ast.Name)) for each in called.args)


def reason_to_stay(graph: Graph, node: ast.stmt, namespace: dict[str, Any]) -> str | None:
    """Why a statement stays behind; nothing where it travels; None where it sets nothing up."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return "" if _is_for_effect(graph, node, namespace) else None
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return "" if any(_sets(graph, each, namespace) for each in node.decorator_list) else None
    parts = _parts_of_setting(graph, node, namespace)
    if parts is None:
        return None
    if isinstance(node, ast.Assign) and ast.unparse(node).startswith(_ENVIRONMENT):
        from fanfold.source.effects import value_since

        if value_since(node, namespace):
            return _SET_AGAIN  # perhaps a secret
    if all(is_harmless(part, namespace) for part in parts):
        return ""
    called = node.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return "" if called and attached(called, namespace) else _CALLS


def _parts_of_setting(graph: Graph, node: ast.stmt, namespace: dict[str, Any]) -> list[ast.expr] | None:
    """The expressions that a statement gives to a library's settings; None where it sets none."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        if _sets(graph, node.value, namespace):
            return [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
    elif isinstance(node, (ast.Assign, ast.AugAssign)):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, (ast.Attribute, ast.Subscript)) and _root(target) != "sys":
            return [node.value] if _is_of_used_library(graph, target, namespace) else None
    return None


def _sets(graph: Graph, called: ast.expr, namespace: dict[str, Any]) -> bool:
    """Whether a call is one by which a library that is used is set up."""
    chain = _chain(called, namespace) if isinstance(called, ast.Call) else None
    if not chain or not isinstance(called, ast.Call):  # a decorator that is not called: `@register_extension_dtype`
        is_registered = (dotted(called) or ("",))[-1].startswith("register_")
        return is_registered and _is_of_used_library(graph, called, namespace)
    name = chain[-1]
    value = namespace.get(chain[0])
    if len(chain) == 1:
        name = str(getattr(value, "__name__", name))
    if _module_of(value) == "copyreg":
        return name in _COPYREG
    if name in graph.project.imports and is_library(_module_of(value)) and not _travels_as_it_is(value):
        return True  # tqdm.pandas()
    is_other_update = name == "update" and not _SETTINGS.intersection(chain)
    if _has_its_own(graph, chain, value) or not re.match(_SETTERS, name) or is_other_update:
        return False
    given = {each.value for each in called.args if isinstance(each, ast.Constant)}
    if is_library(_module_of(value)) and not given.isdisjoint(graph.mentions):
        return True  # @register_dataframe_accessor("geo"), of which the code uses `geo`
    return _is_of_used_library(graph, called.func, namespace)


def _has_its_own(graph: Graph, chain: tuple[str, ...], value: Any) -> bool:
    """Whether a logger is told of a filter that is with it where code uses that logger by its variable."""
    used = (names for space in graph.spaces for names in (space.get("globals", ()),) if chain[0] in names)
    return chain[-1] == "addFilter" and type(value).__name__ == "Logger" and any(used)


def _chain(called: ast.Call, namespace: dict[str, Any]) -> tuple[str, ...] | None:
    """The names that a call goes through, also by what a library gives: `logging.getLogger("x").setLevel(30)`."""
    inner = called.func.value if isinstance(called.func, ast.Attribute) else None
    if isinstance(inner, ast.Call) and isinstance(called.func, ast.Attribute):
        return (_root(inner) or "", called.func.attr) if _is_getter(inner, namespace) else None
    return dotted(called.func)


def _is_of_used_library(graph: Graph, expression: ast.expr, namespace: dict[str, Any]) -> bool:
    root = _root(expression)
    value = namespace.get(root) if root else None
    module = _module_of(value)
    package = module.partition(".")[0]
    if value is None or package in _NOT or not is_library(module):
        return False
    if type(value).__module__.partition(".")[0] in _OF_DATA or _travels_as_it_is(value):
        return False  # an array, a frame, a counter: it travels as it is by now
    if isinstance(value, types.FunctionType) and not isinstance(expression, ast.Name):
        return package in graph.project.imports
    return package in graph.project.imports or package in _ALWAYS


def _travels_as_it_is(value: Any) -> bool:
    """Whether a name stands for an object of the user's own, made of a library's class: its state is what it is by now.

    What a library holds itself (`rcParams`) is there by name, and a logger is asked for by its name.
    """
    kind = type(value)
    if isinstance(value, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return False
    if (kind.__module__, kind.__name__) in (("logging", "Logger"), ("logging", "RootLogger")):
        return False
    return held_by(value, kind.__module__) is None and held_by(value, kind.__module__.partition(".")[0]) is None


def bound_within(node: ast.AST) -> set[str]:
    """The names that a loop gives values to."""
    loops = (each.target for each in ast.walk(node) if isinstance(each, ast.For))
    return {n.id for target in loops for n in ast.walk(target) if isinstance(n, ast.Name)}


def _module_of(value: Any) -> str:
    if isinstance(value, types.ModuleType):
        return value.__name__
    module = getattr(value, "__module__", None)
    return module if isinstance(module, str) else type(value).__module__


def _root(expression: ast.AST) -> str | None:
    """The name that an expression starts from: `decimal` of `decimal.getcontext().prec`."""
    while True:
        if isinstance(expression, ast.Name):
            return expression.id
        if isinstance(expression, ast.Call):
            expression = expression.func
        elif isinstance(expression, (ast.Attribute, ast.Subscript)):
            expression = expression.value
        else:
            return None


def is_harmless(node: ast.AST, namespace: dict[str, Any]) -> bool:
    """Whether an expression may be evaluated again: it calls classes of libraries at the most."""
    if isinstance(node, ast.Lambda):  # which only makes a function
        parts = [*node.args.defaults, *node.args.kw_defaults]
        return all(is_harmless(part, namespace) for part in parts if part is not None)
    if isinstance(node, ast.Call):
        value = _named(node.func, namespace)
        if isinstance(node.func, ast.Name) and node.func.id in _DESCRIPTORS and node.func.id not in namespace:
            value = vars(builtins)[node.func.id]
        if not (isinstance(value, type) and is_library(value.__module__)) and not _is_getter(node, namespace):
            return False
    elif not isinstance(node, _HARMLESS):
        return False
    return all(is_harmless(part, namespace) for part in ast.iter_child_nodes(node))


def _is_for_effect(graph: Graph, node: ast.Import | ast.ImportFrom, namespace: dict[str, Any]) -> bool:
    """Whether an import does something to a package that is used, though nobody uses the name that it binds."""
    used = {name for space in graph.spaces for name in space.get("globals", ())}
    for imported in imports_in(node, str(namespace.get("__package__") or "")):
        package, _, rest = imported.module.partition(".")
        names = [bound_name(node, alias) for alias in node.names]
        if used.intersection(names) or package not in sys.modules or not is_library(imported.module):
            continue
        if not sys.modules.keys().isdisjoint(("pandas", "polars", "xarray")):
            from fanfold.source.effects import gives_attribute

            if gives_attribute(package, graph.mentions):
                return True
        loaded = all(f"{imported.module}.{name}" in sys.modules for name in imported.names)
        if package in graph.project.imports and (rest or loaded) and imported.names and loaded:
            return True
        if package in graph.project.imports and isinstance(node, ast.Import) and rest:
            return True
        if imported.module.rpartition(".")[2] in graph.project.imports and rest:  # import hvplot.pandas
            return True
    return False


def _taken(graph: Graph, source: Source, node: ast.stmt, namespace: dict[str, Any]) -> Statement:
    space = space_of(graph, namespace)
    usage = UseSite(source.path, node, "the top of the file")
    if "of" in graph.spaces[space]:  # the UDF is an object of a library's, which holds a function of this file
        raise CaptureError("the UDF itself is an object of a library's", next_step="submit a function of this file.")
    given = None
    parts = executed_parts(graph, node, namespace)
    read = [part for part, _ in parts]
    if parts[0][1]:
        with graph.used(usage, getattr(node, "name", "") or ast.unparse(read[0])):
            given = graph.ref(parts[0][1][0])
    else:
        for imported in imports_in(node, str(namespace.get("__package__") or "")):
            graph.project.require(imported, source.path)
    take_globals(graph, space, namespace, frozenset(names_in(read) - bound_within(node)), usage)
    number = graph.keep_node(source, node)
    graph.kept.belongs_to(source, str(namespace.get("__name__", "__main__")))
    decorators = [each for each in read if each is not node]
    at: Any = decorators[0] if decorators else node
    text = ast.unparse(at).split("\n")[0][:_LONGEST_TEXT]
    where = f"{shown_path(source.path)}:{at.lineno}"
    return Statement((number, at.lineno, at.col_offset), space, given, tree_hash(at), text, where)


#: Of a notebook of many cells, as many names as an error may be about.
_MOST_NAMES = 500


def capture(fn: Any, *, put_blob: PutBlob | None = None) -> Bundle:
    """A callable or a UDF with everything it refers to, ready to be sent.

    `put_blob(sha256_hex, data)` keeps large values (frames, arrays) apart; without it they travel in the bundle.
    Raises `CaptureError`, which names the variable, the file and line, and the next step, where something it uses
    cannot travel.
    """
    return Captured(fn, put_blob).bundle


class Captured:
    """A captured UDF: its bundle, and the graph that it was made of."""

    def __init__(self, fn: Any, put_blob: PutBlob | None = None, sealing: Callable[[], Sealing] | None = None) -> None:
        self._sealing = sealing
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
            raise refusals.too_deep(self.udf, *self.graph.last_use()) from None
        if unnamed := self.graph.unnamed_classes():
            from fanfold.codec.classes import remember_captured

            remember_captured(self.bundle.code_hash, unnamed)

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
        self.graph = graph = Graph(project, self._put_blob, namespace, self._sealing)
        root = graph.ref(self.udf)
        home = _namespace(self.udf) or {}
        entry = _name(self.udf)
        if namespace is not None:
            self._name_it(graph, namespace, entry, root)
        subclasses = graph.take_subclasses()
        statements, self.left = take(graph, home) if namespace is not None else ([], [])
        self.taken = [*graph.executed.values(), *((each.text, each.where) for each in statements)]
        self.taken += [
            (each[4], f"{shown_path(home['__file__'])}" if "__file__" in home else "") for each in graph.effects
        ]
        project.settle(graph)
        if project.libraries or project.files:
            from fanfold.source.patched import take_patches

            take_patches(graph)
            project.settle(graph)
        if namespace is not None and (project.libraries or not _SET_BY_CALLS.isdisjoint(home)):
            from fanfold.source.set_here import take_what_is_set

            take_what_is_set(graph, home, [each.text for each in statements])
            project.settle(graph)
        self.left += [Left(shown_path(path), line, text, why) for path, line, text, why in graph.left]
        parts = {
            ("graph", graph.meaning(root)),
            *(("effect", *each[:2]) for each in graph.effects),
            ("setup", *(s.meaning for s in statements)),
            *project.parts,
        }
        self._document = {"subclasses": subclasses, "setup": [[list(s.code), s.space, s.given] for s in statements]}
        self._root, self._size = root, len(graph.nodes)
        #: What arguments refer to besides, by number, and what it means.
        self._added: dict[int, str] = {}
        return self._bundle(code_hash(parts))

    def _bundle(self, code_hash: str) -> Bundle:
        """All that has been captured, put together."""
        graph, home, project = self.graph, _namespace(self.udf) or {}, self.graph.project
        document = {**self._document, **project.settle(graph), **graph.opened_paths()}
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
            left_statements=(
                *(f"line {each.line}: {each.text}" for each in self.left if not each.why.startswith("a run has")),
                *(f"the files of the package {name}, which are too many to travel" for name in project.left_files),
            ),
        )

    def _name_it(self, graph: Graph, namespace: dict[str, Any], entry: str, root: Ref) -> None:
        """Have the UDF under its name in its module, where pickle and `inspect` look for it."""
        held = namespace.get(entry)
        if (udf_function(held) or held) is self.udf:
            for space in graph.spaces:
                if space.get("key") == namespace.get("__name__"):
                    space["names"].setdefault(entry, root)


def _left_names(graph: Graph, namespace: dict[str, Any]) -> tuple[str, ...]:
    """The names of a module that the code which travels has in a string alone, as `frame.query("a > @low")` has one.

    No others: a name that is new in a notebook would make other bytes of the same code, and so begin other workers.
    """
    taken = {name for space in graph.spaces for kind in ("globals", "names") for name in space.get(kind, ())}
    words = graph.kept.words() if len(taken) < len(namespace) else set()
    left = [name for name in words.intersection(namespace) if not name.startswith("_") and name not in taken]
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
