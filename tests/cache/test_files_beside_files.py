"""What lies beside a file, or is named in it, counts with it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import fanfold
from fanfold.codec import encode_json
from fanfold.codec.paths import Stamps, argument_paths
from tests.cache.scenes import age, cached, write


def sources_of(path: Path) -> list[str]:
    """What the files hold that it names, and those that they name."""
    if path.suffix == ".shp":
        return [path.with_suffix(".dbf").read_text()]
    if path.suffix != ".vrt":
        return [path.read_text()]
    names = [part.split("<")[0] for part in path.read_text().split('relativeToVRT="1">')[1:]]
    return [text for name in names for text in sources_of(path.parent / name)]


def test_what_a_file_names_counts_with_it(scenes):
    named = '<VRTDataset><SourceFilename shared="0" relativeToVRT="1">{}</SourceFilename></VRTDataset>'
    inner = write(scenes, "inner.vrt", named.format("a.tif"))
    outer = write(scenes, "outer.vrt", named.format("inner.vrt"))
    layer = write(scenes, "a.shp", "shapes")
    for text in ("one", "other"):
        write(scenes, "a.tif", text)
        write(scenes, "a.dbf", text)
        for path in (inner, outer, layer):
            assert fanfold.run(sources_of, path=path) == [text]
            assert cached(sources_of, [path]) == 1


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("scene.img", "scene.hdr"),
        ("scene.TIF", "scene.TFW"),
        ("scene.png", "scene.wld"),
        ("scene.png", "scene.png.aux.xml"),
        ("scene.tif", "scene.tif.ovr"),
        ("scene.tif", "scene.tif.msk"),
        ("towns.gpkg", "towns.gpkg-wal"),
        ("towns.duckdb", "towns.duckdb.wal"),
    ],
)
def test_what_lies_beside_a_raster_or_a_database_counts_with_it(scenes, name, other):
    path = write(scenes, name, "scene")
    assert [cached(length, [path]) for _ in range(2)] == [0, 1]
    write(scenes, other, "more")
    assert [cached(length, [path]) for _ in range(2)] == [0, 1]
    age(write(scenes, other, "else"))
    assert [cached(length, [path]) for _ in range(2)] == [0, 1]


def statistics(path: Path) -> int:
    path.with_name(f"{path.name}.aux.xml").write_text("mean")
    return length(path)


def test_what_a_run_has_had_put_beside_its_raster_is_its_own(scenes, capfd):
    path = write(scenes, "scene.tif", "scene")
    assert [cached(statistics, [path]) for _ in range(2)] == [0, 1]
    assert capfd.readouterr().err == ""
    write(scenes, "scene.tif", "other")
    assert cached(statistics, [path]) == 0


def length(path: Path) -> int:
    return len(path.read_text())


def test_a_database_that_somebody_writes_to_counts_by_what_is_not_in_its_file_yet(scenes):
    path = scenes / "places.db"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=wal")
    writer.execute("CREATE TABLE places (name)")
    writer.commit()
    for count in range(2):
        assert [cached(places, [path]) for _ in range(2)] == [0, 1]
        assert fanfold.run(places, path=path) == count
        writer.execute("INSERT INTO places VALUES ('here')")
        writer.commit()
    writer.close()


def places(path: Path) -> int:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as base:
        return int(base.execute("SELECT count(*) FROM places").fetchone()[0])


def test_a_file_that_names_itself_is_looked_at_once(scenes):
    path = write(scenes, "a.vrt", '<SourceFilename relativeToVRT="1">a.vrt</SourceFilename>')
    assert Stamps().of(argument_paths([encode_json({"p": path})], (), here=True)[0])
