"""The twelve traps of the field notes that no tool sees, each a test."""

from __future__ import annotations

import json

from fanfold.contract.instances import INSTANCE_TYPES
from tests.infra.templates import STACKS, STACKS_WITH_MOUNT, Templates, listed


def test_1_nothing_refers_to_a_job_definition_by_its_revision(templates: Templates) -> None:
    definitions = templates.resources("AWS::Batch::JobDefinition")
    text = json.dumps(templates.by_stack)
    assert [name for name in definitions if f'"Ref": "{name}"' in text] == []
    for definition in definitions.values():
        assert definition["Properties"]["JobDefinitionName"].startswith("fanfold-main-")
        assert definition["Properties"]["ResourceRetentionPolicy"] == {"SkipDeregisterOnUpdate": True}


def test_2_environments_pin_the_launch_template_s_version(templates: Templates) -> None:
    for environment in templates.resources("AWS::Batch::ComputeEnvironment").values():
        version = environment["Properties"]["ComputeResources"]["LaunchTemplate"]["Version"]
        assert version["Fn::GetAtt"][1] == "LatestVersionNumber"


def test_3_a_stopped_execution_may_end_its_jobs(templates: Templates) -> None:
    actions = {action for s in templates.statements_of("Fanoutdedicated") for action in listed(s["Action"])}
    assert {"batch:SubmitJob", "batch:TerminateJob", "batch:DescribeJobs", "batch:TagResource"} <= actions
    rules = [s for s in templates.statements_of("Fanoutdedicated") if "events:PutRule" in listed(s["Action"])]
    assert str(rules[0]["Resource"]).endswith(":rule/StepFunctionsGetEventsForBatchJobsRule")


def test_4_the_distributed_map_has_the_policy_of_its_own_construct(templates: Templates) -> None:
    others = ("People", "RealtimeRole", "ShepherdRole")
    starting = [
        name
        for name, s in templates.statements()
        if "states:StartExecution" in listed(s["Action"]) and not name.startswith(others)
    ]
    assert len(starting) == 1
    assert "DistributedMapPolicy" in starting[0]


def test_5_no_job_asks_for_memory_that_its_host_does_not_register(templates: Templates) -> None:
    for name, lane in templates.lanes().items():
        host_mib = INSTANCE_TYPES[name].host.memory_gib * 1024
        assert lane["needs"]["MEMORY"] <= (host_mib * 0.955 - 256 - 32) * 0.95, name
    for queue in templates.properties("AWS::Batch::JobQueue"):
        assert len(queue["JobStateTimeLimitActions"]) == 2


def test_6_one_machine_type_to_an_environment_and_one_job_to_a_machine(templates: Templates) -> None:
    for environment in templates.environments().values():
        resources = environment["ComputeResources"]
        assert len(resources["InstanceTypes"]) == 1
        assert "optimal" not in resources["InstanceTypes"]
        assert not resources["InstanceTypes"][0].startswith("t")
        assert resources["MinvCpus"] == 0
    for name, lane in templates.lanes().items():
        assert lane["needs"]["VCPU"] == INSTANCE_TYPES[name].host.vcpus, name


def test_7_root_disks_and_images_are_those_of_ecs_on_al2023(templates: Templates) -> None:
    data = templates.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["DeviceName"] == "/dev/xvda"
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    kinds = {e["ComputeResources"]["Ec2Configuration"][0]["ImageType"] for e in templates.environments().values()}
    assert kinds == {"ECS_AL2023"}


def test_8_a_single_machine_is_no_array(templates: Templates) -> None:
    states = templates.definition("dedicated")["States"]
    assert "ArrayProperties" not in states[states["HowMany"]["Default"]]["Parameters"]
    assert states["HowMany"]["Choices"][0]["NumericGreaterThanEquals"] == 2


def test_9_nothing_that_waits_for_a_job_is_express(templates: Templates) -> None:
    machines = {m["StateMachineName"]: m for m in templates.properties("AWS::StepFunctions::StateMachine")}
    for name, machine in machines.items():
        if ".sync" in machine["DefinitionString"]:
            assert (name, machine["StateMachineType"]) == ("fanfold-main-dedicated", "STANDARD")
    distributed = templates.definition("distributed")["States"]["Children"]["ItemProcessor"]
    assert ".sync" not in json.dumps(distributed)


def test_10_the_account_s_limits_can_be_read_by_those_who_submit(templates: Templates) -> None:
    """A new account may run 10 functions at once, of 3,008 MB; tests/aws/test_doctor.py shows that `doctor` says so."""
    allowed = {action for s in templates.statements_of("PeopleUser") for action in listed(s["Action"])}
    assert {"lambda:GetAccountSettings", "servicequotas:GetServiceQuota"} <= allowed


def test_11_state_machines_log_where_no_resource_policy_is_needed(templates: Templates) -> None:
    names = {group.get("LogGroupName", "") for group in templates.properties("AWS::Logs::LogGroup")}
    vended = {name for name in names if name.startswith("/aws/vendedlogs/states/")}
    assert len(vended) == len(templates.properties("AWS::StepFunctions::StateMachine")) == 3


def test_12_what_holds_data_is_in_stacks_of_its_own(templates: Templates, full: Templates) -> None:
    assert set(templates.by_stack) == set(STACKS)
    assert set(full.by_stack) == set(STACKS_WITH_MOUNT)
    sealing = {"AWS::KMS::Key"}  # of secret arguments, which are nothing without it
    data = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::EFS::FileSystem", *sealing}
    for stack, template in full.by_stack.items():
        kinds = {resource["Type"] for resource in template["Resources"].values()}
        assert kinds <= data if stack in ("Storage", "Files") else not kinds & data, stack
