"""Objects that open files by themselves: what they lead to counts, or the run is computed anew and the user is told."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

import fanfold
from fanfold.codec import encode_json
from fanfold.codec.handles import noted_paths
from fanfold.codec.paths import argument_paths, code_paths
from fanfold.source.capture import capture

fsspec = pytest.importorskip("fsspec")
obstore = pytest.importorskip("obstore.store")
arrow = pytest.importorskip("pyarrow.fs")


class S3FileSystem(fsspec.AbstractFileSystem):
    """As s3fs has it, which is not installed here."""

    protocol = ("s3", "s3a")


@pytest.fixture(autouse=True)
def s3fs(monkeypatch):
    module = ModuleType("s3fs")
    module.__file__ = "site-packages/s3fs.py"
    monkeypatch.setattr(module, "S3FileSystem", S3FileSystem, raising=False)
    monkeypatch.setattr(S3FileSystem, "__module__", "s3fs")
    monkeypatch.setitem(sys.modules, "s3fs", module)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.fixture(scope="module", autouse=True)
def no_loop_of_fsspec_stays():
    yield
    from fsspec import asyn

    loop, thread = asyn.loop[0], asyn.iothread[0]
    if loop is not None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
        asyn.loop[0] = asyn.iothread[0] = None


def leads_to(*values: Any) -> list[tuple[str, bool]]:
    """The paths of some arguments, and whether all below each counts."""
    texts = [f'{{"a": {encode_json(value)}}}' for value in values]
    return [tuple(one) for one in argument_paths(texts, (), here=True)]  # type: ignore[misc]


def stores_of_s3():
    """Each is made in its test: a folder of fsspec has a loop, in a thread that is never ended."""
    from fsspec.implementations.dirfs import DirFileSystem

    def by_arrow(**more: Any) -> Any:
        return arrow.S3FileSystem(region="eu-west-1", **more)

    fs = S3FileSystem()
    return {
        "an open file": (lambda: fsspec.core.OpenFile(fs, "data/a.csv"), "s3://data/a.csv"),
        "a file system with a path": (lambda: [fs, "data/a.csv"], "s3://data/a.csv"),
        "a folder": (lambda: DirFileSystem("data/days", fs), "s3://data/days"),
        "a bucket": (lambda: DirFileSystem("data", fs), "s3://data"),
        "Arrow's folder": (lambda: arrow.SubTreeFileSystem("data/days", by_arrow()), "s3://data/days/"),
        "Arrow's with a path": (lambda: {"fs": by_arrow(), "path": "data/a.csv"}, "s3://data/a.csv"),
        "another service": (
            lambda: [by_arrow(endpoint_override="minio:9"), "data/a.csv"],
            "https://minio:9/data/a.csv",
        ),
        "obstore": (lambda: obstore.S3Store("data", prefix="days"), "s3://data/days"),
    }


@pytest.mark.parametrize("kind", stores_of_s3())
def test_what_opens_an_object_by_bucket_and_key_leads_into_s3(kind):
    made, path = stores_of_s3()[kind]
    assert (path, True) in leads_to(made())


def test_what_of_a_bucket_is_read_may_stand_in_another_argument():
    assert leads_to(S3FileSystem()) == []  # a file system alone reads nothing
    for system in (S3FileSystem(), arrow.S3FileSystem(region="eu-west-1")):
        assert leads_to(system, "data/a.csv", ["data/b.csv", "no path"]) == [
            ("s3://data/a.csv", False),
            ("s3://data/b.csv", False),
        ]
    assert leads_to(obstore.S3Store("data"), "a.csv") == [("s3://data/a.csv", False)]
    assert leads_to(arrow.LocalFileSystem(), "/data/a.csv") == [("/data/a.csv", False)]
    assert leads_to("data/a.csv", "/data/a.csv", "s3://data/a.csv") == []  # without one, a text is a text


def test_zarr_hides_its_store_in_a_pickle_and_counts_by_it():
    storage = pytest.importorskip("zarr.storage", reason="Zarr 3 needs Python 3.11")
    assert leads_to(storage.ObjectStore(obstore.S3Store("data", prefix="a.zarr"))) == [("s3://data/a.zarr", True)]
    assert leads_to(storage.ObjectStore(obstore.S3Store("data"))) == [("s3://data/", True)]


class Catalogue:
    def __init__(self, path: str) -> None:
        self.fs, self.path = S3FileSystem(), path


CATALOGUE = Catalogue("data/days.csv")
FILES, FILE = S3FileSystem(), "data/table.csv"
DATASETS = {"days": fsspec.core.OpenFile(FILES, "data/2024.csv")}


def by_its_own_class():
    return CATALOGUE


def by_two_names():
    return FILES.open(FILE)


def by_a_table():
    return DATASETS


def by_a_system_alone(path: str):
    return FILES.open(path)


@pytest.mark.parametrize(
    ("udf", "path"),
    [(by_its_own_class, "data/days.csv"), (by_two_names, "data/table.csv"), (by_a_table, "data/2024.csv")],
)
def test_the_same_in_a_udfs_code(udf, path):
    paths = argument_paths([code_paths(capture(udf).graph)], (), here=False)
    assert [one.path for one in paths] == [f"s3://{path}"]


def test_a_file_system_in_the_code_makes_paths_of_the_texts_that_a_run_is_given():
    code = code_paths(capture(by_a_system_alone).graph)
    assert [one.path for one in argument_paths(['{"path": "data/a.csv"}', code], (), here=False)] == ["s3://data/a.csv"]


def test_a_lazy_frame_in_the_code_counts_by_what_it_scans():
    polars = pytest.importorskip("polars")
    days = polars.scan_parquet("/data/days/*.parquet")
    frames = [days.join(polars.scan_csv("s3://data/a.csv"), on="x"), polars.DataFrame({"x": ["/no/path"]}).lazy()]
    paths = argument_paths([code_paths(capture(lambda: frames).graph)], (), here=True)
    assert [(one.path, one.deep) for one in paths] == [("/data/days/", True), ("s3://data/a.csv", True)]


def length(source) -> int:
    with source as file:
        return len(file.read())


class Gone(fsspec.AbstractFileSystem):
    """A service where Fanfold cannot look."""

    protocol = "gs"

    def _open(self, path, *args, **kwargs):
        import io

        return io.BytesIO(b"abc")


def test_what_lies_where_nobody_can_look_is_computed_anew_and_the_user_is_told(capfd):
    source = fsspec.core.OpenFile(Gone(), "data/a.csv")
    for _ in range(2):
        job = fanfold.submit(length, [source], collect=False).wait(300)
        assert (job.results(), job.counts()) == ([3], {"succeeded": 1})
    assert "fanfold: gs://data/a.csv is kept where Fanfold cannot look: runs that name it are computed anew." in (
        capfd.readouterr().err
    )


def test_a_file_system_that_caches_another_travels_as_pickle_takes_it():
    cached = fsspec.filesystem("simplecache", target_protocol="file")
    assert fanfold.run(protocol_of, system=cached) == "simplecache"


def protocol_of(system) -> str:
    return system.protocol if isinstance(system.protocol, str) else system.protocol[0]


class Unbound:
    """As flask's `request` outside of a request: whatever it is asked, it fails."""

    __module__ = "fsspec.lazy"

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("there is no request")


def first_of(days) -> int:
    return int(days.to_table()["x"][0].as_py())


@pytest.mark.parametrize("held", ["as an argument", "in its code"])
def test_a_dataset_that_was_opened_by_a_relative_path_counts_by_its_files(tmp_path, monkeypatch, held):
    import pyarrow
    from pyarrow import dataset, parquet

    monkeypatch.chdir(tmp_path)
    found = []
    for value in (1, 2):
        parquet.write_table(pyarrow.table({"x": [value]}), "days")
        days = dataset.dataset("days")

        def in_its_code(days=days) -> int:
            return first_of(days)

        found.append(fanfold.run(first_of, days=days) if held == "as an argument" else fanfold.run(in_its_code))
    assert found == [1, 2]


def test_a_repository_of_icechunk_is_never_taken_for_unchanged():
    repository = type("Repository", (), {"__module__": "icechunk.repository"})
    assert noted_paths([repository()], []) == [["Folder", "icechunk://a repository"]]


def test_a_lazy_object_of_a_library_opens_nothing():
    assert noted_paths([Unbound()], []) == []
