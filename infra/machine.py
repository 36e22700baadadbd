"""How a dedicated machine starts: its disk, and what is set on it before ECS puts a container there."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Tags
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from fanfold.contract import cloud
from infra.settings import Settings

#: The address of EC2's instance metadata, where a machine finds the credentials of its own role.
_METADATA = "169.254.169.254"
_PROGRAM = "/usr/local/bin/fanfold-spot-notice"


def launch_template(scope: Construct, id: str, *, settings: Settings) -> ec2.LaunchTemplate:
    """The template of every machine; Batch adds its own part, which joins the cluster, to the user data."""
    volume = ec2.BlockDeviceVolume.ebs(settings.disk_size_gb, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3)
    template = ec2.LaunchTemplate(
        scope,
        id,
        require_imdsv2=True,
        http_put_response_hop_limit=1,  # stops containers in a network of their own; the user data stops the others
        block_devices=[ec2.BlockDevice(device_name="/dev/xvda", volume=volume)],
        user_data=_user_data(settings),
    )
    Tags.of(template).add("Name", cloud.resource_name(settings.deployment, "machine"))
    return template


def _user_data(settings: Settings) -> ec2.UserData:
    """A script that runs before the ECS agent starts. Batch takes user data in MIME parts only.

    - Batch runs a simple container job in its host's own network, one hop from the metadata, so the hop limit does not
      keep a UDF from the machine's role. The kernel does: root alone, as which ECS runs and no UDF does, gets there.
      https://docs.aws.amazon.com/batch/latest/userguide/networking-modes-jobs.html
    - EC2 says two minutes before that it takes a Spot machine back, in the metadata alone. A program of the host reads
      it there for the container. ECS's own draining puts no other job on that machine, and stops services: no service
      is a job of Batch.
      https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-spot.html
    - Batch takes the newest system image when an update replaces machines, and a new launch template does that: so a
      new value of the setting `refresh` renews the image, and nothing else does.
    """
    script = ec2.UserData.for_linux()
    script.add_commands(
        *([f"# refresh: {settings.refresh}"] if settings.refresh else []),
        f"iptables --insert OUTPUT --destination {_METADATA} --match owner ! --uid-owner 0 --jump REJECT",
        "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config",
        *(_watch_for_notice() if settings.spot else []),
    )
    parts = ec2.MultipartUserData()
    kind = 'text/x-shellscript; charset="us-ascii"'
    parts.add_part(ec2.MultipartBody.from_raw_body(content_type=kind, body=script.render()))
    return parts


def _watch_for_notice() -> list[str]:
    """Start the program that writes EC2's notice down where containers see it; started again should it end."""
    program = Path(__file__).with_name("spot_notice.sh").read_text("utf-8").rstrip()
    return [
        f"cat > {_PROGRAM} << 'END-OF-PROGRAM'\n{program}\nEND-OF-PROGRAM",
        f"systemd-run --unit=fanfold-spot-notice --property=Restart=always /bin/sh {_PROGRAM}",
    ]
