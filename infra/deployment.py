"""All stacks of one deployment, in the order they depend on each other; and those of its teams' deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk

from infra.context import read_settings
from infra.files import FilesStack
from infra.observability import ObservabilityStack
from infra.processing import ProcessingStack
from infra.settings import Settings
from infra.storage import StorageStack


def add_deployment(app: cdk.App, settings: Settings) -> None:
    """Add the storage, processing and observability stacks to an app, and that of the shared files with a mount.

    They name neither account nor region: with those, CDK would look zones up in AWS, and a synthesis would need them.
    """
    name = f"Fanfold-{settings.deployment}"
    storage = StorageStack(app, f"{name}-Storage", settings=settings)
    files = FilesStack(app, f"{name}-Files") if settings.mount else None
    processing = ProcessingStack(app, f"{name}-Processing", settings=settings, storage=storage, files=files)
    watching = ObservabilityStack(
        app, f"{name}-Observability", settings=settings, storage=storage, processing=processing
    )
    for stack in filter(None, (storage, files, processing, watching)):
        for key, value in {"fanfold:deployment": settings.deployment, **settings.tags}.items():
            cdk.Tags.of(stack).add(key, value)


def app_of(context: Mapping[str, Any] | None = None, **props: Any) -> cdk.App:
    """An app with its stacks, chosen by this CDK context and by what the CLI hands over."""
    app = cdk.App(context=context, **props)
    settings = read_settings(app.node.get_all_context())
    for each in (settings, *settings.of_teams()):
        add_deployment(app, each)
    return app
