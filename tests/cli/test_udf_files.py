"""How a UDF's file is found and imported."""

from __future__ import annotations

import sys
import textwrap

import pytest

from fanfold.api.udf_file import load_udf
from fanfold.errors import InputError


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a file, and forget afterwards what importing it has left behind."""
    modules, path = dict(sys.modules), list(sys.path)

    def write(name: str, text: str) -> str:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return str(file)

    yield write
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


ONE = """
    import fanfold

    @fanfold.udf
    def only(x: int):
        return x

    def plain(x):
        return x
"""


def test_the_one_udf_of_a_file_needs_no_name(written):
    assert load_udf(written("cli_one.py", ONE)).name == "only"


def test_any_function_can_be_named(written):
    assert load_udf(written("cli_named.py", ONE) + ":plain")(3) == 3


def test_several_udfs_are_listed_and_those_of_other_files_do_not_count(written):
    written("cli_lib.py", ONE)
    two = "from cli_lib import only\nimport fanfold\n\n@fanfold.udf\ndef a(): ...\n\n@fanfold.udf\ndef b(): ...\n"
    with pytest.raises(InputError, match=r"has 2 UDFs(.|\n)*cli_two\.py:a, .*cli_two\.py:b\."):
        load_udf(written("cli_two.py", two))


def test_without_a_udf_the_functions_are_listed(written):
    with pytest.raises(InputError, match=r"no function with @fanfold\.udf(.|\n)*cli_none\.py:plain\."):
        load_udf(written("cli_none.py", "def plain(x): ...\n"))
    with pytest.raises(InputError, match="define a function"):
        load_udf(written("cli_empty.py", ""))


def test_a_name_that_is_no_function_is_refused(written):
    with pytest.raises(InputError, match="its type is int"):
        load_udf(written("cli_number.py", "number = 3\n") + ":number")


def test_what_the_file_prints_when_it_is_imported_is_not_output(written, capfd):
    load_udf(written("cli_loud.py", 'print("hello")\n' + textwrap.dedent(ONE)))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "hello\n")


@pytest.mark.parametrize("text", ["1 / 0\n", "def f(:\n", "import nowhere_at_all\n", "raise SystemExit(3)\n"])
def test_a_file_that_fails_shows_its_own_lines_alone(written, text):
    path = written("cli_broken.py", text)
    with pytest.raises(InputError, match=r"cli_broken\.py could not be imported") as raised:
        load_udf(path)
    assert f'"{path}", line 1' in raised.value.message
    assert "importlib" not in raised.value.message
    assert "udf_file.py" not in raised.value.message


@pytest.mark.parametrize("name", ["json.py", "fanfold.py"])
def test_a_file_that_hides_behind_another_module_is_refused(written, name):
    with pytest.raises(InputError, match="another module has that name"):
        load_udf(written(name, ONE))


@pytest.mark.parametrize("name", ["udf.txt", "my.udf.py"])
def test_a_file_that_is_not_named_as_a_module_is_refused(written, name):
    with pytest.raises(InputError, match="not named as a Python module"):
        load_udf(written(name, ONE))


@pytest.mark.parametrize("name", ["my-udf.py", "folder with spaces/udf.py", "2013.py"])
def test_odd_names_run_nonetheless(fanfold, name):
    path = fanfold.directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(ONE))
    assert fanfold("run", name, "x=7").stdout == "7\n"


def test_a_file_of_a_package_imports_its_neighbours(fanfold):
    package = fanfold.directory / "project" / "pipeline"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "rates.py").write_text("RATE = 3\ndef rated(x):\n    return x * RATE\n")
    (package / "steps.py").write_text(
        "import fanfold\nfrom .rates import rated\n\n@fanfold.udf\ndef step(x: int):\n    return rated(x)\n"
    )
    ended = fanfold("run", "project/pipeline/steps.py", "x=7")
    assert ended.stdout == "21\n", ended.stderr


def test_an_edited_file_is_another_udf_and_a_comment_is_not(fanfold):
    fanfold("run", "squares.py", "x=6")
    fanfold.udfs.write_text("# a comment\n" + fanfold.udfs.read_text())
    assert fanfold.json("submit", "squares.py", "6")["counts"] == {"cached": 1}
    fanfold.udfs.write_text(fanfold.udfs.read_text().replace("x ** power", "x ** power + 1"))
    assert fanfold("run", "squares.py", "x=6").stdout == "37\n"
