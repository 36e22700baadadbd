"""Errors that leave a public function without the frames of what is below it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fanfold.errors import FanfoldError

if TYPE_CHECKING:
    from types import TracebackType


class WithoutOwnFrames:
    """Lets a `FanfoldError` leave a public function without the frames of Fanfold's own code.

    Its message is all that a user needs. `FANFOLD_LOG=debug` keeps the frames, as does Python 3.10.
    """

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drop the frames up to here."""
        if isinstance(error, FanfoldError) and os.environ.get("FANFOLD_LOG") != "debug":
            error.__traceback__ = None
