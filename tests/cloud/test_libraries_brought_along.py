"""Libraries that Fanfold's own environment does not have, brought along from the index: S3, and memory-mapped files.

Each has its row in docs/rasters.md. It takes an index of packages that can be reached.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

import pytest

import fanfold
from fanfold.core.models import RunStatus
from fanfold.environments.indexes import pip_indexes
from tests.cloud.test_libraries_reach_s3 import PAGE, bucket

__all__ = ["bucket"]
pytestmark = pytest.mark.long

PLACES = {
    "realtime": {"engine": "aws"},
    "machine": {"engine": "aws", "instance_type": "small"},
    "here": {"engine": "local"},
}
LIMIT_MIB, FILE_MIB = 300, 400
MAPPING = ["lmdb", "faiss-cpu", "h5py", "netCDF4"]
MAPPED = ("lmdb", "faiss", "arrow", "netCDF 3", "h5py", "netCDF4")
HOLDING = ("faiss", "h5py", "netCDF4")


@pytest.fixture(autouse=True)
def real_index():
    try:
        urllib.request.urlopen(pip_indexes().default or "https://pypi.org/simple/", timeout=10).close()
    except (urllib.error.URLError, TimeoutError) as error:
        pytest.skip(f"no index of packages can be reached from here: {error}")


def by_s3fs(address):
    import s3fs

    with s3fs.S3FileSystem().open(address, "wb") as file:
        file.write(b"7")
    return s3fs.S3FileSystem().cat(address)


def by_pandas(address):
    import pandas as pd

    pd.DataFrame({"x": [7]}).to_csv(address)
    return pd.read_csv(address)["x"][0]


def by_geopandas(address):
    import geopandas
    import shapely

    geopandas.GeoDataFrame({"x": [7]}, geometry=[shapely.Point(1, 2)], crs=4326).to_parquet(address)
    return geopandas.read_parquet(address)["x"][0]


def by_xarray(address):
    import numpy as np
    import xarray as xr

    xr.Dataset({"t": ("x", np.full(20, 7))}).chunk(x=10).to_zarr(address)
    return xr.open_zarr(address)["t"].mean()


def by_h5netcdf(address):
    import s3fs
    import xarray as xr

    path = f"{fanfold.scratch_path()}/a.nc"
    xr.Dataset({"t": ("x", [7])}).to_netcdf(path, engine="h5netcdf")
    s3fs.S3FileSystem().put(str(path), address)
    with s3fs.S3FileSystem().open(address) as file:
        return xr.open_dataset(file, engine="h5netcdf")["t"][0]


def by_dask(address):
    import dask.dataframe as dd
    import pandas as pd

    dd.from_pandas(pd.DataFrame({"x": [7, 7]}), npartitions=2).to_parquet(address)
    return dd.read_parquet(address)["x"].mean().compute()


def by_deltalake(address):
    import deltalake
    import pyarrow as pa

    deltalake.write_deltalake(address, pa.table({"x": [7]}))
    return deltalake.DeltaTable(address).to_pyarrow_table()["x"][0].as_py()


def by_lance(address):
    import lance
    import pyarrow as pa

    lance.write_dataset(pa.table({"x": [7]}), address)
    return lance.dataset(address).to_table()["x"][0].as_py()


def by_icechunk(address):
    import icechunk
    import zarr

    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    storage = icechunk.s3_storage(bucket=bucket, prefix=prefix, from_env=True)
    session = icechunk.Repository.create(storage).writable_session("main")
    zarr.create_array(session.store, name="a", shape=3, dtype="i4")[:] = 7
    session.commit("sevens")
    return zarr.open_array(icechunk.Repository.open(storage).readonly_session("main").store, path="a", mode="r")[0]


def by_rioxarray(address):
    import rioxarray

    _scene().rio.to_raster(address.replace("s3://", "/vsis3/") + ".tif", driver="COG")
    return rioxarray.open_rasterio(address + ".tif").max()


def by_odc(address):
    import numpy as np
    import rioxarray
    from odc.geo.geobox import GeoBox
    from odc.geo.xr import wrap_xr

    box = GeoBox.from_bbox((0, 0, 64, 64), "epsg:32633", resolution=1)
    scene = wrap_xr(np.full(box.shape, 7, "uint8"), box)
    scene.rio.to_raster(address.replace("s3://", "/vsis3/") + ".tif", driver="COG")
    return rioxarray.open_rasterio(address + ".tif").odc.reproject(box).max()


def by_rio_cogeo(address):
    import rasterio
    from rio_cogeo import cog_profiles, cog_translate

    path = f"{fanfold.scratch_path()}/a.tif"
    _scene().rio.to_raster(path)
    cog_translate(path, address.replace("s3://", "/vsis3/") + ".tif", cog_profiles.get("deflate"), quiet=True)
    with rasterio.open(address + ".tif") as scene:
        return scene.read().max()


def by_fiona(address):
    import boto3
    import fiona
    import geopandas
    import shapely

    path = f"{fanfold.scratch_path()}/a.gpkg"
    geopandas.GeoDataFrame({"x": [7]}, geometry=[shapely.Point(1, 2)], crs=4326).to_file(path)
    bucket, _, key = address.removeprefix("s3://").partition("/")
    boto3.client("s3").upload_file(str(path), bucket, f"{key}.gpkg")
    with fiona.open(f"{address}.gpkg") as layer:
        return next(iter(layer))["properties"]["x"]


def by_exactextract(address):
    import exactextract
    import geopandas
    import rasterio
    import shapely

    _scene().rio.to_raster(address.replace("s3://", "/vsis3/") + ".tif", driver="COG")
    fields = geopandas.GeoDataFrame(geometry=[shapely.box(1, 1, 9, 9)], crs=32633)
    with rasterio.open(address + ".tif") as scene:
        return exactextract.exact_extract(scene, fields, ["mean"], output="pandas")["mean"][0]


def _scene():
    import numpy as np
    import rioxarray  # noqa: F401 it gives arrays their `rio`
    import xarray as xr

    along = np.arange(64) + 0.5
    return xr.DataArray(np.full((64, 64), 7, "uint8"), {"y": along[::-1], "x": along}, ("y", "x")).rio.write_crs(32633)


#: aiobotocore wants a botocore of its own, seldom the one that is here, which old releases of s3fs do not say.
S3FS = ("s3fs>=2025.2", "boto3", f"botocore!={version('botocore')}")
#: What each is brought along with.
ROUND_TRIPS = {
    "s3fs": (by_s3fs, [*S3FS]),
    "pandas": (by_pandas, [*S3FS]),
    "geopandas": (by_geopandas, [*S3FS]),
    "xarray": (by_xarray, ["xarray", "zarr", "dask", *S3FS]),
    "h5netcdf": (by_h5netcdf, ["h5netcdf", *S3FS]),
    "dask": (by_dask, ["dask[dataframe]", *S3FS]),
    "deltalake": (by_deltalake, ["deltalake"]),
    "lance": (by_lance, ["pylance"]),
    "icechunk": (by_icechunk, ["icechunk"]),
    "rioxarray": (by_rioxarray, ["rioxarray"]),
    "odc-geo": (by_odc, ["odc-geo", "rioxarray"]),
    "rio-cogeo": (by_rio_cogeo, ["rio-cogeo", "rioxarray"]),
    "fiona": (by_fiona, ["fiona", "boto3"]),
    "exactextract": (by_exactextract, ["exactextract", "rioxarray"]),
}


def write_and_read(bucket: str, library: str) -> str:
    """A seven by way of S3, written and read with one library."""
    import os

    return str(int(ROUND_TRIPS[library][0](f"s3://{bucket}/data/{library}-{os.getpid()}")))


@pytest.mark.parametrize("place", PLACES)
def test_each_library_reads_and_writes_s3_by_the_environment_alone(bucket, place, monkeypatch):
    if place == "here":  # what the image sets for GDAL
        monkeypatch.setenv("CPL_VSIL_USE_TEMP_FILE_FOR_RANDOM_WRITE", "YES")
    packages = sorted({package for _, packages in ROUND_TRIPS.values() for package in packages})
    where = {**PLACES[place], "packages": packages, "collect": False, "cache": False}
    job = fanfold.submit(write_and_read, [{"library": one} for one in ROUND_TRIPS], bucket=bucket, **where)
    assert dict(zip(ROUND_TRIPS, job.results(), strict=True)) == dict.fromkeys(ROUND_TRIPS, "7")


def test_the_page_names_each_of_them():
    table = PAGE.read_text().partition("| library |")[2].partition("\n\n")[0]
    assert [one for one in ROUND_TRIPS if not re.search(rf"\b{one}\b", table)] == []


@pytest.fixture
def large_files(tmp_path: Path) -> str:
    """A file of each kind, larger than the limit of the runs that read them."""
    brought = fanfold.udf(write_large, packages=MAPPING)
    fanfold.run(brought, folder=str(tmp_path), engine="local", cache=False)
    return str(tmp_path)


def write_large(folder: str):
    import faiss
    import h5py
    import lmdb
    import netCDF4
    import numpy as np
    import pyarrow as pa
    from scipy.io import netcdf_file

    ones = np.ones(FILE_MIB * 2**18, "f4")
    with lmdb.open(f"{folder}/lmdb", map_size=2 * FILE_MIB * 2**20) as store, store.begin(write=True) as writing:
        for number in range(FILE_MIB):
            writing.put(str(number).encode(), b"\1" * 2**20)
    index = faiss.IndexFlatL2(256)
    index.add(ones.reshape(-1, 256))
    faiss.write_index(index, f"{folder}/faiss")
    table = pa.table({"x": ones})
    with pa.OSFile(f"{folder}/arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with netcdf_file(f"{folder}/netCDF 3", "w", mmap=False, version=2) as file:
        file.createDimension("along", len(ones))
        file.createVariable("x", "f4", ("along",))[:] = ones
    with h5py.File(f"{folder}/h5py", "w") as file:
        file["x"] = ones
    with netCDF4.Dataset(f"{folder}/netCDF4", "w") as file:
        file.createDimension("along", len(ones))
        file.createVariable("x", "f4", ("along",))[:] = ones


def read(folder: str, library: str) -> float:
    """All of a file that is larger than the run's limit, mapped or a piece at a time; what was read is held a while."""
    import time

    import numpy as np

    path = f"{folder}/{library}"
    if library == "lmdb":
        import lmdb

        held = lmdb.open(path, readonly=True, lock=False).begin(buffers=True)
        least = min(np.frombuffer(value, "u1").min() for _, value in held.cursor())
    elif library == "faiss":
        import faiss

        held = faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC)
        least = 1 - held.search(np.ones((1, held.d), "f4"), 1)[0][0, 0]
    elif library == "arrow":
        import pyarrow as pa
        import pyarrow.compute

        held = pa.ipc.open_file(pa.memory_map(path)).read_all()
        least = pyarrow.compute.min(held["x"]).as_py()
    elif library == "netCDF 3":
        import xarray as xr

        held = xr.open_dataset(path, engine="scipy")
        least = min(held["x"][at : at + 2**20].min() for at in range(0, len(held["x"]), 2**20))
    else:
        import h5py
        import netCDF4

        held = h5py.File(path) if library == "h5py" else netCDF4.Dataset(path)
        least = min(held["x"][at : at + 2**20].min() for at in range(0, len(held["x"]), 2**20))
    time.sleep(0.5)  # the limit is looked at ten times a second
    return float(least)


