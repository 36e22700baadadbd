"""The Workbench: a web page on this machine that shows every job, and edits and runs UDFs (`fanfold workbench`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

#: Where the page is found unless another port is asked for, or this one is taken.
DEFAULT_PORT = 8790


def serve(
    *,
    port: int | None = None,
    show: bool = True,
    folder: Path | None = None,
    engine: str | None = None,
    announce: Callable[[str], object] = print,
) -> None:
    """Serve the page on 127.0.0.1 until the process is interrupted.

    Args:
        port: where to listen, 0 for any free port; None for where it was last for this folder, else 8790, or any free
            port where these are taken.
        show: open it in the browser.
        folder: where the UDF files are; None for the current directory.
        engine: "local" or "aws"; None for the one that is configured.
        announce: called with the address once the page answers there.

    Raises:
        MissingPackage: without the extra `fanfold[workbench]`.
        ConfigurationError: where the port is taken.
    """
    from fanfold.errors import MissingPackage

    try:
        import nicegui  # noqa: F401  asked for here, so that our error says what to install
    except ImportError as error:
        raise MissingPackage(
            "The Workbench needs NiceGUI, which is not installed.", next_step="pip install 'fanfold[workbench]'"
        ) from error
    from fanfold.workbench.server import run

    run(port=port, show=show, folder=(folder or Path.cwd()).resolve(), engine=engine, announce=announce)
