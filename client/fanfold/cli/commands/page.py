"""The command that serves the web page: workbench."""

from __future__ import annotations

from typing import Annotated

import typer

from fanfold.cli import options
from fanfold.cli.output import print_json_line, print_text


def workbench(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, metavar="N", help="Listen there; else on 8790 or a free port.")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open it in the browser.")] = False,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Open the web page: all jobs and their runs, live.

    Its address is printed on one line. It listens on 127.0.0.1 alone, and only who has that address, with the token in
    it, gets in. Ctrl-C ends it; jobs that it has started on a dedicated machine go on.
    """
    from fanfold.workbench import serve

    def announce(address: str) -> None:
        if as_json:
            print_json_line({"address": address})
        else:
            print_text(address)

    serve(port=port, show=not no_open, engine=engine, announce=announce)
