"""Settings and where they come from.

| setting    | configure()   | environment        | config file  | default                           |
| ---------- | ------------- | ------------------ | ------------ | --------------------------------- |
| home       | `home=`       | FANFOLD_HOME       |              | ~/.fanfold                        |
| engine     | `engine=`     | FANFOLD_ENGINE     | `engine`     | aws with a deployment, else local |
| deployment | `deployment=` | FANFOLD_DEPLOYMENT | `deployment` | none                              |
| region     | `region=`     | FANFOLD_REGION     | `region`     | as boto3 finds it                 |
| profile    | `profile=`    | FANFOLD_PROFILE    | `profile`    | as boto3 finds it                 |
| owner      | `owner=`      | FANFOLD_OWNER      | `owner`      | the name of the account on this machine |
| prices     | `prices=`     | FANFOLD_PRICES     | `prices`     | AWS's list prices of us-east-1    |
| allow_pickle | `allow_pickle=` | FANFOLD_ALLOW_PICKLE | `allow_pickle` | off: others' pickled results are refused |
| durability | `durability=` | FANFOLD_DURABILITY | `durability` | disk: what is finished outlives a power cut |
| home_limit_gb | `home_limit_gb=` | FANFOLD_HOME_LIMIT_GB | `home_limit_gb` | 50; beyond it the oldest jobs go |

The leftmost that is given wins; an argument of a call beats them all. The config file is `config.toml` in home.

`prices` is a TOML or JSON file, or in `configure` and the config file also a table: `as_of`, and of the names in
`fanfold.contract.instances` those whose price is another than in the list.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fanfold.contract.records import NamedTuple
from fanfold.errors import ConfigurationError, FanfoldError

if TYPE_CHECKING:
    from types import TracebackType

_IN_FILE = (
    "engine",
    "deployment",
    "region",
    "profile",
    "owner",
    "prices",
    "allow_pickle",
    "durability",
    "home_limit_gb",
)
_ENGINES = ("local", "aws")

#: What a finished run survives: the end of every process, or a power cut as well.
_DURABILITIES = ("process", "disk")

#: Before it stands the image, after it under which conditions its runs are (`Conditions.mark`).
CONDITIONS_MARK = "@like="

_configured: dict[str, Any] = {}
#: Under which conditions this machine runs jobs (`fanfold.local`); None: it was not asked to.
_conditions: Conditions | None = None


class Conditions(NamedTuple):
    """Under which conditions this machine runs jobs, as `fanfold.local` was asked. `like`: "" for as it is.

    `chaos`: which part of all tries meets what, by its name; `seed` says which ones.
    """

    like: str = ""
    chaos: tuple[tuple[str, float], ...] = ()
    seed: int = 0

    @property
    def mark(self) -> str:
        """What is added to the name of the image: results under other conditions are results of their own."""
        if not self.like:
            return ""
        parts = [f"{name}={part!r}" for name, part in self.chaos]
        return ",".join([f"{CONDITIONS_MARK}{self.like}", *parts, *([f"seed={self.seed}"] if parts else [])])

    @classmethod
    def of_mark(cls, mark: str) -> Conditions:
        """What a mark says, without what it begins with."""
        like, *parts = mark.split(",")
        found = dict(part.partition("=")[::2] for part in parts)
        seed = int(found.pop("seed", 0))
        return cls(like, tuple((name, float(part)) for name, part in found.items()), seed)


class Settings(NamedTuple):
    """The settings in force, each from the place of the highest precedence that gives it."""

    home: Path
    engine: str
    deployment: str | None
    region: str | None
    profile: str | None
    owner: str
    #: A file of prices, or a table of them; see `pricing`.
    prices: str | Mapping[str, Any] | None = None
    #: Whether results that others have written with pickle may be read, which runs code of theirs.
    allow_pickle: bool = False
    #: "disk": what is finished outlives a power cut; "process": only the end of every process.
    durability: str = "disk"
    #: What home may hold, in GB of 10**9 bytes, before the oldest jobs that have ended are removed. 0 for no limit.
    home_limit_gb: float = 50.0


def configure(
    *,
    home: str | os.PathLike[str] | None = None,
    engine: str | None = None,
    deployment: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    owner: str | None = None,
    prices: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    allow_pickle: bool | None = None,
    durability: str | None = None,
    home_limit_gb: float | None = None,
    **unknown: NoReturn,
) -> Settings:
    """Set defaults for this process, and return the settings that are now in force.

    What is not given stays as it was. Raises `ConfigurationError` for a name or an engine that is none, and changes
    nothing then.
    """
    if unknown:
        raise _unknown(list(unknown))
    given: dict[str, Any] = {
        "home": home,
        "engine": engine,
        "deployment": deployment,
        "region": region,
        "profile": profile,
        "owner": owner,
        "prices": os.fspath(prices) if isinstance(prices, os.PathLike) else prices,
        "allow_pickle": None if allow_pickle is None else str(allow_pickle),
        "durability": durability,
        "home_limit_gb": None if home_limit_gb is None else str(home_limit_gb),
    }
    before = _configured.copy()
    _configured.update({name: value for name, value in given.items() if value is not None})
    try:
        return current()
    except ConfigurationError:  # a later call, which gives nothing wrong, must not fail for this one
        _configured.clear()
        _configured.update(before)
        raise


def _unknown(names: list[str]) -> ConfigurationError:
    from difflib import get_close_matches

    near = [match for name in names for match in get_close_matches(name, Settings._fields, n=1)]
    meant = f"did you mean {' and '.join(near)}? " if near else ""
    return ConfigurationError(
        f"configure() was given {', '.join(names)}, which Fanfold does not know.",
        next_step=f"{meant}it takes {', '.join(Settings._fields)}.",
    )


def reset() -> None:
    """Forget what `configure` and `local` were told."""
    _configured.clear()
    set_conditions(None)


def set_conditions(conditions: Conditions | None) -> Conditions | None:
    """Have this machine run jobs under these conditions from now on; what was in force before. None: as configured."""
    global _conditions
    before, _conditions = _conditions, conditions
    return before


def conditions() -> Conditions | None:
    """Under which conditions this machine is to run jobs; None where nothing was said (`fanfold.local`)."""
    return _conditions


def current() -> Settings:
    """The settings in force now."""
    home = Path(_configured.get("home") or os.environ.get("FANFOLD_HOME") or Path.home() / ".fanfold").expanduser()
    in_file = _from_file(home / "config.toml")
    found = {
        name: _configured.get(name) or os.environ.get(f"FANFOLD_{name.upper()}") or in_file.get(name)
        for name in _IN_FILE
    }
    engine = found["engine"] or ("aws" if found["deployment"] else "local")
    if _conditions is not None:
        engine = "local"
    if engine not in _ENGINES:
        raise ConfigurationError(f"There is no engine {engine!r}.", next_step='use "local" or "aws".')
    durability = found["durability"] or "disk"
    if durability not in _DURABILITIES:
        raise ConfigurationError(
            f"There is no durability {durability!r}.",
            next_step='use "disk" (what is finished outlives a power cut) or "process" (the end of every process).',
        )
    return Settings(
        home=home.absolute(),
        engine=engine,
        deployment=found["deployment"],
        region=found["region"],
        profile=found["profile"],
        owner=found["owner"] or _account(),
        prices=found["prices"],
        allow_pickle=_flag("allow_pickle", found["allow_pickle"]),
        durability=durability,
        home_limit_gb=_gigabytes(found["home_limit_gb"]),
    )


def _gigabytes(text: str | None) -> float:
    try:
        limit = Settings._field_defaults["home_limit_gb"] if text is None else float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise ConfigurationError(
            f"home_limit_gb is {text!r}, which is not a number of GB.",
            next_step="write 100, for example, or 0 for no limit.",
        )
    return float(limit)


def _flag(name: str, text: str | None) -> bool:
    if text is None or text.lower() in ("0", "false", "no", "off"):
        return False
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    raise ConfigurationError(f"{name} is {text!r}, which is neither true nor false.", next_step="write 1 or 0.")


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.", next_step="fix it or remove it.") from error
    told = parsed_toml(text, path)
    unknown = sorted(told.keys() - set(_IN_FILE))
    if unknown:
        raise ConfigurationError(
            f"{path} sets {', '.join(unknown)}, which Fanfold does not know.",
            next_step=f"keep to {', '.join(_IN_FILE)}.",
        )
    return {name: value if name == "prices" else str(value) for name, value in told.items()}


def parsed_toml(text: str, path: Path) -> dict[str, Any]:
    """What a TOML file says. Raises `ConfigurationError` naming the file."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.", next_step="fix that line or remove it.") from error


