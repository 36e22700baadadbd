"""An analyst uses a deployment that is there, with the client alone and one command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SQUARED = "import fanfold\n\n@fanfold.udf\ndef squared(x: int):\n    return x * x\n"


@pytest.fixture
def analyst(on_cloud, tmp_path):
    """The command line on a machine that has credentials, and a home of Fanfold's that knows nothing yet."""
    (tmp_path / "square.py").write_text(SQUARED, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k not in ("FANFOLD_DEPLOYMENT", "FANFOLD_ENGINE")}
    environment["FANFOLD_HOME"] = str(tmp_path / "analyst")

    def fanfold(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fanfold", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return fanfold


def test_one_command_has_everything_run_in_the_deployment(analyst, tmp_path):
    connected = analyst("connect", "main")
    assert connected.returncode == 0, connected.stderr
    assert "names the deployment 'main' now." in connected.stdout
    assert (tmp_path / "analyst" / "config.toml").read_text() == 'deployment = "main"\n'
    job = analyst("submit", "square.py", "3", "--no-wait").stdout.strip()
    assert '"engine": "aws"' in analyst("status", "--json", job).stdout


def test_a_name_that_is_none_is_said_and_nothing_is_written(analyst, tmp_path):
    refused = analyst("connect", "mian")
    assert refused.returncode != 0
    assert "There is no deployment 'mian' in us-east-1, or these credentials may not use it." in refused.stderr
    assert "Next: check its name, region and account" in refused.stderr
    assert not (tmp_path / "analyst" / "config.toml").exists()
