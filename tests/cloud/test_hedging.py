"""`submit(hedge=True)`: a run that is much slower than the others gets a duplicate, and the first that ends counts."""

from __future__ import annotations

import math

import psutil
import pytest

import fanfold
from tests.cloud.udfs import straggles
from tests.cloud.udfs import tries_begun as begun


def is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


WHERE = {
    "functions": {},
    "batches": {"batch_size": 3},
    "machines": {"instance_type": "small", "max_workers": 2},
    "one machine": {"instance_type": "small", "n_processes_per_worker": 2},
}


@pytest.fixture(params=["functions", "batches", "machines", pytest.param("one machine", marks=pytest.mark.long)])
def where(request):
    """What a submit says of where its runs are to be."""
    return WHERE[request.param]


@pytest.mark.usefixtures("engine")
def test_a_slow_run_gets_a_duplicate_whose_result_counts_and_both_are_paid(tmp_path, eventually, where):
    options = {"folder": str(tmp_path), "hedge": True, "collect": False, **where}
    job = fanfold.submit(straggles, range(6), **options).wait(120)
    assert job.results() == [0, 1, 4, 9, 16, 25]
    assert sorted(begun(tmp_path)) == ["0.0", "1.0", "2.0", "3.0", "3.1", "4.0", "5.0"], "it alone, and once"
    assert job[3].attempt == 1
    assert job.verify()
    eventually(lambda: is_over(begun(tmp_path)["3.0"]))
    eventually(lambda: len(fanfold.get_job(job.id)[3].why().tries) == 2)
    told = fanfold.get_job(job.id)
    assert (told[3].attempt, told.results()) == (1, job.results()), "what has ended later changes nothing"
    took_s = [s for s in told.state.measured_s() if not math.isnan(s)]
    assert len(took_s) == 7, "the time of both is counted"


@pytest.mark.usefixtures("engine")
def test_a_cancel_ends_a_run_and_its_duplicate(tmp_path, eventually):
    job = fanfold.submit(straggles, range(6), folder=str(tmp_path), tries=2, hedge=True, collect=False)
    eventually(lambda: job.counts() and "3.1" in begun(tmp_path))
    job.cancel()
    eventually(lambda: is_over(begun(tmp_path)["3.0"]) and is_over(begun(tmp_path)["3.1"]))
    assert job.wait(120).status == "Cancelled"


@fanfold.udf
def plain(n: int):
    return n


def test_a_duplicate_is_refused_where_it_may_do_harm_or_cannot_be(on_cloud):
    with pytest.raises(
        fanfold.InputError, match=r"plain does not say that it may be.*\n.*@fanfold.udf\(idempotent=True\)"
    ):
        fanfold.submit(plain, [1], hedge=True, engine="local")
    with pytest.raises(fanfold.InputError, match=r"no room for a duplicate(?s:.*)max_workers=2"):
        fanfold.submit(straggles, [1], folder="", hedge=True, instance_type="small")
    with pytest.raises(fanfold.InputError, match="hedge"):
        fanfold.submit(straggles, [1], folder="", hedge="yes")
