"""The network and the mount: nothing comes in, nothing costs money at rest unless it was asked for."""

from __future__ import annotations

from tests.infra.templates import Synthesise, Templates

#: What bills by the hour whether or not anything runs.
_BILLED_AT_REST = {
    "AWS::EC2::NatGateway",
    "AWS::EC2::EIP",
    "AWS::EC2::Instance",
    "AWS::KMS::Key",
    "AWS::Lambda::ProvisionedConcurrency",
    "AWS::SecretsManager::Secret",
}


def test_nothing_bills_by_the_hour(templates: Templates) -> None:
    assert {resource["Type"] for resource in templates.resources().values()} & _BILLED_AT_REST == set()
    assert {endpoint["VpcEndpointType"] for endpoint in templates.properties("AWS::EC2::VPCEndpoint")} == {"Gateway"}


def test_s3_and_dynamodb_are_reached_by_free_endpoints(templates: Templates) -> None:
    services = {endpoint["ServiceName"].split(".")[-1] for endpoint in templates.properties("AWS::EC2::VPCEndpoint")}
    assert services == {"s3", "dynamodb"}


def test_nothing_comes_in(templates: Templates) -> None:
    for group in templates.properties("AWS::EC2::SecurityGroup"):
        assert "SecurityGroupIngress" not in group
    assert not templates.resources("AWS::EC2::SecurityGroupIngress")


def test_flow_logs_are_on(templates: Templates) -> None:
    assert templates.one("AWS::EC2::FlowLog")["TrafficType"] == "ALL"


def test_your_own_vpc_is_used_as_it_is(synthesise: Synthesise) -> None:
    templates = synthesise(vpc_id="vpc-0a1b2c3d", subnet_ids=["subnet-00000001", "subnet-00000002", "subnet-00000003"])
    assert not templates.resources("AWS::EC2::VPC")
    assert not templates.resources("AWS::EC2::VPCEndpoint")
    assert templates.one("AWS::EC2::SecurityGroup")["VpcId"] == "vpc-0a1b2c3d"
    for environment in templates.environments().values():
        assert environment["ComputeResources"]["Subnets"] == ["subnet-00000001", "subnet-00000002", "subnet-00000003"]


def test_without_the_mount_lambda_stays_out_of_the_network(templates: Templates) -> None:
    assert "VpcConfig" not in templates.run_function()
    assert not templates.resources("AWS::EFS::FileSystem")


def test_the_mount_is_the_same_folder_in_lambda_and_on_batch(full: Templates) -> None:
    for function in full.run_functions():
        assert [config["LocalMountPath"] for config in function["FileSystemConfigs"]] == ["/mnt/shared"]
        assert function["Environment"]["Variables"]["FANFOLD_MOUNT"] == "/mnt/shared"
    for lane in full.lanes().values():
        container = lane["ContainerProperties"]
        assert container["MountPoints"][0] == {
            "ContainerPath": "/mnt/shared",
            "SourceVolume": container["Volumes"][0]["Name"],
            "ReadOnly": False,
        }
        efs = container["Volumes"][0]["EfsVolumeConfiguration"]
        assert (efs["TransitEncryption"], efs["AuthorizationConfig"]["Iam"]) == ("ENABLED", "ENABLED")
        assert lane["environment"]["FANFOLD_MOUNT"] == "/mnt/shared"


def test_both_enter_it_by_one_access_point_as_one_user(full: Templates) -> None:
    point = full.one("AWS::EFS::AccessPoint")
    assert point["PosixUser"] == {"Uid": "1000", "Gid": "1000"}
    assert point["RootDirectory"]["CreationInfo"]["OwnerUid"] == "1000"
    for role in ("RealtimeRole", "JobRole"):
        (mounting,) = (s for s in full.statements_of(role) if "elasticfilesystem:ClientMount" in s["Action"])
        assert "elasticfilesystem:AccessPointArn" in mounting["Condition"]["StringEquals"]


def test_lambda_waits_for_the_mount_targets(full: Templates) -> None:
    targets = set(full.resources("AWS::EFS::MountTarget"))
    assert len(targets) == 2
    for function in full.resources("AWS::Lambda::Function").values():
        if "FileSystemConfigs" in function["Properties"]:
            assert targets <= set(function["DependsOn"])


def test_the_shared_files_are_encrypted_and_outlive_the_deployment(full: Templates) -> None:
    (system,) = full.resources("AWS::EFS::FileSystem").values()
    assert system["Properties"]["Encrypted"] is True
    assert system["DeletionPolicy"] == "Retain"
    assert {resource["Type"] for resource in full.by_stack["Files"]["Resources"].values()} == {"AWS::EFS::FileSystem"}


def test_a_function_in_the_network_can_still_take_the_data_role(full: Templates) -> None:
    interfaces = [e for e in full.properties("AWS::EC2::VPCEndpoint") if e["VpcEndpointType"] == "Interface"]
    assert [endpoint["ServiceName"].split(".")[-1] for endpoint in interfaces] == ["sts"]
    assert len(interfaces[0]["SubnetIds"]) == 1


def test_your_own_vpc_with_a_mount_gets_no_second_endpoint_to_sts(synthesise: Synthesise) -> None:
    """It has a way to AWS's APIs; where that is an endpoint, another of the same private name would be refused."""
    own = synthesise(vpc_id="vpc-0a1b2c3d", subnet_ids=["subnet-00000001", "subnet-00000002"], mount=True)
    assert not own.resources("AWS::EC2::VPCEndpoint")
    assert [target["SubnetId"] for target in own.properties("AWS::EFS::MountTarget")] == [
        "subnet-00000001",
        "subnet-00000002",
    ]
    assert {rule["FromPort"] for rule in own.properties("AWS::EC2::SecurityGroupIngress")} == {2049}


def test_your_own_vpc_synthesises_without_a_warning(synthesise: Synthesise) -> None:
    own = synthesise(vpc_id="vpc-0a1b2c3d", subnet_ids=["subnet-00000001", "subnet-00000002"], mount=True)
    assert [m for m in own.messages() if m["level"] in ("warning", "error")] == []


def test_only_runs_reach_the_file_system(full: Templates) -> None:
    groups = full.properties("AWS::EC2::SecurityGroupIngress")
    assert {(rule["FromPort"], "CidrIp" in rule) for rule in groups} == {(2049, False), (443, False)}
