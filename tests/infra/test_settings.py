"""A deployment's settings: frozen, validated, each in the docs' table; a mistake is told in words that help."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import ValidationError

from fanfold.contract.instances import INSTANCE_TYPES
from infra.context import allowed_values, read_settings
from infra.settings import SettingError, Settings
from tests.infra import ec2_hosts
from tests.infra.templates import ROOT


def test_the_defaults_are_a_deployment_called_main_with_every_instance_type() -> None:
    settings = read_settings({})
    assert settings.deployment == "main"
    assert {"small", "medium", "large", "m5.16xlarge", "t3.small", "c2-standard-60"} <= set(settings.offered)


def test_the_command_line_wins_over_cdk_json() -> None:
    settings = read_settings({"fanfold": {"spot": False, "max_vcpus": 512}, "fanfold:spot": "true"})
    assert (settings.spot, settings.max_vcpus) == (True, 512)


def test_a_python_version_on_the_command_line_is_no_number() -> None:
    assert read_settings({"fanfold:python_version": "3.10"}).python_version == "3.10"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("deployment", "deployment"),
        ("deploymnt", "deployment"),
        ("image-uri", "image_uri"),
        ("Fanfold:spot", "spot"),
        ("fanfold.deployment", "deployment"),
        ("fanfold-max-vcpus", "max_vcpus"),
        ("FANFOLD_DEPLOYMENT", "deployment"),
        ("fanfol:spot", "spot"),
    ],
)
def test_a_key_of_the_command_line_that_means_a_setting_is_refused_with_the_right_one(key: str, meant: str) -> None:
    with pytest.raises(SettingError, match=rf"^{re.escape(key)}: .* next: -c fanfold:{meant}=3$"):
        read_settings({key: "3"})


def test_a_key_that_only_begins_as_ours_do_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(SettingError, match=r"fanfold\.zzz: no such setting; allowed are fanfold:deployment, "):
        read_settings({"fanfold.zzz": "3"})


def test_keys_of_cdk_s_own_and_of_others_are_left_alone() -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    others = {"aws:cdk:version-reporting": True, "availability-zones:account=1:region=x": ["a"], "stage": "prod"}
    assert read_settings({**context, **others}) == read_settings(context)


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_settings({}).spot = True  # type: ignore[misc]


def test_a_gpu_and_a_graviton_machine_need_no_code() -> None:
    gpu = {"host": "g5.xlarge", "vcpus": 4, "memory_gib": 16, "usd_per_hour": 1.006, "gpus": 1}
    arm = {"host": "m7g.large", "vcpus": 2, "memory_gib": 8, "usd_per_hour": 0.0816, "architecture": "arm64"}
    offered = read_settings({"fanfold": {"extra_instance_types": {"gpu": gpu, "arm": arm}}}).offered
    assert (offered["gpu"].host.gpus, offered["arm"].host.architecture) == (1, "arm64")


_MACHINE = {"host": "m6i.large", "vcpus": 2, "memory_gib": 8, "usd_per_hour": 0.1}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"spott": True}, ["spott", "no such setting", "spot, max_vcpus"]),
        ({"spot": "yes"}, ["spot", "'yes'", "true, false"]),
        ({"max_vcpus": 32}, ["max_vcpus", "32", "64 and more"]),
        ({"max_vcpus": 64, "ultramem": True}, ["max_vcpus", "64", "128 and more"]),
        ({"realtime_disk_mib": 100}, ["realtime_disk_mib", "100", "512 to 10240"]),
        ({"log_retention_days": 2}, ["log_retention_days", "2", "1, 3, 5, 7"]),
        ({"architecture": "riscv"}, ["architecture", "riscv", "x86_64, arm64"]),
        ({"deployment": "my-team"}, ["deployment", "my-team", "[a-z]"]),
        ({"keep_warm_minutes": 5}, ["keep_warm_minutes", "0, or 20 to 10080"]),
        ({"instance_types": ["smal"]}, ["instance_types", "smal", "small, medium, large"]),
        ({"instance_types": []}, ["instance_types", "leave it out"]),
        ({"vpc_id": "vpc-0a1b2c3d"}, ["subnet_ids", "vpc_id"]),
        ({"monthly_budget_usd": 100}, ["monthly_budget_usd", "alarm_email"]),
        ({"image_uri": "python:3.12"}, ["image_uri", "python:3.12", ".dkr.ecr."]),
        ({"subnet_ids": ["subnet-0a"], "vpc_id": "vpc-0a1b2c3d"}, ["subnet_ids.0", "subnet-0a"]),
        ({"teams": {"main": {}}}, ["teams.main", "of its own"]),
        ({"teams": {"geo": {"deployment": "x"}}}, ["teams.geo.deployment", "leave it out"]),
        ({"teams": {"geo": {"spott": True}}}, ["teams", "spott"]),
        ({"teams": {name: {} for name in ("a", "b", "c")}}, ["teams", "60 hosts", "instance_types"]),
        ({"teams": {"geo": {"secrets": "secretsmanager:fanfold/"}}}, ["teams", "share secrets", "prefix of its own"]),
        ({"read_buckets": ["a..b"]}, ["read_buckets.0", "a..b"]),
        ({"write_buckets": ["192.168.5.4"]}, ["192.168.5.4", "IP address"]),
        ({"tags": {"aws:mine": "x"}}, ["tags", "aws:mine"]),
        ({"tags": {"fanfold:deployment": "x"}}, ["tags", "fanfold:deployment", "permissions"]),
        ({"tags": {f"k{n}": "x" for n in range(46)}}, ["tags", "46", "up to 45"]),
        ({"tags": {"Team": "x", "team": "y"}}, ["tags", "Team and team", "IAM"]),
        ({"vpc_id": "vpc-0a1b2c3d", "subnet_ids": ["subnet-0a1b2c3d"] * 2}, ["subnet_ids", "twice"]),
        (
            {"vpc_id": "vpc-0a1b2c3d", "subnet_ids": [f"subnet-0a1b2c{n}" for n in range(10, 27)]},
            ["subnet_ids", "17", "up to 16"],
        ),
        ({"read_buckets": ["scenes-s3alias"]}, ["scenes-s3alias", "--x-s3"]),
        ({"write_buckets": ["xn--scenes"]}, ["xn--scenes", "general purpose"]),
        ({"read_buckets": [f"scenes-of-{n:03}" for n in range(200)]}, ["200 names", "data role"]),
        ({"secrets": "ssm:/aws/keys/"}, ["secrets", "ssm:/aws/keys/", "SSM takes no name"]),
        ({"alarm_email": "me@example..com"}, ["alarm_email", "me@example..com"]),
        ({"realtime_reserved_concurrency": 5, "realtime_functions": 10}, ["5 is less", "10 and more"]),
        ({"extra_instance_types": {"my.one": _MACHINE, "my-one": _MACHINE}}, ["fanfold-main-my-one", "another name"]),
        ({"extra_instance_types": {"t3-micro": _MACHINE}}, ["fanfold-main-t3-micro", "another name"]),
        (
            {"images": {"geo": {}}, "extra_instance_types": {"image-geo-small": _MACHINE}},
            ["fanfold-main-image-geo-small", "another name"],
        ),
        ({"extra_instance_types": {"mine": {**_MACHINE, "memory_gib": 0.1}}}, ["mine.memory_gib", "0.5"]),
        (
            {"spot": True, "extra_instance_types": {"mine": {**_MACHINE, "host": "hpc7a.12xlarge"}}},
            ["no Spot machines of hpc7a.12xlarge", "leave `spot` out"],
        ),
        ({"read_buckets": ["Not_A_Bucket"]}, ["read_buckets.0", "Not_A_Bucket"]),
        ({"images": {"Geo": {}}}, ["images.Geo", "[a-z]"]),
        ({"images": {"default": {}}}, ["images.default", "another name"]),
        ({"images": {"geo": {"wheels": []}}}, ["images.geo.wheels", "no such setting", "requirements"]),
        ({"images": {"geo": {"requirements": "/etc/x.txt"}}}, ["images.geo.requirements", "runtime/images/"]),
        ({"images": {"geo": {"system_packages": ["a b"]}}}, ["images.geo.system_packages.0", "a b"]),
        ({"images": {"geo": {"instance_types": ["smal"]}}}, ["images.geo.instance_types", "smal", "small, medium"]),
        ({"images": {"geo": {"realtime": False, "architecture": "arm64"}}}, ["images.geo", "nothing runs it", "arm64"]),
        (
            {"images": {"geo": {"architecture": "arm64", "instance_types": ["small"]}}},
            ["images.geo.instance_types", "small", "another processor", "arm64"],
        ),
        (
            {"images": {"geo": {"image_uri": f"{'1' * 12}.dkr.ecr.x-1.amazonaws.com/a:b", "base": "a:b"}}},
            ["images.geo.image_uri", "no base"],
        ),
        ({"images": {f"i{n}": {} for n in range(12)}}, ["images", "job definitions", "300"]),
        ({"extra_instance_types": {"small": {}}}, ["extra_instance_types.small.host", "required"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(wrong: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingError) as caught:
        read_settings({"fanfold": wrong})
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("wrong", [["spot"], "spot", 1, None, "[true]"])
def test_what_is_no_object_of_settings_is_said_to_be_none(wrong: object) -> None:
    with pytest.raises(SettingError, match=r'fanfold: an object of settings is wanted, such as \{"spot": true\}'):
        read_settings({"fanfold": wrong})


def test_all_settings_can_come_as_one_text_from_the_command_line() -> None:
    assert read_settings({"fanfold": '{"spot": true}'}).spot is True


def test_machines_that_not_every_region_has_are_offered_on_request_alone() -> None:
    """Batch refuses a machine that the region does not have, and CloudFormation the stack with it."""
    asked = {name for name in INSTANCE_TYPES if name.startswith(("m3-ultramem", "x2idn"))}
    assert set(Settings().offered) == set(INSTANCE_TYPES) - asked
    assert set(Settings(ultramem=True).offered) == set(INSTANCE_TYPES)
    assert set(Settings(instance_types=["small"], ultramem=True).offered) == {"small", *asked}
    assert set(Settings(instance_types=["m3-ultramem-32"]).offered) == {"m3-ultramem-32"}


def _extra(**changes: object) -> dict[str, object]:
    machine = {"host": "g5.xlarge", "vcpus": 2, "memory_gib": 2, "usd_per_hour": 1.006}
    return {"extra_instance_types": {"mine": {**machine, **changes}}}


def test_the_t_family_is_refused_as_batch_would() -> None:
    with pytest.raises(SettingError, match=r"t family \(t4g.small\)"):
        read_settings({"fanfold": _extra(host="t4g.small", vcpus=2)})


@pytest.mark.parametrize(
    ("host", "more", "words"),
    [
        ("m6g.large", {}, 'm6g.large has an arm64 processor; write "architecture": "arm64"'),
        ("c7gn.large", {}, "c7gn.large has an arm64 processor"),
        ("is4gen.large", {}, "is4gen.large has an arm64 processor"),
        ("m6i.large", {"architecture": "arm64"}, 'm6i.large has an x86_64 processor; write "architecture": "x86_64"'),
        ("m5zn.large", {"architecture": "arm64"}, "m5zn.large has an x86_64 processor"),
        ("g4dn.xlarge", {}, 'g4dn.xlarge has GPUs that UDFs would not see; write "gpus"'),
        ("gr6.4xlarge", {}, "gr6.4xlarge has GPUs"),
        ("m6i.large", {"gpus": 1}, 'm6i.large has no GPU; leave "gpus" out'),
        ("p3.2xlarge", {"gpus": 1}, "does not support p3.2xlarge"),
        ("g3s.xlarge", {"gpus": 1}, "does not support g3s.xlarge"),
        ("g4ad.xlarge", {"gpus": 1}, "AMD GPU of g4ad.xlarge"),
        ("g5g.xlarge", {"gpus": 1, "architecture": "arm64"}, "does not run on Graviton (g5g.xlarge)"),
        ("a1.large", {"architecture": "arm64"}, "does not support a1.large"),
        ("inf2.xlarge", {}, "accelerators that Fanfold's image cannot use"),
        ("mac2.metal", {}, "Batch refuses the mac family"),
        ("zz9.large", {}, "EC2 has no instance type zz9.large that Fanfold knows of"),
        ("m6i.lage", {}, "(m6i.large"),
        ("zz9.large", {}, 'where AWS has brought it out since, write "newer": true'),
        ("t9.large", {"newer": True}, "Batch refuses the t family"),
        ("m6i.large", {"vcpus": 64}, 'm6i.large has 2, which no job may exceed; write "vcpus": 2'),
        ("m6i.large", {"memory_gib": 16}, 'm6i.large has 8, which no job may exceed; write "memory_gib": 8'),
        ("g5.xlarge", {"gpus": 4}, 'g5.xlarge has 1, which no job may exceed; write "gpus": 1'),
    ],
)
def test_a_host_on_which_no_run_could_start_is_refused(host: str, more: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=re.escape(words)):
        read_settings({"fanfold": _extra(host=host, **more)})


@pytest.mark.parametrize(
    ("host", "more"),
    [
        ("g6e.xlarge", {"gpus": 1}),
        ("p5en.48xlarge", {"gpus": 8}),
        ("m7gd.large", {"architecture": "arm64"}),
        ("x2iedn.xlarge", {}),
        ("u-6tb1.56xlarge", {}),
        ("hpc7g.4xlarge", {"architecture": "arm64"}),
        ("i3.metal", {"vcpus": 72}),  # EC2 has it, and says nothing more of it here
        ("m99i.large", {"newer": True}),
        ("m99g.large", {"newer": True, "architecture": "arm64"}),
    ],
)
def test_any_other_host_is_taken(host: str, more: dict[str, object]) -> None:
    assert read_settings({"fanfold": _extra(host=host, **more)}).offered["mine"].host.name == host


def test_more_hosts_than_a_region_has_queues_are_refused() -> None:
    names = [name for name in ec2_hosts.names() if re.match(r"[cm][56]i?d?\.", name)][:50]
    hosts = {f"m{n}": {"host": host, "vcpus": 2, "memory_gib": 4, "usd_per_hour": 0.1} for n, host in enumerate(names)}
    with pytest.raises(SettingError, match="different hosts want a queue each, and a region has 50"):
        read_settings({"fanfold": {"extra_instance_types": hosts}})


def test_a_share_must_leave_other_functions_what_lambda_keeps_for_them() -> None:
    with pytest.raises(SettingError, match="901 of 1000 leaves less than the 100"):
        read_settings({"fanfold": {"realtime_reserved_concurrency": 901}})
    raised = {"realtime_reserved_concurrency": 901, "account_concurrency": 3000}
    assert read_settings({"fanfold": raised}).realtime_reserved_concurrency == 901


def test_every_instance_type_that_ec2_has_is_known() -> None:
    table = (ROOT / "infra" / "ec2_hosts.txt").read_text("utf-8").splitlines()
    assert table == ec2_hosts.lines(), "make it anew: python -m tests.infra.ec2_hosts > infra/ec2_hosts.txt"


def test_fractions_can_come_from_the_command_line_as_well() -> None:
    given = json.dumps(_extra(host="m6i.large", memory_gib=7.5))
    assert read_settings({"fanfold": given}).offered["mine"].host.usd_per_hour == 1.006


def test_an_unknown_field_of_a_machine_is_named() -> None:
    with pytest.raises(SettingError, match=r"mine\.gpu: no such setting; allowed are host, vcpus"):
        read_settings({"fanfold": _extra(gpu=1)})


def test_an_image_of_your_own_must_exist_for_every_processor() -> None:
    uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/fanfold:1"
    with pytest.raises(SettingError, match="image_uri_arm64: this deployment also runs on arm64"):
        read_settings({"fanfold": {"image_uri": uri, "architecture": "arm64"}})


def test_every_setting_says_what_it_is_for_and_what_it_takes() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert allowed_values(name), name
