"""What a UDF's source has other packages load by themselves: xarray's engines, what pandas reads Excel and HDF with."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Collection, Iterator
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.core.cache_key import not_brought, package_of
from fanfold.engines.base import Description
from fanfold.environments.requirements import installed_version
from fanfold.errors import CaptureError
from fanfold.source.load import Bundle
from fanfold.source.modules import catches_import_failure
from fanfold.source.texts import tree_of

_EXCEL = ("openpyxl", "xlrd", "python_calamine", "pyxlsb", "odf")
_XARRAY_OPENS = ("open_dataset", "open_dataarray", "open_mfdataset", "open_datatree", "load_dataset", "load_dataarray")
#: What a function of a package takes, by the package: any of the modules will do.
_FUNCTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "xarray": {"open_zarr": ("zarr",), "open_mfdataset": ("dask",)},
    "pandas": {
        "read_excel": _EXCEL,
        "ExcelFile": _EXCEL,
        "ExcelWriter": ("openpyxl", "xlsxwriter"),
        "read_hdf": ("tables",),
        "HDFStore": ("tables",),
        "read_html": ("lxml", "bs4"),
        "read_spss": ("pyreadstat",),
    },
    "polars": {
        "read_excel": ("fastexcel", "openpyxl", "xlsx2csv"),
        "read_delta": ("deltalake",),
        "scan_delta": ("deltalake",),
        "scan_iceberg": ("pyiceberg",),
    },
    "geopandas": {"read_postgis": ("sqlalchemy", "psycopg2", "psycopg")},
}
#: And a method of what it makes, whose name nobody else has.
_METHODS: dict[str, tuple[str, tuple[str, ...]]] = {
    "to_zarr": ("xarray", ("zarr",)),
    "to_hdf": ("pandas", ("tables",)),
    "to_excel": ("pandas", ("openpyxl", "xlsxwriter")),
    "to_markdown": ("pandas", ("tabulate",)),
    "write_delta": ("polars", ("deltalake",)),
    "write_excel": ("polars", ("xlsxwriter",)),
}
#: What `engine="..."` of such functions and methods stands for.
_ENGINES = {
    "zarr": "zarr",
    "h5netcdf": "h5netcdf",
    "netcdf4": "netCDF4",
    "scipy": "scipy",
    "rasterio": "rioxarray",
    "cfgrib": "cfgrib",
    "openpyxl": "openpyxl",
    "xlrd": "xlrd",
    "calamine": "python_calamine",
    "pyxlsb": "pyxlsb",
    "odf": "odf",
    "xlsxwriter": "xlsxwriter",
    "fastparquet": "fastparquet",
    "fiona": "fiona",
}
_WITH_ENGINES = {*_XARRAY_OPENS, "to_netcdf", "read_excel", "to_excel", "ExcelWriter", "read_parquet", "read_file"}
_PACKAGES = {*_FUNCTIONS}


class Implied(NamedTuple):
    """A call, and the modules of which it loads one. It may be a module's, which travels as a whole."""

    path: str
    line: int
    what: str
    modules: tuple[str, ...]
    is_of_a_module: bool


def check_implied(bundle: Bundle, described: Description, brought: Collection[str] = ()) -> None:
    """Raises `CaptureError` for a call whose package loads another that the runs will not find.

    Where it stands in a module that travels as a whole, and may never be called, stderr says so.
    """
    for each in _missing(bundle, described):
        if {*each.modules} & {*brought}:
            continue
        first, *others = each.modules
        either = f" (or {', '.join(others)})" if others else ""
        said = f"{each.path}, line {each.line}: {each.what} loads {first}{either}, which the deployment's image lacks."
        if not each.is_of_a_module:
            brings = f'@udf(packages=["{package_of(first)}"])'
            raise CaptureError(said, next_step=f"have it brought along with {brings}, or use engine='local'.")
        sys.stderr.write(f"fanfold: {said}\n")


