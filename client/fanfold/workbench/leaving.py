"""Pages that were left are let go soon: what they hold is looked through whenever memory is given back.

A page that loses its connection is kept for a while, for it may come back. One whose document is gone does not: the
browser says so when somebody goes to another page, reloads it or closes its tab.
"""

from __future__ import annotations

import asyncio

from nicegui import Client, app, background_tasks

#: What the page was doing may end first.
_ENDING_S = 3.0


def add_leaving_route() -> None:
    """Take at this address that a page was left."""

    @app.post("/left/{client_id}", status_code=204)
    async def left(client_id: str) -> None:
        background_tasks.create(_let_go(client_id))


async def _let_go(client_id: str) -> None:
    await asyncio.sleep(_ENDING_S)
    client = Client.instances.get(client_id)
    if client is not None and not client.has_socket_connection:
        for document in list(client._delete_tasks):
            client._cancel_delete_task(document)
        client.delete()
