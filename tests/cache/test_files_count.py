"""Files that arguments and results name count: a result is used again only while they are as its run left them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

import fanfold
from fanfold.codec import encode_json
from fanfold.codec.paths import argument_paths, content, local_path, on_disk
from fanfold.errors import InputError
from tests.cache.scenes import age, cached, write


def texts(paths: list[Path]) -> list[str]:
    return [path.read_text() for path in paths]


def stored(day: int, out: Path) -> Path:
    path = out / f"{day}.txt"
    path.write_text("10")
    return path


def stored_better(day: int, out: Path) -> Path:
    path = out / f"{day}.txt"
    path.write_text("1000")
    return path


@dataclass
class Scene:
    where: Path


def of_a_scene(scene: Scene) -> str:
    return scene.where.read_text()


def count(counter: str, path: str) -> int:
    """How often this has run, kept in a file that no key knows of."""
    with open(counter, "a") as file:
        file.write("x")
    return len(Path(counter).read_text())


def test_a_second_stage_sees_the_files_that_a_corrected_first_one_has_written(scenes):
    for stage, expected in ((stored, "10"), (stored_better, "1000"), (stored, "10")):
        paths = fanfold.submit(stage, range(2), out=scenes).result.tolist()
        assert fanfold.run(texts, paths=paths) == [expected] * 2


def test_what_nobody_has_touched_comes_from_the_cache(scenes):
    for expected in (0, 2):
        assert cached(stored, range(2), out=scenes) == expected
    paths = [scenes / "0.txt", scenes / "1.txt"]
    assert [cached(texts, [{"paths": paths}]) for _ in range(2)] == [0, 1]
    assert cached(stored, range(3), out=scenes) == 2


def reads_slowly(path: Path, seen: str, replaced: str) -> str:
    import time

    text = path.read_text()
    Path(seen).touch()
    while not Path(replaced).exists():
        time.sleep(0.01)
    return text


def test_what_has_read_a_file_that_somebody_replaced_meanwhile_does_not_serve_for_the_new_one(scenes, eventually):
    path, seen, replaced = write(scenes, "scene", "before"), scenes / "seen", scenes / "replaced"
    told = {"seen": str(seen), "replaced": str(replaced)}
    job = fanfold.submit(reads_slowly, [path], collect=False, **told)
    eventually(seen.exists)
    write(scenes, "scene", "after it")
    replaced.touch()
    assert job.results() == ["before"]
    assert fanfold.submit(reads_slowly, [path], collect=False, **told).results() == ["after it"]
    assert cached(reads_slowly, [path], **told) == 1


def writes(day: int, out: Path) -> int:
    return out.write_text("*" * day)


def writes_and_returns(day: int, out: Path) -> Path:
    writes(day, out)
    return out


def test_what_writes_a_file_that_was_not_there_or_that_it_returns_serves_again(scenes, capfd):
    assert [cached(writes, [1], out=scenes / "new") for _ in range(2)] == [0, 1]
    write(scenes, "old", "text")
    assert [cached(writes_and_returns, [3], out=scenes / "old") for _ in range(2)] == [0, 1]
    write(scenes, "old", "text")
    assert capfd.readouterr().err == ""
    assert [cached(writes, [5], out=scenes / "old") for _ in range(2)] == [0, 0], "another may have replaced it"
    assert "old has changed while a run of writes was given it: the result serves no other" in capfd.readouterr().err


def test_a_returned_path_that_is_gone_is_made_again(scenes):
    assert cached(stored, range(2), out=scenes) == 0
    shutil.rmtree(scenes)
    scenes.mkdir()
    assert cached(stored, range(2), out=scenes) == 0
    assert sorted(path.name for path in scenes.iterdir()) == ["0.txt", "1.txt"]


def test_a_path_counts_wherever_it_stands_in_an_argument(scenes):
    path = write(scenes, "a", "one")
    age(path)
    assert fanfold.run(of_a_scene, scene=Scene(path)) == "one"
    write(scenes, "a", "two")
    assert fanfold.run(of_a_scene, scene=Scene(path)) == "two"


def test_a_path_in_the_code_counts_in_a_default_at_the_top_and_in_a_closure(scenes, home):
    path = write(scenes, "a", "one")
    age(path)

    class Places:
        where = path

    def by_default(_: int, source: Path = path) -> str:
        return source.read_text()

    def in_a_closure(_: int) -> str:
        return Places.where.read_text()

    @fanfold.udf(depends_on=["source"])
    def by_a_texts_default(_: int, source: str = str(path)) -> str:
        return Path(source).read_text()

    udfs = (by_default, in_a_closure, by_a_texts_default)
    assert [fanfold.run(udf, _=1) for udf in udfs] == ["one"] * 3
    job = fanfold.submit(in_a_closure, [1], collect=False)
    assert [cached(udf, [1]) for udf in udfs] == [1] * 3
    job.contents.forget([0])
    assert cached(in_a_closure, [1]) == 0
    write(scenes, "a", "two")
    assert [fanfold.run(udf, _=1) for udf in udfs] == ["two"] * 3


def test_a_path_of_another_module_counts_where_the_code_mentions_it(tmp_path, monkeypatch):
    age(write(tmp_path, "scene", "one"))
    age(write(tmp_path, "log", "one"))
    code = f"from pathlib import Path\nROOT = Path({str(tmp_path)!r})\nDEM = ROOT / 'scene'\nLOG = ROOT / 'log'\n"
    write(tmp_path, "scenes_of_mine.py", code)
    monkeypatch.syspath_prepend(tmp_path)
    import scenes_of_mine

    def in_another(_: int) -> str:
        return scenes_of_mine.DEM.read_text()

    assert cached(in_another, [1]) == 0
    write(tmp_path, "log", "two")
    assert cached(in_another, [1]) == 1
    write(tmp_path, "scene", "two")
    assert fanfold.run(in_another, _=1) == "two"


class Asset:
    """An `os.PathLike` that is no `pathlib.Path`, as libraries have them (universal_pathlib, py.path)."""

    def __init__(self, href: str) -> None:
        self.href = href

    def __fspath__(self) -> str:
        return self.href


def of_an_asset(asset) -> str:
    return Path(asset).read_text()


def asset_of(day: int, out: Path) -> Asset:
    return Asset(str(stored(day, out)))


def test_an_object_that_stands_for_a_path_counts_as_one_and_stays_what_it_is(scenes):
    path = write(scenes, "a", "one")
    age(path)
    asset = Asset(str(path))
    assert [fanfold.run(of_an_asset, asset=asset), cached(of_an_asset, [{"asset": asset}])] == ["one", 1]
    write(scenes, "a", "two")
    assert fanfold.run(of_an_asset, asset=asset) == "two"
    (made,) = fanfold.submit(asset_of, [1], out=scenes).result
    assert type(made) is Asset
    Path(made).unlink()
    assert cached(asset_of, [1], out=scenes) == 0
    assert Path(made).exists()


class Cloud(Asset):
    """As cloudpathlib's: to ask for the path downloads the file."""

    def __fspath__(self) -> str:
        raise AssertionError("downloaded")

    def __str__(self) -> str:
        return self.href


