"""Which calls have their package load another, by what they are given: engines, endings, addresses, databases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from fanfold.contract.records import NamedTuple

#: A value that only the run knows.
UNKNOWN: Any = object()


class Text(NamedTuple):
    """How a text begins and ends, as far as is known, or the parameter that it begins with; `whole`: that is all."""

    start: str = ""
    end: str = ""
    parameter: str = ""
    whole: bool = False

    def of(self, value: str) -> Text:
        """The same where that parameter has this value."""
        return Text(value, value if self.whole else self.end, whole=self.whole)


class WrittenCall(NamedTuple):
    """A call in a UDF's source.

    `name` is a function with its module, or a method with a dot before it. `given` has its keywords; `all_given`: there
    are no others. `certain`: a run that gets to the function makes it.
    """

    line: int
    name: str
    given: Mapping[str, Any]
    texts: tuple[Text, ...]
    all_given: bool
    certain: bool


class Load(NamedTuple):
    """Modules of which a call loads one. `by`: the address or the file for which it does."""

    modules: tuple[str, ...]
    certain: bool = True
    by: str = ""


class _Rule(NamedTuple):
    """What is loaded, one of each; by the value of a keyword where it is given."""

    loads: tuple[tuple[str, ...], ...] = ()
    keyword: str = ""
    choices: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType({})


def _one_of_each(**modules: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    return {choice: tuple(tuple(each.split("|")) for each in text.split()) for choice, text in modules.items()}


def _loads(*modules: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(each.split("|")) for each in modules)


_READ_SHEET = _Rule(
    _loads("openpyxl|xlrd|python_calamine|pyxlsb|odf"),
    "engine",
    _one_of_each(openpyxl="openpyxl", xlrd="xlrd", calamine="python_calamine", pyxlsb="pyxlsb", odf="odf"),
)
_WRITE_SHEET = _Rule(
    _loads("openpyxl|xlsxwriter|odf"), "engine", _one_of_each(openpyxl="openpyxl", xlsxwriter="xlsxwriter", odf="odf")
)
_PARQUET = _Rule(_loads("pyarrow|fastparquet"), "engine", _one_of_each(pyarrow="pyarrow", fastparquet="fastparquet"))
_BY_ARROW = _Rule((), "engine", _one_of_each(pyarrow="pyarrow"))
_LAYER = _Rule(_loads("pyogrio|fiona"), "engine", _one_of_each(pyogrio="pyogrio", fiona="fiona"))
#: Since 1.8 h5netcdf brings neither of the two along.
_SCENES = _one_of_each(
    zarr="zarr",
    h5netcdf="h5netcdf h5py|pyfive",
    netcdf4="netCDF4",
    scipy="scipy",
    rasterio="rioxarray",
    cfgrib="cfgrib",
    pydap="pydap",
    kerchunk="kerchunk",
    virtualizarr="virtualizarr",
    tiledb="tiledb",
    pynio="Nio",
)
_SCENE = _Rule((), "engine", _SCENES)
_TO_NETCDF = _Rule(_loads("netCDF4|h5netcdf|scipy"), "engine", _SCENES)
_FRAME_SHEETS = _one_of_each(calamine="fastexcel", openpyxl="openpyxl", xlsx2csv="xlsx2csv")
_DISTRIBUTED = dict.fromkeys(("distributed", "dask.distributed"), (("distributed",),))
_SCHEDULED = _Rule((), "scheduler", _DISTRIBUTED)
_PARALLEL = _Rule((), "backend", _one_of_each(dask="distributed", ray="ray"))
_PICTURE = _Rule(
    (),
    "plugin",
    _one_of_each(
        pyav="av",
        FFMPEG="imageio_ffmpeg",
        tifffile="tifffile",
        opencv="cv2",
        rawpy="rawpy",
        ITK="itk|SimpleITK",
        GDAL="osgeo",
    ),
)
_OPENS = ("open_dataset", "open_dataarray", "open_datatree", "load_dataset", "load_dataarray")

#: Functions, by their names with their modules'.
_FUNCTIONS: dict[str, _Rule] = {
    **dict.fromkeys((f"xarray.{each}" for each in _OPENS), _SCENE),
    "xarray.open_zarr": _Rule(_loads("zarr")),
    "xarray.open_mfdataset": _SCENE._replace(loads=_loads("dask")),
    "xarray.tutorial.open_dataset": _Rule(_loads("pooch")),
    "xarray.tutorial.load_dataset": _Rule(_loads("pooch")),
    "pandas.read_excel": _READ_SHEET,
    "pandas.ExcelFile": _READ_SHEET,
    "pandas.ExcelWriter": _WRITE_SHEET,
    "pandas.read_hdf": _Rule(_loads("tables")),
    "pandas.HDFStore": _Rule(_loads("tables")),
    "pandas.read_html": _Rule(
        _loads("lxml|bs4"), "flavor", _one_of_each(lxml="lxml", bs4="bs4 html5lib", html5lib="bs4 html5lib")
    ),
    "pandas.read_xml": _Rule(_loads("lxml"), "parser", _one_of_each(lxml="lxml", etree="")),
    "pandas.read_spss": _Rule(_loads("pyreadstat")),
    "pandas.read_gbq": _Rule(_loads("pandas_gbq")),
    "pandas.read_iceberg": _Rule(_loads("pyiceberg")),
    "pandas.read_feather": _Rule(_loads("pyarrow")),
    "pandas.read_orc": _Rule(_loads("pyarrow")),
    "pandas.read_parquet": _PARQUET,
    "pandas.read_csv": _BY_ARROW,
    "pandas.read_json": _BY_ARROW,
    "pandas.eval": _Rule((), "engine", _one_of_each(numexpr="numexpr")),
    "polars.read_excel": _Rule(_loads("fastexcel|openpyxl|xlsx2csv"), "engine", _FRAME_SHEETS),
    "polars.read_ods": _Rule(_loads("fastexcel")),
    "polars.read_delta": _Rule(_loads("deltalake")),
    "polars.scan_delta": _Rule(_loads("deltalake")),
    "polars.scan_iceberg": _Rule(_loads("pyiceberg")),
    "polars.read_database_uri": _Rule(
        _loads("connectorx"), "engine", _one_of_each(connectorx="connectorx", adbc="adbc_driver_manager")
    ),
    "geopandas.read_file": _LAYER,
    "geopandas.list_layers": _Rule(_loads("pyogrio")),
    "geopandas.read_parquet": _Rule(_loads("pyarrow")),
    "geopandas.read_feather": _Rule(_loads("pyarrow")),
    "geopandas.read_postgis": _Rule(_loads("sqlalchemy|psycopg2|psycopg")),
    "geopandas.tools.geocode": _Rule(_loads("geopy")),
    "dask.compute": _SCHEDULED,
    "dask.config.set": _SCHEDULED,
    "joblib.Parallel": _PARALLEL,
    **{f"imageio{version}.im{verb}": _PICTURE for version in ("", ".v3") for verb in ("read", "write", "iter", "open")},
}
#: Methods of what a package makes, whose names nobody else has, by the packages that have them.
_METHODS: dict[str, tuple[tuple[str, ...], _Rule]] = {
    "to_zarr": (("xarray",), _Rule(_loads("zarr"))),
    "to_netcdf": (("xarray",), _TO_NETCDF),
    "to_dask_dataframe": (("xarray",), _Rule(_loads("dask"))),
    "to_hdf": (("pandas", "geopandas"), _Rule(_loads("tables"))),
    "to_excel": (("pandas", "geopandas"), _WRITE_SHEET),
    "to_markdown": (("pandas", "geopandas"), _Rule(_loads("tabulate"))),
    "to_latex": (("pandas", "geopandas"), _Rule(_loads("jinja2"))),
    "to_xml": (("pandas", "geopandas"), _Rule(_loads("lxml"), "parser", _one_of_each(lxml="lxml", etree=""))),
    "to_gbq": (("pandas",), _Rule(_loads("pandas_gbq"))),
    "to_iceberg": (("pandas",), _Rule(_loads("pyiceberg"))),
    "to_feather": (("pandas", "geopandas"), _Rule(_loads("pyarrow"))),
    "to_orc": (("pandas",), _Rule(_loads("pyarrow"))),
    "write_delta": (("polars",), _Rule(_loads("deltalake"))),
    "write_excel": (("polars",), _Rule(_loads("xlsxwriter"))),
    "to_file": (("geopandas",), _LAYER),
    "to_postgis": (("geopandas",), _Rule(_loads("sqlalchemy", "geoalchemy2"))),
    "explore": (("geopandas",), _Rule(_loads("folium", "mapclassify", "matplotlib"))),
    "write_image": (("plotly",), _Rule(_loads("kaleido"))),
    "compute": (("dask",), _SCHEDULED),
    "set_output": (("sklearn",), _Rule((), "transform", _one_of_each(pandas="pandas", polars="polars"))),
}
#: The packages whose calls are looked at.
PACKAGES = frozenset(
    {name.partition(".")[0] for name in _FUNCTIONS}
    | {package for packages, _ in _METHODS.values() for package in packages}
    | {"fsspec", "zarr", "sqlalchemy", "sqlmodel", "matplotlib", "rioxarray"}
)

# What is loaded for an address or a file, by how it begins or ends.

#: What fsspec loads for an address, beside itself.
PROTOCOLS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs",)),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs",)),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs",)),
    **dict.fromkeys(("http", "https"), ("aiohttp",)),
    **dict.fromkeys(("sftp", "ssh"), ("paramiko",)),
    **dict.fromkeys(("github", "gist", "webhdfs", "dbfs"), ("requests",)),
    **dict.fromkeys(("oci", "ocilake"), ("ocifs",)),
    "smb": ("smbprotocol", "smbclient"),
    "hf": ("huggingface_hub",),
    "git": ("pygit2",),
    "hdfs": ("pyarrow",),
    "box": ("boxfs",),
    "dropbox": ("dropboxdrivefs",),
    "gdrive": ("gdrive_fsspec",),
    "lakefs": ("lakefs_spec",),
    "libarchive": ("libarchive",),
    "oss": ("ossfs",),
    "tos": ("tosfs",),
    "wandb": ("wandbfs",),
    "webdav": ("webdav4",),
    "root": ("fsspec_xrootd",),
    "dvc": ("dvc",),
}
#: What Arrow opens by itself, which pandas and geopandas ask first.
_BY_ARROW_ITSELF = frozenset({"s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss", "file", "http", "https"})
#: What pandas opens by urllib.
_BY_URLLIB = frozenset({"http", "https", "ftp", "file"})
_HANDLES = "csv table fwf json excel pickle xml stata sas feather".split()
_BY_HANDLE = frozenset(
    {
        *(f"pandas.read_{each}" for each in _HANDLES),
        "pandas.ExcelFile",
        *(f".to_{each}" for each in ("csv", "json", "excel", "pickle", "xml", "stata", "feather")),
    }
)
_BY_ARROW_FIRST = frozenset(
    {
        "pandas.read_parquet",
        "pandas.read_orc",
        "geopandas.read_parquet",
        "geopandas.read_feather",
        ".to_parquet",
        ".to_orc",
    }
)
_BY_FSSPEC = frozenset(
    {
        "xarray.open_zarr",
        ".to_zarr",
        *(
            f"fsspec.{each}"
            for each in ("open", "open_files", "open_local", "get_mapper", "url_to_fs", "core.url_to_fs")
        ),
        *(f"zarr.open{each}" for each in ("", "_array", "_group", "_consolidated", "_like")),
        *(f"zarr.{each}" for each in ("group", "save", "load", "storage.FsspecStore.from_url")),
        *(f"dask.dataframe.read_{each}" for each in ("csv", "table", "fwf", "json", "parquet", "orc")),
        "dask.bag.read_text",
        "dask.array.from_zarr",
        "dask.array.to_zarr",
    }
)
#: What xarray reads a file with, by its ending.
_ENDINGS = {".nc": ("netCDF4", "h5netcdf", "scipy"), ".zarr": ("zarr",)}
_BY_ENDING = frozenset(f"xarray.{each}" for each in _OPENS)
_ZSTD = ("zstandard",)
_DATABASES: dict[str, tuple[str, ...]] = {
    "postgresql": ("psycopg2", "psycopg"),
    # PyMySQL takes the place of the other where it is asked to (`install_as_MySQLdb`).
    "mysql": ("MySQLdb", "pymysql"),
    "mariadb": ("MySQLdb", "pymysql"),
    "oracle": ("oracledb", "cx_Oracle"),
    "mssql": ("pyodbc",),
    "duckdb": ("duckdb_engine",),
    "bigquery": ("sqlalchemy_bigquery",),
    "trino": ("trino",),
    "awsathena": ("pyathena",),
    "snowflake": ("snowflake",),
    "redshift": ("sqlalchemy_redshift",),
}
_DRIVERS = {"mysqldb": "MySQLdb", "mysqlconnector": "mysql", "cx_oracle": "cx_Oracle", "rest": "pyathena"}
_KNOWN_DRIVERS = frozenset(
    "psycopg2 psycopg asyncpg pg8000 pymysql aiomysql asyncmy pyodbc aioodbc pymssql oracledb aiosqlite".split()
)
_ENGINES_OF_DATABASES = frozenset(
    {"sqlalchemy.create_engine", "sqlalchemy.ext.asyncio.create_async_engine", "sqlmodel.create_engine"}
)
_WITH_CONNECTION = frozenset({"pandas.read_sql", "pandas.read_sql_query", "pandas.read_sql_table", ".to_sql"})
_WINDOWS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("qtagg", "qtcairo"), ("PyQt6", "PySide6", "PyQt5", "PySide2")),
    **dict.fromkeys(("qt5agg", "qt5cairo"), ("PyQt5", "PySide2")),
    **dict.fromkeys(("gtk3agg", "gtk3cairo", "gtk4agg", "gtk4cairo"), ("gi",)),
    **dict.fromkeys(("wxagg", "wxcairo", "wx"), ("wx",)),
    **dict.fromkeys(("webagg", "nbagg"), ("tornado",)),
}
#: What a text that says itself what fsspec opens an address with has in it, and what stands for such a one.
REGISTERS, REGISTERED = ("register_implementation", "obstore.fsspec"), "fsspec.register"
_BACKENDS = frozenset({"matplotlib.use", "matplotlib.pyplot.switch_backend"})
PATH_WORDS = tuple("path path_or_buf filepath_or_buffer io filename_or_obj store urlpath url con uri backend".split())
#: What makes a text worth looking at: one of these stands in whatever loads a package by itself.
WORDS = frozenset(
    {name.rpartition(".")[2] for name in (*_FUNCTIONS, *_BY_HANDLE, *_BY_ARROW_FIRST, *_BY_FSSPEC, *_WITH_CONNECTION)}
    | {*_METHODS, "filesystem", "create_engine", "create_async_engine", "switch_backend", "use", "open_rasterio"}
)


def loads(call: WrittenCall, packages: frozenset[str]) -> Iterator[Load]:
    """What a call has its package load, of all that is written there; of the packages whose names its file knows."""
    rule = _FUNCTIONS.get(call.name)
    if call.name.startswith("."):
        owners, of_method = _METHODS.get(call.name[1:], ((), None))
        rule = of_method if not packages.isdisjoint(owners) else None
    yield from _by_rule(call, rule) if rule else ()
    if call.name.startswith("xarray.open_") or call.name == "rioxarray.open_rasterio":
        yield from _by_chunks(call)
    if call.name in _BACKENDS and call.given.get("force", call.all_given or UNKNOWN) is True:
        yield from _by_backend(call)
    for text in call.texts[:1]:
        yield from by_text(call, text, packages)
    if call.name in _WITH_CONNECTION and "pandas" in packages:
        for text in call.texts[1:2]:
            if "://" in text.start:
                by = f"{text.start.partition('://')[0]}://"
                yield Load(("sqlalchemy",), by=by)
                yield from (Load(modules, by=by) for modules in _driver(text.start))


def by_text(call: WrittenCall, text: Text, packages: frozenset[str]) -> Iterator[Load]:
    """What it loads for an address or a file that begins and ends as `text` does."""
    if call.name in _ENGINES_OF_DATABASES:
        yield from (Load(modules, by=f"{text.start.partition('://')[0]}://") for modules in _driver(text.start))
    if call.name == "fsspec.filesystem" and text.whole and REGISTERED not in packages:
        yield from (Load(each, by=text.start) for each in _of_protocol(text.start))
    for protocol in _protocols(call, text.start, packages):
        yield from (Load(each, by=f"{protocol}://") for each in _of_protocol(protocol))
    if call.name in _BY_HANDLE and _is_pandas(call, packages):
        compression = call.given.get("compression", "infer" if call.all_given else UNKNOWN)
        if compression == "zstd" or (compression == "infer" and text.end.endswith(".zst")):
            yield Load(_ZSTD, by=".zst")
    if call.name in _BY_ENDING and call.all_given and call.given.get("engine") is None:
        for ending, modules in _ENDINGS.items():
            if text.end.endswith(ending):
                far = ("pydap",) if ending == ".nc" and "://" in text.start else ()
                yield Load((*modules, *far), by=ending)


def _is_pandas(call: WrittenCall, packages: frozenset[str]) -> bool:
    return not call.name.startswith(".") or not packages.isdisjoint(("pandas", "geopandas"))


def _by_rule(call: WrittenCall, rule: _Rule) -> Iterator[Load]:
    given = call.given.get(rule.keyword, None if call.all_given else UNKNOWN)
    if not rule.keyword or given is None:
        found = rule.loads
    elif isinstance(given, str):
        found = rule.choices.get(given, ())
    elif rule.loads and all(rule.choices.values()):  # whatever it is, it is one of these
        every = (*rule.loads, *(modules[0] for modules in rule.choices.values()))
        found = (tuple(dict.fromkeys(module for modules in every for module in modules)),)
    else:
        found = ()
    yield from map(Load, found)
    if call.name == "xarray.open_mfdataset" and given is not None:
        yield from map(Load, rule.loads)


def _by_chunks(call: WrittenCall) -> Iterator[Load]:
    chunks = call.given.get("chunks")
    if chunks is None or (call.name == "xarray.open_zarr" and chunks == "auto"):
        return
    other = call.given.get("chunked_array_type", "dask" if call.all_given else UNKNOWN)
    if other in ("dask", None):
        yield Load(("dask",), certain=chunks is not UNKNOWN)


def _by_backend(call: WrittenCall) -> Iterator[Load]:
    for text in call.texts[:1]:
        if text.whole:
            if modules := _WINDOWS.get(text.start.lower()):
                yield Load(modules, by=text.start)
            elif text.start.startswith("module://"):
                yield Load((text.start[len("module://") :].partition(".")[0],), by=text.start)


def _protocols(call: WrittenCall, address: str, packages: frozenset[str]) -> Iterator[str]:
    """The protocols of an address that a call leaves to fsspec."""
    if REGISTERED in packages:
        return
    chained = "::" in address
    plain = call.given.get("storage_options", None if call.all_given else UNKNOWN) is None
    for part in address.split("::"):
        protocol, there, _ = part.partition("://")
        if not there or not re.fullmatch(r"[a-z0-9]+", protocol):
            continue
        if call.name in _BY_HANDLE and _is_pandas(call, packages):
            if chained or protocol not in _BY_URLLIB:
                yield protocol
        elif call.name in _BY_ARROW_FIRST and _is_pandas(call, packages):
            arrow = plain and call.given.get("engine") in (None, "auto", "pyarrow") and protocol in _BY_ARROW_ITSELF
            if chained or not (arrow or protocol in _BY_URLLIB):
                yield protocol
        elif call.name in _BY_FSSPEC and (call.name != ".to_zarr" or "xarray" in packages):
            yield protocol


def _of_protocol(protocol: str) -> Iterator[tuple[str, ...]]:
    if protocol in PROTOCOLS:
        yield ("fsspec",)
        yield PROTOCOLS[protocol]


def _driver(address: str) -> Iterator[tuple[str, ...]]:
    """What SQLAlchemy loads for a database, by how its address begins."""
    scheme, there, _ = address.partition("://")
    dialect, _, driver = scheme.partition("+")
    if there and (driver in _KNOWN_DRIVERS or driver in _DRIVERS):
        yield (_DRIVERS.get(driver, driver),)
    elif there and not driver and dialect in _DATABASES:
        yield _DATABASES[dialect]
