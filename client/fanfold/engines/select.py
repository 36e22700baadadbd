"""Which engine a call uses, and the one instance of it that this process has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.core.forks import Locked
from fanfold.errors import ConfigurationError
from fanfold.settings import Settings, current

if TYPE_CHECKING:
    from fanfold.engines.base import Engine

#: What the path was called before engines had names.
_OLDER_NAMES = {"remote": "aws", "realtime": "aws", "batch": "aws"}

_engines: dict[tuple[str, Path, str, int], Engine] = {}
_opening = Locked()


def engine_for(name: str | None = None) -> Engine:
    """The engine of that name; None for the one that the settings name. Raises `ConfigurationError`."""
    settings = current()
    chosen = name or settings.engine
    if chosen in _OLDER_NAMES:
        chosen = "aws" if settings.deployment else "local"
    # A forked child has none of its parent's threads, so it needs engines of its own.
    key = (chosen, settings.home, _whose(settings) if chosen == "aws" else "", os.getpid())
    with _opening.lock:  # threads that come first at once must not have an engine each
        if key not in _engines:
            _engines[key] = _opened(chosen, settings)
        return _engines[key]


def shared_folder() -> Path | None:
    """The folder that all runs of the engine in force share, where runs are on this machine."""
    settings = current()
    if settings.engine != "local":
        return None
    from fanfold.stores.local import LocalStores

    return LocalStores(settings.home).shared_folder


def _opened(name: str, settings: Settings) -> Engine:
    if name == "local":
        from fanfold.engines.local.engine import LocalEngine

        return LocalEngine(settings.home)
    if name == "aws":
        from fanfold.engines.aws import open_engine

        return open_engine(settings)
    raise ConfigurationError(f"There is no engine {name!r}.", next_step='use "local" or "aws".')


def _whose(settings: Settings) -> str:
    """Which deployment the AWS engine is to be, and as whom."""
    return repr((settings.deployment, settings.region, settings.profile))
