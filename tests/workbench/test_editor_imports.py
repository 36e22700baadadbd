"""UDF files and the page: looking at one runs nothing of it, and whatever one does hurts neither page nor server."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.workbench.conftest import choose_file, rewrite

ENDLESS = "import fanfold\n\nwhile True: ...\n\n@fanfold.udf\ndef never(x: int = 1): ...\n"
TWO = """\
import fanfold


@fanfold.udf
def first(x: int = 1):
    return f"the first says {x}"


@fanfold.udf
def second(y: int = 2):
    return f"the second says {y}"
"""


@pytest.fixture
def other_files(workbench):
    """Files that stand in the folder for one test."""
    made = []

    def write(name, content):
        made.append(workbench.folder / name)
        made[-1].write_text(content)

    yield write
    for path in made:
        path.unlink()


def result(page):
    return page.get_by_label("Result", exact=True)


def test_looking_at_a_file_does_not_run_it(bench, workbench, other_files):
    witness = workbench.folder / "it_ran"
    other_files(
        "0script.py", f"import fanfold\nopen({str(witness)!r}, 'w').close()\n\n@fanfold.udf\ndef s(x: int = 1): ...\n"
    )
    page = bench("0script.py")  # it is the first of the list, and so what the page opens with
    expect(page.get_by_label("x: int")).to_be_visible()
    assert not witness.exists()
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(result(page)).to_be_visible()
    assert witness.exists()


def test_an_import_that_does_not_end_is_stopped_by_hand_and_holds_up_nobody(bench, other_files):
    other_files("endless.py", ENDLESS)
    page, other = bench("endless.py"), bench("flights.py")
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(page.get_by_text("Starting never …")).to_be_visible()
    other.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(result(other)).to_contain_text("3 rows × 3 columns")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Starting never …")).to_be_hidden()
    choose_file(page, "flights.py")
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(result(page)).to_contain_text("3 rows × 3 columns")


def test_a_file_that_is_called_like_a_module_does_not_take_its_place(bench, other_files):
    other_files("random.py", "import fanfold\n\n@fanfold.udf\ndef dice(n: int = 6):\n    return f'of {n}'\n")
    page = bench("random.py")
    page.get_by_role("button", name="Run (Shift+Enter)").click()
    expect(page.get_by_role("alert")).to_contain_text("another module has that name.\n  Next: rename the file.")
    choose_file(page, "flights.py")
    page.get_by_role("button", name="Plan").click()  # which draws a sample at random
    expect(page.get_by_role("alert")).to_contain_text("There are no inputs")
    page.get_by_label("One a line").fill("2013-02-01\n2013-02-02")
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_label("Plan", exact=True)).to_contain_text("delays over 2 inputs")


def test_the_keys_run_a_udf_right_after_it_was_chosen_and_the_last_ones_result_is_gone(bench, other_files):
    other_files("two.py", TWO)
    page = bench("two.py")
    page.get_by_label("x: int").press("Shift+Enter")
    expect(result(page)).to_contain_text("the first says 1")
    page.get_by_role("combobox", name="UDF").select_option("second")
    expect(page.get_by_label("y: int")).to_be_visible()
    expect(result(page)).to_have_count(0)
    page.keyboard.press("Shift+Enter")
    expect(result(page)).to_contain_text("the second says 2")


def test_the_keys_are_heard_where_nothing_has_the_focus(bench):
    page = bench()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Shift+Enter")
    expect(result(page)).to_contain_text("3 rows × 3 columns")


def test_a_plan_of_another_file_does_not_stay(bench):
    page = bench()
    page.get_by_label("One a line").fill("2013-01-01\n2013-01-02")
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("button", name="Submit 2 inputs")).to_be_visible()
    choose_file(page, "heavy.py")
    expect(page.get_by_text("It runs on small.")).to_be_visible()
    expect(page.get_by_text("delays over 2 inputs")).to_be_hidden()
    expect(page.get_by_role("button", name="Submit 2 inputs")).to_have_count(0)


def test_what_was_run_before_is_said_to_come_from_the_cache_and_can_be_run_without_it(bench):
    page = bench()
    rewrite(page, "import fanfold, os\n\n@fanfold.udf\ndef f(x: int = 5):\n    print('working')\n    return x\n")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Output")).to_have_text("working")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_text("Completed, from the cache")).to_be_visible()
    expect(page.get_by_text("nothing was run, and so nothing was printed")).to_be_visible()
    page.get_by_role("button", name="Run without the cache").click()
    expect(page.get_by_label("Output")).to_have_text("working")


def test_a_run_is_cancelled_from_the_workbench(bench):
    page = bench()
    sleeping = "    print('asleep', flush=True)\n    time.sleep(100)\n"
    rewrite(page, f"import fanfold, time\n\n@fanfold.udf\ndef f(x: int = 6):\n{sleeping}")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Output")).to_have_text("asleep")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


WAITS = """\
import fanfold


@fanfold.udf
def f(gate: str):
    import pathlib
    import time

    while not pathlib.Path(gate).exists():
        time.sleep(0.02)
    return f"after {gate}"
"""


def test_a_result_comes_under_its_own_run_alone(bench, visit, tmp_path):
    page = bench()
    rewrite(page, WAITS)
    page.get_by_label("gate: str").fill(str(tmp_path / "gate"))
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_text("Running")).to_be_visible()
    slow = page.get_by_role("link", name="job 2").get_attribute("href")
    page.get_by_label("gate: str").fill(str(tmp_path))
    page.keyboard.press("Shift+Enter")
    expect(result(page)).to_have_text(f"after {tmp_path}")
    (tmp_path / "gate").touch()
    expect(visit(slow).get_by_role("status").first).to_have_text("Completed")
    expect(result(page)).to_have_text(f"after {tmp_path}")
