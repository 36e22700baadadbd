"""Files below `fanfold.data_path()`: which there are, and copies of them from and to this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fanfold.cli import options
from fanfold.cli.output import Column, ago, moment, print_json, print_table, print_text
from fanfold.cli.output import size as said_size
from fanfold.core.formatting import counted
from fanfold.errors import InputError

if TYPE_CHECKING:
    from fanfold.stores.protocols import DataFile, DataFiles

#: How names begin that are no paths of this machine.
_DATA = "data:"
#: So many of the files that cannot be copied are named.
_NAMED = 5


def ls(
    place: Annotated[str, typer.Argument(metavar="NAME", help="A folder or a file, such as tiles.")] = "",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders with all that is in them.")] = False,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """List the files that UDFs find by fanfold.data_path().

    They are a deployment's, for all its users, or this machine's.
    """
    files, data_place = _files(engine)
    name = _name(place, data_place) if place.startswith((_DATA, data_place)) else _checked(place)
    rows = list(_level(files, name, recursive=recursive))
    if name and not rows:
        raise InputError(f"There is no data:{name}.", next_step="`fanfold ls` shows what there is.")
    if as_json:
        print_json([{"name": n, "bytes": size, "changed_at": at and moment(at)} for n, size, at in rows])
    elif rows:
        now = time.time()
        cells = [
            ["" if size is None else said_size(size), "" if at is None else ago(at, now), n] for n, size, at in rows
        ]
        print_table([Column("size", right=True), Column("changed"), Column("name", flexible=True)], cells)
    else:
        print_text("no files yet: `fanfold cp FILE data:` copies one there")


def cp(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file or folder: ./days.csv, or data:tiles.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Where to: data:, data:days.csv, or a path here.")],
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Copy files to where UDFs find them, or back.

    UDFs find data:NAME by fanfold.data_path("NAME"). A folder is copied with all that is in it. Into a folder that is
    there, or a name that ends in /, things go under their own name. What is there already is replaced.
    """
    files, data_place = _files(engine)
    for text in (source, target):
        if "://" in text and not text.startswith(data_place):
            raise InputError(
                f"{text} is neither a path here nor data:NAME.",
                next_step="copy by way of a file here, and between it and other places as with `aws s3 cp`.",
            )
    away, back = (text.startswith((_DATA, data_place)) for text in (target, source))
    if away == back:
        raise InputError(
            f"{f'Both {source} and {target} are' if away else f'Neither {source} nor {target} is'} in data:.",
            next_step=f"write one as a path here and one as data:NAME, such as `fanfold cp {Path(source).name} data:`.",
        )
    if away:
        outgoing = _outgoing(Path(source), _name(target, data_place), files)
        files.upload(outgoing)
        copied = [(name, path.stat().st_size) for path, name in outgoing]
    else:
        incoming = _incoming(_name(source, data_place), target, files)
        for _, path in incoming:
            path.parent.mkdir(parents=True, exist_ok=True)
        files.download([(found.name, path) for found, path in incoming])
        copied = [(str(path), found.size) for found, path in incoming]
    _say_copied(copied, _DATA if away else "", as_json=as_json)


def _say_copied(copied: list[tuple[str, int]], prefix: str, *, as_json: bool) -> None:
    total = sum(size for _, size in copied)
    if as_json:
        print_json({"copied": [f"{prefix}{name}" for name, _ in copied], "bytes": total})
    elif len(copied) == 1:
        print_text(f"{prefix}{copied[0][0]}: {said_size(total)}")
    else:
        print_text(f"{counted(len(copied), 'file')} copied, {said_size(total)}")


def _files(engine: str | None) -> tuple[DataFiles, str]:
    """The files, and what their names begin with for those who open them: a folder here, or s3://..."""
    from fanfold.engines.base import engine_for

    stores = engine_for(engine).stores
    return stores.data, stores.data_place


def _name(text: str, data_place: str) -> str:
    """The name that data:NAME or what `data_path()` gives is about."""
    return _checked(text[len(_DATA if text.startswith(_DATA) else data_place) :])


def _checked(name: str) -> str:
    from fanfold.api.mount import stays_below

    name = name.removeprefix("./")
    if not stays_below(name):
        raise InputError(f"data:{name} leads elsewhere.", next_step="write a name such as data:tiles/7.tif.")
    return name


def _below(files: DataFiles, name: str) -> list[DataFile]:
    """The files of a folder, however its name ends; all where it has none."""
    return list(files.beginning(f"{name.rstrip('/')}/" if name else ""))


def _exactly(files: DataFiles, name: str) -> list[DataFile]:
    """The file of that name, if there is one: no other name that begins so comes before it."""
    first = next(files.beginning(name), None)
    return [first] if first and first.name == name else []


def _level(files: DataFiles, name: str, *, recursive: bool) -> Iterator[tuple[str, int | None, float | None]]:
    """Name, bytes and time of each file of a folder, and the name of each folder in it; else of the one file."""
    seen: set[str] = set()
    folder = f"{name.rstrip('/')}/" if name else ""
    found = _below(files, name) or _exactly(files, name)
    for one in found:
        inner, slash, _ = one.name.removeprefix(folder).partition("/")
        if recursive or not slash:
            yield one
        elif inner not in seen:
            seen.add(inner)
            yield f"{folder}{inner}/", None, None


def _outgoing(source: Path, name: str, files: DataFiles) -> list[tuple[Path, str]]:
    """Which files go under which names."""
    if not source.exists():
        raise InputError(f"There is no {source} here.", next_step="check the path; data:NAME is what is not here.")
    if not name or name.endswith("/") or (source.is_file() and next(files.beginning(f"{name}/"), None)):
        name = f"{name.rstrip('/')}/{source.resolve().name}".lstrip("/")
    if source.is_file():
        return [(source, name)]
    pairs = [(path, f"{name}/{path.relative_to(source).as_posix()}") for path in _files_of(source)]
    if not pairs:
        raise InputError(f"There is no file in {source}.", next_step="name a folder that has one.")
    return pairs


def _files_of(folder: Path) -> list[Path]:
    """The files of a folder, behind links as well; of what cannot be copied, such as a link to nowhere, it is said."""
    from fanfold.core.matches import files_below

    def refuse(error: OSError) -> None:
        raise InputError(
            f"The folder {error.filename} cannot be read: {error.strerror}.",
            next_step="see that you may read it, or copy the others one by one.",
        ) from None

    found = [Path(path) for path in files_below(str(folder), onerror=refuse)]
    left = [path for path in found if not path.is_file()]
    for path in left[:_NAMED]:
        typer.echo(f"left out: {path} {'leads nowhere' if path.is_symlink() else 'is no file'}", err=True)
    if len(left) > _NAMED:
        typer.echo(f"left out: {len(left) - _NAMED:,} more", err=True)
    return [path for path in found if path.is_file()]


def _incoming(name: str, target: str, files: DataFiles) -> list[tuple[Any, Path]]:
    """Which files come to which paths."""
    into = Path(target) if target.endswith("/") or Path(target).is_dir() else None
    for one in _exactly(files, name):
        return [(one, into / name.rpartition("/")[2] if into else Path(target))]
    found = _below(files, name)
    if not found:
        raise InputError(f"There is no data:{name}.", next_step="`fanfold ls` shows what there is.")
    folder = f"{name.rstrip('/')}/" if name else ""
    top = into / folder.rstrip("/").rpartition("/")[2] if into else Path(target)
    # What others have named may lead anywhere, such as ../.bashrc.
    return [(one, top / _checked(_checked(one.name).removeprefix(folder))) for one in found]
