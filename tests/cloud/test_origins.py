"""What is told of a job in the deployment as of one here: why, diff, explain, debug, profile, export."""

from __future__ import annotations

import fanfold
from fanfold.job.open_bundle import verify_exported


@fanfold.udf(max_retry=0)
def scaled(x: int, by: int):
    if x * by == 21:
        raise ValueError(f"{x} is bad")
    return {"x": x, "scaled": x * by}


def test_jobs_of_the_deployment_say_where_they_come_from_and_are_called_again_here(on_cloud, tmp_path):
    good, bad = (fanfold.submit(scaled, range(4), by=by, collect=False).wait(60) for by in (2, 7))
    assert (good.status, bad.status) == ("Completed", "Failed")
    why = good[1].why()
    assert (why.udf, why.arguments["x"], why.tries[0].status) == ("scaled", 1, "succeeded")
    assert why.image
    told = good.diff(bad)
    assert told.same_code
    assert told.broken == [3]
    assert "by" in str(bad.explain_cache(good)), "the constant is what their keys differ in"
    post_mortem = bad[3].debug(pdb=False)
    assert "ValueError: 3 is bad" in str(post_mortem)
    assert "by = 7" in str(post_mortem)
    assert good[1].profile().seconds >= 0
    good.export(tmp_path / "out")
    assert verify_exported(tmp_path / "out")
