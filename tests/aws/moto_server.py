"""moto as a server in a process of its own, so that its CPU and threads are not the client's. Prints its port."""

from __future__ import annotations

import logging
import signal
import sys

from moto.server import ThreadedMotoServer

from tests.aws import moto_answers, moto_tables, moto_writes

if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto_answers.install()
    moto_tables.install()
    moto_writes.install()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()  # until the process that started it is gone
    signal.raise_signal(signal.SIGKILL)
