"""A seven that is written to S3 and read again by a library that both the image and this environment have."""

from __future__ import annotations


def by_boto3(address):
    import boto3

    bucket, _, key = address.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"7")
    return boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def by_polars(address):
    import polars as pl

    pl.LazyFrame({"x": [7]}).sink_parquet(f"{address}.parquet")
    return pl.scan_parquet(f"{address}.parquet").collect()["x"][0]


def by_pyarrow(address):
    import pyarrow as pa
    import pyarrow.parquet

    pa.parquet.write_table(pa.table({"x": [7]}), f"{address}.parquet")
    return pa.parquet.read_table(f"{address}.parquet")["x"][0].as_py()


def by_obstore(address):
    from obstore.store import S3Store

    store = S3Store.from_url(address)
    store.put("text", b"7")
    return bytes(store.get("text").bytes())


def by_zarr(address):
    import zarr
    from obstore.store import S3Store
    from zarr.storage import ObjectStore

    def store(read_only):
        return ObjectStore(S3Store.from_url(f"{address}.zarr"), read_only=read_only)

    zarr.create_array(store(False), shape=3, dtype="i4")[:] = 7
    return zarr.open_array(store(True), mode="r")[0]


def by_rasterio(address):
    import numpy as np
    import rasterio

    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    with rasterio.open(f"{address}.tif", "w", **profile, transform=rasterio.Affine.translation(0, 8)) as file:
        file.write(np.full((1, 8, 8), 7, "uint8"))
    with rasterio.open(f"{address}.tif") as scene:
        return scene.read(1)[0, 0]


def by_pyogrio(address):
    import geopandas
    import pyogrio
    import shapely

    path = f"{address.replace('s3://', '/vsis3/')}.fgb"
    places = geopandas.GeoDataFrame({"x": [7]}, geometry=[shapely.Point(1, 2)], crs=4326)
    pyogrio.write_dataframe(places, path, driver="FlatGeobuf", SPATIAL_INDEX="NO")
    return pyogrio.read_dataframe(path)["x"][0]


def by_duckdb(address):
    import os

    import duckdb

    if "AWS_CONTAINER_CREDENTIALS_FULL_URI" in os.environ:  # on a machine; the address is the local cloud's alone
        where = f"ENDPOINT '{os.environ['DUCKDB_S3_ENDPOINT']}', USE_SSL false"
        duckdb.sql(f"CREATE OR REPLACE SECRET (TYPE s3, PROVIDER credential_chain, REFRESH auto, {where})")
    duckdb.sql("LOAD spatial")
    duckdb.sql(f"COPY (SELECT ST_X(ST_Point(7, 1)) AS x) TO '{address}.parquet'")
    return duckdb.sql(f"SELECT x FROM '{address}.parquet'").fetchone()[0]


def signed_with(act) -> list[str]:
    """With whose credentials S3 is asked for something, by a server of this run's own that has nothing."""
    import os
    import re
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    seen = set()

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            key = re.search(r"Credential=(....)", self.headers.get("Authorization", ""))
            token = " with a token" if self.headers.get("x-amz-security-token") else ""
            seen.add(f"{key[1] if key else 'unsigned'}{token}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_address[1]}"
    os.environ.update(AWS_ENDPOINT_URL=f"http://{host}", AWS_S3_ENDPOINT=host)
    os.environ["DUCKDB_S3_ENDPOINT"] = host.replace("127.0.0.1", "localhost")
    try:
        act()
    except Exception as error:  # there is nothing to read: what matters is how it asked
        seen = seen or {repr(error)}
    server.shutdown()
    server.server_close()
    return sorted(seen)


#: By the library's name.
BY_ITSELF = {
    "boto3": by_boto3,
    "polars": by_polars,
    "pyarrow": by_pyarrow,
    "obstore": by_obstore,
    "zarr": by_zarr,
    "rasterio": by_rasterio,
    "pyogrio": by_pyogrio,
    "duckdb": by_duckdb,
}
