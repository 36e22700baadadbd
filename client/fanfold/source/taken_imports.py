"""Letting import statements travel: the user's own where they give a name its value, or one written for it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from fanfold.source import imports, scope
from fanfold.source.home import Home
from fanfold.source.imports import Found, Imported
from fanfold.source.origin import Definition, Place
from fanfold.source.project import Project
from fanfold.source.refusals import Usage
from fanfold.source.shipment import Shipment


class ImportTaker:
    """Takes imports along, and has the project's modules that they name shipped."""

    def __init__(self, home: Home, project: Project, shipment: Shipment) -> None:
        self._home = home
        self._project = project
        self._shipment = shipment

    def take(self, name: str, value: Any, usage: Usage, places: list[Place]) -> bool:
        """Let an import statement give the name its value; False where none does."""
        home = self._home
        found = imports.found_imports(name, value, places, home.package)
        chains = scope.attribute_chains(usage.node).get(name, set()) if isinstance(value, ModuleType) else set()
        if found := imports.used(found, chains):
            self.use(name, found, usage)
        elif written := self._written(name, value):
            self._shipment.write_import(name, *written)
            self._project.require(Imported(written[0], (written[1],), usage.line_of(name)), usage.path)
        if not (found or written):
            return False
        stated = [f"{each.module}.{each.attribute}." for each in found]
        for below in imports.submodules(value, chains) if isinstance(value, ModuleType) else ():
            if any(module.startswith(f"{below}.") for module in stated):
                continue
            self._shipment.write_submodule(below)
            self._project.require(Imported(below, (), usage.line_of(name)), usage.path)
        return True

    def use(self, name: str, found: list[Found], usage: Usage) -> None:
        """Let parts of the user's import statements travel."""
        for each in found:
            self._shipment.use_import(name, each)
            names = (each.attribute,) if each.attribute else ()
            line = each.place.node.lineno
            self._project.require(Imported(each.module, names, line), usage.path)

    def _written(self, name: str, value: Any) -> tuple[str, str] | None:
        home = self._home
        if any(isinstance(place.node, Definition) for place in home.bindings(name)):
            return None
        written = imports.written_import(name, value, home.bindings("*"), home.package)
        return None if written and written[0] == home.name else written
