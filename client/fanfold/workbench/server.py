"""The process behind the page: NiceGUI on 127.0.0.1, guarded."""

from __future__ import annotations

import asyncio
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

from fastapi import Request
from nicegui import app, ui
from nicegui.server import Server

from fanfold.engines.select import engine_for
from fanfold.errors import ConfigurationError
from fanfold.workbench import DEFAULT_PORT
from fanfold.workbench.auth import Auth, Pass
from fanfold.workbench.editor.page import show_editor
from fanfold.workbench.following import FollowedJobs
from fanfold.workbench.job.page import show_job
from fanfold.workbench.jobs.page import show_jobs
from fanfold.workbench.jobs.table import JobsTable
from fanfold.workbench.layout import add_head, page_layout, theme_cookie
from fanfold.workbench.routes import add_routes

_HOST = "127.0.0.1"
#: How long a page that has lost its connection may take to come back before it is built anew.
_RECONNECT_S = 10.0


def run(*, port: int | None, show: bool, folder: Path, engine: str | None, announce: Callable[[str], object]) -> None:
    """Serve the page until the process is interrupted; `announce` is called with its address once it answers.

    Raises `ConfigurationError` where the port is taken.
    """
    admission = Pass(_free_port(port))
    add_pages(folder, engine)
    app.add_middleware(Auth, admission=admission)
    app.on_startup(lambda: _begin(admission.address, announce, show=show))
    ui.run(
        host=_HOST,
        port=int(admission.hosts[0].rpartition(":")[2]),
        title="Fanfold",
        favicon="🪭",
        dark=None,
        language="en-US",
        reload=False,
        show=False,
        show_welcome_message=False,
        tailwind=False,
        binding_refresh_interval=None,  # nothing here is bound by polling, which would cost a tenth of a core
        reconnect_timeout=_RECONNECT_S,
        uvicorn_logging_level="error",
    )


async def _begin(address: str, announce: Callable[[str], object], *, show: bool) -> None:
    """Tell the address, and open it, when somebody answers there."""

    async def when_up() -> None:
        while not Server.instance.started:
            await asyncio.sleep(0.02)
        announce(address)
        if show:
            webbrowser.open(address)

    _announcing.add(task := asyncio.get_running_loop().create_task(when_up()))
    task.add_done_callback(_announcing.discard)


#: Tasks that nobody holds may be collected before they have run.
_announcing: set[asyncio.Task[None]] = set()


def _free_port(asked: int | None) -> int:
    for port in (asked,) if asked is not None else (DEFAULT_PORT, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((_HOST, port))
            except OSError:
                continue
            return int(trial.getsockname()[1])
    raise ConfigurationError(
        f"Port {asked} on {_HOST} is taken.", next_step="give another with --port, or leave it out."
    )


# Which page is found where.


def add_pages(folder: Path, engine: str | None) -> None:
    """Tell NiceGUI the pages, and what they share: one table of jobs, however many look at it."""
    add_head()
    table, followed_jobs = JobsTable(engine), FollowedJobs(engine)
    add_routes(followed_jobs)
    name = engine_for(engine).describe().name

    @ui.page("/", title="Jobs · Fanfold")
    def jobs(request: Request) -> None:
        with page_layout("Jobs", name, request.cookies.get(theme_cookie())):
            show_jobs(table)

    @ui.page("/job/{job_id}", title="Job · Fanfold", response_timeout=30.0)
    async def job(request: Request, job_id: str) -> None:
        with page_layout("", name, request.cookies.get(theme_cookie())):
            await show_job(followed_jobs, job_id)

    @ui.page("/workbench", title="Workbench · Fanfold")
    async def workbench(request: Request) -> None:
        with page_layout("Workbench", name, request.cookies.get(theme_cookie())):
            await show_editor(folder, name, followed_jobs)
