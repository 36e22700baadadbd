"""A second cloud, of which nothing is ours: ministack's own DynamoDB, S3, Lambda and Step Functions.

The same templates are deployed as into the local cloud, but for the functions: ministack runs no images without Docker,
so each is a zip whose `bootstrap` starts the runtime client that the image starts.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from tests.aws.processes import ROOT
from tests.cloud.deploy import Deployer, synthesise
from tests.infra.local_cloud import ACCOUNT, REGION, ministack

#: Nothing here asks for a machine: ministack has none.
SETTINGS: Mapping[str, Any] = {"instance_types": ["small"]}


class SecondCloud:
    """An endpoint with Fanfold deployed at it, as `main`."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint = endpoint
        self._session = boto3.Session("test", "test", region_name=REGION)
        deployer = Deployer(self._client_for_templates, region=REGION, account=ACCOUNT)
        for template in synthesise(folder / "cdk.out", SETTINGS):
            deployer.deploy(template)

    def environment(self, deployment: str = "main") -> dict[str, str]:
        """What makes Fanfold and boto3 use this cloud."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_ENDPOINT_URL": self.endpoint,
            "FANFOLD_DEPLOYMENT": deployment,
        }

    @cache  # noqa: B019 - as long as the session
    def client(self, service: str) -> Any:
        """A client of this cloud."""
        return self._session.client(service, endpoint_url=self.endpoint)

    def _client_for_templates(self, service: str) -> Any:
        client = self.client(service)
        return _ZippedFunctions(client, self.environment()) if service == "lambda" else client


class _ZippedFunctions:
    """Makes functions of images as zips that start the same runtime client with the same handler."""

    def __init__(self, client: Any, environment: Mapping[str, str]) -> None:
        self._client = client
        self._environment = environment

    def create_function(self, **properties: Any) -> Any:
        """What `AWS::Lambda::Function` asks for, but for the image."""
        handler = properties.pop("ImageConfig")["Command"][0]
        for name in ("PackageType", "Code", "Architectures", "LoggingConfig", "TracingConfig"):
            properties.pop(name, None)
        variables = properties.pop("Environment")["Variables"]
        given = {**variables, **self._environment}
        return self._client.create_function(
            **properties,
            Runtime="provided.al2023",
            Handler=handler,
            Code={"ZipFile": _bootstrap(handler, given)},
            Environment={"Variables": given},
        )

    def create_event_source_mapping(self, **properties: Any) -> Any:
        """As it is asked for."""
        return self._client.create_event_source_mapping(**properties)


def _bootstrap(handler: str, environment: Mapping[str, str]) -> bytes:
    paths = os.pathsep.join(str(ROOT / part) for part in ("client", "runtime", "."))
    exported = {**environment, "PYTHONPATH": paths, "PATH": os.environ["PATH"], "_HANDLER": handler}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exported.items()]
    lines.append(f"exec {shlex.quote(sys.executable)} -m awslambdaric {handler}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("bootstrap", "#!/bin/sh\n" + "\n".join(lines) + "\n")
    return packed.getvalue()


@contextmanager
def second_cloud(folder: Path) -> Iterator[SecondCloud]:
    """One on a free port, gone afterwards."""
    with ministack(folder) as endpoint:
        yield SecondCloud(endpoint, folder)
