"""Objects in S3 that arguments and results name count for the cache, wherever their runs run."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.codec.paths import ABSENT, CannotLook, NamedPath, Stamps
from tests.cloud.cloud import LocalCloud

PREFIX = "data/files-count"


@pytest.fixture
def bucket(engine: str, on_cloud: LocalCloud) -> str:
    """The deployment's bucket, also for runs on this machine."""
    return str(next(one["Name"] for one in on_cloud.client("s3").list_buckets()["Buckets"] if "log" not in one["Name"]))


def read(paths: list[str]) -> list[str]:
    import boto3

    s3 = boto3.client("s3")
    places = [path.removeprefix("s3://").partition("/") for path in paths]
    return [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for bucket, _, key in places]


def stored(n: int, bucket: str) -> str:
    import boto3

    key = f"data/files-count/stored-{n}"
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"made")
    return f"s3://{bucket}/{key}"


def test_an_object_that_has_changed_is_read_again(bucket, on_cloud):
    udf = fanfold.udf(read, depends_on="paths")
    s3 = on_cloud.client("s3")
    for text, statuses in (("one", ["succeeded", "cached"]), ("other", ["succeeded", "cached"])):
        s3.put_object(Bucket=bucket, Key=f"{PREFIX}/a", Body=text.encode())
        for status in statuses:
            job = fanfold.submit(udf, [{"paths": [f"s3://{bucket}/{PREFIX}/a"]}], collect=False)
            assert job.results() == [[text]]
            assert job.counts() == {status: 1}


def first_pixel(path: str, attempt: int) -> int:
    import rasterio

    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(path) as scene:
        return int(scene.read(1)[0, 0])


def raster_of(value: int) -> bytes:
    import numpy as np
    import rasterio
    from rasterio.io import MemoryFile

    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    with MemoryFile() as file:
        with file.open(**profile, transform=rasterio.Affine(1, 0, 0, 0, -1, 8)) as scene:
            scene.write(np.full((1, 8, 8), value, "uint8"))
        return bytes(file.read())


def test_a_worker_that_has_read_a_raster_reads_the_new_one_in_its_place(bucket, on_cloud):
    """GDAL keeps what it has read of files far away, for as long as its process lives."""
    pytest.importorskip("rasterio")
    s3, key = on_cloud.client("s3"), f"{PREFIX}/scene.tif"
    for value in (1, 2):
        s3.put_object(Bucket=bucket, Key=key, Body=raster_of(value))
        job = fanfold.submit(first_pixel, [{"path": f"s3://{bucket}/{key}", "attempt": value}], collect=False)
        assert job.results() == [value]


def reads_slowly(path: str, told: str) -> str:
    import time

    import boto3

    s3 = boto3.client("s3")
    bucket, _, key = path.removeprefix("s3://").partition("/")
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    s3.put_object(Bucket=bucket, Key=f"{told}/seen", Body=b"")
    while not s3.list_objects_v2(Bucket=bucket, Prefix=f"{told}/replaced").get("Contents"):
        time.sleep(0.02)
    return str(text)


def test_what_has_read_an_object_that_somebody_replaced_meanwhile_does_not_serve_for_the_new_one(
    bucket, on_cloud, eventually
):
    udf = fanfold.udf(reads_slowly, depends_on="path")
    s3, told = on_cloud.client("s3"), f"{PREFIX}/told"
    s3.put_object(Bucket=bucket, Key=f"{PREFIX}/scene", Body=b"before")
    inputs = [{"path": f"s3://{bucket}/{PREFIX}/scene", "told": told}]
    job = fanfold.submit(udf, inputs, collect=False)
    eventually(lambda: s3.list_objects_v2(Bucket=bucket, Prefix=f"{told}/seen").get("Contents"))
    s3.put_object(Bucket=bucket, Key=f"{PREFIX}/scene", Body=b"after it")
    s3.put_object(Bucket=bucket, Key=f"{told}/replaced", Body=b"")
    assert job.results() == ["before"]
    for counts in ({"succeeded": 1}, {"cached": 1}):
        again = fanfold.submit(udf, inputs, collect=False)
        assert again.results() == ["after it"]
        assert again.counts() == counts


def writes(path: str) -> str:
    import boto3

    bucket, _, key = path.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"written")
    return path


def test_what_writes_an_object_that_was_there_serves_again_where_it_returns_its_path(bucket, on_cloud):
    udf, path = fanfold.udf(writes, depends_on="path"), f"s3://{bucket}/{PREFIX}/out"
    on_cloud.client("s3").put_object(Bucket=bucket, Key=f"{PREFIX}/out", Body=b"old")
    jobs = [fanfold.submit(udf, [path], collect=False).wait() for _ in range(2)]
    assert [job.counts() for job in jobs] == [{"succeeded": 1}, {"cached": 1}]


def test_a_returned_object_that_is_gone_is_made_again(bucket, on_cloud):
    udf = fanfold.udf(stored, check_paths=True)
    s3 = on_cloud.client("s3")

    def came_from_the_cache():
        job = fanfold.submit(udf, range(2), bucket=bucket, collect=False)
        assert job.results() == [f"s3://{bucket}/{PREFIX}/stored-{n}" for n in range(2)]
        return job.counts().get("cached", 0)

    assert [came_from_the_cache() for _ in range(2)] == [0, 2]
    s3.delete_object(Bucket=bucket, Key=f"{PREFIX}/stored-1")
    assert came_from_the_cache() == 1
    assert s3.get_object(Bucket=bucket, Key=f"{PREFIX}/stored-1")["Body"].read() == b"made"


