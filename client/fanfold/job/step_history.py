"""The steps of runs as they were recorded: what each try computed, and what it was given of earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fanfold.core.formatting import duration, finite
from fanfold.core.models import Event


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step or checkpoint of one attempt of a run. Times are seconds, moments seconds since 1970.

    `how`: "computed" or "kept" (the attempt was given what an earlier one had computed) of a step, "saved" or "loaded"
    of a checkpoint. `took_s` is how long computing it took, at `made_at`, by a run of the job `made_by`.
    """

    run: int
    attempt: int
    name: str
    how: str
    at: float
    took_s: float
    made_at: float
    made_by: str

    def words(self, clock: Callable[[float], str]) -> str:
        """The record in words; `clock` writes moments."""
        if self.how == "computed":
            return f"{self.name} computed in {duration(self.took_s)} at {clock(self.at)}"
        if self.how == "kept":
            return f"{self.name} answered from the log: computed in {duration(self.took_s)} at {clock(self.made_at)}"
        name = f"checkpoint {self.name}".rstrip()
        if self.how == "saved":
            return f"{name} saved at {clock(self.at)}"
        return f"{name} answered from the log: saved at {clock(self.made_at)}"


def step_record(event: Event) -> StepRecord:
    """What a step's event tells."""
    data = event.data
    is_checkpoint, was_given = data.get("what") == "checkpoint", "made_at" in data
    how = {
        (False, False): "computed",
        (False, True): "kept",
        (True, False): "saved",
        (True, True): "loaded",
    }[is_checkpoint, was_given]
    name, made_by = str(data.get("name", "")), str(data.get("made_by", event.job_id))
    made_at, took_s = finite(data.get("made_at")), finite(data.get("took_s"))
    made_at = event.at if made_at is None else made_at
    return StepRecord(event.index, event.attempt, name, how, event.at, took_s or 0.0, made_at, made_by)


def latest(records: list[StepRecord]) -> list[StepRecord]:
    """In the order of attempts and times; of the saves of one checkpoint in an attempt, the last alone."""
    kept: dict[tuple[object, ...], StepRecord] = {}
    for one in sorted(records, key=lambda record: (record.attempt, record.at)):
        key = (one.attempt, one.how, one.name, None if one.how == "saved" else one.at)
        kept.pop(key, None)
        kept[key] = one
    return list(kept.values())
