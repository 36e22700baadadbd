"""An image that CodeBuild builds as the deploy goes on, for a machine that has no Docker."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra import build_handler
from tests.infra.templates import Synthesise, Templates


@pytest.fixture(scope="module")
def built(synthesise: Synthesise) -> Templates:
    return synthesise(build="cloud")


def test_a_deploy_needs_no_docker(built: Templates, templates: Templates) -> None:
    """The CLI would call Docker for every asset that is an image."""

    def images(of: Templates) -> list[Any]:
        manifests = (json.loads(path.read_text()) for path in of.folder.glob("*.assets.json"))
        return [image for manifest in manifests for image in manifest.get("dockerImages", {})]

    assert images(templates)
    assert images(built) == []


def test_functions_wait_for_the_image_and_the_build_for_its_permissions(built: Templates) -> None:
    resources = built.resources()
    (image,) = (name for name, it in resources.items() if it["Type"] == "Custom::FanfoldImage")
    function = next(it for it in resources.values() if it["Properties"].get("FunctionName") == "fanfold-main-run-0")
    assert image in function["DependsOn"]
    kinds = {resources[name]["Type"] for name in resources[image]["DependsOn"]}
    assert {"AWS::CodeBuild::Project", "AWS::IAM::Policy"} <= kinds
    tag = resources[image]["Properties"]["Tag"]
    assert f":{tag}" in json.dumps(function["Properties"]["Code"]["ImageUri"])


def test_it_is_built_by_the_same_recipe_for_the_processor_it_runs_on(synthesise: Synthesise) -> None:
    (project,) = synthesise(build="cloud", architecture="arm64", instance_types=["small"]).properties(
        "AWS::CodeBuild::Project"
    )[:1]
    (_, command) = json.loads(project["Source"]["BuildSpec"])["phases"]["build"]["commands"]
    assert "--platform linux/arm64 --provenance=false --file runtime/Dockerfile" in command
    assert "--build-arg PYTHON_VERSION=3.12" in command
    assert project["Environment"]["Type"] == "ARM_CONTAINER"


def test_another_python_is_another_image(built: Templates, synthesise: Synthesise) -> None:
    def tag(of: Templates) -> str:
        return str(of.one("Custom::FanfoldImage")["Tag"])

    assert (
        tag(built) == tag(synthesise(build="cloud", spot=True)) != tag(synthesise(build="cloud", python_version="3.13"))
    )


def test_what_starts_the_build_fits_into_a_template(built: Templates) -> None:
    (code,) = (it["Code"]["ZipFile"] for it in built.properties("AWS::Lambda::Function") if "ZipFile" in it["Code"])
    assert len(code) <= 4096


class _CloudFormation:
    """Where a custom resource's answer goes: a server, as the signed address of S3 is one."""

    def __init__(self) -> None:
        answers = self.answers = []  # type: list[dict[str, Any]]

        class Put(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Put)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def event(self, kind: str, project: str) -> dict[str, Any]:
        return {
            "RequestType": kind,
            "ResponseURL": f"http://127.0.0.1:{self.server.server_port}/answer",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Image",
            "ResourceProperties": {"Project": project, "Tag": "abc"},
        }


class _Context:
    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[_CloudFormation]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(build_handler, "POLL_S", 0)
    asked = _CloudFormation()
    with mock_aws():
        boto3.client("codebuild").create_project(
            name="project",
            source={"type": "S3", "location": "bucket/key"},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={"type": "LINUX_CONTAINER", "image": "image", "computeType": "BUILD_GENERAL1_SMALL"},
            serviceRole="arn:aws:iam::123456789012:role/service-role/role",
        )
        yield asked
    asked.server.shutdown()
    asked.server.server_close()


def _answer(asked: _CloudFormation, kind: str, project: str = "project") -> dict[str, Any]:
    build_handler.handler(asked.event(kind, project), _Context())
    (answer,) = asked.answers
    assert (answer["StackId"], answer["RequestId"], answer["LogicalResourceId"]) == ("stack", "request", "Image")
    assert answer["PhysicalResourceId"] == "abc"
    return answer


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_cloudformation_hears_of_the_end_of_the_build(cloudformation: _CloudFormation, kind: str) -> None:
    assert _answer(cloudformation, kind)["Status"] == "SUCCESS"
    assert len(boto3.client("codebuild").list_builds_for_project(projectName="project")["ids"]) == 1


def test_a_stack_that_goes_builds_nothing(cloudformation: _CloudFormation) -> None:
    assert _answer(cloudformation, "Delete")["Status"] == "SUCCESS"
    assert boto3.client("codebuild").list_builds_for_project(projectName="project")["ids"] == []


def test_what_keeps_a_build_from_starting_is_told_and_not_waited_for(cloudformation: _CloudFormation) -> None:
    answer = _answer(cloudformation, "Create", project="another")
    assert answer["Status"] == "FAILED"
    assert "ResourceNotFoundException" in answer["Reason"]


def test_a_failed_build_is_told_with_where_its_log_is(
    cloudformation: _CloudFormation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator's builds all succeed, so the answer of the service is changed on its way."""
    failed = {"id": "b", "buildStatus": "FAILED", "logs": {"deepLink": "https://log"}}
    codebuild = type("Client", (), {"start_build": lambda self, **_: {"build": failed}})()
    monkeypatch.setattr(build_handler.boto3, "client", lambda _: codebuild)
    answer = _answer(cloudformation, "Create")
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "the build of the image ended as FAILED, see https://log")
