"""How each library asks for what lies in a bucket that is not one's own, by the words of docs/rasters.md.

`python -m tests.cloud.asked_of_others` prints, as JSON, what a server of its own has seen: by library and way, the
region that a request was signed for ("unsigned" where it was not), and who pays.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fanfold.contract.cloud import endpoint_variables

HOME_REGION, OTHER_REGION = "eu-central-1", "us-west-2"
#: The page's words, by library: as it is, unsigned, requester pays, another region.
WAYS: dict[str, tuple[str, str, str, str]] = {
    "boto3": ("", "signature_version=UNSIGNED", 'RequestPayer="requester"', 'region_name="us-west-2"'),
    "polars": ("", '{"skip_signature": "true"}', '{"request_payer": "true"}', '{"region": "us-west-2"}'),
    "obstore": ("", "skip_signature=True", "request_payer=True", 'region="us-west-2"'),
    "rasterio": ("", 'AWS_NO_SIGN_REQUEST="YES"', 'AWS_REQUEST_PAYER="requester"', 'AWS_DEFAULT_REGION="us-west-2"'),
    "pyogrio": (
        "",
        '{"AWS_NO_SIGN_REQUEST": "YES"}',
        '{"AWS_REQUEST_PAYER": "requester"}',
        '{"AWS_DEFAULT_REGION": "us-west-2"}',
    ),
    "pyarrow": ("s3://bucket/key", "s3://anonymous@bucket/key", "", "s3://bucket/key?region=us-west-2"),
    "duckdb": ("", "SET s3_access_key_id=''", "SET s3_requester_pays=true", "SET s3_region='us-west-2'"),
    "s3fs": ("", "anon=True", "requester_pays=True", ""),
}
NAMES = ("as it is", "unsigned", "requester pays", "another region")


def by_boto3(words: str) -> None:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    given = eval(f"dict({words})", {"UNSIGNED": UNSIGNED})
    config = Config(signature_version=given.pop("signature_version", None))
    payer = {name: given.pop(name) for name in list(given) if name == "RequestPayer"}
    boto3.client("s3", config=config, **given).get_object(Bucket="bucket", Key="key", **payer)


def by_polars(words: str) -> None:
    import polars

    polars.read_parquet("s3://bucket/key.parquet", storage_options=eval(words) if words else None)


def by_obstore(words: str) -> None:
    from obstore.store import S3Store

    S3Store("bucket", **eval(f"dict({words})")).get("key")


def by_rasterio(words: str) -> None:
    import rasterio

    with rasterio.Env(**eval(f"dict({words})")), rasterio.open("s3://bucket/key.tif"):
        pass


def by_pyogrio(words: str) -> None:
    import pyogrio

    given = eval(words) if words else {}
    pyogrio.set_gdal_config_options(given)
    try:
        pyogrio.read_dataframe("/vsis3/bucket/key.gpkg")
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(given))


def by_pyarrow(words: str) -> None:
    import pyarrow.fs

    system, path = pyarrow.fs.FileSystem.from_uri(words or "s3://bucket/key")
    system.open_input_file(path)


def by_duckdb(words: str) -> None:
    import duckdb

    with duckdb.connect() as database:
        database.sql("LOAD httpfs")
        database.sql(words or "SELECT 1")
        database.sql("SELECT * FROM read_parquet('s3://bucket/key.parquet')").fetchall()


def by_s3fs(words: str) -> None:
    import s3fs

    s3fs.S3FileSystem(**eval(f"dict({words})"), skip_instance_cache=True).cat("bucket/key")


_BY: dict[str, Callable[[str], None]] = {
    "boto3": by_boto3,
    "polars": by_polars,
    "obstore": by_obstore,
    "rasterio": by_rasterio,
    "pyogrio": by_pyogrio,
    "pyarrow": by_pyarrow,
    "duckdb": by_duckdb,
    "s3fs": by_s3fs,
}


def asked(libraries: list[str]) -> dict[str, dict[str, list[str]]]:
    """What was asked of a server that has nothing, by library and way."""
    seen: list[str] = []

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scope = re.search(r"Credential=\w+/\d+/([\w-]+)/s3", self.headers.get("Authorization", ""))
            payer = self.headers.get("x-amz-request-payer", "")
            seen.append(" ".join(filter(None, [scope[1] if scope else "unsigned", payer])))
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _point_at(f"http://127.0.0.1:{server.server_address[1]}")
    found: dict[str, dict[str, list[str]]] = {}
    for library in libraries:
        for name, words in zip(NAMES, WAYS[library], strict=True):
            if words or name == "as it is":
                seen.clear()
                try:
                    _BY[library](words)
                except Exception as error:  # there is nothing to read: what matters is how it asked
                    print(library, name, repr(error)[:200], file=sys.stderr)
                found.setdefault(library, {})[name] = sorted(set(seen))
    server.shutdown()
    server.server_close()
    return found


def _point_at(address: str) -> None:
    """Have all libraries go there, with keys as a run in Lambda has them."""
    os.environ.update(endpoint_variables(address), AWS_ENDPOINT_URL=address, AWS_EC2_METADATA_DISABLED="true")
    os.environ.update(AWS_ACCESS_KEY_ID="ASIAKEY", AWS_SECRET_ACCESS_KEY="secret", AWS_SESSION_TOKEN="token")
    os.environ.update(AWS_REGION=HOME_REGION, AWS_DEFAULT_REGION=HOME_REGION)


def expected(library: str) -> dict[str, list[str]]:
    """What the page promises."""
    seen = (HOME_REGION, "unsigned", f"{HOME_REGION} requester", OTHER_REGION)
    ways = zip(NAMES, WAYS[library], seen, strict=True)
    return {name: [one] for name, words, one in ways if words or name == "as it is"}


if __name__ == "__main__":
    from fanfold_runtime.duckdb_extensions import link_extensions

    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        link_extensions(home, sys.path)
        print(json.dumps(asked(sys.argv[1:])))
