"""What arguments name that runs elsewhere will not find: files of this machine, and packages that an address wants."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fanfold.engines.base import Description
from fanfold.source.load import Bundle
from fanfold.submission.implied import ImpliedByInputs
from fanfold.submission.local_paths import say_local_path

#: So many inputs are looked at.
_LOOKED_AT = 100


class FarInputs:
    """Looks at the first inputs of a job whose runs are not on this machine."""

    def __init__(
        self, bundle: Bundle, described: Description, brought: Collection[str], defaults: Mapping[str, Any]
    ) -> None:
        self._implied = ImpliedByInputs(bundle, described, brought, defaults)
        self._has_said_path = False

    def look(self, number: int, own: str, constants: str) -> None:
        """Look at a run's own arguments, as text. Raises `CaptureError` for an address that wants what is not there."""
        if number >= _LOOKED_AT:
            return
        if not self._has_said_path:
            self._has_said_path = say_local_path(own, constants)
        if self._implied:
            self._implied.check(number, own, constants)
