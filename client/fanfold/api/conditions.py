"""`fanfold.local`: run here, and as elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.engines.local.conditions import FATES, LIKES
from fanfold.errors import ConfigurationError
from fanfold.settings import Conditions, set_conditions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Literal

#: More of all tries must not meet anything: runs would be tried for ever.
_MOST = 0.9


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
        chaos = f", chaos={dict(self.asked.chaos)!r}, seed={self.asked.seed}" if self.asked.chaos else ""
        return f"fanfold.local(like={self.asked.like or None!r}{chaos})"


def local(
    *, like: Literal["lambda"] | None = None, chaos: Mapping[str, float] | None = None, seed: int = 0
) -> LocalConditions:
    """Run jobs on this machine from now on, or within a `with`, whatever the settings say; `engine=` still wins.

    `like="lambda"`: realtime runs have what they have in AWS Lambda and no more: 120 s, 4 GB, a /tmp of 2 GiB, no other
    folder that can be written, 1,024 open files and no shared memory. Results are kept apart from those of other jobs
    here.

    `chaos={"throttle": 0.1, "oom": 0.02, "lost": 0.05, "slow": 0.01}`: these parts of all tries meet what they may meet
    on a bad day in AWS, within the limits of `like="lambda"`. Which ones follows from `seed`, the run's number and the
    try's, so that the same job meets the same again. Raises `ConfigurationError` for names and parts that are none.
    """
    if like is not None and like not in LIKES:
        raise ConfigurationError(f"fanfold.local(like={like!r}) is unknown.", next_step='use like="lambda".')
    if chaos is not None and not hasattr(chaos, "items"):
        raise ConfigurationError(
            f"fanfold.local(chaos={chaos!r}) says no parts of tries.",
            next_step='write chaos={"throttle": 0.1, "lost": 0.05}.',
        )
    if not chaos:
        return LocalConditions(Conditions(like or ""))
    return LocalConditions(Conditions("lambda", _checked_chaos(chaos), _checked_seed(seed)))


def _checked_chaos(chaos: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    for name, part in chaos.items():
        if name not in FATES:
            raise ConfigurationError(
                f"fanfold.local(chaos=...) knows no {name!r}.", next_step=f"it has {', '.join(FATES)}."
            )
        if isinstance(part, bool) or not isinstance(part, (int, float)) or not 0 <= part <= _MOST:
            raise ConfigurationError(
                f"fanfold.local(chaos=...): {name}={part!r} is not a share of all tries.",
                next_step=f"give a number from 0 to {_MOST}, such as 0.1 for every tenth.",
            )
    if sum(chaos.values()) > _MOST:
        raise ConfigurationError(
            f"fanfold.local(chaos=...): the parts come to {sum(chaos.values()):g}, so that hardly any run would end.",
            next_step=f"let them come to {_MOST} at most.",
        )
    return tuple((name, float(chaos[name])) for name in FATES if chaos.get(name))


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigurationError(f"seed={seed!r} is not a whole number.", next_step="give one, such as seed=7.")
    return seed
