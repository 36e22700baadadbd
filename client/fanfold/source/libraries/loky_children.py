"""Processes of loky, which a run starts (`n_jobs=2` of joblib or scikit-learn): they find what the run's bundle has.

loky tells a process that it starts what its parent's `__main__` is where it is asked to; here it always does, and names
this module. Such a process imports it under the name `__mp_main__`, and loads the bundle once it is asked to import
something of it: most only compute what comes along by value.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from fanfold.contract.layout import ENV_SOURCE
from fanfold.source.load import LOKYS, Bundle, load, part_spec


def spec_of(name: str, path: Any) -> ModuleSpec | None:
    """The spec of loky's module that says what a new process is told, which is to tell it of the bundle as well."""
    spec = PathFinder.find_spec(name, path)
    if spec is not None and type(spec.loader) is SourceFileLoader:
        spec.loader = _SpawnLoader(spec.loader.name, spec.loader.path)
    return spec


def tell(module: ModuleType) -> None:
    """Have loky tell its processes of the bundle of the run that starts them."""
    known = module.get_preparation_data
    if known.__module__ == __name__:
        return

    def get_preparation_data(*args: Any, **given: Any) -> dict[str, Any]:
        said: dict[str, Any] = known(*args, **given)
        if ENV_SOURCE in os.environ:
            said.setdefault("init_main_from_name", __name__)
        return said

    module.get_preparation_data = get_preparation_data  # type: ignore[attr-defined]


class _SpawnLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        tell(module)


class _Later:
    """Finds a bundle's modules, and loads it when it is asked for the first."""

    def __init__(self, bundle: Bundle, blobs: str) -> None:
        self._bundle, self._blobs = bundle, blobs
        spaces = json.loads(bundle.graph).get("spaces", ())
        own = {bundle.module, *(s.module for s in bundle.sources), *(s["name"] for s in spaces if "of" not in s)}
        parts = [name.split(".") for name in own - {"__main__"}]
        self._names = {".".join(each[:depth]) for each in parts for depth in range(1, len(each) + 1)}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """The spec of a module of the bundle, which is loaded by now, or None."""
        if name not in self._names:
            return None
        sys.meta_path.remove(self)
        load(self._bundle, get_blob=lambda sha256: _read(self._blobs, sha256))()
        made = sys.modules.get(name)
        return part_spec(name) if made is None else ModuleSpec(name, _Made(made))  # type: ignore[arg-type]


class _Made:
    """The loader of a module that loading the bundle has made."""

    def __init__(self, made: ModuleType) -> None:
        self._made, self._spec = made, made.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        """The module itself."""
        return self._made

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to be done but to have it be what it was."""
        module.__spec__ = self._spec


def _read(*path: str) -> bytes:
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def find_later() -> None:
    """In a process that a run's loky has started: find the run's modules."""
    if ENV_SOURCE in os.environ:
        file, blobs = os.environ[ENV_SOURCE].split("\n")
        sys.meta_path.insert(0, _Later(Bundle.from_bytes(_read(file)), blobs))
        for name in LOKYS & sys.modules.keys():  # for processes that this one starts
            tell(sys.modules[name])


if __name__ == "__mp_main__":
    from importlib import import_module

    import_module(__spec__.name).find_later()
