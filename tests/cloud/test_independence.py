"""The emulator knows AWS from AWS's own documents: what it says must not come from the code that it is to try out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
#: What plays AWS; the rest of this folder are tests, and what they use of Fanfold.
EMULATOR = [
    *(
        HERE / f"{name}.py"
        for name in ("aws_errors", "containers", "deploy", "executions", "faults", "functions", "images")
    ),
    *(HERE / f"{name}.py" for name in ("machines", "permissions", "references", "refusals", "resources", "seams")),
    *(HERE / "states").glob("*.py"),
    HERE.parent / "aws" / "lambda_host.py",
    HERE.parent / "aws" / "runtime_api.py",
]
#: What a container image is started with is the deployer's to say: an emulator that refuses any other knows it.
SHARED = {("functions.py", "REALTIME_ENTRYPOINT")}


def of_fanfold(path: Path) -> Iterator[tuple[str, str]]:
    """What a module imports from the code under test."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {
            "fanfold",
            "fanfold_runtime",
            "infra",
        }:
            yield from ((path.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((path.name, a.name) for a in node.names if a.name.split(".")[0] in {"fanfold", "infra"})


def test_the_emulator_shares_no_constant_with_the_code_under_test():
    assert len(EMULATOR) > 15
    assert {found for path in EMULATOR for found in of_fanfold(path)} == SHARED
