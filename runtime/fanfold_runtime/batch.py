"""The command of a dedicated machine, which can be told to stop from its first moment on."""

from __future__ import annotations

import os
import signal

from fanfold.contract.cloud import EXIT_GIVEN_BACK


def main() -> None:
    """Work for the job that the environment names; exit with 0, or `EXIT_GIVEN_BACK`, or 1 after an error."""
    # Before half a second of imports: the first process of a container is deaf to signals that it has not asked for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(EXIT_GIVEN_BACK))  # it holds nothing yet
    from fanfold.errors import FanfoldError
    from fanfold_runtime import telemetry
    from fanfold_runtime.context import enter_own_folder
    from fanfold_runtime.machine import Machine

    try:
        machine = Machine(enter_own_folder(), os.environ)
    except FanfoldError as error:
        telemetry.logger.error("machine not ready", error=type(error).__name__, reason=error.message)
        raise SystemExit(1) from error
    signal.signal(signal.SIGTERM, lambda *_: machine.stop())
    with machine:
        machine.run()


if __name__ == "__main__":
    main()
