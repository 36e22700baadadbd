"""Reading CloudFormation templates: by type, with their references written out, never by hashed name."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fanfold.contract.cloud import REALTIME_HANDLER

ROOT = Path(__file__).parents[2]
#: In the order in which they are deployed, each after those that it imports from.
STACKS = ("Storage", "Processing", "Observability")
STACKS_WITH_MOUNT = ("Storage", "Files", "Processing", "Observability")

#: What a reference stands for in the tests. Any ARN will do where its place is all that matters.
_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": "",
}


def resolve(value: Any) -> Any:
    """A template's value with its functions evaluated; a reference becomes `<LogicalId>` or `<LogicalId.Attribute>`."""
    if isinstance(value, list):
        return [resolve(item) for item in value]
    if not isinstance(value, dict):
        return value
    match next(iter(value.items()), (None, None)):
        case ("Ref", name):
            return _PSEUDO.get(name, f"<{name}>")
        case ("Fn::GetAtt", [name, attribute]):
            return f"<{name}.{attribute}>"
        case ("Fn::ImportValue", name):
            return f"<{resolve(name)}>"
        case ("Fn::Join", [separator, parts]):
            return separator.join(str(part) for part in resolve(parts))
        case ("Fn::Base64", text):
            return b64encode(str(resolve(text)).encode()).decode()
        case ("Fn::Sub", text):
            for name, meaning in _PSEUDO.items():
                text = str(text).replace(f"${{{name}}}", meaning)
            return text
        case ("Fn::Select", [index, values]) if isinstance(values, dict):
            return f"<{index} of {next(iter(values))}>"
    return {key: resolve(item) for key, item in value.items()}


def exports(template: Any) -> dict[str, Any]:
    """Value by name of what a stack's template exports."""
    outputs = (output for output in template.get("Outputs", {}).values() if "Export" in output)
    return {resolve(output["Export"]["Name"]): resolve(output["Value"]) for output in outputs}


def imports(value: Any) -> set[str]:
    """The names of everything that a template imports from other stacks."""
    if isinstance(value, list):
        return {name for item in value for name in imports(item)}
    if not isinstance(value, dict):
        return set()
    found = {resolve(value["Fn::ImportValue"])} if "Fn::ImportValue" in value else set()
    return found | imports(list(value.values()))


#: Settings by name -> the templates of that deployment.
Synthesise = Callable[..., "Templates"]


class Templates:
    """The templates of one deployment: `storage`, `processing`, `observability`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = sorted(folder.glob("*.template.json"))
        self.by_stack = {path.name.split(".")[0].rsplit("-", 1)[1]: json.loads(path.read_text()) for path in self.files}

    def messages(self) -> list[dict[str, Any]]:
        """What the CDK tells a person who synthesises this, each with its `level`."""
        manifest = json.loads((self.folder / "manifest.json").read_text())
        found = []
        for artifact in manifest["artifacts"].values():
            entries = artifact.get("metadata", {})
            if "additionalMetadataFile" in artifact:
                entries = json.loads((self.folder / artifact["additionalMetadataFile"]).read_text())
            found += [entry for path in entries.values() for entry in path]
        return [{"level": e["type"].removeprefix("aws:cdk:"), "text": e.get("data")} for e in found]

    def resources(self, kind: str = "") -> dict[str, dict[str, Any]]:
        """Whole resources of every stack, by logical id; of one type where it is given."""
        return {
            name: resource
            for template in self.by_stack.values()
            for name, resource in template["Resources"].items()
            if kind in ("", resource["Type"])
        }

    def properties(self, kind: str) -> list[dict[str, Any]]:
        """The properties of every resource of a type, references written out."""
        return [resolve(resource["Properties"]) for resource in self.resources(kind).values()]

    def one(self, kind: str) -> dict[str, Any]:
        """The properties of the only resource of a type."""
        (found,) = self.properties(kind)
        return found

    def run_functions(self) -> list[dict[str, Any]]:
        """The properties of every function that performs runs."""
        functions = self.properties("AWS::Lambda::Function")
        return [one for one in functions if one.get("ImageConfig", {}).get("Command") == [REALTIME_HANDLER]]

    def run_function(self) -> dict[str, Any]:
        """The properties of the only one."""
        (found,) = self.run_functions()
        return found

    def definition(self, path: str) -> dict[str, Any]:
        """The definition of the state machine of that path (`express`, `distributed`, `dedicated`)."""
        for machine in self.properties("AWS::StepFunctions::StateMachine"):
            if machine["StateMachineName"].endswith(f"-{path}"):
                parsed: dict[str, Any] = json.loads(machine["DefinitionString"])
                return parsed
        raise LookupError(path)

    def statements(self) -> list[tuple[str, dict[str, Any]]]:
        """Every statement of every policy that is attached to a role or made for people, with where it stands."""
        return [
            (name, statement)
            for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
            for name, resource in self.resources(kind).items()
            for statement in resolve(resource["Properties"]["PolicyDocument"]["Statement"])
        ]

    def statements_of(self, role: str) -> list[dict[str, Any]]:
        """The statements of the policy or role whose logical id starts so."""
        return [statement for name, statement in self.statements() if name.startswith(role)]

    def lanes(self) -> dict[str, dict[str, Any]]:
        """Job definitions of the default image by instance type, with `memory_mib` and `vcpus`."""
        found = {}
        for definition in self.properties("AWS::Batch::JobDefinition"):
            if "-image-" in definition["JobDefinitionName"]:
                continue
            container = definition["ContainerProperties"]
            needs = {need["Type"]: int(need["Value"]) for need in container["ResourceRequirements"]}
            environment = {pair["Name"]: pair["Value"] for pair in container["Environment"]}
            found[environment["FANFOLD_INSTANCE_TYPE"]] = {**definition, "needs": needs, "environment": environment}
        return found

    def environments(self) -> dict[str, dict[str, Any]]:
        """Compute environments by the machine they start."""
        found = self.properties("AWS::Batch::ComputeEnvironment")
        return {"+".join(each["ComputeResources"]["InstanceTypes"]): each for each in found}


def listed(value: Any) -> list[Any]:
    """What IAM writes as one or as several, always as a list."""
    return value if isinstance(value, list) else [value]
