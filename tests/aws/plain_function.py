"""A handler that answers with as many characters as it is asked for."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    return {"text": "x" * event["size"]}
