"""Scraping a shop politely: at a rate, with retries, from a server that is here and sometimes refuses.

    python examples/scraping.py

Shows: `rate=`, `Retry` with pauses and words of the error, results that are good for an hour.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import fanfold

#: What the server says when it is asked too much: try again later.
BUSY = 503


@fanfold.udf(
    rate="100/s",
    retry=fanfold.Retry(times=4, on=("HTTPError 429", "HTTPError 503", TimeoutError), backoff_s=(0.05, 1)),
    cache_max_age="1h",
)
def offers(page: int, shop: str) -> list[dict[str, Any]]:
    """The goods of one page, with their prices."""
    with urlopen(f"{shop}/{page}", timeout=10) as answer:  # noqa: S310  an address of ours
        html = answer.read().decode()
    found = re.findall(r"<li>(.+?): (\d+\.\d\d)</li>", html)
    return [{"page": page, "name": name, "price": float(price)} for name, price in found]


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


@contextmanager
def a_shop(*, refusing: bool) -> Iterator[str]:
    """The address of a shop of 20 goods a page. It refuses the first visit to every fourth page."""
    seen: set[str] = set()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = int(self.path.lstrip("/"))
            refused = refusing and number % 4 == 0 and self.path not in seen
            seen.add(self.path)
            self.send_response(BUSY if refused else 200)
            self.end_headers()
            if not refused:
                prices = np.random.default_rng(number).gamma(4, 5, 20)
                self.wfile.write("".join(f"<li>thing {n}: {p:.2f}</li>" for n, p in enumerate(prices)).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def main(
    where: str = "",
    pages: int = 100,
    refusing: bool = True,
    fan_out: Callable[..., list[Any]] = fan_out,
) -> pd.DataFrame:
    """All goods of all pages."""
    with a_shop(refusing=refusing) as shop:
        found = fan_out(offers, range(pages), shop=shop)
    return pd.DataFrame([good for page in found for good in page])


def draw(found: pd.DataFrame, where: str, picture: str) -> None:
    """How prices are spread over the pages."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    panel = figure.subplots()
    prices = found.groupby("page")["price"]
    panel.fill_between(prices.min().index, prices.min(), prices.max(), alpha=0.3)
    panel.plot(prices.median())
    panel.set(xlabel="page", ylabel="price")
    figure.savefig(picture)


if __name__ == "__main__":
    print(main().groupby("page")["price"].describe().round(2))
