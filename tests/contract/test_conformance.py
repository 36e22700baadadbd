"""The conformance cases on the local engine, in the local cloud, and in the simulation of a deployment."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

import fanfold
from tests.contract.conformance import CASES, Place, escalate, lost_machine
from tests.contract.places import EnginePlace
from tests.simulation.place import simulated_place


def kill_runner(job: fanfold.Job) -> None:
    """End the process that carries a job out on this machine."""
    for process in psutil.process_iter(["cmdline"]):
        if job.id in (process.info["cmdline"] or []):
            process.kill()


#: In the cloud these take long, and tests of their own look at them more closely.
LONG = {("cloud", escalate), ("cloud", lost_machine)}


@pytest.fixture
def place(request, tmp_path, eventually, monkeypatch) -> Iterator[Place]:
    if request.param == "simulation":
        with simulated_place() as simulated:
            yield simulated
        return
    lose = kill_runner
    if request.param == "cloud":
        on_cloud = request.getfixturevalue("on_cloud")
        monkeypatch.setenv("FANFOLD_ENGINE", "aws")

        def lose(_: fanfold.Job) -> None:
            on_cloud.lose_machines()

    yield EnginePlace(tmp_path, eventually, lose)


@pytest.mark.parametrize(
    ("place", "case"),
    [
        pytest.param(name, case, id=f"{name}-{case.__name__}", marks=[pytest.mark.long] * ((name, case) in LONG))
        for name in ("local", "cloud", "simulation")
        for case in CASES
    ],
    indirect=["place"],
)
def test_every_engine_does_the_same(case, place):
    case(place)
