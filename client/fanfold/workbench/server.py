"""The process behind the page: NiceGUI on 127.0.0.1, guarded."""

from __future__ import annotations

import asyncio
import atexit
import html
import os
import shutil
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import psutil
from fastapi import Request
from nicegui import Client, app, ui
from nicegui.server import Server

from fanfold.engines.base import engine_for
from fanfold.engines.local.engine import refuse_frozen
from fanfold.errors import ConfigurationError
from fanfold.settings import current
from fanfold.workbench import DEFAULT_PORT
from fanfold.workbench.asked_process import AskedProcess
from fanfold.workbench.auth import Auth, Pass, cookie_secret
from fanfold.workbench.compressed import Compressed
from fanfold.workbench.editor.drafts import Drafts, add_draft_routes
from fanfold.workbench.editor.editor_page import Shared, show_editor
from fanfold.workbench.editor.form import INPUTS_PATH
from fanfold.workbench.editor.offered import OfferedReader
from fanfold.workbench.ending import end_soon
from fanfold.workbench.following import FollowedJobs
from fanfold.workbench.interpreter import give_memory_back, many_objects_came, prepare_interpreter, warm_up
from fanfold.workbench.job.chart_panel import add_chart_routes
from fanfold.workbench.job.compare_page import show_comparison
from fanfold.workbench.job.gallery import add_gallery_routes
from fanfold.workbench.job.job_page import JobViews, show_job
from fanfold.workbench.job.results_panel import add_result_routes
from fanfold.workbench.job.run_page import show_run_page
from fanfold.workbench.jobs.jobs_page import show_jobs
from fanfold.workbench.jobs.table import JobsTable
from fanfold.workbench.jobs.totals import show_totals
from fanfold.workbench.layout import add_head, element, link, page_layout, text, theme_cookie
from fanfold.workbench.leaving import add_leaving_route
from fanfold.workbench.remembered import Remembered
from fanfold.workbench.results_process import ResultsProcess
from fanfold.workbench.routes import add_routes
from fanfold.workbench.uploads import Uploads, add_upload_route

_HOST = "127.0.0.1"
_LAST_PORT = 65_535
#: How often memory is given back, and by how much it has to have grown where few objects came.
_TIDY_S = 1.5
_GROWN_BYTES = 8 << 20
#: How long a page that has lost its connection may take to come back before it is built anew.
_RECONNECT_S = 10.0


def run(*, port: int | None, show: bool, folder: Path, engine: str | None, announce: Callable[[str], object]) -> None:
    """Serve the page until the process is interrupted; `announce` is called with its address once it answers.

    Raises `ConfigurationError` where the port is taken, and in a frozen application, which its processes would start.
    """
    refuse_frozen()
    prepare_interpreter()
    home = _home()
    remembered = Remembered(home, folder)
    listening = listen(port, remembered.get("port"))
    bound = listening.getsockname()[1]
    remember_port(remembered, port, bound)
    admission = Pass(bound, cookie_secret(home))
    followed_jobs = FollowedJobs(engine)
    table = JobsTable(engine)
    offered = OfferedReader()
    add_pages(folder, engine, followed_jobs, table, (remembered, offered))
    add_draft_routes(Drafts(home))
    serve_on(listening)
    app.add_middleware(Compressed)
    app.add_middleware(Auth, admission=admission)  # which is asked first
    app.on_startup(lambda: _begin(admission.address, announce, table, show=show))
    processes = followed_jobs.results, table.process, offered.process
    end_soon(processes)
    app.on_startup(lambda: _keep(_give_memory_back(followed_jobs, processes)))
    ui.run(
        host=_HOST,
        port=bound,
        title="Fanfold",
        favicon="🪭",
        dark=None,
        language="en-US",
        reload=False,
        show=False,
        show_welcome_message=False,
        tailwind=False,
        binding_refresh_interval=None,  # nothing here is bound by polling, which would cost a tenth of a core
        gzip_middleware_factory=None,  # it would compress in the server's loop, and each time: see `Compressed`
        reconnect_timeout=_RECONNECT_S,
        uvicorn_logging_level="error",
    )


async def _give_memory_back(followed_jobs: FollowedJobs, processes: Iterable[AskedProcess]) -> None:
    """Let go of jobs that nobody looks at, and of the memory that they took: to look through it takes milliseconds."""
    own, least_bytes = psutil.Process(), 0
    while True:
        await asyncio.sleep(_TIDY_S)
        released = await asyncio.to_thread(followed_jobs.forget_idle)
        for process in processes:
            await asyncio.to_thread(process.end_if_idle)
        whole = released or many_objects_came()
        if whole or own.memory_info().rss > least_bytes + _GROWN_BYTES:
            await asyncio.to_thread(give_memory_back, whole=whole)
            least_bytes = own.memory_info().rss


async def _begin(address: str, announce: Callable[[str], object], table: JobsTable, *, show: bool) -> None:
    """Tell the address, and open it, when somebody answers there."""

    async def when_up() -> None:
        while not Server.instance.started:
            await asyncio.sleep(0.02)
        await warm_up()
        announce(address)
        if show:
            open_browser(address)
        await asyncio.to_thread(table.process.start)

    _keep(when_up())


def _keep(work: Coroutine[Any, Any, None]) -> None:
    """Do something beside all else: a task that nobody holds may be collected before it has run."""
    _tasks.add(task := asyncio.get_running_loop().create_task(work))
    task.add_done_callback(_tasks.discard)