def _account() -> str:
    for name in ("USER", "LOGNAME", "USERNAME"):
        if os.environ.get(name):
            return os.environ[name]
    import getpass  # brings termios along

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without an entry, as in a container
        return f"uid-{os.getuid()}"


def write_to_file(given: Mapping[str, str | None]) -> Path:
    """Write these settings to the config file in home, and leave what else it says as it is. None removes a setting.

    Returns the file. Raises `ConfigurationError` where it cannot be read or written.
    """
    path = current().home / "config.toml"
    _from_file(path)  # what is damaged is refused, not overwritten
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        top, table, rest = _cut(before)
        kept = [line for line in top.splitlines() if line.partition("=")[0].strip() not in given]
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items() if value is not None]
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text("\n".join([*kept, *lines]).strip("\n") + "\n" + table + rest, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.", next_step="make it yours to write, or set FANFOLD_HOME."
        ) from error
    return path


def _cut(text: str) -> tuple[str, str, str]:
    """The settings at the top of a TOML file, and from its first table on."""
    found = re.search(r"^\s*\[", text, re.MULTILINE)
    return (text, "", "") if found is None else (text[: found.start()], "\n", text[found.start() :].lstrip("\n"))


# What Fanfold does, line by line, for who asks.

_LOG_LEVELS = ("debug", "info", "warning", "error")


