"""What a capture has gathered so far, and the bundle that becomes of it."""

from __future__ import annotations

import ast
from collections import defaultdict

from fanfold.source import refusals, scope
from fanfold.source.blank import Piece, shipped_text
from fanfold.source.bundle import WRITTEN, Bundle, SourceFile
from fanfold.source.fingerprint import code_hash
from fanfold.source.home import Home
from fanfold.source.imports import Found, import_line, narrowed
from fanfold.source.origin import Place, Source
from fanfold.source.project import Project


class Shipment:
    """Statements by the text they stand in, values, imports, and the parts of the code hash."""

    def __init__(self, home: Home, project: Project) -> None:
        self.values: dict[str, str] = {}
        self.blobs: dict[str, bytes] = {}
        self.parts: set[tuple[str, ...]] = set()
        self._home = home
        self._project = project
        self._pieces: dict[Source, dict[ast.stmt, Piece]] = defaultdict(dict)
        self._binders: dict[str, set[Place]] = defaultdict(set)
        self._aliases: dict[ast.stmt, tuple[Place, list[ast.alias]]] = {}
        self._futures: set[Source] = set()
        #: Lines that no text of the user's has: imports to run before all else, and other names to give after it.
        self._before: list[str] = []
        self._after: list[str] = []

    def add(self, name: str, piece: Piece) -> bool:
        """Let a statement travel; False where it does so already."""
        pieces = self._pieces[piece.place.source]
        if piece.place.node in pieces:
            return False
        pieces[piece.place.node] = piece
        self._binders[name].add(piece.place)
        return True

    def piece(self, place: Place) -> Piece:
        """What travels of a statement."""
        return self._pieces[place.source][place.node]

    def bound_elsewhere(self, name: str, place: Place) -> bool:
        """Whether another statement that travels gives the same name a value."""
        # What registers itself with a function binds no name that counts: all are `f.register`.
        return name.isidentifier() and self._binders[name] != {place}

    def overlaps(self, place: Place) -> bool:
        """Whether the statement is around the UDF's own definition, which would then travel inside it."""
        return place.node in self._home.place.ancestors

    def postpone_annotations(self, source: Source, *, stated: bool) -> None:
        """Have a text compiled as under `from __future__ import annotations`; `stated` where the user says so."""
        self._futures.add(source)
        if stated:
            self.parts.add(("future", "annotations"))

    def use_import(self, name: str, found: Found) -> None:
        """Let one part of the user's own import statement travel."""
        place, wanted = self._aliases.setdefault(found.place.node, (found.place, []))
        if found.alias not in wanted:
            wanted.append(found.alias)
        self._pieces[place.source][place.node] = Piece(place, (), narrowed(place.node, wanted))  # type: ignore[arg-type]
        self._binders[name].add(place)
        self.parts.add(("import", name, found.module, found.attribute))

    def write_import(self, name: str, module: str, attribute: str) -> None:
        """Import what the user's text has no statement for."""
        self._line(self._before, import_line(name, module, attribute))
        self.parts.add(("import", name, module, attribute))

    def write_submodule(self, module: str) -> None:
        """Import a module for the attribute that its package then has."""
        self._line(self._before, f"__import__({module!r})")

    def write_alias(self, name: str, own: str) -> None:
        """Give what travels under its own name another."""
        self._line(self._after, f"{name} = {own}")
        self.parts.add(("alias", name, own))

    def set_afterwards(self, name: str, key: str) -> None:
        """Give an attribute, once all has been executed, the value that travels under a name of its own."""
        self._line(self._after, f"{name} = {key}")

    def write_value(self, name: str, expression: str) -> None:
        """Give a name the value of an expression."""
        self._line(self._before, f"{name} = {expression}")
        self.parts.add(("spelled", name, expression))

    @staticmethod
    def _line(lines: list[str], line: str) -> None:
        if line not in lines:
            lines.append(line)

    def bundle(self, entry: str) -> Bundle:
        """All of it, put together."""
        home = self._home
        whole = home.name in self._project.files
        if whole and not (home.is_importable() and home.function.__qualname__ == entry):
            raise refusals.nested_in_imported(home.function, home.name)
        parts = set() if whole else self.parts
        return Bundle(
            entry=entry,
            module=home.name,
            package=home.package,
            sources=(*([] if whole else self._entry_sources()), *(f for _, f in sorted(self._project.files.items()))),
            code_hash=code_hash([*parts, *self._project.parts, ("entry", entry)]),
            values={**({} if whole else self.values), **self._project.values},
            imports=tuple(sorted(self._project.imports)),
            blobs=self.blobs,
        )

    def mentions(self) -> set[str]:
        """Every name that what travels of the UDF's module mentions."""
        return {name for pieces in self._pieces.values() for node in pieces for name in scope.identifiers(node)}

    def _entry_sources(self) -> list[SourceFile]:
        before = [self._written(f"{WRITTEN}imports>", sorted(self._before))] if self._before else []
        after = [self._written(f"{WRITTEN}names>", sorted(self._after))] if self._after else []
        return [*before, *map(self._entry_source, self._in_order()), *after]

    def _written(self, path: str, lines: list[str]) -> SourceFile:
        return SourceFile(self._home.name, path, "\n".join(lines) + "\n", "entry")

    def _entry_source(self, source: Source) -> SourceFile:
        futures = [Place(source, node) for node in source.futures]
        text = shipped_text(source, [*map(Piece, futures), *self._pieces[source].values()])
        inherited = ("annotations",) if source in self._futures and not source.postpones_annotations else ()
        return SourceFile(self._home.name, source.path, text, "entry", inherited)

    def _in_order(self) -> list[Source]:
        """The texts, each after those whose names its definitions read; cells may have been run in any order."""
        gives = {name: {place.source for place in places} for name, places in self._binders.items()}
        waiting = sorted(self._pieces, key=lambda source: source.path != self._home.place.source.path)
        known = [source for source in self._home.sources if source in self._pieces]
        waiting = [*known, *(source for source in waiting if source not in known)]
        ordered: list[Source] = []

        def visit(source: Source, above: frozenset[Source]) -> None:
            if source in ordered or source in above:
                return
            read = {n for node in self._pieces[source] for n in scope.definition_names(node)}
            for name in sorted(read):
                for other in sorted(gives.get(name, ()), key=waiting.index):
                    visit(other, above | {source})
            ordered.append(source)

        for source in waiting:
            visit(source, frozenset())
        return ordered