def implied_here(bundle: Bundle, described: Description) -> list[str]:
    """Of what such calls load and the image lacks, the modules that are installed here."""
    return [next(filter(_is_here, each.modules), each.modules[0]) for each in _missing(bundle, described)]


def _is_here(module: str) -> bool:
    return installed_version(package_of(module)) is not None


def _missing(bundle: Bundle, described: Description) -> Iterator[Implied]:
    if described.packages:
        for each in implied_imports(bundle):
            if len(not_brought(each.modules, described.packages)) == len(each.modules):
                yield each


def implied_imports(bundle: Bundle) -> Iterator[Implied]:
    """The calls whose package loads another, where the code does not catch that it is not there."""
    packages = _PACKAGES.intersection(bundle.imports)
    words = [word for package in packages for word in (*_FUNCTIONS[package], "engine", "chunks")]
    words += [method for method, (package, _) in _METHODS.items() if package in packages]
    texts = [source for source in bundle.sources if any(word in source.text for word in words)]
    if texts:
        graph = json.loads(bundle.graph)
        of_functions = {source.path for source in texts if source.kind == "entry"}
        for source in texts:
            names = dict(_held(graph, source.module, packages))
            for line, what, modules in _in_text(source.text, names, packages):
                yield Implied(source.path, line, what, modules, source.path not in of_functions)


def _held(graph: Any, module: str, packages: Collection[str]) -> Iterator[tuple[str, str]]:
    """By which names a module's functions call the packages, and functions of theirs: `xr` for `xarray`.

    A script has no file in the graph, and a namespace that is an imported module's no names.
    """
    for space in graph.get("spaces", ()):
        for name, number in space["globals"].items() if space.get("name") == module else ():
            node = graph["nodes"][number] if isinstance(number, int) else ("plain", "", "")
            if node[0] == "import" and node[1].partition(".")[0] in packages:
                yield name, f"{node[1].partition('.')[0]}.{node[2]}".rstrip(".")


def _in_text(text: str, names: dict[str, str], packages: Collection[str]) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """The lines that call such a function, what it is, and what it loads."""
    try:
        tree = tree_of(text)
    except SyntaxError:  # the worker will say so
        return
    names |= dict(_names(tree, packages))
    for call in _calls(tree):
        if isinstance(call.func, ast.Attribute):
            package = names.get(call.func.value.id, "") if isinstance(call.func.value, ast.Name) else ""
            function = call.func.attr
        else:
            package, _, function = names.get(getattr(call.func, "id", ""), "").rpartition(".")
        for modules in _loads(call, package, function, packages):
            yield call.lineno, f"{package}.{function}".lstrip("."), modules


def _loads(call: ast.Call, package: str, function: str, packages: Collection[str]) -> Iterator[tuple[str, ...]]:
    """The modules that a call takes: one of each."""
    given = {each.arg: getattr(each.value, "value", each.value) for each in call.keywords}
    owner, of_method = _METHODS.get(function, ("", ()))
    engine = _ENGINES.get(str(given.get("engine")))
    if engine and function in _WITH_ENGINES:
        yield (engine,)
        if engine == "h5netcdf":  # since 1.8 it brings neither along
            yield ("h5py", "pyfive")
    elif function in _FUNCTIONS.get(package, ()):
        yield _FUNCTIONS[package][function]
    elif owner in packages and package not in _PACKAGES:
        yield of_method
    if package == "xarray" and function in _XARRAY_OPENS and given.get("chunks") is not None:
        yield ("dask",)


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Every call but those in a `try` that does without what cannot be imported."""
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Call):
            yield node
        if isinstance(node, ast.Try) and any(map(catches_import_failure, node.handlers)):
            continue
        pending += ast.iter_child_nodes(node)


def _names(tree: ast.AST, packages: Collection[str]) -> Iterator[tuple[str, str]]:
    """By which names code calls the packages, and functions of theirs: `xr` for `xarray`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.asname or each.name, each.name) for each in node.names if each.name in packages)
        elif isinstance(node, ast.ImportFrom) and node.module in packages:
            yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)