_tasks: set[asyncio.Task[None]] = set()


def open_browser(address: str) -> None:
    """Open the page without naming its token on the browser's command line, which every account here may read.

    The browser is given a file that this account alone may read, and which sends it on.
    """
    folder = tempfile.mkdtemp(prefix="fanfold-open-")  # mode 0700
    path = Path(folder) / "open.html"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    link = html.escape(address, quote=True)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(
            f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={link}">'
            f'<title>Fanfold</title><a href="{link}">Open Fanfold</a>'
        )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    webbrowser.open(path.as_uri())


def _home() -> Path:
    home = current().home
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def listen(asked: int | None, remembered: object = None) -> socket.socket:
    """A socket that listens where the page is to be: the port is this process's own from here on.

    Args:
        asked: the port; 0 for any that is free, None for the remembered one, else 8790, else any that is free.
        remembered: where the Workbench of the same folder was the last time: pages that are open come back to it.

    Raises:
        ConfigurationError: where that port is taken.
    """
    last = (remembered,) if isinstance(remembered, int) and 0 < remembered <= _LAST_PORT else ()
    for port in (asked,) if asked is not None else (*last, DEFAULT_PORT, 0):
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, port))
            listening.listen()
        except OSError:
            listening.close()
            continue
        return listening
    raise ConfigurationError(
        f"Port {asked} on {_HOST} is taken.", next_step="give another with --port, or leave it out."
    )


def remember_port(remembered: Remembered, asked: int | None, bound: int) -> None:
    """Have the next start of this folder's Workbench take the same port: but for one that only had to be free.

    Nor is that one forgotten which another Workbench of the same folder has just now.
    """
    if asked or (asked is None and remembered.get("port") is None):
        remembered.put("port", bound)


def serve_on(listening: socket.socket) -> None:
    """Have NiceGUI's server take this socket: it would bind one of its own, for which another may have been quicker."""
    run_on = Server.run
    Server.run = lambda self, sockets=None: run_on(self, sockets=sockets or [listening])  # type: ignore[method-assign]


# Which page is found where.


def add_pages(
    folder: Path,
    engine: str | None,
    followed_jobs: FollowedJobs,
    table: JobsTable,
    of_editors: tuple[Remembered, OfferedReader],
) -> None:
    """Tell NiceGUI the pages, and what they share: one table of jobs, however many look at it."""
    add_head()
    add_page_of_nothing(engine_for(engine).describe().name)
    add_leaving_route()
    add_routes(followed_jobs)
    name = engine_for(engine).describe().name
    add_job_list_pages(table, name, followed_jobs.results)
    add_job_pages(followed_jobs, name, folder)
    uploads = Uploads()
    add_upload_route(uploads, INPUTS_PATH)

    @ui.page("/workbench", title="Workbench · Fanfold")
    async def workbench(request: Request) -> None:
        with page_layout("Workbench", name, request.cookies.get(theme_cookie())):
            await show_editor(Shared(folder, name, followed_jobs, uploads, *of_editors), request.query_params)


def add_page_of_nothing(name: str) -> None:
    """Have an address without a page say so, with the way to the others; what is no page answers in JSON as it did."""
    otherwise = app.exception_handlers[404]

    @app.exception_handler(404)
    async def nothing(request: Request, error: Exception) -> Any:
        if request.scope.get("endpoint") not in (None, app):
            return await otherwise(request, error)  # type: ignore[misc]
        light, page = request.cookies.get(theme_cookie()), ui.page("", title="Nothing here · Fanfold")
        with Client(page, request=request) as client, page_layout("", name, light), element("div", "ff-card ff-empty"):
            text("There is nothing at this address.", "", "h1")
            link("All jobs", "/")
        return client.build_response(request, 404)


def add_job_list_pages(table: JobsTable, name: str, results: ResultsProcess) -> None:
    """Tell NiceGUI the pages about many jobs of the engine of that name."""

    @ui.page("/", title="Jobs · Fanfold")
    def jobs(request: Request) -> None:
        with page_layout("Jobs", name, request.cookies.get(theme_cookie())):
            show_jobs(table, request.query_params)

    @ui.page("/totals", title="Totals · Fanfold")
    def totals(request: Request) -> None:
        with page_layout("Totals", name, request.cookies.get(theme_cookie())):
            show_totals(table, request.query_params)

    @ui.page("/compare", title="Compare · Fanfold", response_timeout=60.0)
    async def comparison(request: Request) -> None:
        with page_layout("", name, request.cookies.get(theme_cookie())):
            await show_comparison(results, name, request.query_params)


def add_job_pages(followed_jobs: FollowedJobs, name: str, folder: Path) -> None:
    """Tell NiceGUI the pages about one job, and the addresses of its results."""
    add_result_routes(followed_jobs)
    add_chart_routes(followed_jobs)
    add_gallery_routes(followed_jobs)
    shared = JobViews(followed_jobs, name, folder)

    @ui.page("/job/{job_id}", title="Job · Fanfold", response_timeout=30.0)
    async def job(request: Request, job_id: str) -> None:
        with page_layout("", name, request.cookies.get(theme_cookie())):
            await show_job(shared, job_id, request.query_params)

    @ui.page("/job/{job_id}/run/{index:int}", title="Run · Fanfold", response_timeout=30.0)
    async def run_page(request: Request, job_id: str, index: int) -> None:
        with page_layout("", name, request.cookies.get(theme_cookie())):
            await show_run_page(followed_jobs, job_id, index)
