"""What a cold start pays for: the handler brings in what every run needs, and nothing that only some UDFs do."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from tests.aws.processes import ROOT

HEAVY = ("pandas", "numpy", "pyarrow", "pydantic", "aws_xray_sdk", "psutil", "sqlite3", "rich", "typer")


def imported(module: str) -> set[str]:
    path = os.pathsep.join([str(ROOT / "client"), str(ROOT / "runtime")])
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    return set(told.stdout.decode().split())


def test_the_handler_brings_boto3_and_nothing_heavy():
    modules = imported("fanfold_runtime.realtime")
    assert "boto3" in modules
    assert modules.isdisjoint(HEAVY)


def test_importing_the_sdk_brings_neither_boto3_nor_the_runtime():
    modules = imported("fanfold")
    assert not any(name.split(".")[0] in ("boto3", "botocore", "fanfold_runtime") for name in modules)


def top_level_imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere, by its first name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


#: The last tells what a user's own s3:// paths lead to, for which a local job needs no deployment.
_WITH_BOTO3 = ("stores/aws", "engines/aws", "codec/s3_stamps.py")


def test_boto3_stays_within_the_aws_packages_and_powertools_within_the_image():
    for path in (ROOT / "client").rglob("*.py"):
        names = top_level_imports(path)
        if not any(path.is_relative_to(ROOT / "client/fanfold" / place) for place in _WITH_BOTO3):
            assert names.isdisjoint({"boto3", "botocore"}), path
        assert names.isdisjoint({"aws_lambda_powertools", "fanfold_runtime", "awslambdaric"}), path
