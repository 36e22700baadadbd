"""The command that lets a coding agent look at jobs: mcp."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from functools import wraps
from inspect import signature
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from fanfold.errors import FanfoldError, InputError, MissingPackage

if TYPE_CHECKING:
    from mcp.server import MCPServer

_Tool = TypeVar("_Tool", bound=Callable[..., Any])

_ABOUT = (
    "Fanfold runs a Python function (a UDF) over many inputs; a submit makes a job, each input is a run of it."
    " These tools only read: to run, retry or cancel something, use the `fanfold` command. A job is named by its id,"
    " or - for the latest."
)
#: Pieces of output that one answer has at most.
_PIECES = 500


def mcp() -> None:
    """Serve a coding agent what it may read (MCP).

    That is jobs, errors, logs, plans and what travels, by the Model Context Protocol on standard input and output. An
    agent starts it by itself. Everything that it offers only reads.
    """
    server().run("stdio")


def server() -> MCPServer[Any]:
    """The server with its tools. Raises `MissingPackage`."""
    try:
        from mcp.server import MCPServer
    except ImportError as error:
        raise MissingPackage(
            "`fanfold mcp` needs the package mcp, which is not installed.", next_step="pip install 'fanfold[mcp]'"
        ) from error
    from fanfold import __version__

    class ExactServer(MCPServer[Any]):
        """Takes no argument that a tool does not have: by itself the server would leave it out, and say nothing."""

        async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
            _check_arguments(name, arguments)
            return await super().call_tool(name, arguments, context)

    made = ExactServer("fanfold", instructions=_ABOUT, version=__version__, log_level="ERROR")
    for tool in _TOOLS:
        made.add_tool(_told(tool), annotations=_read_only())
    return made


def jobs(limit: int = 20, tags: dict[str, str] | None = None, engine: str | None = None) -> list[dict[str, Any]]:
    """The latest jobs (with these `tags`), newest first: id, UDF, status, counts of runs, seconds, dollars."""
    from fanfold.api.submit import get_jobs
    from fanfold.cli.records import job_records

    return job_records(get_jobs(limit=limit, tags=tags, engine=engine))


def status(job: str, engine: str | None = None) -> dict[str, Any]:
    """How a job stands, with times, memory, cost, and advice where there is any."""
    from fanfold.cli.records import status_record

    return status_record(_job(job, engine))


def errors(job: str, limit: int = 20, engine: str | None = None) -> list[dict[str, Any]]:
    """Which runs of a job failed, on what input, and the traceback in the user's own lines."""
    from fanfold.cli.records import error_record

    found = _job(job, engine)
    return [error_record(found, index) for index in islice(found.errors(), limit)]


def logs(job: str, run: int | None = None, engine: str | None = None) -> list[dict[str, Any]]:
    """The last that a job's runs, or one of them, have printed."""
    from fanfold.cli.records import check_run, log_record
    from fanfold.job.logs import LogReader

    found = _job(job, engine)
    check_run(found, run)
    news = (event for event in LogReader(found.contents).news() if run in (None, event.index))
    return [log_record(event) for event in deque(news, maxlen=_PIECES)]


def plan(udf: str, inputs: list[Any], engine: str | None = None) -> dict[str, Any]:
    """What a submit of FILE.py:NAME over these inputs would take, in time and dollars, by past runs; nothing starts."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "inputs.jsonl"
        path.write_text("".join(f"{json.dumps(each)}\n" for each in inputs), encoding="utf-8")
        chosen = [] if engine is None else ["--engine", engine]
        return _command("plan", udf, "--inputs", str(path), "--past-runs-only", *chosen)


def explain(udf: str) -> dict[str, Any]:
    """What travels with the UDF FILE.py:NAME and what stays behind; nothing is sent."""
    return _command("explain", udf)


#: What the server offers.
_TOOLS: tuple[Callable[..., Any], ...] = (jobs, status, errors, logs, plan, explain)


def _check_arguments(name: str, arguments: dict[str, Any]) -> None:
    """Raises the server's own error for arguments that the tool of that name does not have; it names them."""
    from mcp.server.mcpserver.exceptions import ToolError

    taken = next((list(signature(tool).parameters) for tool in _TOOLS if tool.__name__ == name), None)
    unknown = [] if taken is None else [repr(argument) for argument in arguments if argument not in taken]
    if unknown:
        word = "argument" if len(unknown) == 1 else "arguments"
        told = f"{name} has no {word} {', '.join(unknown)}: nothing was read."
        raise ToolError(f"{told}\n  Next: call it again; it takes {', '.join(taken or ())}.")


def _command(*words: str) -> dict[str, Any]:
    """What a command says, in a process of its own: the user's file may have been edited since the last one."""
    done = subprocess.run(
        [sys.executable, "-m", "fanfold", *words, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InputError(done.stderr.strip().removeprefix("Error: "))
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _job(job: str, engine: str | None) -> Any:
    from fanfold.api.submit import get_job

    return get_job(job, engine=engine)


def _told(tool: _Tool) -> Any:
    """The tool, whose errors reach the agent as text with the next step."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return tool(*args, **kwargs)
        except FanfoldError as error:
            raise ToolError(str(error)) from error

    return call


def _read_only() -> Any:
    from mcp.types import ToolAnnotations

    return ToolAnnotations(read_only_hint=True)
