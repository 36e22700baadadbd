"""What a form is made from: the text of a UDF file, which is parsed and never executed."""

from __future__ import annotations

import re
import textwrap

import pytest

from fanfold.errors import InputError
from fanfold.workbench.editor.fields import arguments
from fanfold.workbench.editor.inputs import inputs_of
from fanfold.workbench.editor.udf_source import offered_in, udfs_in


def found(text):
    return udfs_in(textwrap.dedent(text), "flights.py")


def fields(parameters, before=""):
    text = f"import fanfold\n{before}\n@fanfold.udf\ndef f({parameters}): ...\n"
    return {one.name: one for one in udfs_in(text, "flights.py")["f"].fields}


@pytest.mark.parametrize(
    ("imported", "decorator"),
    [
        ("import fanfold", "@fanfold.udf"),
        ("import fanfold as ff", "@ff.udf()"),
        ("from fanfold import udf", "@udf"),
        ("from fanfold import udf as scaled", "@scaled(name='x')"),
        ("try:\n    import fanfold\nexcept ImportError:\n    raise", "@fanfold.udf"),
    ],
)
def test_a_udf_is_found_by_whatever_name_its_decorator_goes(imported, decorator):
    assert list(udfs_in(f"{imported}\n\n{decorator}\ndef f(x): ...\n\ndef plain(x): ...\n", "flights.py")) == ["f"]


def test_what_is_not_fanfolds_is_no_udf():
    assert not found("import other\n\n@other.udf\ndef f(x): ...\n")


def test_a_udf_made_of_a_function_or_of_another_udf_is_one_too():
    udfs = found("""
        import fanfold

        def f(x: int): ...

        light = fanfold.udf(f)
        heavy = fanfold.udf(instance_type="small")(f)
        heavier = light.with_options(instance_type="large")
        gone = fanfold.udf(f)
        gone = 3
    """)
    assert {name: udf.instance_type for name, udf in udfs.items()} == {
        "light": None,
        "heavy": "small",
        "heavier": "large",
    }
    assert udfs["heavier"].fields[0].kind == "number"


def test_a_machine_is_known_where_the_text_says_it():
    text = 'import fanfold\nSIZE = "small"\n\n@fanfold.udf(instance_type={})\ndef f(x): ...\n'
    assert udfs_in(text.format("SIZE"), "a.py")["f"].instance_type == "small"
    assert udfs_in(text.format("SIZE.lower()"), "a.py")["f"].instance_type is None


@pytest.mark.parametrize(
    ("parameter", "kind", "default"),
    [
        ("x: int = 3", "number", "3"),
        ("x: 'int | None' = None", "number", ""),
        ("x: Optional[float] = 1.5", "number", "1.5"),
        ("x: dt.date = dt.date(2013, 1, 31)", "date", "2013-01-31"),
        ("x: datetime = datetime(2013, 1, 31, 6)", "datetime-local", "2013-01-31T06:00:00"),
        ("x: str = 'a'", "text", "a"),
        ("x = [1, 2]", "text", "[1, 2]"),
        ("x: bool = True", "choice", "true"),
        ("*, x: int = 3", "number", "3"),
    ],
)
def test_annotation_and_default_make_a_field(parameter, kind, default):
    field = fields(parameter)["x"]
    assert (field.kind, field.default, field.required) == (kind, default, False)


def test_choices_come_from_literals_and_from_enums_of_the_file():
    enum = "class Unit(StrEnum):\n    MIN = 'min'\n    HOUR = 'h'\n"
    assert fields("x: Literal['a', 'b']")["x"].options == (("a", "a"), ("b", "b"))
    unit = fields("x: Unit = Unit.HOUR", enum)["x"]
    assert (unit.options, unit.default) == ((("min", "min"), ("h", "h")), "h")


def test_an_annotation_is_seen_through_its_names_and_wrappings():
    modes = "Mode = Literal['a', 'b']\nLoop = Loop\n"
    assert fields("x: Mode = 'b'", modes)["x"].options == (("a", "a"), ("b", "b"))
    assert fields("x: Annotated[Mode | None, 'how'] = None", modes)["x"].takes_none
    assert fields("x: Annotated[int, 'metres'] = 3")["x"].kind == "number"
    assert fields("x: Optional[Optional[int]] = None")["x"].kind == "number"
    assert fields("x: Loop = 3", modes)["x"].kind == "text"


def test_of_a_choice_with_none_the_values_are_offered_and_none_has_its_box():
    field = fields("x: Literal['a', None] = 'a'")["x"]
    assert (field.options, field.default, field.takes_none) == ((("a", "a"),), "a", True)
    assert arguments((field,), {}, frozenset({"x"})) == {"x": None}


