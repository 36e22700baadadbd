"""Texts that are paths count as files do: by annotation, by `depends_on`, as a pattern, in each form libraries take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Optional, TypedDict, TypeVar, Union

import pytest

import fanfold
from fanfold.codec import encode_json
from fanfold.codec.paths import Stamps, argument_paths
from tests.cache.scenes import age, cached, write


def test_texts_in_results_are_checked_where_the_udf_says_so(scenes, tmp_path):
    def made(counter: str, path: str) -> str:
        with open(counter, "a") as file:
            file.write("x")
        with open(path, "w") as file:
            file.write("made")
        return path

    given = {"counter": str(tmp_path / "counter"), "path": str(scenes / "made")}
    for check, runs in ((None, 1), (True, 2)):
        udf = fanfold.udf(made, check_paths=check)
        for _ in range(2):
            fanfold.run(udf, **given)
            assert len(Path(given["counter"]).read_text()) == runs
        os.unlink(given["path"])
    fanfold.run(udf, **given)
    assert Path(given["path"]).exists()


def either(path: str | Path) -> str:
    with open(path) as file:
        return file.read()


def either_or_none(path: Optional[Union[str, PathLike[str]]] = None) -> str:  # noqa: UP007, UP045
    return either(path)


def some(path: list[Annotated[str | Path, "of scenes"]]) -> str:
    return either(path[0])


PathOrText = TypeVar("PathOrText", str, Path)
AnyPath = TypeVar("AnyPath", bound=str | Path)


def one_kind(path: PathOrText) -> PathOrText:
    return type(path)(either(path))


def any_kind(path: AnyPath) -> str:
    return either(path)


@pytest.mark.parametrize(
    ("udf", "given"),
    [(either, str), (either_or_none, str), (one_kind, str), (any_kind, str), (some, lambda path: [str(path)])],
)
def test_a_text_counts_where_its_annotation_takes_a_path_as_well(scenes, udf, given):
    path = scenes / "scene"
    for content in ("old", "new"):
        path.write_text(content)
        assert fanfold.run(udf, path=given(path)) == content
        age(path)
    fanfold.run(udf, path=given(path))
    assert cached(udf, [{"path": given(path)}]) == 1
    assert fanfold.get_jobs()[0][0].input["path"] == given(path)


@dataclass
class Config:
    scene: str | Path


class Row(TypedDict):
    scenes: list[Config]


def of_config(config: Config) -> str:
    return either(config.scene)


def of_rows(rows: list[Row]) -> str:
    return either(rows[0]["scenes"][0].scene)


@pytest.mark.parametrize("udf", [of_config, of_rows])
def test_a_text_counts_where_a_field_takes_a_path_as_well(scenes, udf):
    path = scenes / "scene"
    given = Config(str(path)) if udf is of_config else [{"scenes": [Config(str(path))]}]
    for content in ("old", "new"):
        path.write_text(content)
        assert [fanfold.run(udf, **{udf.__code__.co_varnames[0]: given}) for _ in range(2)] == [content] * 2
        age(path)


def of_text(path: str) -> str:
    return either(path)


@pytest.mark.parametrize("udf", [either, fanfold.udf(of_text, depends_on=["path"])])
def test_a_name_that_is_no_text_counts_as_well(scenes, udf):
    path = os.path.join(scenes, os.fsdecode(b"caf\xe9"))
    for content in ("old", "new"):
        Path(path).write_text(content)
        assert fanfold.run(udf, path=path) == content
        age(Path(path))


def test_a_text_that_is_no_path_serves_again_where_a_path_is_taken_as_well(capfd):
    def name(place: str | Path) -> str:
        return str(place)

    for place in ("", "no such scene", "https://example.org/scene.tif"):
        assert [cached(name, [place]) for _ in range(2)] == [0, 1]
    assert "cannot look" not in capfd.readouterr().err


@pytest.mark.parametrize("annotation", [Path, list[Path], Optional[PathLike]])  # noqa: UP045
def test_a_text_that_is_returned_counts_where_a_path_was_announced(scenes, monkeypatch, annotation):
    def made(path: str):
        with open(path, "w") as file:
            file.write("made")
        return [path] if annotation == list[Path] else path

    made.__annotations__["return"] = annotation
    monkeypatch.chdir(scenes)
    for path in (str(scenes / "made"), "made.txt"):
        fanfold.run(made, path=path)
        assert cached(made, [path]) == 1
        os.unlink(path)
        fanfold.run(made, path=path)
        assert os.path.exists(path)


def matching(pattern: str) -> list[str]:
    import glob

    return [Path(path).read_text() for path in sorted(glob.glob(pattern, recursive=True))]


def test_a_pattern_counts_with_all_files_that_it_matches(scenes):
    pattern, read = f"{scenes}/**/*.txt", fanfold.udf(depends_on=["pattern"])(matching)
    age(write(scenes, "a.txt", "1"))
    assert fanfold.submit(read, [pattern], collect=False).results() == [["1"]]
    assert cached(read, [pattern]) == 1
    (scenes / "below").mkdir()
    write(scenes, "unlike.csv", "-")
    assert cached(read, [pattern]) == 1
    age(write(scenes / "below", "b.txt", "2"))
    assert fanfold.submit(read, [pattern], collect=False).results() == [["1", "2"]]
    write(scenes, "a.txt", "3")
    assert fanfold.submit(read, [pattern], collect=False).results() == [["3", "2"]]
    assert cached(read, [pattern]) == 1


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(scenes):
    path = scenes / "[a].txt"
    age(write(scenes, path.name, "1"))
    write(scenes, "a.txt", "not this")
    first = argument_paths([encode_json({"pattern": str(path)})], ["pattern"], here=True)
    stamp = Stamps().digest(first)
    write(scenes, "a.txt", "nor this")
    assert Stamps().digest(first) == stamp
    write(scenes, path.name, "changed")
    assert Stamps().digest(first) != stamp


def opened_as(form: str, text) -> str:
    """What a library makes of such a text."""
    from urllib.request import url2pathname

    if isinstance(text, bytes):
        return Path(os.fsdecode(text)).read_text()
    path = {"url": lambda: url2pathname(text.removeprefix("file://")), "home": lambda: os.path.expanduser(text)}
    return Path(path.get(form, lambda: text.split('"')[1])()).read_text()


@pytest.mark.parametrize(
    ("form", "made"),
    [
        ("url", lambda path: path.as_uri()),
        ("home", lambda path: f"~/{path.name}"),
        ("bytes", os.fsencode),
        ("GDAL", lambda path: f'NETCDF:"{path}":rain'),
    ],
)
def test_a_path_counts_in_each_form_in_which_libraries_take_it(scenes, monkeypatch, form, made):
    monkeypatch.setenv("HOME", str(scenes))
    path = write(scenes, "a b", "one")
    udf = fanfold.udf(opened_as, depends_on=["text"])
    inputs = [{"form": form, "text": made(path)}]
    assert fanfold.submit(udf, inputs).result.to_list() == ["one"]
    assert cached(udf, inputs) == 1
    write(scenes, "a b", "other")
    assert fanfold.submit(udf, inputs).result.to_list() == ["other"]


def rows_below(frame, path: str) -> int:
    return len(frame) + len(Path(path).read_text())


def test_a_frame_and_other_bytes_are_no_paths(scenes, capsys):
    import pandas as pd

    udf = fanfold.udf(rows_below, depends_on=["frame", "path"])
    path = write(scenes, "a", "one")
    for frame in (pd.DataFrame({"at": [str(path), "s3://of/another"][:1]}), b"\x00s3://in/bytes\xff", b"a\ns3://b/c"):
        inputs = [{"frame": frame, "path": str(path)}]
        assert [cached(udf, inputs) for _ in range(2)] == [0, 1]
    assert "cannot look" not in capsys.readouterr().err
