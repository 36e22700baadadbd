"""Modules that nobody has edited or set anything on, of the standard library and of pydantic, pass for just that."""

from __future__ import annotations

import importlib
from types import FunctionType

import pytest

from fanfold.source.drift import changes
from fanfold.source.functions import Located, locate
from fanfold.source.graph import Graph
from fanfold.source.modules import Project, mentions
from fanfold.source.texts import parse, read

MODULES = (
    "argparse ast collections configparser contextlib csv dataclasses datetime decimal difflib email.message enum"
    " fractions functools http.cookies inspect json.decoder logging operator pathlib pickle pydantic.main"
    " random shutil socket ssl statistics string tarfile tempfile textwrap threading traceback unittest.mock"
    " uuid xml.etree.ElementTree zipfile"
).split()


@pytest.mark.parametrize(
    "name", [*MODULES, pytest.param("typing", marks=pytest.mark.long)]
)  # it has hundreds of classes
def test_nothing_is_taken_for_changed(name: str) -> None:
    namespace = vars(importlib.import_module(name))
    path = str(namespace["__file__"])
    source = parse(path, read(path))
    members = [m for v in namespace.values() for m in (vars(v).values() if isinstance(v, type) else [v])]
    functions = [
        f
        for f in members
        if isinstance(f, FunctionType) and f.__globals__ is namespace and f.__name__ != "__annotate__"
    ]
    ours = [f for f in functions if f.__code__.co_filename == path]
    assert [f for f in ours if not isinstance(locate(f), Located)] == []
    graph = Graph(Project(), lambda *_: None, None)
    found = changes(graph, source, namespace, mentions(source), mentions(source))
    # `typing_extensions` does replace functions of `typing`, by its own.
    replaced = [value for _, value in found.after if isinstance(value, FunctionType)]
    assert [function for function in replaced if function.__module__ == name] == []
