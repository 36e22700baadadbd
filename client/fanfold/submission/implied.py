"""What a UDF's source has other packages load by themselves: xarray's engines, what fsspec opens an address with."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeGuard

from fanfold.contract.records import NamedTuple
from fanfold.core.cache_key import NAMESPACES, normal_name, not_brought, package_of
from fanfold.engines.base import Description
from fanfold.environments.requirements import installed_version
from fanfold.errors import CaptureError
from fanfold.source.load import Bundle, SourceFile
from fanfold.source.texts import tree_of
from fanfold.submission.plugins import PACKAGES, REGISTERED, REGISTERS, WORDS, Load, WrittenCall, by_text, loads
from fanfold.submission.written_calls import Known, calls_in, surely_called, walked

#: Modules of a package that another brings along; of each of these packages, all that must be there.
_MODULES: dict[str, tuple[str, ...]] = {
    "dask.distributed": ("distributed",),
    "dask.dataframe": ("pandas", "pyarrow"),
    "dask.array": ("numpy",),
    "pandas.plotting": ("matplotlib",),
}
_HAVE_PARTS = NAMESPACES | {name.partition(".")[0] for name in _MODULES}
#: What a text's first call with its package may be written as.
_SHOWN = 60


class Implied(NamedTuple):
    """A call or an import, and the modules of which it loads one.

    `certain`: a run that gets there is sure to; where it is in a branch, or in a module that travels as a whole, nobody
    can tell.
    """

    path: str
    line: int
    what: str
    modules: tuple[str, ...]
    certain: bool


def check_implied(
    bundle: Bundle, described: Description, brought: Collection[str] = (), said: set[str] | None = None
) -> None:
    """Raises `CaptureError` for a call whose package loads another that the runs will not find.

    Where nobody can tell whether a run gets there, stderr says so; what is in `said` has been.
    """
    said = set() if said is None else said
    for each in _missing(implied_imports(bundle), described, brought):
        if each.certain:
            raise _refusal(each)
        text = f"{_sentence(each)} A run that gets there fails: {_bring(each)}."
        if text not in said:
            said.add(text)
            sys.stderr.write(f"fanfold: {text}\n")


def _refusal(each: Implied, by: str = "") -> CaptureError:
    return CaptureError(_sentence(each) + by, next_step=f"{_bring(each)}, or use engine='local'.")


def _sentence(each: Implied) -> str:
    first, *others = each.modules
    either = f" (or {', '.join(others)})" if others else ""
    return f"{each.path}, line {each.line}: {each.what} loads {first}{either}, which the deployment's image lacks."


def _bring(each: Implied) -> str:
    return f'have it brought along with @udf(packages=["{package_of(each.modules[0])}"])'


def implied_here(bundle: Bundle, described: Description) -> list[str]:
    """Of what such calls load and the image lacks, what is installed here, and what is sure to be loaded."""
    found = []
    for each in _missing(implied_imports(bundle), described):
        here = next(filter(_is_here, each.modules), each.modules[0] if each.certain else "")
        found += [here] if here else []
    return found


def _is_here(module: str) -> bool:
    return installed_version(package_of(module)) is not None


def _missing(found: Iterator[Implied], described: Description, brought: Collection[str] = ()) -> Iterator[Implied]:
    if described.packages:
        for each in found:
            lacks = not_brought(each.modules, described.packages)
            tops = {re.split(r"[.-]", module)[0] for module in each.modules}
            if len(lacks) == len(each.modules) and tops.isdisjoint(brought):
                yield each


def implied_imports(bundle: Bundle) -> Iterator[Implied]:
    """What has a package load another, where the code does not catch that it is not there."""
    packages = _packages(bundle)
    for source, call in _calls(bundle):
        for load in loads(call, packages):
            yield _implied(source, call, load)
    for source in bundle.sources:
        if not _HAVE_PARTS.isdisjoint(bundle.imports):
            yield from _by_modules(source)


class ImpliedByInputs:
    """What calls load for the addresses and files that the runs' arguments name."""

    def __init__(
        self, bundle: Bundle, described: Description, brought: Collection[str], defaults: Mapping[str, Any]
    ) -> None:
        self._described, self._brought, self._packages = described, brought, _packages(bundle)
        self._defaults = defaults
        calls = list(_calls(bundle)) if described.packages else []
        self._calls = [(source, call) for source, call in calls if any(each.parameter for each in call.texts[:1])]

    def __bool__(self) -> bool:
        return bool(self._calls)

    def check(self, number: int, own: str, constants: str) -> None:
        """Raises `CaptureError` for a run whose arguments have a call load what the runs will not find.

        Where nobody can tell whether it is called, nothing is said: another run may be given what is there.
        """
        given = {**self._defaults, **json.loads(constants or "{}"), **json.loads(own)}
        for source, call in self._calls:
            value = given.get(call.texts[0].parameter)
            if isinstance(value, str) and call.certain:
                found = by_text(call, call.texts[0].of(value), self._packages)
                implied = (_implied(source, call, load) for load in found)
                for each in _missing(implied, self._described, self._brought):
                    raise _refusal(each, f" Run {number} has {call.texts[0].parameter}={value[:_SHOWN]!r}.")


