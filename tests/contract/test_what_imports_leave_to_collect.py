"""What is imported stays for ever: Python is not to look through all of it for garbage as soon as it is there."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

START = """
import gc, sys
from fanfold.contract.records import no_collection_of_imports

collections = []
gc.callbacks.append(lambda phase, about: collections.append(about["generation"]) if phase == "start" else None)

def have_much_imported():
    with no_collection_of_imports():
        import json, html.parser, unittest.mock  # noqa
        kept = [[] for _ in range(20_000)]
    return kept
"""

PROGRAMS = {
    "it is old at once": """
        kept = have_much_imported()
        [[] for _ in range(100)]
        assert collections == [], collections
        assert gc.isenabled()
        assert sum(gc.get_count()) < 1000, gc.get_count()
        """,
    "it is garbage like all else once nobody has it": """
        import weakref
        class Ring: pass
        with no_collection_of_imports():
            import html.parser
            ring = Ring()
            ring.own = ring
        gone = weakref.ref(ring)
        del ring
        gc.collect()
        assert gone() is None
        """,
    "where nothing was imported all is as it was": """
        kept = have_much_imported()
        young = [[] for _ in range(500)]  # Python has some of them lying ready, which it does not count
        before = gc.get_count()[0]
        assert before >= 300
        with no_collection_of_imports():
            import json
        assert gc.get_count()[0] >= before, (before, gc.get_count())
        """,
    "what a program has frozen stays so": """
        gc.freeze()
        frozen = gc.get_freeze_count()
        have_much_imported()
        assert gc.get_freeze_count() > 0.9 * frozen > 0  # some of it is gone since
        """,
    "a program that has no collection keeps to that": """
        gc.disable()
        have_much_imported()
        assert not gc.isenabled()
        """,
    "an import that fails leaves collection on": """
        try:
            with no_collection_of_imports():
                import html.parser, there_is_no_such_module
        except ModuleNotFoundError:
            pass
        assert gc.isenabled()
        """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_of_what_was_imported(program):
    said = subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
