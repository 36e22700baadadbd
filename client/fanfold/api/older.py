"""Names of the system that this follows, for code that was written for it: see docs/compatibility.md."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.contract.layout import ENV_RUN, ENV_SCRATCH
from fanfold.errors import InputError
from fanfold.settings import current

if TYPE_CHECKING:
    from fanfold.api.decorator import Udf


class types:  # noqa: N801  a name of the older spelling
    """Annotations of the older spelling."""

    #: Left, bottom, right, top.
    Bounds = list[float]


class context:  # noqa: N801  a name of the older spelling
    """Where code runs."""

    @staticmethod
    def in_realtime() -> bool:
        """Whether this is a run that has no machine of its own."""
        return ENV_RUN in os.environ and not context.in_batch()

    @staticmethod
    def in_batch() -> bool:
        """Whether this is a run on a machine of AWS Batch."""
        return "AWS_BATCH_JOB_ID" in os.environ

    @staticmethod
    def get_headers() -> dict[str, str]:
        """Headers of the request: there is none here."""
        return {}

    @staticmethod
    def get_header(name: str) -> str | None:  # noqa: ARG004  the older spelling
        """A header of the request: there is none here."""
        return None


class _Show:
    """What is shown while a job runs."""

    #: Nothing of this system opens a browser or a widget.
    open_browser: bool | None = None
    show_widget: bool | None = None

    @property
    def enable_tqdm(self) -> bool:
        """Whether lines of progress are shown."""
        from fanfold.job.waiting import ProgressLines

        return ProgressLines.is_wanted

    @enable_tqdm.setter
    def enable_tqdm(self, wanted: bool) -> None:
        from fanfold.job.waiting import ProgressLines

        ProgressLines.is_wanted = bool(wanted)


class _Options:
    """Settings of the older system that mean something here."""

    __slots__ = ("show",)

    def __init__(self) -> None:
        self.show = _Show()

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__slots__:
            raise InputError(
                f"fanfold.options has no {name!r}: settings of the older system's service mean nothing here.",
                next_step="leave it out; what this system can be told is in `fanfold.configure`.",
            )
        object.__setattr__(self, name, value)


options = _Options()


def file_path(file_path: str, mkdir: bool = True, storage: str = "auto") -> str:  # noqa: ARG001  the older spelling
    """A path for a file of one's own: in a run below `scratch_path()`, else in Fanfold's home. Raises `InputError`."""
    relative = Path(file_path)
    if relative.is_absolute() or ".." in relative.parts:
        raise InputError(
            f"{file_path!r} is not a relative path.", next_step="give one without `..`, such as 'tiles/a.tif'."
        )
    scratch = os.environ.get(ENV_SCRATCH)
    path = (Path(scratch) if scratch else current().home) / "files" / relative
    if mkdir:
        (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
    return str(path)


def load(url_or_udf: str | os.PathLike[str], /, **_: Any) -> Udf[..., Any]:
    """The UDF of a Python file on this machine. Raises `InputError` for what only the older system's service has."""
    from fanfold.api.decorator import udf
    from fanfold.api.udf_file import load_udf

    named = os.fspath(url_or_udf)
    if not Path(named).is_file():
        raise InputError(f"There is no file {named!r}.", next_step="give the path of a .py file that has one UDF.")
    loaded: Udf[..., Any] = udf(load_udf(named))
    return loaded


async def load_async(url_or_udf: str | os.PathLike[str], /, **_: Any) -> Udf[..., Any]:
    """Like `load`, for code with an event loop."""
    return load(url_or_udf)