def _implied(source: SourceFile, call: WrittenCall, load: Load) -> Implied:
    what = f"{call.name.lstrip('.')}{f' of {load.by}' if load.by else ''}"
    certain = source.kind == "entry" and call.certain and load.certain
    return Implied(source.path, call.line, what, load.modules, certain)


def _packages(bundle: Bundle) -> frozenset[str]:
    """The packages that its code imports; `REGISTERED` where it says itself what opens an address."""
    registers = any(word in source.text for source in bundle.sources for word in REGISTERS)
    return frozenset(bundle.imports) | ({REGISTERED} if registers else set())


def _calls(bundle: Bundle) -> Iterator[tuple[SourceFile, WrittenCall]]:
    if PACKAGES.isdisjoint(bundle.imports):
        return
    texts = [source for source in bundle.sources if any(word in source.text for word in WORDS)]
    if not texts:
        return
    graph = json.loads(bundle.graph)
    trees = [(source, tree) for source in texts if (tree := _tree(source)) is not None]
    called = surely_called(filter(None, map(_tree, bundle.sources)), bundle.entry)
    defined = {name for _, tree in trees for name in _defined(tree)}
    entry = _entry(graph, bundle)
    for source, tree in trees:
        known = _known(graph, source.module)
        if source is entry:
            known = known._replace(parameters=_parameters_of(tree, bundle.entry))
        for call in calls_in(tree, known, called):
            if not (call.name.startswith(".") and call.name[1:] in defined):  # it may be one of theirs
                yield source, call


def _defined(tree: ast.AST) -> Iterator[str]:
    """The functions that a text defines, and what its classes have by an assignment."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (each.id for part in node.body for each in ast.walk(part) if _is_stored(each))


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _tree(source: SourceFile) -> ast.AST | None:
    try:
        tree: ast.AST = tree_of(source.text)
    except SyntaxError:  # the worker will say so
        return None
    return tree


def _entry(graph: Any, bundle: Bundle) -> SourceFile | None:
    """The text of the function that is called with the inputs, where it is one."""
    node: list[Any] = graph["nodes"][graph["root"]] if isinstance(graph["root"], int) else [""]
    code: list[Any] = node[1].get("code", []) if node[0] == "function" else []
    return bundle.sources[code[1]] if code[:1] == ["text"] else None


def _parameters_of(tree: ast.AST, name: str) -> list[str]:
    """A function's parameters, where the text has one function of that name."""
    found = [each for each in ast.walk(tree) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]
    named = [each for each in found if each.name == name]
    if len(found) != 1 or not named:  # one within it may call its own parameters the same
        return []
    given = named[0].args
    return [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


def _known(graph: Any, module: str) -> Known:
    """What a module's functions call modules and constants by.

    A script has no file in the graph, and a namespace that is an imported module's no names.
    """
    modules: dict[str, str] = {}
    constants: dict[str, Any] = {}
    for space in graph.get("spaces", ()):
        for name, number in space["globals"].items() if space.get("name") == module else ():
            if isinstance(number, int):
                node = graph["nodes"][number]
                if node[0] == "import":
                    modules[name] = f"{node[1]}.{node[2]}".rstrip(".")
            elif isinstance(number, list) and len(number) == 1:
                constants[name] = number[0]
    return Known(modules, constants)


def _by_modules(source: SourceFile) -> Iterator[Implied]:
    """The imports of a package's modules that another package must be there for."""
    wanted = (*(name.partition(".")[2] for name in _MODULES), *NAMESPACES)
    if not any(name in source.text for name in wanted) or (tree := _tree(source)) is None:
        return
    for node, comes_by in walked(tree, None):
        line, certain = getattr(node, "lineno", 0), comes_by and source.kind == "entry"
        for module in _imported(node):
            for name in (each for each in _MODULES if module == each or module.startswith(f"{each}.")):
                yield from (Implied(source.path, line, name, (needed,), certain) for needed in _MODULES[name])
        if parts := _part_of_a_namespace(node):
            yield Implied(source.path, line, "the import", parts, certain and parts[0].startswith("odc-"))


def _part_of_a_namespace(node: ast.AST) -> tuple[str, ...]:
    """The packages that may bring an imported part of a module along which several packages share: odc.geo."""
    for module in reversed(_imported(node)):
        steps = module.split(".")
        if steps[0] in NAMESPACES and len(steps) > 1:
            return tuple(normal_name(".".join(steps[:count])) for count in range(2, len(steps) + 1))
    return ()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
    return []
