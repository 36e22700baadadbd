"""Projects written to disk, functions captured from them, and other interpreters to run them in."""

from __future__ import annotations

import decimal
import importlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fanfold.source.capture import capture
from fanfold.source.load import Bundle, SourceFile, load, unload

#: Stands for `fanfold.udf`: all that capture knows of it are the two attributes.
FAN = """
import functools

class UDF:
    def __init__(self, fn):
        functools.update_wrapper(self, fn)
        self.__fanfold_udf__ = fn

    def __call__(self, *args):
        raise RuntimeError("the UDF object has travelled")

def udf(fn=None, **options):
    if fn:
        return UDF(fn)
    decorate = lambda fn: UDF(fn)
    decorate.__fanfold_decorator__ = True
    return decorate

udf.__fanfold_decorator__ = True
"""

ELSEWHERE = """
import json, sys
from fanfold.source.load import Bundle, load
bundle = Bundle.from_bytes(open(sys.argv[1], "rb").read())
print(json.dumps(load(bundle)()(*json.loads(sys.argv[2]))))
"""


class Desk:
    """A directory of a user's, on `sys.path` for the time of a test, with an installed package `fan` beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.installed = root.parent / "site-packages"
        self.write("../site-packages/fan.py", FAN)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def module(self, text: str, name: str = "work") -> ModuleType:
        """Write a module and import it, afresh."""
        self.write(f"{name.replace('.', '/')}.py", text)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def capture(self, text: str, function: str = "main") -> Bundle:
        """Write a module, import it, and capture one of its functions."""
        return capture(getattr(self.module(text), function))

    def result(self, text: str, *args: Any) -> Any:
        """What `main` of a module returns after its way through bytes."""
        return arrived(self.capture(text))(*args)

    def elsewhere(self, bundle: Bundle, *args: Any) -> Any:
        """What the function returns in a new interpreter that knows nothing of this directory."""
        path = self.root.parent / "bundle"
        path.write_bytes(bundle.to_bytes())
        command = [sys.executable, "-c", ELSEWHERE, str(path), json.dumps(args)]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def arrived(bundle: Bundle) -> Callable[..., Any]:
    """The function as a worker gets it, by way of bytes."""
    again = Bundle.from_bytes(bundle.to_bytes())
    assert again == bundle
    return load(again)()


def of_text(text: str, *, name: str = "f", module: str = "m", path: str = "/u.py") -> Bundle:
    """A bundle of one function, by hand."""
    line = next(n for n, each in enumerate(text.split("\n"), 1) if each.startswith(f"def {name}"))
    space = {"name": module, "key": module, "package": "", "globals": {}, "names": {name: 0}}
    node = ["function", {"code": ["text", 0, False, [[name, line, 0]]], "name": name, "space": 0}]
    graph = json.dumps({"root": 0, "nodes": [node], "spaces": [space]})
    return Bundle(name, module, (SourceFile(module, path, text, "entry"),), "0" * 64, graph=graph)


def values(bundle: Bundle) -> list[str]:
    """The values that travel with a bundle, as the codec's text, and those of the graph itself."""
    graph = json.loads(bundle.graph)
    literals = [v[0] for s in graph.get("spaces", ()) for v in s.get("globals", {}).values() if type(v) is list]
    return sorted([node[1] for node in graph["nodes"] if node[0] == "value"] + [json.dumps(v) for v in literals])


def shipped(bundle: Bundle, kind: str = "entry") -> str:
    """All text of a kind that a bundle holds."""
    return "\n".join(source.text for source in bundle.sources if source.kind == kind)


def interpreters() -> list[str]:
    """The running Python, and whatever versions of ours pyenv has here."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [str(root / name / "bin" / "python") for name in sorted(os.listdir(root))] if root.is_dir() else []
    ours = [path for path in found if Path(path).exists() and "/3.1" in path]
    return [sys.executable, *ours]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path / "desk")
    monkeypatch.syspath_prepend(str(desk.installed))
    monkeypatch.syspath_prepend(str(desk.root))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a rewritten module must not be taken from its old bytecode
    before = dict(sys.modules)
    yield desk
    unload()
    for name in set(sys.modules) - set(before):
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _give_back_what_loading_displaced() -> Iterator[None]:
    kept = decimal.getcontext().copy()  # which a module that a test writes may set, and travels as it stands
    yield
    decimal.setcontext(kept)
    unload()
