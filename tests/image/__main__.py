"""`make image-test`: build the real Dockerfile, and run it as Lambda and Batch do. Where that cannot be, say so.

It takes root on a Debian, and some five minutes; Debian's packages of podman stay installed, nothing else does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.aws.processes import ROOT
from tests.image import podman

PACKAGES = {"podman": "podman", "buildah": "buildah", "runc": "runc", "debootstrap": "debootstrap"}


def main() -> int:
    """The exit code of the tests; 0 with a word where they could not be run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    missing = _why_not()
    if missing:
        print(f"The image was NOT RUN: {missing}")
        return 0
    noted_before = podman.notes()
    folder = Path(tempfile.mkdtemp(prefix="fanfold-image-"))
    try:
        _say("a Debian with Python stands in for the base image ...")
        podman.make_base(folder)
        _say("building runtime/Dockerfile on it ...")
        podman.build(folder)
        _say("one run as Lambda, and some as Batch ...")
        environment = {**os.environ, podman.FOLDER: str(folder)}
        tests = [sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/image/runs_in_containers.py"]
        return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode
    finally:
        podman.remove_all(folder, noted_before)


def _why_not() -> str:
    """What keeps the tests from being run here; nothing where all is there, or could be installed."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "containers with memory limits need Linux, and root."
    wanted = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if wanted and shutil.which("apt-get") is None:
        return f"{', '.join(wanted)} cannot be installed: there is no apt-get."
    if wanted:
        _say(f"installing {', '.join(wanted)} (once) ...")
        for step in (["update"], ["install", "--yes", "--no-install-recommends", *wanted]):
            done = subprocess.run(["apt-get", "-qq", *step], check=False, stdout=subprocess.DEVNULL)
            if done.returncode:
                return f"apt-get could not install {', '.join(wanted)}."
    return ""


def _say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
