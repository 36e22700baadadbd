"""Whether a UDF's source wants shared memory between processes, which AWS Lambda does not have."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from fanfold.source.load import Bundle
from fanfold.source.texts import tree_of

#: What of multiprocessing is made of semaphores or of shared memory: all but Process and Pipe.
_NEEDS_IT = frozenset(
    "Array Barrier BoundedSemaphore Condition Event JoinableQueue Lock Manager Pool Queue RLock Semaphore SharedMemory"
    " ShareableList SimpleQueue Value ".split()
)
_POOL = "ProcessPoolExecutor"
_MODULES = frozenset({"multiprocessing", "concurrent"})


def warn_of_shared_memory(bundle: Bundle) -> None:
    """Say on stderr where the source of realtime runs in AWS uses what cannot work there. It may never come to that."""
    if _MODULES.isdisjoint(bundle.imports):
        return
    for source in bundle.sources:
        used = next(_uses(source.text), None)
        if used is not None:
            line, what = used
            sys.stderr.write(
                f"fanfold: {source.path}, line {line} uses {what}, which fails in AWS Lambda: it has no /dev/shm. Use"
                ' threads, multiprocessing.Process with a Pipe, or instance_type="small".\n'
            )
            return


def _uses(text: str) -> Iterator[tuple[int, str]]:
    """The lines that use it, and what they use."""
    if "multiprocessing" not in text and _POOL not in text:
        return
    try:
        tree = tree_of(text)
    except SyntaxError:  # the worker will say so
        return
    modules = set(_names_of_multiprocessing(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            of_it, names = _is_multiprocessing(node.module or ""), [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            of_it, names = _root(node.value) in modules, [node.attr]
        else:
            continue
        for name in names:
            if name == _POOL or (of_it and name in _NEEDS_IT):
                yield node.lineno, name if name == _POOL else f"multiprocessing.{name}"


def _names_of_multiprocessing(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_multiprocessing(alias.name):
                    yield alias.asname or alias.name.partition(".")[0]


def _is_multiprocessing(module: str) -> bool:
    return module.partition(".")[0] == "multiprocessing"


def _root(node: ast.expr) -> str:
    """The name that `a.b(c).d` begins with."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return ""
    return node.id
