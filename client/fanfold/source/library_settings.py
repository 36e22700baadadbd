"""Settings of libraries as they stand, whatever has made them so: `pd.set_option` within a function, or twice.

A worker has the settings that a library begins with, and what statements at the top of the file set. What is other here
is set there, and what is as at first is so there too. Each library says what it has now, what it begins with, and how
one is set; what a library of another make does not say is left alone.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import ModuleType
from typing import Any

from fanfold.contract.records import NamedTuple

Values = dict[str, Any]
_MISSING: Any = object()


class _Settings(NamedTuple):
    """How a library is asked for its settings, and told them."""

    now: Callable[[Any], Values]
    #: What it begins with, of the same names.
    first: Callable[[Any], Values]
    put: Callable[[Any, Values], None]
    #: Whether all that is not said is as at first.
    is_whole: bool = True


def changed(used: Collection[str]) -> dict[str, Values]:
    """By library that code uses, the settings that are other than those which it begins with."""
    return {name: values for name in _OF if name in used and (values := _changed(name))}


def _changed(library: str) -> Values:
    module, how = sys.modules.get(library), _OF[library]
    if not isinstance(module, ModuleType):
        return {}
    try:
        first = how.first(module)
        return {key: value for key, value in how.now(module).items() if not _is(first.get(key, _MISSING), value)}
    except _UNLIKE:
        return {}


def have(library: str, wanted: Mapping[str, Any]) -> None:
    """Have a library hold these settings, and all others as it begins with them.

    Raises what the library raises where it does not take one; a locale that this machine does not have is named.
    """
    import importlib

    how = _OF[library]
    try:
        module = importlib.import_module(library)
    except ModuleNotFoundError:  # the code does without it, or says so where it imports it
        return
    try:
        values = {**how.first(module), **wanted} if how.is_whole else dict(wanted)
        now = how.now(module)
    except _UNLIKE:
        values, now = dict(wanted), {}
    if missing := {key: value for key, value in values.items() if not _is(now.get(key, _MISSING), value)}:
        how.put(module, missing)


def as_at_first(library: str, names: Collection[str]) -> Values:
    """What a library begins with under these names: for a worker that has had others."""
    module = sys.modules.get(library)
    try:
        first = _OF[library].first(module)
    except _UNLIKE:
        return {}
    return {name: first[name] for name in names if name in first}


#: What asking a release of a library for what it does not have raises.
_UNLIKE = (AttributeError, ImportError, KeyError, LookupError, TypeError)
#: Those that concern all that computes or prints, whether code names them or not.
EVERYWHERE = ("sys", "decimal", "locale", "socket", "warnings")


def known_libraries() -> AbstractSet[str]:
    """The libraries whose settings are known."""
    return _OF.keys()


def _is(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001 - an object of a user's, as a function that formats numbers
        return False


def _in_a_new_context(ask: Callable[[], Any]) -> Any:
    return contextvars.Context().run(ask)


# pandas


def _pandas_options(_: Any) -> Iterator[tuple[str, Any, Any]]:
    config = sys.modules["pandas._config.config"]
    for key, option in config._registered_options.items():
        at = config._global_config
        for part in key.split("."):
            at = at[part]
        if key not in config._deprecated_options:
            yield key, at, option.defval


def _put_pandas(pandas: Any, values: Values) -> None:
    for key, value in values.items():
        pandas.set_option(key, value)


# numpy: how it prints, and what it does about overflow


def _of_numpy(np: Any) -> Values:
    printed = {f"print.{name}": value for name, value in np.get_printoptions().items()}
    return {**printed, "err": np.geterr(), "errcall": np.geterrcall()}


def _put_numpy(np: Any, values: Values) -> None:
    printed = {key.partition(".")[2]: value for key, value in values.items() if key.startswith("print.")}
    if printed:
        np.set_printoptions(**printed)
    if "errcall" in values:
        np.seterrcall(values["errcall"])
    if "err" in values:
        np.seterr(**values["err"])


#: As numpy 1 begins, which keeps them in the process; numpy 2 keeps them in a context, and a new one has the first.
_PRINTED_BY_1 = {
    "edgeitems": 3, "threshold": 1000, "floatmode": "maxprec", "precision": 8, "suppress": False, "linewidth": 75,
    "nanstr": "nan", "infstr": "inf", "sign": "-", "formatter": None, "legacy": False,
}  # fmt: skip


def _first_of_numpy(np: Any) -> Values:
    if int(np.__version__.partition(".")[0]) > 1:
        return _in_a_new_context(lambda: _of_numpy(np))  # type: ignore[no-any-return]
    from concurrent.futures import ThreadPoolExecutor  # each thread begins with the first

    with ThreadPoolExecutor(1) as thread:
        err = thread.submit(np.geterr).result()
    return {**{f"print.{key}": value for key, value in _PRINTED_BY_1.items()}, "err": err, "errcall": None}


# matplotlib


#: What belongs to the process, its screen and its files.
_OF_THE_SCREEN = ("backend", "interactive", "toolbar", "savefig.directory", "tk.", "webagg.", "keymap.", "macosx.")


def _of_matplotlib(held: Any) -> Values:
    return {key: value for key, value in dict.items(held) if not key.startswith(_OF_THE_SCREEN)}


# The standard library's


_CONTEXT = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def _of_decimal(decimal: Any) -> Values:
    context = decimal.getcontext()
    traps = sorted(kind.__name__ for kind, is_set in context.traps.items() if is_set)
    return {**{name: getattr(context, name) for name in _CONTEXT}, "traps": traps}


def _put_decimal(decimal: Any, values: Values) -> None:
    context = decimal.getcontext()
    for name, value in values.items():
        if name == "traps":
            for kind in context.traps:
                context.traps[kind] = kind.__name__ in value
        else:
            setattr(context, name, value)


_CATEGORIES = ("LC_COLLATE", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")


def _of_locale(locale: Any) -> Values:
    return {name: locale.setlocale(getattr(locale, name)) for name in _CATEGORIES}


def _put_locale(locale: Any, values: Values) -> None:
    for name, value in values.items():
        try:
            locale.setlocale(getattr(locale, name), value)
        except locale.Error:
            sys.stderr.write(
                f"fanfold: {name} is {value!r} where this was submitted; this machine has no such locale\n"
            )


_OF_SYS = ("recursionlimit", "int_max_str_digits")


def _of_sys(_: Any) -> Values:
    return {name: getattr(sys, f"get{'_' * ('_' in name)}{name}")() for name in _OF_SYS if _has(name)}


def _has(name: str) -> bool:
    return hasattr(sys, f"get{'_' * ('_' in name)}{name}")  # the digits since 3.10.7


def _first_of_sys(_: Any) -> Values:
    return {"recursionlimit": 1000, "int_max_str_digits": getattr(sys.int_info, "default_max_str_digits", 0)}


def _put_sys(_: Any, values: Values) -> None:
    for name, value in values.items():
        getattr(sys, f"set{'_' * ('_' in name)}{name}")(value)


_DIALECT = ("delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace",
            "strict")  # fmt: skip


def _of_csv(csv: Any) -> Values:
    names = [name for name in csv.list_dialects() if name not in ("excel", "excel-tab", "unix")]
    dialects = {f"dialect.{n}": {each: getattr(csv.get_dialect(n), each) for each in _DIALECT} for n in names}
    return {"field_size_limit": csv.field_size_limit(), **dialects}


def _first_of_csv(_: Any) -> Values:
    from importlib.util import find_spec, module_from_spec

    spec = find_spec("_csv")
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)  # a second one, to see what it begins with
    spec.loader.exec_module(made)
    return {"field_size_limit": made.field_size_limit()}


def _put_csv(csv: Any, values: Values) -> None:
    for name, value in values.items():
        if name == "field_size_limit":
            csv.field_size_limit(value)
        else:
            csv.register_dialect(name.partition(".")[2], **value)


def _of_mimetypes(mimetypes: Any) -> Values:
    return dict(mimetypes._db.types_map[True]) if mimetypes.inited else {}


def _first_of_mimetypes(mimetypes: Any) -> Values:
    fresh = mimetypes.MimeTypes()
    fresh.types_map[True].clear()
    fresh.types_map[True].update(mimetypes._types_map_default)
    for path in mimetypes.knownfiles:
        if mimetypes.os.path.isfile(path):
            fresh.read(path)
    return dict(fresh.types_map[True])


def _put_mimetypes(mimetypes: Any, values: Values) -> None:
    for extension, kind in values.items():
        mimetypes.add_type(kind, extension)


def _of_loggers(logging: Any) -> Values:
    """Loggers that somebody has set: not those of libraries, which set them where they are imported; and the rest."""
    held = [("root", logging.root), *logging.root.manager.loggerDict.items()]
    own = [(n, each) for n, each in held if isinstance(each, logging.Logger) and not _is_of_library(n)]
    return {
        **{f"logger.{name}": [each.level, each.disabled, each.propagate] for name, each in own},
        **{f"level.{level}": name for level, name in logging._levelToName.items()},
        "disable": logging.root.manager.disable,
        "factory": logging.getLogRecordFactory(),
        "class": logging.getLoggerClass(),
    }


def _first_of_loggers(logging: Any) -> Values:
    names = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET")
    return {
        **{name: [0, False, True] for name in _of_loggers(logging) if name.startswith("logger.")},
        **{f"level.{getattr(logging, name)}": name for name in names},
        "logger.root": [logging.WARNING, False, True],
        "disable": 0,
        "factory": logging.LogRecord,
        "class": logging.Logger,
    }


def _is_of_library(name: str) -> bool:
    from fanfold.source.modules import is_library

    return is_library(name.partition(".")[0])


def _put_loggers(logging: Any, values: Values) -> None:
    put = {"disable": logging.disable, "factory": logging.setLogRecordFactory, "class": logging.setLoggerClass}
    for key, value in values.items():
        kind, _, name = key.partition(".")
        if kind == "logger":
            logger = logging.getLogger(None if name == "root" else name)
            logger.setLevel(value[0])
            logger.disabled, logger.propagate = value[1:]
        elif kind == "level":
            logging.addLevelName(int(name), value)
        else:
            put[kind](value)


def _of_warnings(warnings: Any) -> Values:
    """What makes errors of warnings, and what comes before it; within pytest that is its own affair."""
    filters = [] if "_pytest" in sys.modules else [each for each in warnings.filters if _is_asked_for(each[2])]
    last = max((n for n, each in enumerate(filters) if each[0] == "error"), default=-1)
    return {"filters": [[a, _pattern(m), kind, _pattern(where), n] for a, m, kind, where, n in filters[: last + 1]]}


def _is_asked_for(category: type) -> bool:
    """Whether a kind of warning is not IPython's own, which makes errors of some."""
    return category.__module__.partition(".")[0] not in ("IPython", "ipykernel")


