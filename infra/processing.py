"""The stack of what works: network, function, machines, state machines, policies and the deployment descriptor.

All of it may be replaced. It is one stack because a job definition's revision must not be locked by another's import.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from fanfold.contract import cloud, layout
from infra.access import allow, arn, data_role, let_assume, worker_role
from infra.dedicated import Dedicated
from infra.descriptor import DeploymentDescriptor
from infra.fanout import Fanout
from infra.files import FilesStack
from infra.image import RuntimeImage
from infra.mount import Mount
from infra.network import Network
from infra.parts import Parts
from infra.people import People
from infra.realtime import Realtime
from infra.recipe import default_recipe, own_recipes
from infra.settings import Settings
from infra.shepherd import Shepherd
from infra.storage import StorageStack


class ProcessingStack(Stack):
    """Where runs execute. Costs nothing at rest, unless a mount, warm machines or the budget's mails are asked for."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        storage: StorageStack,
        files: FilesStack | None,
        **stack: Any,
    ) -> None:
        super().__init__(scope, id, **stack)
        self._settings, self._storage = settings, storage
        network = Network(self, "Network", settings=settings)
        mount = self._mount(settings, network, files)
        realtime_role, job_role = self._role("RealtimeRole", "lambda"), self._role("JobRole", "ecs-tasks")
        data = data_role(self, settings=settings, storage=storage, workers=[realtime_role, job_role])
        CfnOutput(
            self, "DataRoleArn", value=data.role_arn, description="Whose credentials UDFs have; for bucket policies"
        )
        environment = _environment(settings, storage, data, mounted=mount is not None)
        # Functions with a mount are in the network, in which Step Functions has no address.
        again = {} if mount else self._starts_again(settings, realtime_role)
        images, own_images = self._images(settings), self._own_images(settings)
        self.realtime = Realtime(
            self,
            "Realtime",
            settings=settings,
            role=realtime_role,
            images={"": images[settings.architecture], **own_images},
            environment={**environment, **again},
            mount=mount,
        )
        self.dedicated = Dedicated(
            self,
            "Dedicated",
            settings=settings,
            network=network,
            job_role=job_role,
            images=images,
            own_images=own_images,
            environment=environment,
            mount=mount,
        )
        self.fanout = Fanout(self, "Fanout", settings=settings, storage=storage, functions=self.realtime.functions)
        self._add_shepherd(images[settings.architecture], environment)
        let_assume(data, self.shepherd.role)  # to list the files of a schedule, with the eyes of its runs
        parts = Parts(settings, storage, self.realtime, self.dedicated, self.fanout, self.shepherd)
        People(self, "People", parts)
        DeploymentDescriptor(self, "DeploymentDescriptor", parts)

    def _add_shepherd(self, image: RuntimeImage, environment: dict[str, str]) -> None:
        named: dict[str, Any] = {"settings": self._settings, "storage": self._storage, "fanout": self.fanout}
        self.shepherd = Shepherd(self, "Shepherd", image=image, environment=environment, **named)

    def _role(self, id: str, service: str) -> iam.Role:
        """Whose permissions the workers of a service have."""
        return worker_role(self, id, service=f"{service}.amazonaws.com", settings=self._settings, storage=self._storage)

    def _starts_again(self, settings: Settings, role: iam.Role) -> dict[str, str]:
        """Lets a run start its next attempt. By its name: the state machine itself has to know the function."""
        express = arn(
            self, "states", "stateMachine", cloud.resource_name(settings.deployment, cloud.EXPRESS), colon=True
        )
        role.add_to_policy(allow(["states:StartExecution"], [express]))
        return {cloud.ENV_EXPRESS: express}

    def _mount(self, settings: Settings, network: Network, files: FilesStack | None) -> Mount | None:
        if files is None:
            return None
        return Mount(self, "Mount", network=network, file_system=files.file_system, settings=settings)

    def _images(self, settings: Settings) -> dict[str, RuntimeImage]:
        """One per processor that anything here runs on; Lambda takes no image of several."""
        needed = {settings.architecture, *(it.host.architecture for it in settings.offered.values())}
        return {
            a: RuntimeImage(self, f"Image-{a}", settings=settings, recipe=default_recipe(settings, a))
            for a in sorted(needed)
        }

    def _own_images(self, settings: Settings) -> dict[str, RuntimeImage]:
        """Those that have a name, by it."""
        return {
            name: RuntimeImage(self, f"Image-{name}", settings=settings, recipe=recipe)
            for name, recipe in own_recipes(settings).items()
        }


def _environment(settings: Settings, storage: StorageStack, data: iam.Role, *, mounted: bool) -> dict[str, str]:
    """What everything that runs in the image finds itself by."""
    return {
        layout.ENV_DEPLOYMENT: settings.deployment,
        cloud.ENV_TABLE: storage.table.table_name,
        cloud.ENV_BUCKET: storage.bucket.bucket_name,
        cloud.ENV_DATA_ROLE: data.role_arn,
        cloud.ENV_SECRETS: settings.secrets_place,
        **({cloud.ENV_SEALING_KEY: storage.sealing_key.key_arn} if storage.sealing_key else {}),
        **({layout.ENV_MOUNT: cloud.MOUNT_PATH} if mounted else {}),
    }
