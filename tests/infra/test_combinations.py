"""Every setting, alone and with others, gives templates; and nobody needs AWS, Docker or a network for it."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Settings
from tests.infra.templates import ROOT, STACKS, STACKS_WITH_MOUNT, Synthesise

_URI = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/fanfold:v1"
_ARM = {"arm": {"host": "m7g.large", "vcpus": 2, "memory_gib": 8, "usd_per_hour": 0.08, "architecture": "arm64"}}

#: A value other than the default for every setting there is.
OTHER: dict[str, Any] = {
    "deployment": "team2",
    "teams": {"geo": {"instance_types": ["small"]}},
    "architecture": "arm64",
    "python_version": "3.14",
    "base_digest": "sha256:" + "c" * 64,
    "image_uri": _URI,
    "image_uri_arm64": _URI,
    "system_packages": ["libgl1"],
    "images": {"batch": {"realtime": False, "base": "team/python:3.12", "architecture": "x86_64"}},
    "build": "cloud",
    "realtime_disk_mib": 512,
    "realtime_reserved_concurrency": 10,
    "account_concurrency": 2000,
    "realtime_functions": 10,
    "tracing": False,
    "instance_types": ["small"],
    "ultramem": True,
    "extra_instance_types": _ARM,
    "spot": True,
    "max_vcpus": 100_000,
    "disk_size_gb": 16_384,
    "keep_warm_minutes": 10_080,
    "stuck_minutes": 1440,
    "vpc_id": "vpc-0a1b2c3d",
    "subnet_ids": ["subnet-0a1b2c3d"],
    "mount": True,
    "read_buckets": ["theirs"],
    "write_buckets": ["ours"],
    "public_data": True,
    "secrets": "ssm:/team/",
    "seal_arguments": True,
    "tags": {"team": "maps"},
    "refresh": "2026-11-28",
    "notify_topics": ["arn:aws:sns:eu-west-1:123456789012:jobs"],
    "kms_keys": ["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    "retention_days": 1,
    "log_retention_days": 731,
    "access_logs": False,
    "alarm_email": "ops@example.com",
    "monthly_budget_usd": 1,
}

#: Settings that make sense together only.
_GO_WITH = {
    "image_uri": ["image_uri_arm64"],
    "image_uri_arm64": ["image_uri"],
    "vpc_id": ["subnet_ids"],
    "subnet_ids": ["vpc_id"],
    "monthly_budget_usd": ["alarm_email"],
}

#: Settings that are chosen by themselves: each but those that only go with another.
_FACTORS = [name for name in OTHER if name not in ("image_uri_arm64", "subnet_ids", "alarm_email")]
_DEPLOYMENTS = 8


def _chosen_together() -> list[tuple[str, ...]]:
    """Eight choices of settings in which any two are at least once both, once only the one and once only the other.

    Each setting is in another five of the eight: two fives of eight meet, and neither is within the other (Kleitman
    and Spencer). Where neither is chosen is the default deployment.
    """
    fives = list(combinations(range(_DEPLOYMENTS), 5))
    chosen = {name: fives[n * len(fives) // len(_FACTORS)] for n, name in enumerate(_FACTORS)}
    return [tuple(name for name in _FACTORS if n in chosen[name]) for n in range(_DEPLOYMENTS)]


#: Pairs that meet in one construct.
MEETING = [
    ("architecture", "build"),
    ("architecture", "extra_instance_types"),
    ("build", "extra_instance_types"),
    ("architecture", "image_uri"),
    ("architecture", "mount"),
    ("extra_instance_types", "image_uri"),
    ("extra_instance_types", "spot"),
    ("mount", "realtime_functions"),
    ("mount", "vpc_id"),
]


def _with_companions(names: tuple[str, ...]) -> dict[str, Any]:
    wanted = {*names, *(other for name in names for other in _GO_WITH.get(name, []))}
    return {name: OTHER[name] for name in sorted(wanted)}


def _stacks(*names: str) -> set[str]:
    return set(STACKS_WITH_MOUNT if "mount" in names else STACKS)


def test_the_table_above_has_every_setting() -> None:
    assert set(OTHER) == set(Settings.model_fields)
    defaults = Settings()
    assert [name for name, value in OTHER.items() if getattr(defaults, name) == value] == []


@pytest.mark.parametrize("names", _chosen_together(), ids=str)
def test_any_two_settings_synthesise_together_and_one_without_the_other(
    synthesise: Synthesise, names: tuple[str, ...]
) -> None:
    assert set(synthesise(**_with_companions(names)).by_stack) == _stacks(*names)


@pytest.mark.long
@pytest.mark.parametrize("name", OTHER)
def test_each_setting_synthesises(synthesise: Synthesise, name: str) -> None:
    assert set(synthesise(**_with_companions((name,))).by_stack) == _stacks(name)


@pytest.mark.long
@pytest.mark.parametrize("pair", MEETING, ids="+".join)
def test_each_pair_of_settings_that_meet_synthesises(synthesise: Synthesise, pair: tuple[str, str]) -> None:
    assert set(synthesise(**_with_companions(pair)).by_stack) == _stacks(*pair)


def test_all_settings_at_once_synthesise_and_stay_below_the_limits(synthesise: Synthesise) -> None:
    everything = {name: value for name, value in OTHER.items() if name != "instance_types"}
    for stack, template in synthesise(**everything).by_stack.items():
        assert len(template["Resources"]) < 450, stack


def test_two_deployments_share_no_name(synthesise: Synthesise) -> None:
    one, other = synthesise(), synthesise(deployment="team2")
    fixed = [
        {
            str(value)
            for resource in templates.resources().values()
            for key, value in resource.get("Properties", {}).items()
            if key.endswith("Name") and isinstance(value, str) and "fanfold" in value
        }
        for templates in (one, other)
    ]
    assert fixed[0]
    assert fixed[0] & fixed[1] == set()


def test_a_plain_python_app_py_synthesises_without_aws_docker_or_a_network(tmp_path: Path) -> None:
    """Every connection is refused, in Python and in Node, and only the interpreter's own folder is on the path."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*_, **__): raise OSError('no network in this test')\n"
        "socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse\n"
    )
    refusal = tmp_path / "refuse.js"
    refusal.write_text("require('net').Socket.prototype.connect = () => { throw new Error('no network') }\n")
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "NODE_OPTIONS": f"--require {refusal}",
        "CDK_OUTDIR": str(tmp_path / "out"),
        # What jsii unpacks once for this user; unpacking it again takes 15 s.
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache"),
    }
    command = [sys.executable, ROOT / "app.py"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "out").glob("*.template.json"))) == len(STACKS)


def test_a_wrong_setting_stops_app_py_with_words_and_no_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "CDK_CONTEXT_JSON": '{"fanfold:spott": "true"}', "CDK_OUTDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, ROOT / "app.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "spott: no such setting; allowed are deployment" in done.stderr
    assert "Traceback" not in done.stderr
