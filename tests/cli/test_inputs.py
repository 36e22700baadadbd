"""Where the inputs of `fanfold submit` come from."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from fanfold.cli.inputs import inputs_from, parameters_from
from fanfold.errors import InputError


def from_file(path):
    return list(inputs_from([], str(path), None))


@pytest.mark.parametrize(
    ("text", "meant"),
    [("0:3", [0, 1, 2]), ("1:10:4", [1, 5, 9]), ("3", [0, 1, 2]), ("5:0:-2", [5, 3, 1]), ("-2:1", [-2, -1, 0])],
)
def test_a_range_is_pythons(text, meant):
    assert list(inputs_from([], None, text)) == meant


@pytest.mark.parametrize("text", ["", "a:b", "1:2:3:4", "1:2:0", "1.5:3", "1-10"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(InputError, match="not a range"):
        inputs_from([], None, text)


def test_values_are_inputs_as_they_stand():
    assert list(inputs_from(["2013-01-01", "x=1"], None, None)) == ["2013-01-01", "x=1"]


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t"), (".CSV", ",")])
def test_a_row_is_keyword_arguments_as_text(tmp_path, suffix, separator):
    path = tmp_path / f"days{suffix}"
    path.write_text(f"day{separator}n\r\n2013-01-01{separator}1\r\n{separator}2\r\n", encoding="utf-8-sig")
    assert from_file(path) == [{"day": "2013-01-01", "n": "1"}, {"day": "", "n": "2"}]


@pytest.mark.parametrize("row", ["1", "1,2,3"])
def test_a_row_that_does_not_match_its_header_is_named_by_line(tmp_path, row):
    path = tmp_path / "days.csv"
    path.write_text(f"day,n\na,1\n{row}\n")
    with pytest.raises(InputError, match=r"days\.csv:3: "):
        from_file(path)


@pytest.mark.parametrize("header", ["x,x", "day,x,n,x"])
def test_a_column_that_is_there_twice_is_refused_not_lost(tmp_path, header):
    path = tmp_path / "days.csv"
    path.write_text(f"{header}\n{header}\n")
    with pytest.raises(InputError, match=r"days\.csv has two columns 'x'"):
        from_file(path)


def test_a_column_that_is_in_parquet_twice_is_refused_too(tmp_path):
    path = tmp_path / "days.parquet"
    parquet.write_table(pyarrow.Table.from_arrays([[1], [2]], names=["x", "x"]), path)
    with pytest.raises(InputError, match=r"days\.parquet has two columns 'x'"):
        from_file(path)


def test_a_line_of_json_is_an_input_of_any_kind(tmp_path):
    path = tmp_path / "inputs.jsonl"
    path.write_text('{"day": "2013-01-01", "n": null}\n\n[1, 2]\n"a"\n3.5\n')
    assert from_file(path) == [{"day": "2013-01-01", "n": None}, [1, 2], "a", 3.5]


def test_a_line_that_is_not_json_is_named(tmp_path):
    path = tmp_path / "inputs.jsonl"
    path.write_text("1\n{broken\n")
    with pytest.raises(InputError, match=r"inputs\.jsonl:2: the line is not JSON: column 2: "):
        from_file(path)


def test_a_line_of_stdin_that_is_not_json_is_named_once(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1\nx\n"))
    with pytest.raises(InputError) as raised:
        from_file("-")
    assert raised.value.message == "stdin:2: the line is not JSON: column 1: Expecting value."


def test_a_number_that_json_cannot_hold_is_refused_as_well(tmp_path):
    path = tmp_path / "inputs.jsonl"
    path.write_text("9" * 5000)
    with pytest.raises(InputError, match=r"inputs\.jsonl:1: the line is not JSON: Exceeds"):
        from_file(path)


def test_parquet_keeps_its_types(tmp_path):
    path = tmp_path / "inputs.parquet"
    pd.DataFrame({"day": pd.to_datetime(["2013-01-01"]), "tags": [["a", "b"]]}).to_parquet(path)
    (row,) = from_file(path)
    assert row["day"] == pd.Timestamp("2013-01-01")
    assert row["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "data"), [("x.parquet", b"no"), ("x.csv", b"a\n\xff\n"), ("x.jsonl", b"\xff\n"), ("x.txt", b"1")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=name):
        from_file(tmp_path / name)


@pytest.mark.parametrize(("name", "text"), [("x.csv", ""), ("x.csv", "x\n"), ("x.tsv", "x\n"), ("x.jsonl", "\n\n")])
def test_a_file_without_inputs_is_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=rf"{name} holds no inputs"):
        from_file(tmp_path / name)


def test_stdin_without_inputs_is_named(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(InputError, match=r"^stdin holds no inputs"):
        from_file("-")


def test_files_of_every_kind_reach_the_udf(fanfold):
    (fanfold.directory / "in.csv").write_text("x,power\n2,3\n3,2\n")
    submitted = fanfold("submit", "squares.py", "-i", "in.csv", "--json")
    assert '"succeeded": 2' in submitted.stdout
    piped = fanfold("submit", "squares.py", "-i", "-", "--debug", given='{"x": 5}\n')
    assert piped.stdout == "25\n"


def test_values_below_zero_stand_behind_two_dashes(fanfold):
    assert '"succeeded": 2' in fanfold("submit", "squares.py", "--json", "--", "-1", "-2").stdout


def test_parameters_are_pairs():
    assert parameters_from(["day=2013-01-01", "note=a=b", "empty="]) == {
        "day": "2013-01-01",
        "note": "a=b",
        "empty": "",
    }
    for wrong in (["day"], ["=x"], ["a b=c"], ["x=1", "x=2"]):
        with pytest.raises(InputError):
            parameters_from(wrong)


def test_text_that_reads_as_a_number_is_mentioned_where_the_udf_does_not_say_what_it_takes(fanfold, tmp_path):
    (tmp_path / "plain.py").write_text("def twice(x, by: int = 2, name='a'):\n    return x * by\n")
    (tmp_path / "rows.csv").write_text("x,name\n3,b\n")
    (tmp_path / "rows.jsonl").write_text('{"x": "3"}\n')
    line = "fanfold: x is text here ('3'): say `x: int` or `x: float` to have a number."
    udf = f"{tmp_path}/plain.py:twice"
    once = fanfold("run", udf, "x=3", "by=4", "name=7")
    assert once.stdout == "3333\n"
    assert once.stderr.splitlines()[:2] == [line, line.replace("x", "name", 1).replace("3", "7").replace("x:", "name:")]
    assert line in fanfold("submit", udf, "3", "4").stderr
    assert line in fanfold("submit", udf, "--inputs", f"{tmp_path}/rows.csv").stderr
    for quiet in (["run", udf, "x=ab"], ["submit", udf, "--inputs", f"{tmp_path}/rows.jsonl"]):
        assert "is text here" not in fanfold(*quiet).stderr
