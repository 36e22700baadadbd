"""How jobs wrote events down before each record had a kind of its own.

All were `machine` events, told apart by their names and by which facts they have.
"""

from __future__ import annotations

from typing import Any

from fanfold.core.models import NO_DATA, Event, EventKind
from fanfold.stores.packing import BEFORE_KINDS


def upgraded(event: Event) -> Event:
    """What an event of an older store means in today's words."""
    facts: dict[str, Any] = {"name": str(event.data[BEFORE_KINDS]), **event.data}
    del facts[BEFORE_KINDS]
    kind = _kind_before_kinds(facts)
    if kind is EventKind.MACHINE:
        facts["batch_job"], _, attempt = facts["name"].rpartition(".")
        facts["attempt"] = int(attempt) if attempt.isdigit() else 1
    return event._replace(kind=kind, data=facts or NO_DATA)


def _kind_before_kinds(facts: dict[str, Any]) -> EventKind:
    name, state = facts["name"], facts.get("state")
    holds = {
        EventKind.RUNNER: name.startswith("starting-"),
        EventKind.PROCESS: "pid" in facts,
        EventKind.DISPATCH: "runs" in facts and "path" in facts,
        EventKind.QUEUE: state == "waiting",
        EventKind.THROTTLE: state == "throttled",
        EventKind.EXECUTION_FAILURE: name.startswith("arn:") and state == "failed",
    }
    return next((kind for kind, it_does in holds.items() if it_does), EventKind.MACHINE)
