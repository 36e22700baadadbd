"""docs/rasters.md's table: which libraries reach S3 from a run by the environment alone, and with whose credentials."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import fanfold
from fanfold.core.processes import usable_cores
from fanfold_runtime.duckdb_extensions import link_extensions
from tests.cloud.cloud import LocalCloud
from tests.cloud.own_round_trips import BY_ITSELF, signed_with
from tests.cloud.server import cores_of_an_environment, image_variables

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rasters.md"
LIBRARIES = tuple(BY_ITSELF)


def read_all(bucket: str, library: str) -> str:
    """Read what `prepared` put there; the first value of it."""
    if library == "boto3":
        import boto3

        return boto3.client("s3").get_object(Bucket=bucket, Key="data/text")["Body"].read().decode()
    if library == "polars":
        import polars

        return str(polars.read_parquet(f"s3://{bucket}/data/table.parquet")["x"][0])
    if library == "pyarrow":
        import pyarrow.parquet

        return str(pyarrow.parquet.read_table(f"s3://{bucket}/data/table.parquet")["x"][0].as_py())
    if library == "obstore":
        from obstore.store import S3Store

        return bytes(S3Store.from_url(f"s3://{bucket}/data").get("text").bytes()).decode()
    if library == "zarr":
        import zarr
        from obstore.store import S3Store
        from zarr.storage import ObjectStore

        array = zarr.create_array(ObjectStore(S3Store.from_url(f"s3://{bucket}/data/a.zarr")), shape=3, dtype="i4")
        array[:] = 7
        return str(array[0])
    if library == "rasterio":
        import rasterio

        with rasterio.open(f"s3://{bucket}/data/scene.tif") as source:
            return str(source.read(1)[0, 0])
    if library == "duckdb":
        import os

        import duckdb

        if "AWS_CONTAINER_CREDENTIALS_FULL_URI" in os.environ:  # on a machine; the address is the local cloud's alone
            where = f"ENDPOINT '{os.environ['DUCKDB_S3_ENDPOINT']}', USE_SSL false"
            duckdb.sql(f"CREATE OR REPLACE SECRET (TYPE s3, PROVIDER credential_chain, REFRESH auto, {where})")
        duckdb.sql("LOAD spatial")
        return str(
            duckdb.sql(f"SELECT ST_X(ST_Point(x, 1))::INT FROM 's3://{bucket}/data/table.parquet'").fetchone()[0]
        )
    import pyogrio

    return str(pyogrio.read_dataframe(f"/vsis3/{bucket}/data/places.gpkg")["x"][0])


def read_and_write(bucket: str, library: str) -> list[str]:
    """What it reads of what is there, and of what it has itself put there."""
    import uuid

    written = BY_ITSELF[library](f"s3://{bucket}/data/{library}-{uuid.uuid4().hex}")
    return [read_all(bucket, library), str(int(written))]


def signatures(library: str) -> list[str]:
    """With whose credentials a library asks."""
    return signed_with(lambda: read_all("nowhere", library))


@pytest.fixture
def bucket(on_cloud: LocalCloud, tmp_path: Path) -> str:
    """The deployment's bucket with a text, a table, a raster and a layer in it."""
    import geopandas
    import numpy as np
    import pandas as pd
    import rasterio
    import shapely

    s3 = on_cloud.client("s3")
    name = str(next(one["Name"] for one in s3.list_buckets()["Buckets"] if "log" not in one["Name"]))
    (tmp_path / "text").write_text("7")
    frame = pd.DataFrame({"x": [7]})
    frame.to_parquet(tmp_path / "table.parquet")
    frame = geopandas.GeoDataFrame(frame, geometry=[shapely.Point(1, 2)], crs=4326)
    frame.to_file(tmp_path / "places.gpkg")
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    where = {"crs": "EPSG:4326", "transform": rasterio.Affine.translation(0, 8)}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile, **where) as file:
        file.write(np.full((1, 8, 8), 7, "uint8"))
    for path in tmp_path.iterdir():
        s3.put_object(Bucket=name, Key=f"data/{path.name}", Body=path.read_bytes())
    return name