def test_an_object_that_leads_into_s3_is_not_opened_to_see_where():
    text = encode_json(Cloud("s3://bucket/a.tif"))
    assert [one.path for one in argument_paths([f'{{"asset": {text}}}'], (), here=False)] == ["s3://bucket/a.tif"]


def of_a_table(table) -> list[str]:
    import numpy

    column = table if isinstance(table, numpy.ndarray) else table["path"]
    return [Path(str(path)).read_text() for path in column]


def tables_of(path: Path):
    """Frames and arrays whose cells say where a file is: as a `Path`, and as text, which `depends_on` makes one."""
    import geopandas
    import numpy
    import pandas
    import polars
    import pyarrow

    frame = pandas.DataFrame({"cloud": [0.1], "path": [str(path)]})
    return {
        "pandas, a Path": frame.assign(path=[path]),
        "geopandas, a Path": geopandas.GeoDataFrame({"path": [path]}, geometry=geopandas.points_from_xy([1], [2])),
        "pandas": frame,
        "categories": frame.astype({"path": "category"}),
        "polars": polars.from_pandas(frame),
        "pyarrow": pyarrow.Table.from_pandas(frame),
        "numpy": numpy.array([str(path)]),
    }


@pytest.mark.parametrize("kind", tables_of(Path("a.tif")))
def test_a_path_in_a_cell_of_a_frame_counts_as_one_elsewhere(scenes, kind):
    path = write(scenes, "a.tif", "one")
    age(path)
    table = tables_of(path)[kind]
    udf = of_a_table if kind.endswith("a Path") else fanfold.udf(of_a_table, depends_on=["table"])
    assert fanfold.run(udf, table=table) == ["one"]
    write(scenes, "a.tif", "two")
    assert fanfold.run(udf, table=table) == ["two"]
    assert cached(udf, [{"table": table}]) == 1
    # Runs elsewhere would not find it, which is said before they start.
    assert local_path(encode_json({"table": table}, put_blob={}.__setitem__)) == str(path)