@pytest.mark.parametrize("written", ['{"a": [1]}', "{'a': [1]}"])
def test_what_takes_any_number_of_values_is_written_in_json_or_as_python_writes_it(written):
    found = fields("x, *several: int | None, on: bool = False, **named")
    assert list(found) == ["x", "several", "on", "named"]  # as the SDK counts them
    given = arguments(tuple(found.values()), {"several": "(1, 2)", "named": written}, frozenset())
    assert given == {"several": [1, 2], "a": [1]}
    assert not found["several"].takes_none


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("several", "1", r"\*several is no list: '1'.*write a list such as"),
        ("named", "[1]", r"\*\*named is no object of names and values: '\[1\]'.*write an object such as"),
        ("named", "{1: 2}", "no object of names and values"),
        ("named", "a=1", "no object of names and values"),
    ],
)
def test_what_is_no_list_or_no_object_is_said_with_how_to_write_one(name, written, said):
    with pytest.raises(InputError, match=f"(?s){said}"):
        arguments(tuple(fields("*several, **named").values()), {name: written}, frozenset())


def test_members_of_an_enum_are_offered_where_the_text_says_what_all_of_them_are():
    auto = "class Unit(Enum):\n    A = auto()\n    B = 7\n    C = auto()\n    D = -1\n"
    assert [value for _, value in fields("x: Unit = Unit.A", auto)["x"].options] == [1, 7, 8, -1]
    named = "class Unit(StrEnum):\n    MIN = enum.auto()\n"
    assert fields("x: Unit", named)["x"].options == (("min", "min"),)
    computed = "class Unit(Enum):\n    A = 1\n    B = compute()\n"
    assert fields("x: Unit = Unit.B", computed)["x"].options == ()
    assert fields("x: Unit = Unit.B", computed)["x"].computed == "Unit.B"


@pytest.mark.parametrize(
    ("default", "shown"), [("{1}", "{1}"), ("b'ab'", "ab"), ("1j", "1j"), ("(1, 'a')", '[1, "a"]'), ("1e999", "inf")]
)
def test_a_default_stands_as_it_may_be_typed(default, shown):
    assert fields(f"x: object = {default}")["x"].default == shown


@pytest.mark.parametrize("hint", ["Any", "typing.Any", "object"])
def test_what_any_value_fits_is_read_as_a_value(hint):
    assert fields(f"x: {hint} = 3")["x"].value("4") == 4
    assert fields(f"x: {hint} = '3'")["x"].value("4") == "4"
    assert fields(f"x: {hint} = None")["x"].takes_none


@pytest.mark.parametrize(
    ("hint", "typed", "given"),
    [
        ("int | str", "7", 7),
        ("Union[str, int, None]", "7", 7),
        ("Optional[float | str]", "1.5", 1.5),
        ("int | str", "'7'", "7"),
        ("int | str", "1.5", "1.5"),
        ("int | str", "007", "007"),
        ("bool | str", "true", True),
        ("date | str", "7", "7"),
    ],
)
def test_of_numbers_and_text_what_reads_as_such_a_number_is_it_and_what_stands_in_quotes_is_text(hint, typed, given):
    value = fields(f"x: {hint}")["x"].value(typed)
    assert (value, type(value)) == (given, type(given))


def test_a_default_beside_numbers_stands_so_that_typed_as_it_is_it_would_be_the_same():
    for default, shown in (("'7'", "'7'"), ("7", "7"), ("'a b'", "a b")):
        one = fields(f"x: int | str = {default}")["x"]
        assert one.default == shown
        assert repr(one.value(shown)) == default


def test_a_default_that_has_to_be_computed_is_left_to_the_udf_and_shown_as_a_hint():
    field = fields("x: date = date.today()")["x"]
    assert (field.default, field.computed, field.required) == ("", "date.today()", False)
    assert fields("x: int = N", "N = 7\n")["x"].default == "7"


def test_what_is_not_python_is_said_with_its_line():
    with pytest.raises(InputError, match=r"flights\.py is not Python, line 2"):
        found("x = 1\ndef f(:\n")


