"""A cloud for a person: `make cloud` starts it, deploys, says how to use it, and serves until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cloud.cloud import LocalCloud

#: What a shell may hold that goes before the credentials that are exported, and is not known here.
_IN_THE_WAY = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN")
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Print lines for a shell to stdout, and what happens to stderr; end with everything on Ctrl-C, TERM or HUP."""
    arguments = argparse.ArgumentParser(prog="make cloud", description=main.__doc__)
    arguments.add_argument("--port", type=_free_port, default=0, help="where it answers; any that is free by default")
    asked = arguments.parse_args()
    for end in _ENDS:
        signal.signal(end, _end_once)
    try:
        with TemporaryDirectory(prefix="fanfold-cloud-") as folder, LocalCloud(Path(folder), port=asked.port) as cloud:
            _say("deploying ...")
            name = cloud.deploy()
            cloud.tell_events()
            print(*_lines(cloud, name), sep="\n", flush=True)
            _say(f"Fanfold is deployed as {name!r} at {cloud.endpoint}, until Ctrl-C. In another terminal, paste the")
            _say("lines above, then try: fanfold doctor")
            signal.pause()
    except KeyboardInterrupt:
        _say("gone")


def _end_once(*_: object) -> None:
    """A second Ctrl-C must not interrupt the cleaning up."""
    for end in _ENDS:
        signal.signal(end, signal.SIG_IGN)
    raise KeyboardInterrupt


def _free_port(text: str) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except (OSError, OverflowError) as error:
            raise argparse.ArgumentTypeError(f"{text} cannot be had ({error}); without it, any free one is") from error
    return int(text)


def _lines(cloud: LocalCloud, deployment: str) -> Iterator[str]:
    yield f"unset {' '.join(_IN_THE_WAY)}"
    yield f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"'
    for variable, value in cloud.environment(deployment).items():
        yield f"export {variable}={shlex.quote(value)}"


def _say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
