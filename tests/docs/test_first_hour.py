"""Three people's first hour, each from an empty folder and an empty home; the operator and the analyst: tests/cloud."""

from __future__ import annotations

import asyncio
import os
import textwrap

import pytest

from tests.person import Person

UDFS = """
import fanfold


@fanfold.udf
def count(text: str, least: int = 1):
    words = [word for word in text.split() if len(word) >= least]
    print("counting", len(words), "words")
    return {"words": len(words), "per_letter": len(words) / len(text)}
"""


@pytest.fixture
def person(tmp_path):
    folder, home = tmp_path / "project", tmp_path / "me"
    folder.mkdir()
    home.mkdir()
    return Person(folder, home)


def test_on_a_laptop(person):
    (person.folder / "words.py").write_text(UDFS)
    assert "ok    worker" in person.fanfold("doctor")
    assert "{'words': 4, 'per_letter': 0.4}" in person.fanfold("run", "words.py", "text=to be or n")
    failed = person.fanfold("submit", "words.py", "to be", "", "-o", "out.csv", ends=1)
    assert "ZeroDivisionError: division by zero" in failed
    assert "out.csv was not written; `fanfold collect " in failed
    (person.folder / "words.py").write_text(UDFS.replace("len(text)}", "max(1, len(text))}"))
    assert "2 succeeded" in person.fanfold("retry", "-", "--with", "words.py")
    assert "out.csv: 2 rows, 3 columns" in person.fanfold("collect", "-", "-o", "out.csv")
    assert (person.folder / "out.csv").read_text().splitlines()[1] == "to be,2,0.4"
    assert (person.home / ".fanfold" / "fanfold.db").exists()


def test_in_a_notebook(person, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    cells = [
        "import fanfold\nrate = 1.2",
        "@fanfold.udf\ndef priced(x: int):\n    return x * rate",
        "fanfold.submit(priced, [10, 20])",
        "rate = 2",
        "job = fanfold.submit(priced, [10, 20], collect=False)\njob.wait()",
        "job.results()",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    for name in [name for name in os.environ if name.startswith("FANFOLD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(person.home))
    where = {"metadata": {"path": str(person.folder)}}
    asyncio.run(NotebookClient(book, timeout=120, resources=where).async_execute())
    shown = [cell.outputs[-1]["data"] if cell.outputs else {} for cell in book.cells]
    assert "<table" in shown[2]["text/html"]
    assert "24.0" in shown[2]["text/html"]
    assert "2 succeeded" in shown[4]["text/plain"]
    assert shown[5]["text/plain"] == "[20, 40]"  # not what the cell above had made


def test_coming_from_joblib(person):
    program = """
        import joblib
        from math import sqrt
        {first}
        with joblib.parallel_config(backend="{backend}", n_jobs=2):
            print(joblib.Parallel()(joblib.delayed(sqrt)(x) for x in (1, 4, 9)))
            print(joblib.Parallel()(joblib.delayed(lambda x: x + 1)(x) for x in (1, 2)))
        """
    (person.folder / "fan.py").write_text(
        textwrap.dedent(program.format(first="import fanfold.joblib_backend", backend="fanfold"))
    )
    assert person.python("fan.py") == "[1.0, 2.0, 3.0]\n[2, 3]\n"
    (person.folder / "table.py").write_text(
        "import fanfold\nfrom math import sqrt\nprint(fanfold.submit(sqrt, [1, 4, 9]).result.to_list())\n"
    )
    assert person.python("table.py") == "[1.0, 2.0, 3.0]\n"
