"""Libraries that Fanfold's own environment does not have, brought along from the index: S3, and memory-mapped files.

Each has its row in docs/rasters.md. It takes an index of packages that can be reached.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

import pytest

import fanfold
from fanfold.core.models import RunStatus
from fanfold.environments.indexes import pip_indexes
from fanfold_runtime.duckdb_extensions import link_extensions
from tests.cloud.own_round_trips import signed_with
from tests.cloud.round_trips import ROUND_TRIPS
from tests.cloud.server import image_variables
from tests.cloud.test_libraries_reach_s3 import PAGE, ROOT, bucket

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


#: aiobotocore wants a botocore of its own, seldom the one that is here, which old releases of s3fs do not say.
S3FS = ("s3fs>=2025.2", "boto3", f"botocore!={version('botocore')}")
#: What each is brought along with.
PACKAGES = {
    **dict.fromkeys(("s3fs", "pandas", "geopandas"), S3FS),
    "xarray": ("xarray", "zarr", "dask", *S3FS),
    "h5netcdf": ("h5netcdf", "h5py", *S3FS),
    "dask": ("dask[dataframe]", *S3FS),
    "deltalake": ("deltalake",),
    "lance": ("pylance",),
    "icechunk": ("icechunk",),
    "aiobotocore": S3FS,
    "virtualizarr": ("virtualizarr", "h5netcdf", "h5py", "zarr"),
    "tiledb": ("tiledb",),
    "rioxarray": ("rioxarray",),
    "odc-geo": ("odc-geo", "rioxarray"),
    "rio-cogeo": ("rio-cogeo", "rioxarray"),
    "fiona": ("fiona", "boto3"),
    "exactextract": ("exactextract", "rioxarray"),
}


BROUGHT = sorted({package for packages in PACKAGES.values() for package in packages})
_NOT_IN_THE_IMAGE = ("deltalake", "lance", "icechunk", "rio-cogeo", "fiona", "virtualizarr", "tiledb")
#: Some that do not go by boto3, GDAL or another of these.
ASKING = ("s3fs", "deltalake", "lance")


def write_and_read(bucket: str, library: str) -> str:
    """A seven by way of S3, written and read with one library."""
    import os

    return str(int(ROUND_TRIPS[library](f"s3://{bucket}/data/{library}-{os.getpid()}")))


@pytest.mark.parametrize("place", PLACES)
def test_each_library_reads_and_writes_s3_by_the_environment_alone(bucket, place, monkeypatch):
    if place == "here":  # what the image sets for GDAL
        monkeypatch.setenv("CPL_VSIL_USE_TEMP_FILE_FOR_RANDOM_WRITE", "YES")
    where = {**PLACES[place], "packages": BROUGHT, "collect": False, "cache": False}
    job = fanfold.submit(write_and_read, [{"library": one} for one in PACKAGES], bucket=bucket, **where)
    assert dict(zip(PACKAGES, job.results(), strict=True)) == dict.fromkeys(PACKAGES, "7")


def signatures(library: str) -> list[str]:
    """With whose credentials a library asks, when it reads."""

    def ask():
        if library == "s3fs":
            import s3fs

            return s3fs.S3FileSystem().cat("nowhere/data/text")
        if library == "deltalake":
            import deltalake

            return deltalake.DeltaTable("s3://nowhere/data/table")
        import lance

        return lance.dataset("s3://nowhere/data/table.lance")

    return signed_with(ask)


@pytest.mark.parametrize("machine", [None, "small"])
def test_each_that_asks_by_itself_signs_with_the_data_roles_credentials(on_cloud, machine):
    packages = sorted({package for one in ASKING for package in PACKAGES[one]})
    where = {"engine": "aws", "instance_type": machine, "packages": packages, "collect": False, "cache": False}
    job = fanfold.submit(signatures, ASKING, **where)
    assert dict(zip(ASKING, job.results(), strict=True)) == {one: ["ASIA with a token"] for one in ASKING}


def test_what_the_image_has_works_as_a_set_with_s3_paths(on_cloud, bucket, tmp_path):
    """All that its lock names, and nothing else, as a program of one's own."""
    python = tmp_path / "image" / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(python.parents[1])], check=True)
    lock = str(ROOT / "runtime" / "requirements.lock")
    subprocess.run([*uv, "pip", "sync", "--quiet", "--python", str(python), lock], check=True)
    libraries = [name for name in ROUND_TRIPS if name not in _NOT_IN_THE_IMAGE]
    around = {**os.environ, **image_variables(), "PYTHONPATH": str(ROOT / "client"), "HOME": str(tmp_path)}
    link_extensions(str(tmp_path), [str(next(python.parents[1].glob("lib/*/site-packages")))])
    command = [str(python), "-W", "ignore", "-m", "tests.cloud.round_trips", f"s3://{bucket}/data", *libraries]
    done = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"{name} 7" for name in libraries], done.stderr


def test_the_page_names_each_of_them():
    table = PAGE.read_text().partition("| library |")[2].partition("\n\n")[0]
    assert [one for one in PACKAGES if not re.search(rf"\b{one}\b", table)] == []


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
