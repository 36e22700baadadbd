"""`make verify-aws`: whether AWS does what Fanfold relies on, by a trial deployment that is destroyed afterwards.

It says first what it costs, and asks. `--local` looks at the local cloud instead, for nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.verify.checks import CHECKS, seen

ROOT = Path(__file__).parents[2]
NAME = "verify"
COST = (
    "This deploys a trial deployment named 'verify' into the account and region that your credentials name, runs about"
    " 5,200 short runs and 4 small machines for a few minutes each, and destroys all of it: under 1 dollar by list"
    " prices (about 0.30 for Lambda and Step Functions, 0.10 for machines, 0.10 for the image while it is there)."
)


def main() -> None:
    """Say what it costs, deploy, look, print the table, destroy."""
    arguments = argparse.ArgumentParser(prog="make verify-aws", description=main.__doc__)
    arguments.add_argument("--local", action="store_true", help="the local cloud instead of an account; costs nothing")
    arguments.add_argument("--yes", action="store_true", help="do not ask")
    asked = arguments.parse_args()
    print("The local cloud: this costs nothing." if asked.local else COST, file=sys.stderr)
    if not (asked.local or asked.yes) and input("Go on? [y/N] ").strip().lower() != "y":
        raise SystemExit(1)
    with _local() if asked.local else _account():
        failed = report(local=asked.local)
    raise SystemExit(1 if failed else 0)


def report(*, local: bool) -> int:
    """Print a table of what was seen, to be pasted into docs/aws-behaviour.md; how many checks have not come true."""
    failed = 0
    print("| what | comes true | seen |\n| --- | --- | --- |", flush=True)
    for check in CHECKS:
        came_true, told = ("-", "only an account can tell") if local and not check.everywhere else seen(check)
        failed += came_true == "NO"
        print(f"| {check.what} | {came_true} | {told.replace('|', '/')} |", flush=True)
    return failed


@contextmanager
def _local() -> Iterator[None]:
    from tests.cloud.cloud import LocalCloud

    with TemporaryDirectory(prefix="fanfold-verify-") as folder, LocalCloud(Path(folder), wait_scale=0.1) as cloud:
        cloud.deploy()
        os.environ.update({**cloud.environment(), "FANFOLD_HOME": f"{folder}/home"})
        yield


@contextmanager
def _account() -> Iterator[None]:
    os.environ["FANFOLD_DEPLOYMENT"] = NAME
    try:
        _cdk("deploy", "--all", "--require-approval", "never")
        yield
    finally:
        kept = _kept()
        _cdk("destroy", "--all", "--force")
        _remove(*kept)


def _cdk(*what: str) -> None:
    context = ["-c", f"fanfold:deployment={NAME}", "-c", "fanfold:retention_days=1"]
    command = ["node", "node_modules/aws-cdk/bin/cdk", "--no-notices", *what, *context]
    subprocess.run(command, cwd=ROOT, check=True)


def _kept() -> tuple[str, str]:
    """The table and the bucket, which a destroy leaves there."""
    from fanfold.engines.aws.discovery import discover
    from fanfold.errors import FanfoldError
    from fanfold.stores.aws.account import Account

    try:
        descriptor = discover(Account(), NAME).descriptor
    except FanfoldError:  # the deploy has failed before they were announced
        return "", ""
    return descriptor["table"], descriptor["bucket"]


def _remove(table: str, bucket: str) -> None:
    import boto3

    if not table:
        print("Look in the console for what the failed deploy has left: a table and a bucket.", file=sys.stderr)
        return
    dynamodb: Any = boto3.client("dynamodb")
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    dynamodb.delete_table(TableName=table)
    own: Any = boto3.resource("s3").Bucket(bucket)
    own.objects.all().delete()
    own.delete()


if __name__ == "__main__":
    main()
