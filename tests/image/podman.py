"""Containers with memory limits, by a podman whose images and containers are all in one folder.

What it takes to run as root within a container, as on a build host, is in the options here: no network and no cgroup
manager of its own, and limits that the outer container allows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests.aws.processes import ROOT, start_session

IMAGE = "localhost/fanfold:test"
#: Where everything of a run of these tests is; the server of the local cloud is told by it.
FOLDER = "TEST_IMAGE_FOLDER"
#: What the Dockerfile begins with, and the Debian that stands in for it: its Python is 3.11, a deployment's is 3.12.
STANDS_IN_FOR, DEBIAN, PYTHON = "docker.io/library/python:3.11-slim-bookworm", "bookworm", "3.11"
_ULIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]


def podman(folder: Path) -> list[str]:
    """The command, with its store in the folder."""
    options = ["--storage-driver=overlay", "--runtime=runc", "--cgroup-manager=cgroupfs"]
    return ["podman", *options, "--root", str(folder / "store"), "--runroot", str(folder / "run")]


def notes() -> set[Path]:
    """Where podman notes things for itself beside its store, as far as it is there."""
    return {path for path in map(Path, ("/var/lib/containers", "/run/containers", "/run/libpod")) if path.exists()}


def make_base(folder: Path) -> None:
    """Import a Debian with Python under the name of the base image, from Debian's own archive: no registry is asked."""
    root = folder / "rootfs"
    _run("debootstrap", "--variant=minbase", "--include=ca-certificates", DEBIAN, str(root))
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    shutil.copy(bundle, root / "etc" / "ssl" / "certs" / "ca-certificates.crt")
    packages = ["python3", "python3-pip", "python-is-python3"]
    _run("chroot", str(root), "apt-get", "install", "--yes", "--no-install-recommends", *packages)
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    with subprocess.Popen(
        ["tar", "-C", str(root), "--exclude=./proc/*", "--exclude=./sys/*", "-cf", "-", "."], stdout=subprocess.PIPE
    ) as packed:
        _run(*podman(folder), "import", "-", STANDS_IN_FOR, stdin=packed.stdout)
    shutil.rmtree(root)


def build(folder: Path) -> None:
    """Build the real Dockerfile from what `cdk deploy` would send."""
    _run(
        *[*podman(folder), "build", "--pull=never", "--network=host", *_ULIMITS],
        *["--build-arg", f"PYTHON_VERSION={PYTHON}", "--ignorefile", "runtime/Dockerfile.dockerignore"],
        *["-f", "runtime/Dockerfile", "-t", IMAGE, "."],
    )


def start(
    command: list[str], environment: Mapping[str, str], folder: Path, log: IO[bytes], memory_mib: int
) -> subprocess.Popen[bytes]:
    """A `Starter`: the command in a container that the kernel ends where it takes more memory."""
    variables = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    limits = [f"--memory={memory_mib}m", f"--memory-swap={memory_mib}m", *_ULIMITS]
    run = [*podman(Path(os.environ[FOLDER])), "run", "--rm", "--name", f"fanfold-{uuid.uuid4()}", "--network=host"]
    return start_session([*run, *limits, "--user", "1000", *variables, IMAGE, *command], os.environ, folder, log)


def remove_all(folder: Path, noted_before: set[Path]) -> None:
    """Remove every container, every image and the folder, and podman's notes where it had none before."""
    for kind in ("rm", "rmi"):
        subprocess.run([*podman(folder), kind, "--all", "--force"], check=False, stdout=subprocess.DEVNULL)
    if os.path.ismount(folder / "store" / "overlay"):  # podman mounts it upon itself, and mostly takes that back
        _run("umount", str(folder / "store" / "overlay"))
    for place in {folder, *(notes() - noted_before)}:
        shutil.rmtree(place)


def _run(*command: str, stdin: IO[bytes] | None = None) -> None:
    subprocess.run(command, cwd=ROOT, stdin=stdin, check=True, stdout=subprocess.DEVNULL)
