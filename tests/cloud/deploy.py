"""Making what the synthesised templates say, in an emulator: each resource by the call that makes it on AWS.

moto's own CloudFormation is not faithful enough for it: it wants a service role of every compute environment, forgets
that a state machine is EXPRESS, and counts resources of unknown types as made.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.cloud.references import References
from tests.cloud.refusals import NotEmulated
from tests.cloud.resources import MAKERS, NOT_EMULATED, Made

ROOT = Path(__file__).parents[2]
#: In the order of their dependencies; what `cdk deploy --all` does too.
STACKS = ("Storage", "Processing", "Observability")
_PARAMETER = "AWS::SSM::Parameter"


def synthesise(folder: Path, settings: Mapping[str, Any], checkout: Path = ROOT) -> list[dict[str, Any]]:
    """The templates of a deployment with these settings, by the app itself."""
    from tests.infra.tooling import offline_environment

    context = {**json.loads((ROOT / "cdk.json").read_text())["context"], "fanfold": dict(settings)}
    environment = offline_environment(CDK_OUTDIR=str(folder), CDK_CONTEXT_JSON=json.dumps(context), PYTHONWARNINGS="")
    environment["CDK_VALIDATION"] = "false"  # what it takes 3 s to find, tests/infra looks at
    subprocess.run([sys.executable, "app.py"], cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    return templates_in(folder)


def templates_in(folder: Path) -> list[dict[str, Any]]:
    """The templates that were synthesised there, in the order in which they are deployed."""
    files = {path.name.split(".")[0].rsplit("-", 1)[1]: path for path in folder.glob("*.template.json")}
    if set(files) != set(STACKS):
        raise NotEmulated(f"the stacks {sorted(files)}, not {STACKS}")
    return [json.loads(files[stack].read_text()) for stack in STACKS]


def own_locks(folder: Path) -> dict[str, str]:
    """The lock files of images that have one of their own, by the images' tags, in what was synthesised there."""
    found = {}
    for manifest in folder.glob("*.assets.json"):
        for tag, image in json.loads(manifest.read_text()).get("dockerImages", {}).items():
            lock = image["source"].get("dockerBuildArgs", {}).get("LOCK")
            if lock:
                found[tag] = str(folder / image["source"]["directory"] / lock)
    return found


def announced(template: dict[str, Any], locked: Collection[str]) -> dict[str, Any]:
    """The template with the packages that this machine has in their parameters, for images without a lock of their own.

    Functions and machines have this machine's packages: a UDF that imports another is to be refused before it starts.
    """
    for resource in template["Resources"].values():
        path = str(resource.get("Properties", {}).get("Name", "")).split("/") if resource["Type"] == _PARAMETER else []
        kind, image = "".join(path[3:4]), path[4] if len(path) > 5 else ""
        if kind in ("packages", "image-packages") and image not in locked:
            told = json.loads(resource["Properties"]["Value"])
            here = {name: has for name in told if (has := _version_here(name))}
            resource["Properties"]["Value"] = json.dumps(here, separators=(",", ":"))
    return template


def _version_here(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


class Deployer:
    """Deploys templates one after another, as CloudFormation would, into whatever the clients talk to."""

    def __init__(self, client: Callable[[str], Any], *, region: str, account: str) -> None:
        self._client = client
        self._pseudo = {
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::AccountId": account,
            "AWS::URLSuffix": "amazonaws.com",
        }
        self._exports: dict[str, str] = {}
        #: What the templates allow, by the logical id of the role or managed policy; and which id each role has.
        self.policies: dict[str, list[dict[str, Any]]] = {}
        self.roles: dict[str, str] = {}

    def deploy(self, template: Mapping[str, Any]) -> dict[str, Made]:
        """Make every resource of a template. Raises `NotEmulated`, before any is made, where a type is not known."""
        stack = _Stack(template["Resources"], self._client, self._pseudo, self._exports)
        made = stack.make_all()
        self._note_policies(template["Resources"], stack)
        for output in template.get("Outputs", {}).values():
            if "Export" in output:
                name, value = (stack.references.resolve(part) for part in (output["Export"]["Name"], output["Value"]))
                self._exports[name] = value
        return made

    def _note_policies(self, resources: Mapping[str, Any], stack: _Stack) -> None:
        kinds = {"AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}
        parts = {name: resource for name, resource in resources.items() if resource["Type"] in kinds}
        told = {name: stack.references.resolve(part.get("Properties", {})) for name, part in parts.items()}
        for name, part in parts.items():
            if part["Type"] == "AWS::IAM::Role":
                self.roles[stack.references.resolve({"Ref": name})] = name
                for inline in told[name].get("Policies", []):
                    self.policies.setdefault(name, []).extend(inline["PolicyDocument"]["Statement"])
        for name, part in parts.items():
            if part["Type"] != "AWS::IAM::Role":
                roles = [self.roles[role] for role in told[name].get("Roles", [])]
                for whose in roles or [name]:
                    self.policies.setdefault(whose, []).extend(told[name]["PolicyDocument"]["Statement"])


class _Stack:
    """One template's resources; each is made when something refers to it first."""

    def __init__(
        self,
        resources: Mapping[str, Any],
        client: Callable[[str], Any],
        pseudo: Mapping[str, str],
        exports: Mapping[str, str],
    ) -> None:
        unknown = {resource["Type"] for resource in resources.values()} - MAKERS.keys() - NOT_EMULATED
        if unknown:
            raise NotEmulated(f"resources of the types {', '.join(sorted(unknown))}")
        self._resources = resources
        self._client = client
        self._made: dict[str, Made] = {}
        self.references = References(
            pseudo,
            ref=lambda name: self._make(name).ref,
            attribute=lambda name, wanted: self._make(name).attribute(wanted),
            exports=exports,
        )

    def make_all(self) -> dict[str, Made]:
        for name in self._resources:
            self._make(name)
        return self._made

    def _make(self, name: str) -> Made:
        if name not in self._made:
            resource = self._resources[name]
            maker = MAKERS.get(resource["Type"])
            if maker is None:
                self._made[name] = Made(name)
            else:
                properties = self.references.resolve(resource.get("Properties", {}))
                self._made[name] = maker(self._client, name, properties)
        return self._made[name]
