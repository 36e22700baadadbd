"""Which page is found where."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request
from nicegui import ui

from fanfold.engines.select import engine_for
from fanfold.workbench.bench_page import show_bench
from fanfold.workbench.board import Board
from fanfold.workbench.job_page import show_job
from fanfold.workbench.jobs_page import show_jobs
from fanfold.workbench.routes import add_routes
from fanfold.workbench.shell import add_head, shell, theme_cookie
from fanfold.workbench.watch import Watches


def add_pages(folder: Path, engine: str | None) -> None:
    """Tell NiceGUI the pages, and what they share: one board of jobs, however many look at it."""
    add_head()
    board, watches = Board(engine), Watches(engine)
    add_routes(watches)
    name = engine_for(engine).describe().name

    @ui.page("/", title="Jobs · Fanfold")
    def jobs(request: Request) -> None:
        with shell("Jobs", name, request.cookies.get(theme_cookie())):
            show_jobs(board)

    @ui.page("/job/{job_id}", title="Job · Fanfold", response_timeout=30.0)
    async def job(request: Request, job_id: str) -> None:
        with shell("", name, request.cookies.get(theme_cookie())):
            await show_job(watches, job_id)

    @ui.page("/workbench", title="Workbench · Fanfold")
    async def workbench(request: Request) -> None:
        with shell("Workbench", name, request.cookies.get(theme_cookie())):
            await show_bench(folder, name, watches)
