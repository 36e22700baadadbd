"""Readers of S3 that go on for longer than credentials live: `python -m tests.cloud.long_reads BUCKET NAME...`.

For each line on stdin one on stdout: what each library has read, or how it failed, as JSON. What a program would keep
between two reads is kept: a client, a store, a file system.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable

Reader = Callable[[], object]


def by_boto3(bucket: str) -> Reader:
    import boto3

    client = boto3.client("s3")

    def read() -> bytes:
        return bytes(client.get_object(Bucket=bucket, Key="data/text")["Body"].read())

    return read


def by_polars(bucket: str) -> Reader:
    import polars

    once = {"max_retries": 0}
    return lambda: polars.read_parquet(f"s3://{bucket}/data/table.parquet", storage_options=once)["x"][0]


def by_obstore(bucket: str) -> Reader:
    from obstore.store import S3Store

    store = S3Store(bucket, retry_config={"max_retries": 0})
    return lambda: store.get("data/text").bytes().to_bytes()


def by_pyarrow(bucket: str) -> Reader:
    import pyarrow.fs

    system, path = pyarrow.fs.FileSystem.from_uri(f"s3://{bucket}/data/text")
    return lambda: system.open_input_stream(path).read()


def by_rasterio(bucket: str) -> Reader:
    import rasterio

    def read() -> int:
        with (
            rasterio.Env(CPL_VSIL_CURL_NON_CACHED=f"/vsis3/{bucket}"),
            rasterio.open(f"s3://{bucket}/data/scene.tif") as scene,
        ):
            return int(scene.read(1)[0, 0])

    return read


def by_pyogrio(bucket: str) -> Reader:
    import pyogrio

    pyogrio.set_gdal_config_options({"CPL_VSIL_CURL_NON_CACHED": f"/vsis3/{bucket}"})
    return lambda: pyogrio.read_dataframe(f"/vsis3/{bucket}/data/places.gpkg")["x"][0]


def by_duckdb(bucket: str) -> Reader:
    import duckdb

    from fanfold_runtime.duckdb_extensions import link_extensions

    os.environ["HOME"] = tempfile.mkdtemp()
    link_extensions(os.environ["HOME"], sys.path)
    database = duckdb.connect()
    where = f"ENDPOINT '{os.environ['DUCKDB_S3_ENDPOINT']}', USE_SSL false"
    database.sql(f"CREATE SECRET (TYPE s3, PROVIDER credential_chain, REFRESH auto, {where})")
    return lambda: database.sql(f"SELECT x FROM 's3://{bucket}/data/table.parquet'").fetchone()[0]


READERS = {
    "boto3": by_boto3,
    "polars": by_polars,
    "obstore": by_obstore,
    "pyarrow": by_pyarrow,
    "rasterio": by_rasterio,
    "pyogrio": by_pyogrio,
    "duckdb": by_duckdb,
}

if __name__ == "__main__":
    readers: dict[str, Reader] = {}
    for _ in sys.stdin:
        found = {}
        for name in sys.argv[2:]:
            try:
                reader = readers.setdefault(name, READERS[name](sys.argv[1])) if name not in readers else readers[name]
                found[name] = str(int(reader()))
            except Exception as error:
                found[name] = repr(error)[:400]
        print(json.dumps(found), flush=True)
