"""Workers that meet a set of packages for the first time: what it adds is told, and it is added once."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

import fanfold
from fanfold.core.models import EnvironmentRecord, EventKind, records
from fanfold.environments.lock import Lock, Wheel
from fanfold.environments.package_set import making_s, size_warning
from fanfold.settings import configure
from tests.cloud.cloud import SETTINGS, LocalCloud
from tests.cloud.fixtures import point


@fanfold.udf(packages=["fftalk==1.0"], cache_max_age=0)
def handler_and_version(x: int):
    import os
    import time

    import fftalk

    time.sleep(0.2)
    return os.environ["TMPDIR"].partition("/tmp/fanfold-")[0], fftalk.VERSION


@pytest.fixture
def talks(index):
    for version in ("1.0", "2.0"):
        index.add("fftalk", version)
    return index


def made(job):
    """The seconds of each environment that workers have made for a job."""
    return [one.seconds for one in records(job.state.job_events(EventKind.ENVIRONMENT), EnvironmentRecord)]


def test_two_environments_take_turns_in_one_warm_function_and_each_is_made_once(on_cloud, talks):
    jobs = [
        fanfold.submit(handler_and_version, [n], packages=[f"fftalk=={version}"], collect=False).wait()
        for n, version in enumerate(("1.0", "2.0", "1.0", "2.0"))
    ]
    assert len({job.results()[0][0] for job in jobs}) == 1
    assert [job.results()[0][1] for job in jobs] == ["1.0", "2.0", "1.0", "2.0"]
    assert [len(made(job)) for job in jobs] == [1, 1, 0, 0]
    first, *_, last = [dict(job.summary().rows()) for job in jobs]
    assert "1 worker fetched them, " in first["packages"]
    assert "$" in first["packages"]
    assert "packages" not in last
    assert jobs[0].cost() > jobs[0].summary().environments_usd > 0


def test_this_machine_tells_seconds_alone_and_a_plan_counts_them(talks):
    job = fanfold.submit(handler_and_version, [1], collect=False).wait()
    (seconds,) = made(job)
    assert seconds > 0
    row = dict(job.summary().rows())["packages"]
    assert "1 worker fetched them" in row
    assert "$" not in row
    planned = fanfold.plan(handler_and_version, range(50), cache=False)
    assert planned.packages_s > 0
    assert "its packages take each cold worker some" in str(planned)
    assert planned.way("realtime").packages_usd > 0
    assert planned.way("small").packages_usd > 0


def test_from_100_mb_on_a_set_is_told_with_its_seconds_and_what_makes_less_of_it():
    def lock(**sizes):
        return Lock("3.12", "", tuple(Wheel(name, "1.0", "x.whl", "0" * 64, size) for name, size in sizes.items()))

    assert size_warning(lock(small=99_000_000)) == ""
    large = lock(torch=150_000_000, nvidia_cudnn=60_000_000)
    told = size_warning(large)
    assert told.startswith("the packages are 210 MB to fetch for each cold worker, some 6 s: torch 1.0 (150.0 MB)")
    assert making_s(large) == pytest.approx(6.5)
    cuda = Lock("3.12", "", (*large.wheels, Wheel("nvidia-cublas", "13", "x.whl", "0" * 64, 1)))
    assert "there is a CPU build" in size_warning(cuda)


@pytest.mark.long
def test_twenty_cold_environments_at_once_fetch_the_same_packages_whole(tmp_path, talks, monkeypatch):
    monkeypatch.setenv("FANFOLD_TEST_ENVIRONMENTS", "10")
    (tmp_path / "cloud").mkdir()
    with LocalCloud(tmp_path / "cloud", wait_scale=0.1) as cloud:
        cloud.deploy({**SETTINGS, "instance_types": ["small"], "ultramem": False, "images": {}})
        point(monkeypatch, cloud)
        configure(engine="aws")
        job = fanfold.submit(handler_and_version, range(20), collect=False).wait()
        results = job.results()
    assert {version for _, version in results} == {"1.0"}
    cold = len({place for place, _ in results})
    assert cold >= 15  # a function that is done before the last begins serves twice
    assert len(made(job)) == cold
    assert talks.fetched == ["fftalk-1.0-py3-none-any.whl"]


@pytest.mark.long
def test_wheels_of_the_real_index_run_here_and_in_the_local_cloud(engine):
    """Compiled ones and pure ones."""
    try:
        urllib.request.urlopen(_real_index(), timeout=10).close()
    except (urllib.error.URLError, TimeoutError) as error:
        pytest.skip(f"no index of packages can be reached from here: {error}")

    @fanfold.udf(packages=["rapidfuzz==3.14.1", "roman-numerals-py==3.1.0"])
    def compared(x: int):
        import roman_numerals
        from rapidfuzz.distance import Levenshtein

        return Levenshtein.distance("kitten", "sitting"), str(roman_numerals.RomanNumeral(x))

    assert fanfold.submit(compared, [4, 9], flatten=False, collect=False).results() == [
        (3, "IV"),
        (3, "IX"),
    ]


def _real_index():
    from fanfold.environments.indexes import pip_indexes

    return pip_indexes().default or "https://pypi.org/simple/"
