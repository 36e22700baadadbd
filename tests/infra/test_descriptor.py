"""What a deployment tells its clients: in parameters of 4 KB, whole, and true."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.contract import cloud
from fanfold.contract.instances import INSTANCE_TYPES, container_memory_mib
from infra.descriptor import PARAMETER_BYTES, chunks
from infra.settings import Settings
from tests.infra.templates import Synthesise, Templates


def parameters(templates: Templates) -> dict[str, Any]:
    """Parsed value by name."""
    return {each["Name"]: json.loads(each["Value"]) for each in templates.properties("AWS::SSM::Parameter")}


def below(templates: Templates, path: str) -> dict[str, Any]:
    """What the parameters below a path hold together."""
    parts = {name: value for name, value in parameters(templates).items() if name.startswith(f"{path}/")}
    assert list(parts) == [f"{path}/{n}" for n in range(len(parts))]
    return {key: item for value in parts.values() for key, item in value.items()}


def test_the_descriptor_has_what_the_contract_says(templates: Templates) -> None:
    descriptor = parameters(templates)[cloud.parameter_name("main")]
    assert set(descriptor) == set(
        cloud.DeploymentDescriptor.__required_keys__
        | {"secrets", "sealing_key", "plain", "fanfold", "notify_topics", "scheduler", "widens_map_runs"}
    )
    assert set(descriptor["image"]) == set(cloud.ImageFacts.__annotations__)
    assert set(descriptor["limits"]) == set(cloud.DeployedLimits.__annotations__)
    assert set(descriptor["state_machines"]) == {cloud.EXPRESS, cloud.DISTRIBUTED, cloud.DEDICATED}
    assert descriptor["version"] == cloud.DESCRIPTOR_VERSION


def test_it_names_the_functions_that_there_are(full: Templates) -> None:
    descriptor = parameters(full)["/fanfold/main"]
    images = below(full, cloud.images_path("main"))
    named = [*descriptor["functions"], *(name for image in images.values() for name in image["functions"])]
    assert named == [each["FunctionName"] for each in full.run_functions()]
    assert (descriptor["mount"], descriptor["spot"]) == ("/mnt/shared", True)


def test_it_tells_what_is_reserved_for_all_functions_together(full: Templates) -> None:
    reserved = [each["ReservedConcurrentExecutions"] for each in full.run_functions()]
    assert sum(reserved) > 0
    images_with_functions = 3
    told = parameters(full)["/fanfold/main"]["limits"]["concurrency"]
    assert told * images_with_functions == sum(reserved) <= 90


def test_every_lane_is_told_and_exists(templates: Templates) -> None:
    lanes = below(templates, cloud.instance_types_path("main"))
    assert set(lanes) == set(Settings().offered)
    queues = {queue["JobQueueName"] for queue in templates.properties("AWS::Batch::JobQueue")}
    definitions = {d["JobDefinitionName"]: d for d in templates.lanes().values()}
    for name, lane in lanes.items():
        assert set(lane) == set(cloud.Lane.__annotations__)
        assert lane["queue"] in queues
        assert definitions[lane["definition"]]["needs"]["MEMORY"] == lane["memory_mib"]
        assert lane["memory_mib"] == container_memory_mib(INSTANCE_TYPES[name])


@pytest.mark.parametrize("variant", ["templates", "full"])
def test_every_parameter_fits_the_free_4_kb(variant: str, request: pytest.FixtureRequest) -> None:
    templates: Templates = request.getfixturevalue(variant)
    for each in templates.properties("AWS::SSM::Parameter"):
        assert each["Type"] == "String"
        assert each.get("Tier", "Standard") == "Standard"
        assert len(each["Value"].encode()) <= 4096


def test_the_most_that_a_descriptor_can_hold_fits(synthesise: Synthesise) -> None:
    templates = synthesise(deployment="a" * 20, realtime_functions=10, mount=True)
    value = next(each["Value"] for each in templates.properties("AWS::SSM::Parameter") if each["Name"].count("/") == 2)
    references = value.count("<")
    assert len(value.encode()) + references * 150 <= 4096  # a reference stands for at most an ARN or two names


def test_the_image_tells_its_packages_and_python(synthesise: Synthesise) -> None:
    packages = below(synthesise(python_version="3.10"), cloud.packages_path("main"))
    wanted = "pandas numpy pyarrow polars duckdb geopandas shapely rasterio xarray s3fs scipy requests pillow"
    assert set(wanted.split()) <= set(packages)
    newer = below(synthesise(python_version="3.14"), cloud.packages_path("main"))
    assert packages["numpy"] != newer["numpy"]


def _identity(templates: Templates) -> str:
    found: str = parameters(templates)["/fanfold/main"]["image"]["identity"]
    return found


def test_the_image_s_identity_follows_what_can_change_a_result(synthesise: Synthesise) -> None:
    uri = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/fanfold"
    variants = [
        {},
        {"python_version": "3.13"},
        {"architecture": "arm64"},
        {"image_uri": f"{uri}:1"},
        {"image_uri": f"{uri}:2"},
    ]
    assert len({_identity(synthesise(**variant)) for variant in variants}) == len(variants)
    assert _identity(synthesise(spot=True)) == _identity(synthesise())


def test_each_image_is_told_with_what_runs_it_and_what_it_has(full: Templates) -> None:
    images = below(full, cloud.images_path("main"))
    assert {name: image["instance_types"] for name, image in images.items()} == {
        "geo": ["small"],
        "gpu": ["gpu"],
        "graviton": ["arm"],
    }
    assert (images["gpu"]["functions"], images["geo"]["functions"][0]) == ([], "fanfold-main-run-geo-0")
    assert [image["plain"] for image in images.values()] == [False, True, True]
    definitions = {d["JobDefinitionName"]: d for d in full.properties("AWS::Batch::JobDefinition")}
    container = definitions[cloud.definition_name("main", "gpu", "gpu")]["ContainerProperties"]
    assert {"Type": "GPU", "Value": "1"} in container["ResourceRequirements"]
    announced = {each["Name"]: each["Value"] for each in container["Environment"]}[cloud.ENV_IMAGE]
    assert announced == images["gpu"]["identity"] != images["geo"]["identity"]
    assert "torch" in below(full, cloud.image_packages_path("main", "gpu"))
    assert "geopandas" in below(full, cloud.image_packages_path("main", "geo"))


def test_an_image_of_your_own_has_no_package_list_here(synthesise: Synthesise) -> None:
    uri = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/fanfold:1"
    assert below(synthesise(image_uri=uri), cloud.packages_path("main")) == {}


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=100), max_size=60))
def test_chunks_hold_everything_once_and_each_fits(entries: dict[str, str]) -> None:
    parts = list(chunks(entries, limit_bytes=800))
    assert all(len(part) <= 800 for part in parts)
    together: dict[str, str] = {}
    for part in parts:
        found = json.loads(part)
        assert not set(found) & set(together)
        together.update(found)
    assert together == entries
    assert PARAMETER_BYTES == 4096
