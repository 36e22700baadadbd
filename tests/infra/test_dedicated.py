"""Machines: one job to a host, none at rest, and a container that asks for what its host really has."""

from __future__ import annotations

import subprocess
from base64 import b64decode
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from fanfold.contract import cloud
from fanfold.contract.instances import INSTANCE_TYPES, container_memory_mib
from infra.recipe import DOCKERFILE
from tests.infra.templates import Templates


def test_there_is_a_lane_for_every_instance_type_there_is(full: Templates) -> None:
    assert set(full.lanes()) == {*INSTANCE_TYPES, "gpu", "arm"}
    assert set(full.environments()) == {*(it.host.name for it in INSTANCE_TYPES.values()), "g5.xlarge", "m7g.large"}
    queues = {queue["JobQueueName"] for queue in full.properties("AWS::Batch::JobQueue")}
    assert len(queues) == len(full.environments())


def test_a_region_s_50_queues_and_environments_hold_a_second_deployment(templates: Templates) -> None:
    assert len(templates.environments()) <= 25


def test_nothing_runs_at_rest(templates: Templates) -> None:
    for environment in templates.environments().values():
        assert environment["ComputeResources"]["MinvCpus"] == 0


@pytest.mark.parametrize("name", INSTANCE_TYPES)
def test_a_job_fills_its_host_and_asks_for_no_more_memory_than_it_has(full: Templates, name: str) -> None:
    it, lane = INSTANCE_TYPES[name], full.lanes()[name]
    assert lane["needs"] == {"VCPU": it.host.vcpus, "MEMORY": container_memory_mib(it)}
    assert lane["needs"]["MEMORY"] <= it.host.memory_gib * 1024 * 0.93
    assert lane["PlatformCapabilities"] == ["EC2"]


def test_a_container_runs_the_batch_worker(templates: Templates) -> None:
    for lane in templates.lanes().values():
        assert lane["ContainerProperties"]["Command"] == ["python", "-m", "fanfold_runtime.batch"]
        assert "Timeout" not in lane  # no time limit


def test_a_container_knows_its_region_of_which_batch_tells_nothing(templates: Templates) -> None:
    for lane in templates.lanes().values():
        assert lane["environment"]["AWS_REGION"] == lane["environment"]["AWS_DEFAULT_REGION"] == "eu-west-1"


def test_a_lost_host_is_tried_again_and_a_failed_run_is_not(templates: Templates) -> None:
    for lane in templates.lanes().values():
        rules = lane["RetryStrategy"]["EvaluateOnExit"]
        assert rules[0] == {"OnStatusReason": "Host EC2*", "Action": "RETRY"}
        assert {"OnExitCode": str(cloud.EXIT_GIVEN_BACK), "Action": "RETRY"} in rules
        assert rules[-1] == {"OnReason": "*", "Action": "EXIT"}


def _fits(said: str, pattern: str) -> bool:
    return said.startswith(pattern[:-1]) if pattern.endswith("*") else said == pattern


def _decided(rules: list[dict[str, str]], **ended: str) -> str:
    """What Batch does after an attempt: the first rule whose patterns all fit, a star at the end standing for any.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
    """
    for rule in rules:
        patterns = {name: pattern for name, pattern in rule.items() if name != "Action"}
        if all(_fits(ended.get(name, ""), pattern) for name, pattern in patterns.items()):
            return rule["Action"]
    return "RETRY"


@pytest.mark.parametrize(
    ("ended", "action"),
    [
        ({"OnStatusReason": "Host EC2 (instance i-1) terminated."}, "RETRY"),
        ({"OnStatusReason": "Task failed to start", "OnReason": "CannotPullContainerError: pull image"}, "RETRY"),
        ({"OnReason": "CannotStartContainerError: Error response from daemon"}, "RETRY"),
        ({"OnReason": "CannotCreateContainerError: Error: layer does not exist"}, "RETRY"),
        ({"OnReason": "DockerTimeoutError: Could not transition to created"}, "RETRY"),
        ({"OnStatusReason": "Essential container in task exited", "OnExitCode": str(cloud.EXIT_GIVEN_BACK)}, "RETRY"),
        ({"OnStatusReason": "Essential container in task exited", "OnExitCode": "1"}, "EXIT"),
        ({"OnReason": "OutOfMemoryError: Container killed due to memory usage", "OnExitCode": "137"}, "EXIT"),
        ({"OnStatusReason": "The job was cancelled."}, "EXIT"),
    ],
)
def test_what_a_further_attempt_can_help_gets_one(templates: Templates, ended: dict[str, str], action: str) -> None:
    for lane in templates.lanes().values():
        rules = lane["RetryStrategy"]["EvaluateOnExit"]
        assert _decided(rules, **ended) == action
        assert len(rules) <= 5
        assert not [text for rule in rules for text in rule.values() if "*" in text[:-1]]


def test_a_job_that_can_never_be_placed_is_given_up(tuned: Templates) -> None:
    for queue in tuned.properties("AWS::Batch::JobQueue"):
        actions = queue["JobStateTimeLimitActions"]
        assert {action["Reason"] for action in actions} == {
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
        }
        assert {(action["State"], action["Action"], action["MaxTimeSeconds"]) for action in actions} == {
            ("RUNNABLE", "CANCEL", 600)
        }


def test_root_disks_are_encrypted_gp3_of_the_size_asked_for(tuned: Templates) -> None:
    (mapping,) = tuned.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["BlockDeviceMappings"]
    assert mapping["DeviceName"] == "/dev/xvda"
    assert mapping["Ebs"] == {"Encrypted": True, "VolumeSize": 500, "VolumeType": "gp3"}