def test_a_frame_without_paths_is_written_as_ever():
    import pandas

    plain = pandas.DataFrame({"name": ["Rome", "Oslo, Norway."], "n": [1, 2], "none": [None, None]})
    assert "naming" not in encode_json(plain, put_blob={}.__setitem__)


def test_texts_of_a_parameter_that_depends_on_names_are_paths_and_folders_count_whole(scenes, tmp_path):
    udf = fanfold.udf(count, depends_on=["path"])
    counter = str(tmp_path / "counter")
    write(scenes, "a", "one")
    seen = [fanfold.run(udf, counter=counter, path=str(scenes)) for _ in range(2)]
    write(scenes, "b", "more")
    seen += [fanfold.run(udf, counter=counter, path=str(scenes)) for _ in range(2)]
    assert seen == [1, 1, 2, 2]
    assert fanfold.run(count, counter=counter, path=str(scenes)) == 3  # without depends_on it is a text like any other
    write(scenes, "c", "more")
    assert fanfold.run(count, counter=counter, path=str(scenes)) == 3


def test_files_behind_a_link_within_a_folder_count_and_a_link_to_a_folder_above_ends(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "on another disk"
    data.mkdir()
    elsewhere.mkdir()

    def looked_at():
        return on_disk(str(data), deep=True), content(str(data))

    seen = [looked_at()]
    (data / "linked").symlink_to(elsewhere)
    (elsewhere / "tile").write_text("1")
    seen.append(looked_at())
    (elsewhere / "tile").write_text("other")
    seen.append(looked_at())
    (data / "again").symlink_to(data)
    seen.append(looked_at())
    (data / "again").unlink()
    (data / "again").symlink_to(elsewhere)
    seen.append(looked_at())
    assert [len(set(each)) for each in zip(*seen, strict=True)] == [5, 5]


@pytest.mark.parametrize("held", ["as an argument", "in its code"])
def test_an_array_of_zarr_counts_by_what_is_in_its_store(tmp_path, held):
    zarr = pytest.importorskip("zarr", reason="Zarr 3 needs Python 3.11")
    array = zarr.create_array(str(tmp_path / "days.zarr"), shape=(4,), dtype="i8")
    array[:] = 1

    def total(days):
        return int(days[:].sum())

    def total_in(index: int):
        return int(array[:].sum())

    def submit():
        udf, inputs = (total, [array]) if held == "as an argument" else (total_in, [0])
        job = fanfold.submit(udf, inputs, collect=False).wait(300)
        return job.results(), job.counts()

    assert [submit(), submit()] == [([4], {"succeeded": 1}), ([4], {"cached": 1})]
    array[1] = 10
    assert submit() == ([13], {"succeeded": 1})


def test_a_store_of_zarr_that_was_opened_by_a_name_alone_counts_whole(tmp_path, monkeypatch):
    zarr = pytest.importorskip("zarr", reason="Zarr 3 needs Python 3.11")
    monkeypatch.chdir(tmp_path)
    zarr.create_array("days.zarr", name="rain", shape=(4,), dtype="i8")[:] = 1

    def total(days):
        return int(days["rain"][:].sum())

    for expected in (4, 8):
        assert fanfold.run(total, days=zarr.open_group("days.zarr", mode="r")) == expected
        assert cached(total, [{"days": zarr.open_group("days.zarr", mode="r")}]) == 1
        zarr.open_group("days.zarr")["rain"][:] = 2


def count_of_dataset(source):
    return source.count_rows()


def count_of_open_file(source):
    with source as file:
        return len(file.read().splitlines())


@pytest.mark.parametrize("kind", ["pyarrow.dataset", "fsspec"])
def test_what_opens_files_by_itself_counts_by_those_files(scenes, kind):
    path = write(scenes, "days.csv", "x\n1\n2\n")
    if kind == "fsspec":
        value, udf = pytest.importorskip("fsspec").open(str(path)), count_of_open_file
    else:
        value, udf = pytest.importorskip("pyarrow.dataset").dataset(str(path), format="csv"), count_of_dataset
    submit = lambda: fanfold.submit(udf, [value], collect=False).wait(300)  # noqa: E731
    first = submit().results()[0]
    assert submit().counts() == {"cached": 1}
    age(path)
    write(scenes, "days.csv", "x\n1\n2\n3\n")
    assert submit().results() == [first + 1]


def test_a_file_and_a_value_that_the_udf_reads_by_itself_count_when_they_are_named(scenes, tmp_path):
    table, version = write(scenes, "table.csv", "1"), [1]
    counter = str(tmp_path / "counter")
    udf = fanfold.udf(count, depends_on=[table, lambda: version[0]])

    def runs():
        return fanfold.run(udf, counter=counter, path="")

    assert [runs(), runs()] == [1, 1]
    os.utime(table)  # the same bytes: a checkout on another day
    assert runs() == 1
    table.write_text("2")
    assert [runs(), runs()] == [2, 2]
    version[0] = 2
    assert [runs(), runs()] == [3, 3]


@pytest.mark.parametrize(
    ("depends_on", "reason"),
    [
        (["no such file"], "'no such file'.*neither a parameter"),
        (["paths"], "did you mean 'path'"),
        (["no such folder/*.csv"], "a pattern that no file matches"),
        ([lambda: 1 / 0], "ZeroDivisionError"),
        ([3], "neither a path"),
    ],
)
def test_what_nothing_can_depend_on_is_refused_before_the_start(depends_on, reason):
    with pytest.raises(InputError, match=reason):
        fanfold.run(fanfold.udf(count, depends_on=depends_on), counter="", path="")


def test_an_age_of_nothing_computes_and_replaces(tmp_path):
    given = {"counter": str(tmp_path / "counter"), "path": ""}
    assert [fanfold.run(count, **given) for _ in range(2)] == [1, 1]
    assert fanfold.run(count, **given, cache_max_age=0) == 2
    assert fanfold.run(count, **given) == 2
    assert fanfold.run(count, **given, cache=False) == 3
    assert fanfold.run(count, **given) == 2


def test_the_summary_says_what_came_from_the_cache_and_how_old_it_is(tmp_path):
    inputs = [{"counter": str(tmp_path / "counter"), "path": str(n)} for n in range(3)]
    assert cached(count, inputs[:2]) == 0
    job = fanfold.submit(count, inputs, collect=False).wait()
    rows = dict(job.summary().rows())
    assert rows["cache"].startswith("2 results came from it, made ")
    assert "ago" in rows["cache"]
    assert "cache" not in dict(fanfold.submit(count, inputs, cache=False, collect=False).wait().summary().rows())


def test_a_udfs_results_are_forgotten_by_its_name(tmp_path):
    counters = [str(tmp_path / name) for name in ("one", "two")]
    other = fanfold.udf(count, name="other")
    for _ in range(2):
        assert fanfold.run(count, counter=counters[0], path="") == 1
        assert fanfold.run(other, counter=counters[1], path="") == 1
    command = [sys.executable, "-m", "fanfold", "cache", "clear", "--udf", "other"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("1 result forgotten")
    assert fanfold.run(count, counter=counters[0], path="") == 1
    assert fanfold.run(other, counter=counters[1], path="") == 2


def test_a_damaged_result_of_a_run_that_was_given_files_is_computed_again(scenes, home):
    path = write(scenes, "a", "x" * 20_000)
    job = fanfold.submit(texts, [{"paths": [path]}], collect=False).wait()
    for stored_file in (home / "objects" / "results").rglob("*"):
        if stored_file.is_file():
            stored_file.chmod(0o600)
            stored_file.write_bytes(b"damaged")
    assert not job.verify()
    assert fanfold.run(texts, paths=[path]) == ["x" * 20_000]


def test_the_example_of_the_page_on_caching_works(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "caching.md").read_text()
    (tmp_path / "example.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    for _ in range(2):
        done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout == "3\n"
        shutil.rmtree(tmp_path / "scenes")


class CountedObject:
    """An S3 of one object, which counts how often somebody looks at it."""

    def __init__(self):
        self.looks = 0

    def head_object(self, **_):
        self.looks += 1
        return {"ETag": "one"}


@pytest.mark.parametrize(("at_once_s", "looks"), [(60.0, [2, 1, 1]), (0.0, [2, 2, 2])])
def test_a_run_that_begins_at_once_looks_only_at_its_end_at_what_the_run_before_has_just_seen_in_s3(
    at_once_s, looks, monkeypatch
):
    from fanfold.codec import s3_stamps
    from fanfold.codec.encoded import Encoded
    from fanfold.execution.worker import marks

    s3 = CountedObject()
    monkeypatch.setattr(s3_stamps, "client", lambda: s3)
    monkeypatch.setattr(marks, "_AT_ONCE_S", at_once_s)
    monkeypatch.setattr(marks._AtTheEnd, "stamps", {})
    job = SimpleNamespace(path_rules=((), None), udf=SimpleNamespace(code_paths="{}"), own_folder=False)
    for wanted in looks:
        s3.looks = 0
        before = marks.stamps_before(job, '{"x":{"$path":["Path","s3://bucket/key"]}}')
        assert marks.GIVEN in marks.marks_of(job, Encoded("json/1", b"1"), before)
        assert s3.looks == wanted


def test_a_file_that_is_put_back_with_its_size_and_its_time_is_another_one(scenes):
    path = write(scenes, "a", "one")
    assert fanfold.run(texts, paths=[path]) == ["one"]
    about = path.stat()
    path.write_text("two")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert fanfold.run(texts, paths=[path]) == ["two"]
    assert cached(texts, [{"paths": [path]}]) == 1


def test_all_files_that_a_pattern_of_depends_on_matches_count_by_their_bytes(scenes, tmp_path):
    given = {"counter": str(tmp_path / "counter"), "path": ""}
    udf = fanfold.udf(count, depends_on=[str(scenes / "*.csv")])
    table = write(scenes, "1.csv", "a")
    assert [fanfold.run(udf, **given) for _ in range(2)] == [1, 1]
    os.utime(table)
    assert fanfold.run(udf, **given) == 1
    write(scenes, "2.csv", "b")
    assert [fanfold.run(udf, **given) for _ in range(2)] == [2, 2]
    table.write_text("c")
    assert fanfold.run(udf, **given) == 3


def markers(store: Path) -> str:
    return (store / "zarr.json").read_text()


def fill(store: Path, part: int) -> int:
    (store / f"{part}").write_text("chunk")
    return part


def test_a_store_that_is_made_anew_is_another_one_for_who_reads_it_and_for_who_fills_it(scenes):
    store = scenes / "store.zarr"
    store.mkdir()
    write(store, "zarr.json", "one")
    assert fanfold.run(markers, store=store) == "one"
    fanfold.submit(fill, [{"part": part} for part in range(3)], store=store)
    assert cached(fill, [{"part": part} for part in range(3)], store=store) == 3
    assert [cached(markers, [store]) for _ in range(2)] == [0, 1]
    write(store, "zarr.json", "other")
    assert fanfold.run(markers, store=store) == "other"
    assert cached(fill, [{"part": part} for part in range(3)], store=store) == 0


def frame_and_path(day: int, out: Path):
    import pandas as pd

    return pd.DataFrame({"day": [day] * 3000}), stored(day, out)


def folder_of_results(day: int, out: Path) -> Path:
    stored(day, out)
    return out


@pytest.mark.parametrize("udf", [frame_and_path, folder_of_results])
def test_what_a_result_names_is_looked_at_beside_a_frame_and_in_a_folder_too(scenes, udf):
    assert [cached(udf, [1], out=scenes) for _ in range(2)] == [0, 1]
    (scenes / "1.txt").unlink()
    assert cached(udf, [1], out=scenes) == 0
    assert (scenes / "1.txt").exists()