def log_to_stderr() -> None:
    """Have Fanfold's loggers write to stderr from the level on that FANFOLD_LOG names; without it they say little.

    They are `logging.getLogger("fanfold...")`, so a program that configures `logging` itself has them there as well.
    Raises `ConfigurationError` for another level.
    """
    level = os.environ.get("FANFOLD_LOG", "").lower()
    if not level:
        return
    if level not in _LOG_LEVELS:
        raise ConfigurationError(
            f"FANFOLD_LOG is {level!r}, which is not a level.", next_step=f"use one of {', '.join(_LOG_LEVELS)}."
        )
    import logging

    logger = logging.getLogger("fanfold")
    if logger.level == logging.NOTSET:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(level.upper())


class Logger:
    """`logging.getLogger(name)`, which costs a job its import only once somebody listens, or there is a warning."""

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, message: str, *values: object) -> None:
        """For who develops Fanfold."""
        if "logging" in sys.modules:  # else nobody can have asked to be told
            self._tell("debug", message, values)

    def info(self, message: str, *values: object) -> None:
        """For who wants to know what Fanfold does."""
        if "logging" in sys.modules:
            self._tell("info", message, values)

    def warning(self, message: str, *values: object) -> None:
        """For all: Python prints it where nothing else was arranged."""
        self._tell("warning", message, values)

    def _tell(self, level: str, message: str, values: tuple[object, ...]) -> None:
        import logging

        getattr(logging.getLogger(self._name), level)(message, *values, stacklevel=3)


# Errors that leave a public function without the frames of what is below it.


class WithoutOwnFrames:
    """Lets a `FanfoldError` or a Ctrl-C leave without the frames of Fanfold's own code.

    Its message is all that a user needs. `FANFOLD_LOG=debug` keeps the frames, as does Python 3.10.
    """

    def __init__(self, describe: Callable[[], str] | None = None) -> None:
        """`describe` gives the words of a Ctrl-C that has none."""
        self._describe = describe

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drop the frames up to here, and those of AWS's library; what the UDF raised keeps its own."""
        is_ours = isinstance(error, FanfoldError) or type(error).__name__ == "CancelledError"  # of asyncio
        if isinstance(error, KeyboardInterrupt):
            if self._describe is not None and not error.args:
                error.args = (self._describe(),)
            is_ours = bool(error.args) or not _has_users_frames(traceback)
        if error is not None and is_ours and os.environ.get("FANFOLD_LOG") != "debug":
            error.__traceback__ = None
            cause = error.__cause__
            if cause is not None and type(cause).__module__.partition(".")[0] == "botocore":
                cause.__traceback__ = cause.__cause__ = cause.__context__ = None


def _has_users_frames(traceback: TracebackType | None) -> bool:
    """Whether code of the user's own was under way: what is not Fanfold's, of Python's library or installed."""
    others = (os.path.dirname(__file__), os.path.dirname(os.__file__), "<frozen")
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not name.startswith(others) and f"{os.sep}site-packages{os.sep}" not in name:
            return True
        traceback = traceback.tb_next
    return False