def _machine(templates: Templates) -> dict[str, Any]:
    data: dict[str, Any] = templates.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    return data


def _start_script(templates: Templates) -> list[str]:
    """The lines that a machine runs as it starts, before ECS does: Batch takes them as a MIME part only."""
    message = message_from_bytes(b64decode(_machine(templates)["UserData"]))
    assert message.get_content_type() == "multipart/mixed"
    (part,) = message.get_payload()
    assert part.get_content_type() == "text/x-shellscript"
    script = part.get_payload()
    assert script.startswith("#!")
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=True).returncode == 0
    return script.splitlines()


def test_a_container_in_its_host_s_network_cannot_reach_the_machine_s_credentials(templates: Templates) -> None:
    """Batch's simple container jobs are one hop from the metadata, so that the hop limit alone stops nothing."""
    assert _machine(templates)["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    (rule,) = (line for line in _start_script(templates) if "169.254.169.254" in line)
    assert rule.startswith("iptables --insert OUTPUT ")
    assert rule.endswith(" --match owner ! --uid-owner 0 --jump REJECT")
    assert "USER 1000" in DOCKERFILE.read_text().splitlines()


def test_a_spot_machine_tells_its_containers_before_it_goes(full: Templates) -> None:
    """The program that reads EC2's notice runs on the host, as root; containers see the folder that it writes to."""
    script = _start_script(full)
    assert "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config" in script
    [start] = [line for line in script if line.startswith("systemd-run")]
    program = start.rpartition(" ")[2]
    begin = script.index(f"cat > {program} << 'END-OF-PROGRAM'") + 1
    written = script[begin : script.index("END-OF-PROGRAM")]
    assert written == DOCKERFILE.parents[1].joinpath("infra", "spot_notice.sh").read_text().splitlines()
    [place] = [line.partition("=")[2] for line in written if line.startswith("place=")]
    for lane in full.lanes().values():
        container = lane["ContainerProperties"]
        [mounted] = [one for one in container["MountPoints"] if one["SourceVolume"] == "spot-notice"]
        [volume] = [one for one in container["Volumes"] if one["Name"] == "spot-notice"]
        assert f"${{2:-{volume['Host']['SourcePath']}}}" == place
        assert mounted["ReadOnly"]
        assert lane["environment"][cloud.ENV_SPOT_NOTICE] == f"{mounted['ContainerPath']}/instance-action"


def test_spot_is_a_setting(templates: Templates, full: Templates) -> None:
    def kinds(of: Templates) -> set[tuple[str, str]]:
        found = [environment["ComputeResources"] for environment in of.environments().values()]
        return {(each["Type"], each["AllocationStrategy"]) for each in found}

    assert kinds(templates) == {("EC2", "BEST_FIT_PROGRESSIVE")}
    assert kinds(full) == {("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED")}


def test_a_gpu_machine_gets_its_gpu_and_the_image_with_drivers(full: Templates) -> None:
    assert full.lanes()["gpu"]["needs"]["GPU"] == 1
    gpu = full.environments()["g5.xlarge"]["ComputeResources"]
    assert gpu["Ec2Configuration"] == [{"ImageType": "ECS_AL2023_NVIDIA"}]


def test_a_graviton_machine_gets_an_image_of_its_own(full: Templates) -> None:
    images = {name: lane["ContainerProperties"]["Image"] for name, lane in full.lanes().items()}
    assert images["arm"] != images["small"]
    assert images["gpu"] == images["small"]


def test_only_the_instance_types_asked_for_are_offered(tuned: Templates) -> None:
    assert set(tuned.lanes()) == {"small", "m5.large"}


def test_an_idle_machine_can_be_kept_for_the_next_job(templates: Templates, full: Templates) -> None:
    def minutes(of: Templates) -> set[int]:
        resources = [environment["ComputeResources"] for environment in of.environments().values()]
        return {each["ScalingPolicy"]["MinScaleDownDelayMinutes"] for each in resources}

    assert (minutes(templates), minutes(full)) == ({0}, {30})


def test_half_of_a_container_s_memory_may_be_shared_memory(templates: Templates) -> None:
    """Docker's own 64 MB end a DataLoader, a SharedMemory and a pool of processes that pass as much locally."""
    for definition in templates.properties("AWS::Batch::JobDefinition"):
        container = definition["ContainerProperties"]
        (memory,) = (int(it["Value"]) for it in container["ResourceRequirements"] if it["Type"] == "MEMORY")
        assert container["LinuxParameters"] == {"SharedMemorySize": memory // 2, "InitProcessEnabled": True}


def test_a_deploy_ends_no_job_that_runs_for_less_than_the_five_days_that_batch_can_wait(templates: Templates) -> None:
    policies = [it["UpdatePolicy"] for it in templates.properties("AWS::Batch::ComputeEnvironment")]
    assert {policy["JobExecutionTimeoutMinutes"] for policy in policies} == {7200}
    manual = Path(__file__).parents[2] / "docs" / "settings.md"
    assert "go on to their end (for five days at most)" in manual.read_text(encoding="utf-8")
    assert {policy["TerminateJobsOnUpdate"] for policy in policies} == {False}


def test_a_new_value_of_refresh_renews_the_machines_image(templates: Templates, tuned: Templates) -> None:
    """Batch takes the newest image when machines are replaced, and a new template replaces them."""
    assert "# refresh: 2026-11" in _start_script(tuned)
    assert not [line for line in _start_script(templates) if "refresh" in line]
