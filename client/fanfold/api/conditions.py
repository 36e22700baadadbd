"""`fanfold.local`: run here, and as elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.engines.local.conditions import LIKES
from fanfold.errors import ConfigurationError
from fanfold.settings import Conditions, set_conditions

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal


class LocalConditions:
    """What `fanfold.local` has put in force. As a context manager it puts back at its end what was before."""

    def __init__(self, asked: Conditions) -> None:
        self.asked = asked
        self._before = set_conditions(asked)

    def __enter__(self) -> LocalConditions:
        """It is in force already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put back what was before."""
        self.end()

    def end(self) -> None:
        """Put back what was before."""
        set_conditions(self._before)

    def __repr__(self) -> str:
        return f"fanfold.local(like={self.asked.like or None!r})"


def local(*, like: Literal["lambda"] | None = None) -> LocalConditions:
    """Run jobs on this machine from now on, or within a `with`, whatever the settings say; `engine=` still wins.

    `like="lambda"`: realtime runs have what they have in AWS Lambda and no more: 120 s, 4 GB, a /tmp of 2 GiB, no other
    folder that can be written, 1,024 open files and no shared memory. Results are kept apart from those of other jobs
    here. Raises `ConfigurationError` for another name.
    """
    if like is not None and like not in LIKES:
        raise ConfigurationError(
            f"fanfold.local(like={like!r}): Fanfold does not know what that is like.", next_step='use like="lambda".'
        )
    return LocalConditions(Conditions(like or ""))
