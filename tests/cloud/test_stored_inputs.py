"""`fanfold.files` and `fanfold.rows` over objects in S3."""

from __future__ import annotations

import io

import pytest

import fanfold


@pytest.fixture
def lake(on_cloud):
    """A bucket of the user's own, with twelve tiles and some more."""
    s3 = on_cloud.client("s3")
    s3.create_bucket(Bucket="lake")
    for key in [
        *(f"tiles/{n:04}.tif" for n in range(12)),
        "tiles/",
        "tiles/north/1.tif",
        "tiles/note.txt",
        "x[1].tif",
    ]:
        s3.put_object(Bucket="lake", Key=key, Body=b"")
    return s3


def names(pattern):
    return [one.removeprefix("s3://lake/") for one in fanfold.files(pattern)]


def test_objects_are_listed_as_files_are(lake):
    every = names("s3://lake/tiles/**/*.tif")
    assert (len(every), every[0], every[-1]) == (13, "tiles/0000.tif", "tiles/north/1.tif")
    assert names("s3://lake/tiles/000?.tif") == [f"tiles/000{n}.tif" for n in range(10)]
    assert len(names("s3://lake/tiles/")) == 14
    assert names("s3://lake/tiles/note.txt") == ["tiles/note.txt"]
    assert names("s3://lake/**/[!0-9]*.t*") == ["tiles/note.txt", "x[1].tif"]
    for nothing in ("s3://lake/tiles/*.jp2", "s3://lake/tiles/note"):
        with pytest.raises(fanfold.InputError, match="No file matches"):
            names(nothing)
    with pytest.raises(fanfold.InputError, match="s3://sea/ cannot be read"):
        names("s3://sea/*")


@fanfold.udf(depends_on=["path"])
def size_of(path):
    import boto3

    bucket, _, key = path.removeprefix("s3://").partition("/")
    return boto3.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]


@pytest.mark.long  # tests/cloud/test_files_count_in_s3.py shows it of paths
def test_an_object_that_has_changed_is_looked_at_again_where_the_udf_depends_on_it(lake):
    some = fanfold.files("s3://lake/tiles/000[01].tif")
    assert fanfold.submit(size_of, some, collect=False, engine="local").wait(60).results() == [0, 0]
    lake.put_object(Bucket="lake", Key="tiles/0001.tif", Body=b"new")
    again = fanfold.submit(size_of, some, collect=False, engine="local").wait(60)
    assert again.results() == [0, 3]
    assert again.counts() == {"succeeded": 1, "cached": 1}


def test_rows_are_read_where_they_lie_and_of_parquet_no_more_than_is_asked_for(lake, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    from fanfold.codec import s3_stamps

    file = io.BytesIO()
    parquet.write_table(
        pyarrow.table({"n": range(5), "large": [bytes([n]) * 3_000_000 for n in range(5)]}), file, compression="none"
    )
    lake.put_object(Bucket="lake", Key="part-1.parquet", Body=file.getvalue())
    lake.put_object(Bucket="lake", Key="part-2.csv", Body=b"n\n5\n")
    fetched = []
    monkeypatch.setattr(s3_stamps, "client", lambda: Counting(lake, fetched))
    assert list(fanfold.rows("s3://lake/part-*", columns=["n"])) == [{"n": n} for n in range(5)] + [{"n": "5"}]
    assert sum(fetched) < 3_500_000  # of 15 MB
    with pytest.raises(fanfold.InputError, match=r"s3://lake/tiles/0000.tif: inputs are not read from .tif"):
        list(fanfold.rows("s3://lake/tiles/0000.tif"))


class Counting:
    """S3, and how much was fetched from it."""

    def __init__(self, s3, fetched):
        self._s3, self._fetched = s3, fetched

    def __getattr__(self, name):
        return getattr(self._s3, name)

    def get_object(self, **asked):
        answer = self._s3.get_object(**asked)
        self._fetched.append(answer["ContentLength"])
        return answer
