"""A seven that is written to S3 and read again, by each of many libraries.

`python -m tests.cloud.round_trips s3://bucket/folder NAME...` prints what each has read. The credentials and
the address it finds by the environment alone. Nothing is imported here but what a library needs.
"""

from __future__ import annotations

import sys
import tempfile

from tests.cloud.own_round_trips import BY_ITSELF


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

    path = f"{tempfile.mkdtemp()}/a.nc"
    xr.Dataset({"t": ("x", [7])}).to_netcdf(path, engine="h5netcdf")
    s3fs.S3FileSystem().put(str(path), address)
    with s3fs.S3FileSystem().open(address) as file:
        return float(xr.open_dataset(file, engine="h5netcdf")["t"][0])


def by_a_climate_models_calendar(address):
    """A year without leap days, which xarray reads by cftime alone."""
    import s3fs
    import xarray as xr

    path = f"{tempfile.mkdtemp()}/a.nc"
    days = xr.date_range("2000-02-28", periods=2, calendar="noleap", use_cftime=True)
    xr.Dataset({"t": ("time", [7, 7])}, {"time": days}).to_netcdf(path, engine="h5netcdf")
    s3fs.S3FileSystem().put(path, address)
    with s3fs.S3FileSystem().open(address) as file:
        return float(xr.open_dataset(file, engine="h5netcdf")["t"].sel(time="2000-03-01")[0])


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


def by_aiobotocore(address):
    import asyncio

    from aiobotocore.session import get_session

    bucket, _, key = address.removeprefix("s3://").partition("/")

    async def both():
        async with get_session().create_client("s3") as client:
            await client.put_object(Bucket=bucket, Key=key, Body=b"7")
            return await (await client.get_object(Bucket=bucket, Key=key))["Body"].read()

    return asyncio.run(both())


def by_virtualizarr(address):
    """A file of netCDF 4 as chunks in a store of Zarr, of which nothing is copied."""
    import xarray as xr
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import S3Store
    from virtualizarr.manifests import ManifestStore
    from virtualizarr.parsers import HDFParser

    path = f"{tempfile.mkdtemp()}/a.nc"
    xr.Dataset({"t": ("x", [7, 7])}).to_netcdf(path, engine="h5netcdf")
    bucket, _, key = address.removeprefix("s3://").partition("/")
    store = S3Store(bucket)
    with open(path, "rb") as file:
        store.put(key, file.read())
    found = HDFParser()(f"s3://{bucket}/{key}", registry=ObjectStoreRegistry({f"s3://{bucket}": store}))
    assert isinstance(found, ManifestStore)
    return xr.open_zarr(found, consolidated=False, zarr_format=3, chunks=None)["t"][0]


def by_tiledb(address):
    """Of an address other than AWS's own it wants to be told."""
    import os

    import numpy as np
    import tiledb

    given = {"vfs.s3.region": os.environ["AWS_DEFAULT_REGION"]}
    if elsewhere := os.environ.get("AWS_S3_ENDPOINT"):
        given |= {"vfs.s3.endpoint_override": elsewhere, "vfs.s3.scheme": "http"}
        given |= {"vfs.s3.use_virtual_addressing": "false"}
    within = tiledb.Ctx(given)
    tiledb.from_numpy(address, np.full(3, 7), ctx=within).close()
    with tiledb.open(address, ctx=within) as array:
        return array[0]


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

    path = f"{tempfile.mkdtemp()}/a.tif"
    _scene().rio.to_raster(path)
    cog_translate(path, address.replace("s3://", "/vsis3/") + ".tif", cog_profiles.get("deflate"), quiet=True)
    with rasterio.open(address + ".tif") as scene:
        return scene.read().max()


def by_fiona(address):
    import boto3
    import fiona
    import geopandas
    import shapely

    path = f"{tempfile.mkdtemp()}/a.gpkg"
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


def by_h3(address):
    import h3
    import pandas as pd

    pd.DataFrame({"cell": [h3.latlng_to_cell(50, 8, 7)]}).to_parquet(address)
    return h3.get_resolution(pd.read_parquet(address)["cell"][0])


ROUND_TRIPS = {
    **BY_ITSELF,
    "s3fs": by_s3fs,
    "pandas": by_pandas,
    "geopandas": by_geopandas,
    "xarray": by_xarray,
    "h5netcdf": by_h5netcdf,
    "cftime": by_a_climate_models_calendar,
    "dask": by_dask,
    "deltalake": by_deltalake,
    "lance": by_lance,
    "icechunk": by_icechunk,
    "aiobotocore": by_aiobotocore,
    "virtualizarr": by_virtualizarr,
    "tiledb": by_tiledb,
    "rioxarray": by_rioxarray,
    "odc-geo": by_odc,
    "rio-cogeo": by_rio_cogeo,
    "fiona": by_fiona,
    "exactextract": by_exactextract,
    "h3": by_h3,
}

if __name__ == "__main__":
    for name in sys.argv[2:]:
        print(name, int(ROUND_TRIPS[name](f"{sys.argv[1]}/{name}")), flush=True)
