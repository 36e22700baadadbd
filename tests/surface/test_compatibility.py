"""Code written for the system that Fanfold follows: each row of docs/compatibility.md, both sides, the same."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pandas as pd
import pytest

import fanfold
import fanfold as fused

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


@fused.udf
def double(x: int, y: int = 2):
    print("doubling", x)
    return x * y


@fused.udf(name="framed", cache_max_age="1h")
def frames(x: int):
    import pandas as pd

    return pd.DataFrame({"v": range(x)})


@fused.udf
def fragile(x: int):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def plain(x: int):
    return x


@fused.udf
def nested(x: int):
    return fused.run(double, x=x, engine="local")


@fused.udf
def boxed(bounds: fused.types.Bounds):
    return bounds[2]


@fused.udf
def placed():
    return fused.context.in_realtime()


UDF_FILE = """
import fanfold as fused

@fused.udf
def udf(x: int = 1):
    return x + 40
"""


@pytest.fixture
def names(tmp_path):
    file = tmp_path / "saved_udf.py"
    file.write_text(UDF_FILE)

    class Lazy(dict):
        """The rows' names; the jobs are made where a row asks for them."""

        def __missing__(self, name):
            udf = {"job": double, "failed": fragile}[name]
            self[name] = fused.submit(udf, range(3), collect=False).wait()
            return self[name]

    udfs = {"double": double, "frames": frames, "fragile": fragile, "nested": nested, "boxed": boxed, "placed": placed}
    return Lazy(fused=fused, plain=plain, file=str(file), asyncio=asyncio, **udfs)


def value(text, names):
    return eval(text, {"__builtins__": __builtins__}, names)


def test_the_page_has_rows():
    assert len(ROWS) > 40


@pytest.mark.parametrize(("older", "today"), ROWS, ids=[older for older, _ in ROWS])
def test_the_older_spelling_gives_what_today_s_gives(older, today, names):
    before, now = value(older, names), value(today, names)
    if isinstance(now, pd.DataFrame):
        pd.testing.assert_frame_equal(before, now)
    else:
        assert before == now


def test_results_now_raises_the_first_failure():
    job = fused.submit(fragile, range(3), collect=False).wait()
    with pytest.raises(fanfold.RunFailed):
        job.results_now()


def test_tail_tells_each_run_as_it_ends(capsys):
    fused.submit(fragile, range(2), collect=False).tail()
    told = capsys.readouterr().out.splitlines()
    assert sorted(told) == ["run 0 error: {'x': 0}", "run 1 success: {'x': 1}"]


def test_tail_may_stop_at_the_first_error():
    with pytest.raises(fanfold.RunFailed, match="0 is even"):
        fused.submit(fragile, range(2), collect=False).tail(stop_on_exception=True)


def test_a_udf_s_own_parameter_wins_over_an_older_argument():
    def typed(x: int, type: str = "", parameters: dict | None = None):
        return x, type, parameters

    assert fused.run(typed, x=1, type="file", parameters={"a": 1}) == (1, "file", {"a": 1})


def test_status_is_text_all_the_same():
    status = fused.submit(double, [1], collect=False).wait().status
    assert isinstance(status, str)
    assert (status, f"{status}", status.lower()) == ("Completed", "Completed", "completed")


def counted(x: int, note: str = ""):
    CALLS.append(x)
    return {"x": x, "base": BASE}


CALLS: list[int] = []
BASE = 1


def test_a_cached_function_is_called_once_for_each_of_its_arguments(monkeypatch):
    monkeypatch.setitem(globals(), "CALLS", [])
    remembered = fused.cache(cache_key_exclude=["note"])(counted)
    assert [remembered(1), remembered(1, note="again"), remembered(x=2)] == [counted(1), counted(1), counted(2)]
    assert CALLS == [1, 2, 1, 1, 2]
    assert fused.cache(cache_key_exclude=["note"], cache_reset=True)(counted)(1)["x"] == 1
    assert CALLS[5:] == [1]


def test_a_cached_function_with_other_code_or_what_cannot_be_compared_is_called(monkeypatch):
    monkeypatch.setitem(globals(), "CALLS", [])
    assert fused.cache(counted)(1)["base"] == 1
    monkeypatch.setitem(globals(), "BASE", 2)
    assert fused.cache(counted)(1)["base"] == 2
    unknown = object()
    assert fused.cache(lambda value: value)(unknown) is unknown
    with pytest.raises(fanfold.InputError, match="has no option 'cach_max_age'"):
        fused.cache(cach_max_age="1h")


def test_a_cached_function_within_a_run_keeps_its_results_with_the_worker():
    @fused.udf
    def outer(x: int):
        calls = []

        @fused.cache
        def inner(n):
            calls.append(n)
            return n * 10

        return inner(x), inner(x), len(calls)

    assert outer(2) == (20, 20, 1)


def test_progress_can_be_switched_off_as_in_the_older_system(monkeypatch):
    from fanfold.job.waiting import is_watched

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert is_watched()
    fused.options.show.enable_tqdm = False
    assert not is_watched()
    fused.options.show.enable_tqdm = True
    assert is_watched()
    with pytest.raises(fanfold.InputError, match="max_workers"):
        fused.options.max_workers = 5
