"""1,000 small runs through the Distributed Map of the local cloud: seconds, and how much of it the client takes."""

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from _told import tell

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "runtime")]

import fanfold  # noqa: E402
from tests.cloud.cloud import LocalCloud  # noqa: E402

COUNT = 1000


def squared(x: int):
    return x * x


def emulator_cpu_s() -> float:
    """CPU seconds of everything that is not the client: the services, the functions, and their workers."""
    total_s = 0.0
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        total_s += times.user + times.system
    return total_s


with tempfile.TemporaryDirectory() as folder, LocalCloud(Path(folder)) as cloud:
    cloud.deploy()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(cloud.environment())
    began, emulator_s, client_s = time.perf_counter(), emulator_cpu_s(), time.process_time()
    job = fanfold.submit(squared, range(COUNT), max_workers=400, collect=False)
    assert job.results() == [x * x for x in range(COUNT)]
    seconds, client_s = time.perf_counter() - began, time.process_time() - client_s
    emulator_s = emulator_cpu_s() - emulator_s
    assert cloud.ended()["STANDARD SUCCEEDED"] == 1

tell(seconds=seconds, client_s=client_s, emulator_s=emulator_s)
