"""EC2's instance metadata, as far as it tells of a Spot interruption, over HTTP.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TOKEN_PATH, _NOTICE_PATH = "/latest/api/token", "/latest/meta-data/spot/instance-action"


class SpotMetadata:
    """The metadata of one machine. Version 2: a token has to be fetched first, by PUT."""

    def __init__(self) -> None:
        self.notice = ""
        self._tokens: set[str] = set()
        metadata = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                asked_s = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
                if self.path != _TOKEN_PATH or not asked_s.isdigit() or not 1 <= int(asked_s) <= 21600:
                    self._answer(400)
                    return
                token = os.urandom(16).hex()
                metadata._tokens.add(token)
                self._answer(200, token)

            def do_GET(self) -> None:
                if self.headers.get("X-aws-ec2-metadata-token") not in metadata._tokens:
                    self._answer(401)
                elif self.path != _NOTICE_PATH or not metadata.notice:
                    self._answer(404)
                else:
                    self._answer(200, metadata.notice)

            def _answer(self, status: int, body: str = "") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def take_back(self, within_s: float) -> None:
        """EC2 says that it terminates the machine in so many seconds."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + within_s))
        self.notice = json.dumps({"action": "terminate", "time": at})

    def close(self) -> None:
        """There is no metadata any more."""
        self._server.shutdown()
        self._server.server_close()
