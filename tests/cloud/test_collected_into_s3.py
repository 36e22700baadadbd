"""`job.collect("s3://bucket/name")`: what `collect` writes, uploaded whole; from jobs of both engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio import Affine

import fanfold
from fanfold.errors import InputError
from tests.cloud.cloud import LocalCloud

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


@pytest.fixture
def data(on_cloud: LocalCloud) -> str:
    """Where a deployment keeps data of its users."""
    buckets = on_cloud.client("s3").list_buckets()["Buckets"]
    return f"s3://{next(one['Name'] for one in buckets if 'log' not in one['Name'])}/data"


def tile(col: int, data: str) -> dict:
    import rasterio

    transform = Affine(10, 0, 500_000 + col * 80, 0, -10, 5_000_000)
    profile = {"width": 8, "height": 8, "count": 1, "dtype": "uint8", "crs": "EPSG:32633", "transform": transform}
    with rasterio.open(f"{data}/{col}.tif", "w", driver="GTiff", **profile) as file:
        file.write(np.full((1, 8, 8), col, "uint8"))
    return f"{data}/{col}.tif"


def test_a_vrt_in_s3_over_what_runs_have_written_there(data):
    job = fanfold.submit(tile, range(3), data=data, collect=False)
    assert job.collect(f"{data}/all.vrt")["col_off"].to_list() == [0, 8, 16]
    with rasterio.open(f"{data}/all.vrt") as mosaic:
        assert mosaic.read(1)[0].tolist() == [0] * 8 + [1] * 8 + [2] * 8


def month(n: int) -> xr.Dataset:  # noqa: F821
    import xarray as xr

    return xr.Dataset({"t": ("x", np.arange(4.0) + n)}, {"x": range(4)})


def test_a_job_of_this_machine_is_collected_there_too_and_a_store_is_replaced_whole(data, on_cloud, tmp_path):
    job = fanfold.submit(month, range(3), engine="local", collect=False)
    job.collect(f"{data}/t.zarr")
    s3, bucket = on_cloud.client("s3"), data.split("/")[2]
    s3.put_object(Bucket=bucket, Key="data/t.zarr/old/zarr.json", Body=b"{}")  # of a variable that is no more
    job.collect(Path(f"{data}/t.zarr"))
    assert set(_keys(s3, bucket, "data/t.zarr/")) >= {"data/t.zarr/zarr.json", "data/t.zarr/t/zarr.json"}
    assert "data/t.zarr/old/zarr.json" not in _keys(s3, bucket, "data/t.zarr/")
    import zarr
    from obstore.store import S3Store

    store = zarr.open_group(zarr.storage.ObjectStore(S3Store.from_url(f"{data}/t.zarr"), read_only=True), mode="r")
    assert store["t"][:].sum(axis=1).tolist() == [6.0, 10.0, 14.0]
    job = fanfold.submit(abs, [-1, 2], engine="local", collect=False)
    job.collect(f"{data}/table.parquet")
    s3.download_file(bucket, "data/table.parquet", tmp_path / "table.parquet")
    assert pd.read_parquet(tmp_path / "table.parquet")["result"].to_list() == [1, 2]


def _keys(s3, bucket, prefix):
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def test_what_cannot_be_put_there_is_refused_before_the_job_is_waited_for(data, on_cloud):
    job = fanfold.submit(abs, [1], engine="local", collect=False)
    with pytest.raises(InputError, match=r"s3://no-such-bucket/t.csv cannot be written"):
        job.collect("s3://no-such-bucket/t.csv")
    on_cloud.client("s3").put_object(Bucket=data.split("/")[2], Key="data/notes.zarr/readme", Body=b"")
    with pytest.raises(InputError, match=r"What lies below s3://.*/data/notes.zarr is no Zarr store"):
        job.collect(f"{data}/notes.zarr")
    with pytest.raises(InputError, match=r"s3://.*/t.xls: no format has this ending"):
        job.collect(f"{data}/t.xls")