def test_a_udfs_results_are_forgotten_by_its_name_in_a_deployment(on_cloud):
    from fanfold.cli.commands.storage import clear

    udf = fanfold.udf(len_of, name="forgotten")
    assert [fanfold.submit(udf, ["abc"], collect=False).wait().counts().get("cached", 0) for _ in range(2)] == [0, 1]
    clear(udf="forgotten", engine="aws")
    assert fanfold.submit(udf, ["abc"], collect=False).wait().counts().get("cached", 0) == 0


def len_of(text: str) -> int:
    return len(text)


def test_a_file_of_this_machine_that_runs_in_aws_are_given_is_named(on_cloud, tmp_path, capsys):
    file = tmp_path / "table.csv"
    file.write_text("1")
    fanfold.submit(len_of, [str(file), "s3://bucket/key"], engine="aws")
    assert f"fanfold: {file} is of this machine" in capsys.readouterr().err
    fanfold.submit(len_of, [str(tmp_path / "absent"), "/"], engine="aws")
    assert "of this machine" not in capsys.readouterr().err


def rows_of(source) -> int:
    return source.count_rows() if hasattr(source, "count_rows") else int(source[:].sum())


@pytest.mark.parametrize("kind", ["a dataset of Arrow", "an array of Zarr"])
def test_what_opens_objects_by_itself_counts_by_them(bucket, on_cloud, kind):
    from pyarrow import fs
    from pyarrow.dataset import dataset

    s3 = on_cloud.client("s3")
    s3.put_object(Bucket=bucket, Key=f"{PREFIX}/days.csv", Body=b"x\n1\n")
    if kind == "an array of Zarr":
        zarr = pytest.importorskip("zarr", reason="Zarr 3 needs Python 3.11")
        from obstore.store import S3Store
        from zarr.storage import ObjectStore

        store = ObjectStore(S3Store(bucket, prefix=f"{PREFIX}/a.zarr", client_options={"allow_http": True}))
        source = zarr.create_array(store, shape=1, dtype="i8", overwrite=True)
        source[:] = 1
    else:
        system = fs.S3FileSystem(endpoint_override=on_cloud.endpoint)
        source = dataset(f"{bucket}/{PREFIX}/days.csv", filesystem=system, format="csv")

    def submit():
        job = fanfold.submit(rows_of, [source], collect=False).wait(60)
        return job.results(), job.counts()

    assert [submit(), submit()] == [([1], {"succeeded": 1}), ([1], {"cached": 1})]
    s3.put_object(Bucket=bucket, Key=f"{PREFIX}/days.csv", Body=b"x\n1\n2\n")
    if kind == "an array of Zarr":
        source[:] = 2
    assert submit() == ([2], {"succeeded": 1})


def test_a_pattern_counts_with_the_objects_that_it_may_match(on_cloud):
    s3 = on_cloud.client("s3")
    s3.create_bucket(Bucket="patterns", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    def stamp(pattern="s3://patterns/day/p-*.csv"):
        return Stamps(lambda: s3).of(NamedPath(pattern, deep=True))

    assert stamp() == ABSENT
    s3.put_object(Bucket="patterns", Key="day/p-1.csv", Body=b"1")
    first = stamp()
    s3.put_object(Bucket="patterns", Key="day/other.csv", Body=b"1")
    assert stamp() == first != ABSENT
    s3.put_object(Bucket="patterns", Key="day/p-2.csv", Body=b"2")
    second = stamp()
    s3.put_object(Bucket="patterns", Key="day/p-1.csv", Body=b"changed")
    assert len({first, second, stamp(), stamp("s3://patterns/day/p-1.csv")}) == 4


def test_a_vrt_counts_with_the_objects_that_it_names(on_cloud):
    s3 = on_cloud.client("s3")
    bucket = next(one["Name"] for one in s3.list_buckets()["Buckets"] if "log" not in one["Name"])
    named = (
        "<SourceFilename relativeToVRT='1'>a.tif</SourceFilename><SourceFilename>/vsis3/{}/{}/b.tif</SourceFilename>"
    )
    s3.put_object(Bucket=bucket, Key=f"{PREFIX}/m.vrt", Body=named.format(bucket, PREFIX).encode())
    found = []
    for changed in ("", "a.tif", "b.tif", "other.tif"):
        s3.put_object(Bucket=bucket, Key=f"{PREFIX}/{changed}", Body=changed.encode())
        stamps = Stamps(lambda: s3)
        named_path = NamedPath(f"s3://{bucket}/{PREFIX}/m.vrt")
        stamps.look([named_path, NamedPath(f"s3://{bucket}/{PREFIX}/a.tif")])
        found.append(stamps.digest([named_path]))
    assert len(set(found)) == 3
    assert found[2] == found[3]
    many = "".join(f"<SourceFilename>/vsis3/{bucket}/{n}</SourceFilename>" for n in range(101))
    s3.put_object(Bucket=bucket, Key=f"{PREFIX}/m.vrt", Body=many.encode())
    with pytest.raises(CannotLook, match="names more than 100 objects"):
        Stamps(lambda: s3).digest([named_path])