def test_inputs_take_from_the_form_what_their_lines_do_not_say(tmp_path):
    path = tmp_path / "inputs"
    path.write_text('a\n\n{"day": "b", "n": 1}\n')
    assert inputs_of(path, "", {"n": "9"}, "day") == [{"day": "a", "n": "9"}, {"day": "b", "n": 1}]
    path.write_text("{day}")
    with pytest.raises(InputError, match="Line 1 is not JSON"):
        inputs_of(path, "", {}, "day")
    path.write_text(" \n")
    with pytest.raises(InputError, match="There are no inputs"):
        inputs_of(path, "", {}, "day")
    path.write_text("range(2, 8, 3)")
    assert inputs_of(path, "", {}, "n") == [{"n": 2}, {"n": 5}]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("range(0, 1, 0.25)", "0.25 is not a whole number"),
        ("range(0, 1, 0)", "must not be zero"),
        ("range(n)", "n is not a whole number"),
        ("range(10**9)", r"10 \*\* 9 is not a whole number"),
        ("range(True)", "True is not a whole number"),
        ("range(stop=3)", "its numbers have no names"),
        ("range()", "at least 1 argument"),
        ("range(1, )2)", "unmatched"),
    ],
)
def test_what_is_no_range_after_all_is_said_and_is_no_text(tmp_path, written, why):
    path = tmp_path / "inputs"
    path.write_text(written)
    with pytest.raises(InputError, match=rf"is no range: .*{why}"):
        inputs_of(path, "", {}, "n")
    path.write_text("range(1e1, 1_2)")
    assert inputs_of(path, "", {}, "n") == [{"n": 10}, {"n": 11}]


@pytest.mark.parametrize(
    ("name", "data", "rows"),
    [
        ("", b"\xef\xbb\xbfa\r\nb\r\n", [{"x": "a"}, {"x": "b"}]),
        ("a.txt", "1\u20282\n".encode(), [{"x": "1\u20282"}]),
        ("a.csv", b"\xef\xbb\xbfx;y\r\n1,5;2\r\n", [{"x": "1,5", "y": "2"}]),
        ("A.CSV", b'x,y\n001,"a\nb"\n', [{"x": "001", "y": "a\nb"}]),
        ("a.tsv", b"x\ty\n1,5\t2\n", [{"x": "1,5", "y": "2"}]),
        ("a.jsonl", b'\xef\xbb\xbf{"y": 1}\n2\n"a"\n[3]\nnull\n', [{"y": 1}, *({"x": v} for v in (2, "a", [3], None))]),
    ],
)
def test_a_file_of_inputs_is_read_as_its_program_wrote_it(tmp_path, name, data, rows):
    path = tmp_path / "upload"
    path.write_bytes(data)
    assert inputs_of(path, name, {}, "x") == rows


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("", b"fine\n\xe9\n", "Line 2 is not text in UTF-8"),
        ("a.csv", b"x,y\n1,2,3\n", "a.csv:2: the row has not as many cells as the header has names"),
        ("a.csv", b"x;y\n1;2;3\n", "a.csv:2: the row has not as many cells"),
        ("a.csv", b"x,x\n1,2\n", "a.csv has two columns 'x'"),
        ("a.csv", b"x\n\xe9\n", "a.csv cannot be read: 'utf-8'"),
        ("a.csv", b"", "a.csv holds no inputs"),
        ("a.jsonl", b'{"x": 1,}\n', "a.jsonl:1: the line is not JSON"),
    ],
)
def test_a_file_of_inputs_that_would_be_read_wrong_is_refused_by_name_and_line(tmp_path, name, data, said):
    path = tmp_path / "upload"
    path.write_bytes(data)
    with pytest.raises(InputError, match=re.escape(said)):
        inputs_of(path, name, {}, "x")


def test_choices_stand_for_values_and_what_no_annotation_fits_is_read_as_a_value():
    assert fields("x: Literal[1, True, 'a']")["x"].options == (("1", 1), ("True", True), ("a", "a"))
    assert fields("x: Literal[1, 2] = 2")["x"].value("1") == 1
    assert fields("x=3")["x"].value("4") == 4
    assert fields("x='3'")["x"].value("4") == "4"
    assert fields("x: float | int = 2")["x"].value("4") == 4
    assert fields("x: int | None = 2")["x"].takes_none
    assert not fields("x: int = 2")["x"].takes_none


def test_where_a_file_has_no_udf_its_plain_functions_are_offered():
    plain = "import other\n\ndef area(w: float): ...\n\ndef _own(): ...\n\n@other.cached\ndef f(): ...\n\n"
    assert [(one.name, one.is_plain) for one in offered_in(plain, "a.py").values()] == [("area", True)]
    with_udf = plain + "import fanfold\n\n@fanfold.udf\ndef g(x): ...\n"
    assert [(one.name, one.is_plain) for one in offered_in(with_udf, "a.py").values()] == [("g", False)]
    assert list(offered_in(plain + "area = 3\ndef area2(x): ...\n", "a.py")) == ["area2"]
