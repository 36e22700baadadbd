"""The command that serves the web page: workbench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fanfold.cli import options
from fanfold.cli.output import print_json_line, print_text


def workbench(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where the UDF files are.")] = ".",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="N", help="Listen there (0: any free port); else where it did last, or on 8790."
        ),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open it in the browser.")] = False,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Open the web page: all jobs live, and an editor for UDFs.

    Its address is printed on one line. It listens on 127.0.0.1 alone, and only who has that address, with the token in
    it, gets in. Ctrl-C ends it; jobs that it has started on a dedicated machine go on.
    """
    from fanfold.errors import InputError
    from fanfold.workbench import serve

    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"There is no folder {folder}.", next_step="give the folder that holds the UDF files.")

    def announce(address: str) -> None:
        if as_json:
            print_json_line({"address": address})
        else:
            print_text(address)

    serve(port=port, show=not no_open, folder=path, engine=engine, announce=announce)
