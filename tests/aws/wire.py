"""A wire between a client and AWS, which a test can cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Wire:
    """Passes on whatever comes to `address`; while it is cut, callers find nobody there."""

    def __init__(self, to: str) -> None:
        self._to = urlsplit(to).hostname, urlsplit(to).port
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._cut = False
        #: Calls that came to nothing.
        self.refused = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._ends.clear()

    def reconnect(self) -> None:
        self._cut = False

    def close(self) -> None:
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                with self._lock:
                    if self._cut:
                        self.refused += 1
                        near.close()
                        continue
                    far = socket.create_connection(self._to)
                    self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
