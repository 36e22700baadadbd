"""What can be chosen about a deployment: one frozen, validated object."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fanfold.contract.cloud import definition_name
from fanfold.contract.instances import INSTANCE_TYPES, Host, InstanceType
from fanfold.contract.layout import REALTIME_DISK_MIB
from infra.hosts import refusals

Architecture = Literal["x86_64", "arm64"]
#: CloudWatch Logs keeps for these numbers of days only.
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731]

#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; a name like an address is refused too.
_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_BUCKET = rf"^{_LABEL}(?:\.{_LABEL})*$"
BucketName = Annotated[str, Field(pattern=_BUCKET, min_length=3, max_length=63)]
#: 8 hexadecimal digits in old accounts, 17 since 2016.
_ID = "[0-9a-f]{8}(?:[0-9a-f]{9})?"
TopicArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]+$")]
KeyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[\w-]+$")]
#: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
TagKey = Annotated[str, Field(pattern=r"^[\w .:/=+@-]+$", max_length=128)]
TagValue = Annotated[str, Field(pattern=r"^[\w .:/=+@-]*$", max_length=256)]
MachineName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$")]
#: A private ECR repository, with a tag or a digest: Lambda takes no other.
ImageUri = Annotated[
    str,
    Field(
        pattern=r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})$"
    ),
]


#: Batch refuses a machine that the region does not have, and with it the whole stack. Every region has c5, m5 and r5; a
#: new account may start no X machine at all until its quota is raised, so that nobody misses these who has not asked.
_ULTRAMEM = [name for name, it in INSTANCE_TYPES.items() if it.host.name.startswith("x2idn.")]
_EVERYWHERE = [name for name in INSTANCE_TYPES if name not in _ULTRAMEM]


#: A package of Debian's, as its policy has names (https://www.debian.org/doc/debian-policy/ch-controlfields.html#source).
SystemPackage = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$", max_length=80)]
#: Not `default`, which is the one without a name; it is part of names of functions and job definitions.
ImageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,19}$")]
#: The name of the team's deployment.
TeamName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,19}$")]
#: As `FROM` of a Dockerfile takes it.
BaseImage = Annotated[str, Field(pattern=r"^[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?$", max_length=255)]
PythonVersion = Literal["3.10", "3.11", "3.12", "3.13", "3.14"]

#: Of the 500 resources of a stack, without those that each deployment has beside its job definitions.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
_DEFINITIONS = 300
#: Of the 50 tags of a resource, without Fanfold's own and those of the CDK.
#: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
_TAGS = 45
#: Of a compute environment (API, ComputeResource.subnets), and of a function's VPC.
_SUBNETS = 16
#: What S3 keeps for names of its own: those of access points, of directory and table buckets, and of examples
#: (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
_RESERVED_BEGINNINGS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
#: Characters of one statement about buckets, so that it fits into a policy (6,144, IAM), and what each name takes more.
_STATEMENT, _ARN = 5_500, len('"arn:aws-us-gov:s3:::/*",')
#: Job queues and compute environments in a region, https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html
_QUEUES = 50
#: What Lambda keeps for functions without a share of their own (API, PutFunctionConcurrency).
_LEFT_UNRESERVED = 100


class SettingError(ValueError):
    """A setting is unknown or its value is not allowed; names it and what is allowed."""


class ExtraInstanceType(BaseModel):
    """An instance type that is added without code: its host as EC2 names it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    host: str = Field(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")
    vcpus: int = Field(ge=1)
    memory_gib: float = Field(ge=0.5, strict=False)  # read as text, as a version is
    usd_per_hour: float = Field(ge=0, strict=False)
    architecture: Architecture = "x86_64"
    gpus: int = Field(default=0, ge=0)
    newer: bool = False

    def named(self, name: str) -> InstanceType:
        """The same, in the words of the contract."""
        host = Host(self.host, self.vcpus, self.memory_gib, self.usd_per_hour, self.architecture, self.gpus)
        return InstanceType(name, self.vcpus, self.memory_gib, host)


class OwnImage(BaseModel):
    """An image beside the default one, which a UDF chooses by `image=`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    requirements: str | None = Field(
        default=None,
        pattern=r"^runtime/images/[\w.-]+\.txt$",
        description="A file of Python packages, such as `runtime/images/gpu.txt`; none: those of the default image.",
    )
    system_packages: list[SystemPackage] = Field(default=[], description="Debian packages, by `apt-get`.")
    base: BaseImage | None = Field(
        default=None, description="Another base, which has `apt-get` and `python` of the version; none: the default's."
    )
    python_version: PythonVersion | None = Field(default=None, description="None: the deployment's.")
    architecture: Architecture | None = Field(default=None, description="Its processor; none: the deployment's.")
    realtime: bool = Field(default=True, description="False: for machines alone, with no function of its own.")
    instance_types: list[str] | None = Field(
        default=None, description="The machines it is for; none: all of its processor, `[]`: the function alone."
    )
    image_uri: ImageUri | None = Field(default=None, description="One that is in ECR already, built like the default.")


class Settings(BaseModel):
    """Every choice, its default and its bounds. The docs' table is made from this."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    deployment: str = Field(
        default="main", pattern=r"^[a-z][a-z0-9]{0,19}$", description="The name users find this deployment by."
    )
    architecture: Architecture = Field(
        default="x86_64", description="Processor of the realtime function; arm64 costs 20% less."
    )
    python_version: PythonVersion = Field(
        default="3.12", description="Python in the image. Clients may run another: code travels as source."
    )
    base_digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Build on just this `python:<python_version>-slim-bookworm`; none: what the tag names that day.",
    )
    image_uri: ImageUri | None = Field(
        default=None, description="An x86_64 image that is in ECR already, so that a deploy needs no Docker."
    )
    image_uri_arm64: ImageUri | None = Field(default=None, description="The same for arm64.")

    system_packages: list[SystemPackage] = Field(
        default=[], description="More Debian packages in the image, such as `libgl1`."
    )
    images: dict[ImageName, OwnImage] = Field(
        default={}, description="Images beside the default one, by the name that `@udf(image=...)` chooses them by."
    )

    build: Literal["docker", "cloud"] = Field(
        default="docker", description="Where the image is built: by Docker here, or by CodeBuild in your account."
    )

    secrets: str | None = Field(
        default=None,
        pattern=r"^(secretsmanager:[\w/+=.@-]+/|ssm:/[\w./-]+/)$",
        description="The prefix below which UDFs may read secrets; none: `secretsmanager:fanfold/<deployment>/`.",
    )

    teams: dict[TeamName, dict[str, Any]] = Field(
        default={},
        description="Teams that share nothing, each with a deployment of its own beside this one, by its name.",
    )

    seal_arguments: bool = Field(
        default=False, description="Take secret arguments (`SecretStr`), sealed by a key of KMS of its own, $1 a month."
    )

    realtime_disk_mib: int = Field(
        default=REALTIME_DISK_MIB,
        ge=512,
        le=10240,
        description="Scratch disk of one realtime environment, in MiB; 512 are free.",
    )
    realtime_reserved_concurrency: int | None = Field(
        default=None,
        ge=1,
        description="Most realtime runs at once, taken from the account's limit; none: share it. 100 must be left.",
    )
    account_concurrency: int = Field(
        default=1000, ge=10, description="The account's limit of concurrent functions, if AWS has raised yours."
    )
    realtime_functions: int = Field(
        default=1, ge=1, le=10, description="Clones of the realtime function; each adds 1,000 environments per 10 s."
    )

    tracing: bool = Field(
        default=True, description="X-Ray traces of realtime runs and of the state machines: $5 per million recorded."
    )

    instance_types: list[str] | None = Field(
        default=None, description="Instance types to offer to dedicated runs; none: all but what `ultramem` adds."
    )
    ultramem: bool = Field(
        default=False, description="Offer m3-ultramem-* and x2idn.*, up to 2 TiB, which not every region has."
    )
    extra_instance_types: dict[MachineName, ExtraInstanceType] = Field(
        default={},
        description="More instance types, GPU and Graviton too: name to host, vcpus, memory_gib, usd_per_hour.",
    )
    spot: bool = Field(default=False, description="Spot machines: a third of the price, interruptions are retried.")
    max_vcpus: int = Field(
        default=256, ge=2, le=100_000, description="Most vCPUs at once per kind of machine; at rest there are none."
    )
    disk_size_gb: int = Field(
        default=100, ge=30, le=16_384, description="Root volume of a dedicated machine, in GiB (encrypted gp3)."
    )
    keep_warm_minutes: int = Field(
        default=0, ge=0, le=10_080, description="Keep an idle machine for the next job; 0, or 20 and more. It costs."
    )
    stuck_minutes: int = Field(
        default=60, ge=10, le=1440, description="Give up on a job that can never be placed after this many minutes."
    )

    vpc_id: str | None = Field(default=None, pattern=f"^vpc-{_ID}$", description="Your own VPC; none: a new one.")
    subnet_ids: list[Annotated[str, Field(pattern=f"^subnet-{_ID}$")]] = Field(
        default=[], description="Subnets of your VPC for machines, with a way to AWS's APIs; with `mount` one a zone."
    )
    mount: bool = Field(default=False, description="One shared file system (EFS) at /mnt/shared for every run.")

    read_buckets: list[BucketName] = Field(default=[], description="More buckets that UDFs may read.")
    write_buckets: list[BucketName] = Field(default=[], description="More buckets that UDFs may read and write.")

    public_data: bool = Field(
        default=False,
        description="UDFs may read any open bucket of S3; so data can leave in their requests.",
    )

    kms_keys: list[KeyArn] = Field(default=[], description="KMS keys that those buckets are encrypted with.")

    tags: dict[TagKey, TagValue] = Field(
        default={}, description="Tags for everything that takes any, besides `fanfold:deployment`."
    )
    refresh: str = Field(
        default="",
        pattern=r"^[\w.-]{0,40}$",
        description="Any new value, such as today's date, renews the machines' system image with the next deploy.",
    )

    retention_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Jobs are kept so many days from when anything of them last ran; results as long again, for jobs "
        "that reuse them.",
    )
    log_retention_days: LogDays = Field(default=30, description="Days that CloudWatch keeps AWS's own logs.")
    access_logs: bool = Field(default=True, description="Keep the bucket's access logs, in a bucket of their own.")

    alarm_email: str | None = Field(
        default=None, pattern=r"^[^@\s]+@[\w-]+(\.[\w-]+)+$", description="Who gets mail about alarms and the budget."
    )
    monthly_budget_usd: int | None = Field(
        default=None, ge=1, description="Tell `alarm_email` at 80% and 100% of this, and when it is forecast."
    )
    notify_topics: list[TopicArn] = Field(
        default=[],
        max_length=8,
        description="SNS topics that `submit(notify=...)` may name, beside any https:// address.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        for complaint in _complaints(self):
            raise ValueError(complaint)
        return self

    @property
    def offered(self) -> dict[str, InstanceType]:
        """Every instance type of this deployment, by name."""
        named = _EVERYWHERE if self.instance_types is None else self.instance_types
        known = {name: INSTANCE_TYPES[name] for name in (*named, *(_ULTRAMEM if self.ultramem else ()))}
        return {**known, **{name: extra.named(name) for name, extra in self.extra_instance_types.items()}}

    @property
    def secrets_place(self) -> str:
        """Where UDFs' secrets are: the service, and the prefix of their names."""
        return self.secrets or f"secretsmanager:fanfold/{self.deployment}/"

    def of_teams(self) -> list[Settings]:
        """The settings of each team's deployment: these, but for its name and what is said of the team."""
        mine = {name: getattr(self, name) for name in self.model_fields_set - {"teams", "secrets"}}
        return [Settings(**{**mine, **own, "deployment": team}) for team, own in self.teams.items()]

    def architecture_of(self, image: OwnImage) -> Architecture:
        """The processor of an image that has a name."""
        return image.architecture or self.architecture

    def offered_with(self, image: OwnImage) -> dict[str, InstanceType]:
        """Every instance type that runs an image which has a name."""
        named = self.offered if image.instance_types is None else image.instance_types
        mine = self.architecture_of(image)
        return {name: self.offered[name] for name in named if self.offered[name].host.architecture == mine}

    def image_uri_for(self, architecture: str) -> str | None:
        """The image in ECR for this processor, where one is given."""
        return self.image_uri_arm64 if architecture == "arm64" else self.image_uri


def _complaints(settings: Settings) -> list[str]:
    """What no single field can say; empty where the settings fit together."""
    if unknown := sorted(set(settings.instance_types or ()) - set(INSTANCE_TYPES)):
        return [f"instance_types: unknown {', '.join(unknown)}; allowed are {', '.join(INSTANCE_TYPES)}"]
    found = []
    if settings.instance_types == [] and not settings.extra_instance_types:
        found.append("instance_types: an empty list offers no machine; leave it out for all of them")
    if clash := sorted(set(settings.extra_instance_types) & set(INSTANCE_TYPES)):
        found.append(f"extra_instance_types: {', '.join(clash)} is known already; choose another name")
    found += _host_complaints(settings)
    largest = max((host.vcpus for host in _hosts(settings)), default=0)
    if settings.max_vcpus < largest:
        found.append(f"max_vcpus: {settings.max_vcpus} is less than the largest host has; allowed: {largest} and more")
    if 0 < settings.keep_warm_minutes < 20:
        found.append("keep_warm_minutes: Batch takes 0, or 20 to 10080")
    if settings.monthly_budget_usd and not settings.alarm_email:
        found.append("monthly_budget_usd: a budget needs `alarm_email`, for somebody to be told")
    if (settings.secrets or "").startswith(("ssm:/aws", "ssm:/ssm")):
        found.append(f"secrets: {settings.secrets}: SSM takes no name that begins with aws or ssm")
    found += _bucket_complaints(settings) + _tag_complaints(settings) + _network_complaints(settings)
    found += _concurrency_complaints(settings) + _image_complaints(settings) + _team_complaints(settings)
    own = ((name, _own_image_complaints(name, image, settings)) for name, image in settings.images.items())
    found += [f"images.{name}{complaint}" for name, complaints in own for complaint in complaints]
    return found or _definition_complaints(settings)


def _team_complaints(settings: Settings) -> list[str]:
    """What keeps teams from being apart."""
    for team, own in settings.teams.items():
        if team == settings.deployment:
            return [f"teams.{team}: is the name of this deployment; a team has one of its own"]
        if odd := sorted({"deployment", "teams"} & set(own)):
            return [f"teams.{team}.{odd[0]}: is the team's name, or another's; leave it out"]
    try:
        every = [settings, *settings.of_teams()]
    except ValidationError as error:
        first = error.errors()[0]
        return [f"teams: {'.'.join(map(str, first['loc']))}: {first['msg']}"]
    if (hosts := sum(len({host.name for host in _hosts(one)}) for one in every)) > _QUEUES:
        return [
            f"teams: all deployments together have {hosts} hosts, and Batch {_QUEUES} queues in a region;"
            " offer each fewer machines by `instance_types`"
        ]
    for one in every:
        for other in every:
            if one is not other and one.secrets_place.startswith(other.secrets_place):
                return [
                    f"teams: {one.deployment} and {other.deployment} share secrets below {other.secrets_place};"
                    " give each a prefix of its own, of which none begins with another's"
                ]
    return []


def _bucket_complaints(settings: Settings) -> list[str]:
    names, found = [*settings.read_buckets, *settings.write_buckets], []
    if odd := [name for name in names if name.replace(".", "").isdigit() and name.count(".") == 3]:
        found.append(f"read_buckets, write_buckets: {odd[0]} looks like an IP address, which S3 refuses as a name")
    if odd := [name for name in names if name.startswith(_RESERVED_BEGINNINGS) or name.endswith(_RESERVED_ENDS)]:
        found.append(
            f"read_buckets, write_buckets: {odd[0]} is no name of a general purpose bucket; S3 keeps"
            f" {', '.join((*_RESERVED_BEGINNINGS, *_RESERVED_ENDS))} for itself"
        )
    if sum(len(name) + _ARN for name in names) > _STATEMENT:
        found.append(
            f"read_buckets, write_buckets: {len(names)} names make a longer policy than IAM takes; name fewer, or allow"
            " the data role (an output of the stack) in the policies of the buckets"
        )
    return found


def _tag_complaints(settings: Settings) -> list[str]:
    found = []
    if odd := [key for key in settings.tags if key.lower().startswith("aws:")]:
        found.append(f"tags: {odd[0]} begins with aws:, which AWS keeps for itself")
    if odd := [key for key in settings.tags if key.lower().startswith("fanfold:")]:
        found.append(f"tags: {odd[0]} begins with fanfold:, by which permissions know what is Fanfold's")
    if len(settings.tags) > _TAGS:
        found.append(f"tags: {len(settings.tags)} are more than AWS takes with Fanfold's own; allowed: up to {_TAGS}")
    alike = {key.lower(): key for key in settings.tags}
    if odd := [key for key in settings.tags if alike[key.lower()] != key]:
        found.append(f"tags: {odd[0]} and {alike[odd[0].lower()]} are the same to IAM; leave one of them out")
    return found


def _network_complaints(settings: Settings) -> list[str]:
    found, subnets = [], settings.subnet_ids
    if bool(settings.vpc_id) != bool(subnets):
        found.append("subnet_ids: your own VPC needs `vpc_id` and at least one of `subnet_ids`, both or neither")
    if odd := [name for name in subnets if subnets.count(name) > 1]:
        found.append(f"subnet_ids: {odd[0]} stands there twice; name each once")
    if len(subnets) > _SUBNETS:
        found.append(f"subnet_ids: {len(subnets)} are more than Batch takes; allowed: up to {_SUBNETS}")
    return found


def _host_complaints(settings: Settings) -> list[str]:
    found = [
        f"extra_instance_types.{name}: {refusal}"
        for name, extra in settings.extra_instance_types.items()
        for refusal in refusals(extra.named(name).host, spot=settings.spot, newer=extra.newer)
    ]
    if (queues := len({host.name for host in _hosts(settings)})) > _QUEUES:
        found.append(
            f"extra_instance_types: {queues} different hosts want a queue each, and a region has {_QUEUES}; "
            "name those that you use in `instance_types`"
        )
    return found


def _concurrency_complaints(settings: Settings) -> list[str]:
    reserved, most = settings.realtime_reserved_concurrency, settings.account_concurrency - _LEFT_UNRESERVED
    if reserved is None:
        return []
    functions = settings.realtime_functions * (1 + sum(image.realtime for image in settings.images.values()))
    if reserved < functions:
        return [
            f"realtime_reserved_concurrency: {reserved} is less than one for each of {functions} functions (clones,"
            f" and those of images of their own); allowed: {functions} and more"
        ]
    if reserved <= most:
        return []
    return [
        f"realtime_reserved_concurrency: {reserved} of {settings.account_concurrency} leaves less than the "
        f"{_LEFT_UNRESERVED} that Lambda keeps for other functions; allowed: up to {max(most, 0)}, "
        "or set `account_concurrency` to your account's limit (`fanfold doctor` shows it)"
    ]


def _image_complaints(settings: Settings) -> list[str]:
    needed = {settings.architecture, *(host.architecture for host in _hosts(settings))}
    given = {architecture for architecture in needed if settings.image_uri_for(architecture)}
    names = {"x86_64": "image_uri", "arm64": "image_uri_arm64"}
    if not given or given == needed:
        return []
    return [f"{names[missing]}: this deployment also runs on {missing}, so it needs an image as well"
            for missing in sorted(needed - given)]  # fmt: skip


def _own_image_complaints(name: str, image: OwnImage, settings: Settings) -> list[str]:
    if name == "default":
        return [": that is how UDFs which name none are spoken of; choose another name"]
    known, mine = settings.offered, settings.architecture_of(image)
    if unknown := sorted(set(image.instance_types or ()) - set(known)):
        return [f".instance_types: unknown {', '.join(unknown)}; this deployment has {', '.join(known)}"]
    if other := [one for one in image.instance_types or () if known[one].host.architecture != mine]:
        return [f".instance_types: {other[0]} has another processor than the image's, which is {mine}"]
    if not image.realtime and not settings.offered_with(image):
        return [f": nothing runs it: `realtime` is false, and no instance type of this deployment has {mine}"]
    parts = [part for part in ("requirements", "system_packages", "base") if getattr(image, part)]
    if image.image_uri and parts:
        return [f".image_uri: it is built already, and takes no {' and no '.join(parts)}; leave one of them out"]
    return []


def _definition_complaints(settings: Settings) -> list[str]:
    """A stack holds so many resources, and each image has a job definition for each of its instance types."""
    names = [definition_name(settings.deployment, machine) for machine in settings.offered]
    for image, own in settings.images.items():
        names += [definition_name(settings.deployment, machine, image) for machine in settings.offered_with(own)]
    if twice := [name for name in names if names.count(name) > 1]:
        return [f"extra_instance_types: two of them come to one job definition, {twice[0]}; choose another name"]
    if (count := len(names)) <= _DEFINITIONS:
        return []
    return [
        f"images: with their instance types they come to {count} job definitions, and a stack has room for"
        f" {_DEFINITIONS}; name the machines that each is for in its `instance_types`"
    ]


def _hosts(settings: Settings) -> list[Host]:
    return [instance_type.host for instance_type in settings.offered.values()]