def _pattern(said: Any) -> str:
    return said if isinstance(said, str) else getattr(said, "pattern", "")


def _put_warnings(warnings: Any, values: Values) -> None:
    for each in reversed(values["filters"]):
        warnings.filterwarnings(*each)


# Others


def _of_sklearn(sklearn: Any) -> Values:
    return dict(sklearn.get_config())


def _of_polars(polars: Any) -> Values:
    import json

    return {f"{part}.{name}": value for part, values in json.loads(polars.Config.save()).items()
            for name, value in values.items()}  # fmt: skip


def _first_of_polars(polars: Any) -> Values:
    now = _of_polars(polars)
    return {name: _FIRST_OF_POLARS.get(name) for name in now}


#: Those that polars does not keep in variables of the environment.
_FIRST_OF_POLARS = {
    "direct.set_fmt_float": "mixed", "direct.set_thousands_separator": "", "direct.set_decimal_separator": ".",
    "direct.set_trim_decimal_zeros": False,
}  # fmt: skip


def _put_polars(polars: Any, values: Values) -> None:
    import json

    saved = json.loads(polars.Config.save())
    for name, value in values.items():
        part, _, own = name.partition(".")
        saved[part][own] = value
    polars.Config.load(json.dumps(saved))


def _first_of_xarray(_: Any) -> Values:
    from fanfold.source.filled import literals_of

    return dict(literals_of(sys.modules["xarray.core.options"], "OPTIONS") or {})


