"""A job's own classes, made of the code that travelled with it, for a reader whose process has them no more."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fanfold.codec.classes import Definitions, captured
from fanfold.core.processes import Locked


class JobDefinitions(Locked, Definitions):
    """The modules of a job's code, loaded once, when the first class is asked for.

    A class that no name leads to is the one that this process has captured itself, as it submitted the code.
    """

    def __init__(self, code_hash: str, read_bundle: Callable[[], bytes], get_blob: Callable[[str], bytes]) -> None:
        super().__init__()
        self._code_hash = code_hash
        self._read_bundle = read_bundle
        self._get_blob = get_blob
        self._modules: dict[str, ModuleType] | None = None

    def find(self, module: str, qualname: str) -> Any:
        """What the job's code has at that name; None where it has nothing, or does not load here."""
        if (own := captured(self._code_hash, module, qualname)) is not None:
            return own
        with self.lock:
            if self._modules is None:
                self._modules = self._load()
        found: Any = self._modules.get(module)
        for part in qualname.split("."):
            found = getattr(found, part, None)
        return found

    def _load(self) -> dict[str, ModuleType]:
        from fanfold.source.load import Bundle, load, unload

        before = dict(sys.modules)
        try:
            load(Bundle.from_bytes(self._read_bundle()), get_blob=self._get_blob)()
            return {name: each for name, each in sys.modules.items() if before.get(name) is not each}
        except Exception:  # noqa: BLE001 - the job's own code, which may need what is not here
            return {}
        finally:
            unload()
