"""What tables, defaults and arguments that come twice name counts with a parameter that `depends_on` names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import fanfold


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def read_each(table, names=()) -> list[str]:
    """The texts of the files of these names, whatever the table is."""
    return [Path(name).read_text() for name in names]


def tables_that_name(name: str):
    """Tables in each form in which a cell may be, or hold, a text; none of them looks like a table of paths."""
    import numpy
    import pandas
    import polars
    import pyarrow

    frame = pandas.DataFrame({"file": ["", name]})
    lists = pandas.ArrowDtype(pyarrow.list_(pyarrow.string()))
    return {
        "texts after none": frame,
        "texts of Arrow": frame.convert_dtypes(dtype_backend="pyarrow"),
        "lists of Arrow": pandas.DataFrame({"files": pandas.Series([[name]], dtype=lists)}),
        "dicts": pandas.DataFrame({"file": [{"of": {"day": name}}]}),
        "arrays": pandas.DataFrame({"files": [numpy.array([name])]}),
        "texts of numpy": numpy.array(["none", name]),
        "bytes of numpy": numpy.array([name.encode()]),
        "records of numpy": numpy.array([(1, name)], dtype=[("n", "i4"), ("file", "U20")]),
        "lists of polars": polars.DataFrame({"files": [[name]]}),
        "structs of polars": polars.DataFrame({"file": [{"of": name}]}),
        "an Enum of polars": polars.DataFrame({"file": [name]}, schema={"file": polars.Enum([name])}),
        "an array of Arrow": pyarrow.array([name]),
        "chunks of Arrow": pyarrow.chunked_array([[name]]),
        "a batch of Arrow": pyarrow.record_batch({"file": [name]}),
        "lists in Arrow": pyarrow.table({"files": [[name]]}),
        "structs in Arrow": pyarrow.table({"file": [{"of": name}]}),
        "a dictionary of Arrow": pyarrow.table({"file": pyarrow.array([name]).dictionary_encode()}),
        "a frame in a list": [frame],
    }


def test_every_text_in_a_table_counts_where_depends_on_names_it(scenes):
    write(scenes, "monday", "one")
    tables = tables_that_name("monday")
    udf = fanfold.udf(read_each, depends_on=["table"])
    inputs = [{"table": table, "names": ["monday"]} for table in tables.values()]
    assert fanfold.submit(udf, inputs, collect=False).results() == [["one"]] * len(tables)
    write(scenes, "monday", "two")
    texts = dict(zip(tables, fanfold.submit(udf, inputs, collect=False).results(), strict=True))
    assert {kind for kind, text in texts.items() if text != ["two"]} == set()
    again = fanfold.submit(udf, inputs, collect=False).wait()
    assert again.counts() == {"cached": len(tables)}


def test_what_comes_twice_and_what_is_a_default_counts_where_depends_on_names_it(scenes, monkeypatch):
    import pandas

    monkeypatch.setenv("SCENES", str(scenes))
    write(scenes, "monday", "one")
    table = pandas.DataFrame({"file": ["monday"]})
    twice = fanfold.udf(read_each, depends_on=["names"])

    def by_default(names=("monday",), table=table) -> list[str]:
        return read_each(table, names)

    def by_variable(name: str) -> str:
        return Path(os.path.expandvars(name)).read_text()

    def found() -> list[object]:
        names = ["monday"]
        return [
            fanfold.run(twice, table=names, names=names),
            fanfold.run(fanfold.udf(by_default, depends_on=["names"])),
            fanfold.run(fanfold.udf(by_default, depends_on=["table"])),
            fanfold.run(fanfold.udf(by_variable, depends_on=["name"]), name="$SCENES/monday"),
        ]

    assert found() == [["one"], ["one"], ["one"], "one"]
    write(scenes, "monday", "two")
    assert found() == [["two"], ["two"], ["two"], "two"]