@pytest.mark.parametrize("place", [None, *(pytest.param(one, marks=pytest.mark.long) for one in ("small", "here"))])
def test_each_library_reads_and_writes_s3_by_the_environment_alone(bucket, place, monkeypatch, tmp_path):
    where = {"engine": "local"} if place == "here" else {"instance_type": place}
    if place == "here":  # what the image sets for GDAL, and has for DuckDB
        for name, value in image_variables().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path))
        link_extensions(str(tmp_path), sys.path)
    inputs = [{"library": one} for one in LIBRARIES]
    job = fanfold.submit(read_and_write, inputs, bucket=bucket, cache=False, collect=False, **where)
    assert dict(zip(LIBRARIES, job.results(), strict=True)) == {one: ["7", "7"] for one in LIBRARIES}


@pytest.mark.parametrize("machine", [None, pytest.param("small", marks=pytest.mark.long)])
def test_each_library_signs_with_the_data_roles_credentials(bucket, machine):
    job = fanfold.submit(signatures, LIBRARIES, instance_type=machine, collect=False)
    assert dict(zip(LIBRARIES, job.results(), strict=True)) == {one: ["ASIA with a token"] for one in LIBRARIES}


def test_what_make_cloud_prints_leads_gdal_there_too(bucket):
    assert read_all(bucket, "rasterio") == read_all(bucket, "polars") == "7"


def rows_of(path: str) -> int:
    import pandas

    return len(pandas.read_csv(path))


def rows_of_any(path: str) -> int:
    import pandas

    return len(pandas.read_excel(path) if path.endswith(".xlsx") else path)


def test_an_address_that_wants_what_the_image_lacks_is_refused_before_there_is_a_job(on_cloud, capsys):
    before = [job.id for job in fanfold.get_jobs()]
    with pytest.raises(
        fanfold.CaptureError, match=r"pandas\.read_csv of gs:// loads gcsfs, .* Run 1 has path='gs://"
    ) as caught:
        fanfold.submit(rows_of, ["https://host/a.csv", "gs://bucket/a.csv"])
    assert '@udf(packages=["gcsfs"])' in caught.value.next_step
    assert [job.id for job in fanfold.get_jobs()] == before
    assert fanfold.run(rows_of_any, path="abc", cache=False) == 3
    assert capsys.readouterr().err.count("read_excel loads openpyxl") == 1


def threads() -> str:
    import os

    return os.environ["OMP_NUM_THREADS"]


def test_environments_side_by_side_share_this_machines_cores(on_cloud):
    assert fanfold.run(threads, cache=False) == str(cores_of_an_environment())
    assert cores_of_an_environment() * 4 <= max(4, usable_cores())


def test_duckdb_finds_the_images_extensions_without_a_network(tmp_path):
    packages = tmp_path / "packages" / "duckdb_extension_one" / "extensions" / "v9.9.9"
    packages.mkdir(parents=True)
    (packages / "one.duckdb_extension").write_bytes(b"signed")
    for _ in range(2):  # each pool of an environment does it
        link_extensions(str(tmp_path / "home"), [str(tmp_path / "packages"), "nowhere"])
    (found,) = (tmp_path / "home").glob(".duckdb/extensions/v9.9.9/linux_*/one.duckdb_extension")
    assert found.read_bytes() == b"signed"


def test_the_image_has_them_for_the_duckdb_it_has():
    lock = (ROOT / "runtime" / "requirements.lock").read_text()
    pinned = re.findall(r"^(duckdb[\w-]*)==(\S+) (?!;)", lock, re.M)  # the same for each Python
    assert {name for name, _ in pinned} == {
        "duckdb",
        *(f"duckdb-extension-{one}" for one in ("aws", "httpfs", "spatial")),
    }
    assert len({version for _, version in pinned}) == 1


def test_the_page_names_each_of_them():
    rows = re.findall(r"^\| `?([a-z0-9]+)`?", PAGE.read_text().partition("| library |")[2], re.M)
    assert set(LIBRARIES) <= set(rows)