def hold(folder: str, library: str) -> None:
    """Bring all of a file into memory, until the run is ended for it."""
    import time

    path = f"{folder}/{library}"
    if library == "faiss":
        import faiss

        held = faiss.read_index(path)
    elif library == "h5py":
        import h5py

        held = h5py.File(path, driver="core", backing_store=False)
    else:
        import netCDF4

        with open(path, "rb") as file:
            held = netCDF4.Dataset("in memory", memory=file.read())
    time.sleep(60)
    del held


@pytest.mark.parametrize("place", PLACES)
def test_a_mapped_file_larger_than_the_limit_is_read_and_memory_beyond_it_ends_the_run(on_cloud, large_files, place):
    where = {**PLACES[place], "packages": MAPPING, "collect": False, "cache": False, "folder": large_files}
    job = fanfold.submit(fanfold.udf(read, memory_mib=LIMIT_MIB), [{"library": one} for one in MAPPED], **where)
    assert dict(zip(MAPPED, job.results(), strict=True)) == dict.fromkeys(MAPPED, 1.0)
    limited = fanfold.udf(hold, memory_mib=LIMIT_MIB, max_retry=0)
    job = fanfold.submit(limited, [{"library": one} for one in HOLDING], **where)
    job.wait()
    assert {run.status for run in job} == {RunStatus.OUT_OF_MEMORY}
