"""The realtime function as it is deployed."""

from __future__ import annotations

from fanfold.contract import cloud, layout
from fanfold.contract.layout import REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from tests.infra.templates import Synthesise, Templates


def test_a_run_has_the_limits_that_the_contract_promises(templates: Templates) -> None:
    function = templates.run_function()
    assert (
        (function["Timeout"], function["MemorySize"]) == (int(REALTIME_TIMEOUT_S), REALTIME_MEMORY_MIB) == (120, 4096)
    )


def test_lambda_brings_its_own_entry_point_to_the_one_image(templates: Templates) -> None:
    function = templates.run_function()
    assert function["PackageType"] == "Image"
    assert function["ImageConfig"] == {
        "EntryPoint": ["python", "-m", "awslambdaric"],
        "Command": ["fanfold_runtime.realtime.handler"],
    }
    images = {lane["ContainerProperties"]["Image"] for lane in templates.lanes().values()}
    assert images == {function["Code"]["ImageUri"]}


def test_the_function_finds_its_deployment_in_its_environment(templates: Templates) -> None:
    environment = templates.run_function()["Environment"]["Variables"]
    assert environment["FANFOLD_DEPLOYMENT"] == "main"
    assert {cloud.ENV_TABLE, cloud.ENV_BUCKET, cloud.ENV_DATA_ROLE} <= set(environment)
    assert layout.ENV_MOUNT not in environment


def test_its_size_and_processor_are_settings(synthesise: Synthesise) -> None:
    function = synthesise(architecture="arm64", realtime_disk_mib=10_240).run_function()
    assert function["Architectures"] == ["arm64"]
    assert function["EphemeralStorage"] == {"Size": 10_240}


def test_a_reserved_concurrency_is_shared_by_the_clones(full: Templates) -> None:
    functions = full.run_functions()
    assert [function["ReservedConcurrentExecutions"] for function in functions] == [10] * 9  # 3 images, 3 clones each
    assert len({function["FunctionName"] for function in functions}) == 9


def test_without_the_setting_nothing_is_taken_from_the_account_s_limit(templates: Templates) -> None:
    assert "ReservedConcurrentExecutions" not in templates.run_function()


def test_every_log_group_has_a_retention_and_goes_with_its_stack(tuned: Templates) -> None:
    for group in tuned.resources("AWS::Logs::LogGroup").values():
        assert group["Properties"]["RetentionInDays"] == 7
        assert group["DeletionPolicy"] == "Delete"


def test_an_image_in_ecr_is_used_as_it_is_and_nothing_is_built(synthesise: Synthesise) -> None:
    digest = "sha256:" + "a" * 64
    uri = f"210987654321.dkr.ecr.eu-central-1.amazonaws.com/team/fanfold@{digest}"
    templates = synthesise(image_uri=uri)
    assert templates.run_function()["Code"]["ImageUri"] == uri
    assert not list(templates.folder.glob("asset.*"))
    pulls = [s for s in templates.statements_of("DedicatedExecutionRole") if "ecr:BatchGetImage" in s["Action"]]
    assert [s["Resource"] for s in pulls] == ["arn:aws:ecr:eu-central-1:210987654321:repository/team/fanfold"]


def test_a_tag_will_do_for_an_image_in_ecr(synthesise: Synthesise) -> None:
    uri = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/fanfold:1"
    assert synthesise(image_uri=uri).run_function()["Code"]["ImageUri"] == uri


def test_the_build_context_holds_what_the_dockerfile_copies_and_nothing_else(templates: Templates) -> None:
    (context,) = templates.folder.glob("asset.*")
    assert {path.name for path in context.iterdir()} == {"client", "runtime"}
    assert {path.name for path in (context / "client").iterdir()} == {"fanfold"}
    assert not list(context.rglob("__pycache__"))
