"""`make verify-aws` has a table to print: its checks come true on the local cloud, and are told apart from others."""

from __future__ import annotations

import pytest

from tests.verify.__main__ import COST, report
from tests.verify.checks import CHECKS, AwsCheck, seen

#: What starts and ends a machine takes seconds, as does a Map Run that widens; and Lambda's time limit two minutes.
SLOW = ("machine", "Terminate", "time limit", "widens")
QUICK = [check for check in CHECKS if check.everywhere and not any(word in check.what for word in SLOW)]


def test_what_it_costs_is_said_before_anything_is_deployed():
    assert "under 1 dollar" in COST
    assert len(CHECKS) >= 18


def test_its_checks_come_true_on_the_local_cloud(on_cloud, capsys, monkeypatch):
    monkeypatch.setattr("tests.verify.__main__.CHECKS", [*QUICK, AwsCheck("elsewhere", lambda: "", everywhere=False)])
    assert report(local=True) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == len(QUICK) + 3
    assert rows[-1] == "| elsewhere | - | only an account can tell |"


@pytest.mark.long
@pytest.mark.usefixtures("on_cloud")
def test_whether_a_map_run_widens_can_be_looked_at_in_an_account():
    (check,) = (one for one in CHECKS if "widens" in one.what)
    verdict, told = seen(check)
    assert (verdict, told[:44]) == ("yes", "1 Map Run, 3 of 3 children at last; a change")


def test_a_check_that_does_not_come_true_says_what_it_saw():
    def look():
        raise AssertionError("two ends")

    assert seen(AwsCheck("a call is performed once", look)) == ("NO", "two ends")