def _put_xarray(xarray: Any, values: Values) -> None:
    xarray.set_options(**values)


def _network(_: Any) -> Any:
    import importlib

    return importlib.import_module("pyproj.network")


_OF: dict[str, _Settings] = {
    "pandas": _Settings(
        lambda pandas: {key: now for key, now, _ in _pandas_options(pandas)},
        lambda pandas: {key: first for key, _, first in _pandas_options(pandas)},
        _put_pandas,
    ),
    "numpy": _Settings(_of_numpy, _first_of_numpy, _put_numpy),
    "matplotlib": _Settings(
        lambda mpl: _of_matplotlib(mpl.rcParams),
        lambda mpl: _of_matplotlib(mpl.rcParamsOrig),
        lambda mpl, values: mpl.rcParams.update(values),
    ),
    "sklearn": _Settings(
        _of_sklearn,
        lambda _: dict(sys.modules["sklearn._config"]._global_config),
        lambda sklearn, values: sklearn.set_config(**values),
    ),
    "xarray": _Settings(lambda xr: dict(xr.get_options()), _first_of_xarray, _put_xarray),
    "polars": _Settings(_of_polars, _first_of_polars, _put_polars),
    "pyproj": _Settings(
        lambda each: {"network": _network(each).is_network_enabled()},
        lambda _: {"network": False},
        lambda each, values: _network(each).set_network_enabled(values["network"]),
    ),
    "decimal": _Settings(_of_decimal, lambda each: _in_a_new_context(lambda: _of_decimal(each)), _put_decimal),
    "locale": _Settings(_of_locale, lambda _: dict.fromkeys(_CATEGORIES, "C"), _put_locale),
    "sys": _Settings(_of_sys, _first_of_sys, _put_sys),
    "csv": _Settings(_of_csv, _first_of_csv, _put_csv),
    "socket": _Settings(
        lambda each: {"timeout": each.getdefaulttimeout()},
        lambda _: {"timeout": None},
        lambda each, values: each.setdefaulttimeout(values["timeout"]),
    ),
    "mimetypes": _Settings(_of_mimetypes, _first_of_mimetypes, _put_mimetypes),
    "logging": _Settings(_of_loggers, _first_of_loggers, _put_loggers, is_whole=False),
    "warnings": _Settings(_of_warnings, lambda _: {"filters": []}, _put_warnings, is_whole=False),
}
