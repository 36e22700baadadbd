"""Entry point of the CDK: `npx cdk deploy --all`. A plain `python app.py` synthesises as well."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent
sys.path[:0] = [str(ROOT / "client")]

from infra.node import use_packaged_node  # noqa: E402
from infra.settings import SettingError  # noqa: E402


def main() -> int:
    """Synthesise every stack. Returns the exit code."""
    use_packaged_node()
    from infra.deployment import app_of

    # The CLI hands cdk.json's context over; without it every feature flag would be off.
    context = None if "CDK_CONTEXT_JSON" in os.environ else json.loads((ROOT / "cdk.json").read_text())["context"]
    outdir = os.environ.get("CDK_OUTDIR", str(ROOT / "cdk.out"))
    try:
        app_of(context, outdir=outdir).synth()
    except SettingError as error:
        print(f"cdk.json, context `fanfold`, or -c:\n{error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
