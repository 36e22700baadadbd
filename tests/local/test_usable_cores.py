"""Workers are as many as the cores that this process may really use."""

from __future__ import annotations

from functools import lru_cache

import pytest

from fanfold.core import processes
from fanfold.core.processes import cpu_quota, usable_cores


@pytest.fixture
def cgroups(tmp_path):
    """Files as the kernel shows them: `cgroups(membership, {file: text})`; what is found there."""

    def quota(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            (tmp_path / "mounted" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "mounted" / name).write_text(text)
        return cpu_quota(tmp_path / "membership", tmp_path / "mounted")

    return quota


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="a container's own root"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, None, id="no quota"),
        pytest.param("0::/\n", {}, None, id="no file"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5, id="above it"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "max 1\n"}, 3.0, id="nested"),
        pytest.param(
            "3:memory:/x\n2:cpu,cpuacct:/a\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"},
            2.0,
            id="version 1",
        ),
        pytest.param(
            "2:cpu:/elsewhere\n",
            {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            1.0,
            id="version 1 in a container, where its group is the root",
        ),
        pytest.param(
            "2:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            None,
            id="version 1, none",
        ),
    ],
)
def test_the_cpu_quota_of_a_control_group_counts(cgroups, membership, files, cores):
    assert cgroups(membership, files) == cores


def test_where_there_are_no_control_groups_there_is_no_quota(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path / "none") is None


def test_the_files_of_the_own_groups_are_read_once(monkeypatch):
    """A function asks at each of its runs: a dozen files, which took longer than the rest of a run's start."""
    reads = []
    monkeypatch.setattr(processes, "cpu_quota", lambda: reads.append("read"))
    monkeypatch.setattr(processes, "_own_quota", lru_cache(processes._own_quota.__wrapped__))
    assert usable_cores() == usable_cores()
    assert reads == ["read"]
