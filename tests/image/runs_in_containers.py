"""The image, run as Lambda and Batch run it: its own user, its own code, and a limit that the kernel enforces.

Not named as tests are: `make image-test` makes the image first. Its Python is 3.11, which stands in for 3.12.
"""

from __future__ import annotations

import pytest

import fanfold
from fanfold.contract.instances import INSTANCE_TYPES, container_memory_mib
from fanfold.stores.aws.account import Account
from tests.cloud.cloud import LocalCloud
from tests.cloud.fixtures import point


@fanfold.udf
def surroundings():
    """Who and where a run is: its user, the code that runs it, its version of pandas, its limit in MiB."""
    import os
    import pathlib

    import pandas as pd

    import fanfold

    files = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    limit = next(pathlib.Path(file).read_text() for file in files if pathlib.Path(file).exists())
    return os.getuid(), os.path.dirname(fanfold.__file__), pd.__version__, int(limit) >> 20


@fanfold.udf
def hungry(mib: int):
    held = bytearray(mib << 20)
    held[::4096] = b"x" * len(held[::4096])
    return len(held)


@pytest.fixture(scope="module", autouse=True)
def in_containers(tmp_path_factory):
    """The local cloud, in which every environment and every machine is a container of the image."""
    folder = tmp_path_factory.mktemp("cloud")
    with LocalCloud(folder, starter="tests.image.podman:start") as cloud, pytest.MonkeyPatch.context() as patched:
        cloud.deploy()
        point(patched, cloud)
        account = Account()
        patched.setattr("fanfold.engines.aws.Account", lambda **_: account)
        yield cloud


@pytest.mark.parametrize(
    ("instance_type", "limit_mib"), [(None, 4096), ("small", container_memory_mib(INSTANCE_TYPES["small"]))]
)
def test_a_run_has_the_image_s_user_code_and_limit(instance_type, limit_mib):
    user, code, pandas, limit = fanfold.run(surroundings, instance_type=instance_type)
    assert (user, code, limit) == (1000, "/opt/fanfold/fanfold", limit_mib)
    assert int(pandas.partition(".")[0]) >= 2


@pytest.mark.parametrize("instance_type", [None, "small"])
def test_a_run_that_takes_more_than_its_container_is_out_of_memory(instance_type):
    job = fanfold.submit(hungry, [10, 6000], instance_type=instance_type, max_retry=0, collect=False)
    job.wait(timeout=120)
    assert job.counts() == {"succeeded": 1, "out_of_memory": 1}
