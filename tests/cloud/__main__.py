"""A cloud for a person: `make cloud` starts it, deploys, says how to use it, and serves until Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cloud.cloud import LocalCloud


def main() -> None:
    """Print `export NAME=value` lines to stdout, and what happens to stderr; end with everything on Ctrl-C or TERM."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with TemporaryDirectory(prefix="fanfold-cloud-") as folder, LocalCloud(Path(folder)) as cloud:
            _say("deploying ...")
            name = cloud.deploy()
            for variable, value in cloud.environment(name).items():
                print(f"export {variable}={shlex.quote(value)}")
            sys.stdout.flush()
            _say(f"Fanfold is deployed as {name!r} at {cloud.endpoint}, until Ctrl-C. In another terminal, paste the")
            _say("lines above, then try: fanfold doctor")
            signal.pause()
    except KeyboardInterrupt:
        _say("gone")


def _say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
