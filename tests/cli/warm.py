"""A process that has imported Fanfold, and forks for each command: to start a Python costs ten times as much.

It reads a request a line, has a child of its own run the command with that folder, environment and those files as its
streams, and answers with the exit code. What the command does at its end, such as stopping its workers, the child does.
"""

from __future__ import annotations

import json
import os
import sys

#: What most commands use. They import it by themselves where it is not here yet.
USED = ("fanfold.cli.app", "fanfold.api.submit", "fanfold.engines.local.engine", "fanfold.submission.prepare")


def serve() -> list[str]:
    """Fork for each request; only the children return, with the arguments of their command."""
    answers = os.fdopen(os.dup(1), "w")
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        child = os.fork()
        if not child:
            return _become(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
    sys.exit()


def _become(request: dict) -> list[str]:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for stream, (path, flags) in enumerate(zip(request["files"], (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        opened = os.open(path, flags)
        os.dup2(opened, stream)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    return request["arguments"]


if __name__ == "__main__":
    import importlib

    for name in USED:
        importlib.import_module(name)
    from fanfold.cli import main

    sys.argv = ["fanfold", *serve()]
    main()
