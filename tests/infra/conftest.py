"""The whole app is synthesised once for all tests; variations of it without the validators, which take longest."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from infra.node import use_packaged_node

use_packaged_node()

from tests.infra.templates import ROOT, Synthesise, Templates  # noqa: E402

#: Every option that adds something to a deployment.
EVERY_OPTION: dict[str, Any] = {
    "spot": True,
    "ultramem": True,
    "mount": True,
    "seal_arguments": True,
    "realtime_functions": 3,
    "realtime_reserved_concurrency": 90,
    "read_buckets": ["their-data"],
    "write_buckets": ["our-data"],
    "kms_keys": ["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    "notify_topics": ["arn:aws:sns:eu-west-1:123456789012:jobs"],
    "keep_warm_minutes": 30,
    "alarm_email": "ops@example.com",
    "monthly_budget_usd": 500,
    "extra_instance_types": {
        "gpu": {"host": "g5.xlarge", "vcpus": 4, "memory_gib": 16, "usd_per_hour": 1.006, "gpus": 1},
        "arm": {"host": "m7g.large", "vcpus": 2, "memory_gib": 8, "usd_per_hour": 0.0816, "architecture": "arm64"},
    },
    "system_packages": ["libgl1"],
    "images": {
        "geo": {"system_packages": ["gdal-bin", "libglib2.0-0"], "instance_types": ["small"]},
        "gpu": {"requirements": "runtime/images/gpu.txt", "realtime": False, "instance_types": ["gpu"]},
        "graviton": {"architecture": "arm64", "instance_types": ["arm"]},
    },
}

#: Values of settings that do not touch each other.
TUNED: dict[str, Any] = {
    "instance_types": ["small", "m5.large"],
    "stuck_minutes": 10,
    "disk_size_gb": 500,
    "refresh": "2026-11",
    "log_retention_days": 7,
    "retention_days": 10,
    "access_logs": False,
    "tracing": False,
    "public_data": True,
    "secrets": "ssm:/team/prod/",
    "base_digest": "sha256:" + "b" * 64,
}


@pytest.fixture(scope="session")
def context() -> dict[str, Any]:
    """cdk.json's context. The validation report is what the tests look at, not an exception."""
    found: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return {**found, "@aws-cdk/core:failSynthOnValidationErrors": False}


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, context: dict[str, Any]) -> Callable[..., Path]:
    """Synthesise settings once for all processes that test; the others wait, and read what the first has made."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "assemblies"
    shared.mkdir(exist_ok=True)

    def make(assemble: Callable[[Path, dict[str, Any]], None], settings: dict[str, Any]) -> Path:
        named = f"{assemble.__name__} {json.dumps(settings, sort_keys=True)}"
        folder = shared / sha256(named.encode()).hexdigest()[:16]
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "manifest.json").exists():
                assemble(folder, {**context, "fanfold": settings} if settings else context)
        return folder

    return make


@pytest.fixture(scope="session")
def assembly(once: Callable[..., Path]) -> Path:
    """The folder of the default deployment's cloud assembly."""
    return once(_validated, {})


@pytest.fixture(scope="session")
def full_assembly(once: Callable[..., Path]) -> Path:
    """The same with every option that adds resources or permissions."""
    return once(_validated, EVERY_OPTION)


@pytest.fixture(scope="session")
def built_assembly(once: Callable[..., Path]) -> Path:
    """One whose image is built in AWS, for both processors, and whose UDFs may read open data."""
    arm = {"arm": EVERY_OPTION["extra_instance_types"]["arm"]}
    return once(_validated, {"build": "cloud", "public_data": True, "extra_instance_types": arm})


def _validated(folder: Path, context: dict[str, Any]) -> None:
    """Synthesise with cdk-nag's findings and CDK's own in the assembly's report."""
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks

    from infra.deployment import app_of

    app = app_of(context, outdir=str(folder))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


def _plain(folder: Path, context: dict[str, Any]) -> None:
    """Synthesise with no validator at all."""
    from infra.deployment import app_of

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDK_VALIDATION", "false")
        app_of(context, outdir=str(folder)).synth()


@pytest.fixture(scope="session")
def templates(assembly: Path) -> Templates:
    """The default deployment's templates."""
    return Templates(assembly)


@pytest.fixture(scope="session")
def full(full_assembly: Path) -> Templates:
    """The templates of the deployment with every option."""
    return Templates(full_assembly)


@pytest.fixture(scope="session")
def synthesise(once: Callable[..., Path]) -> Synthesise:
    """A function that gives the templates of a deployment with these settings."""
    made: dict[Path, Templates] = {}

    def of(**settings: Any) -> Templates:
        folder = once(_plain, settings)
        if folder not in made:
            made[folder] = Templates(folder)
        return made[folder]

    return of


@pytest.fixture(scope="session")
def tuned(synthesise: Synthesise) -> Templates:
    """One deployment with another value of many settings, each of which is seen in a place of its own."""
    return synthesise(**TUNED)


@pytest.fixture(autouse=True, scope="session")
def no_aws() -> Iterator[None]:
    """Nothing in here may find an account: synthesis needs none."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield
