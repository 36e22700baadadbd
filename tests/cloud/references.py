"""CloudFormation's intrinsic functions, as far as the synthesised templates use them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from tests.cloud.refusals import NotEmulated


class References:
    """Evaluates the functions in a template's values.

    `ref` and `attribute` answer `Ref` and `Fn::GetAtt` of resources; `exports` holds what other stacks export.
    """

    def __init__(
        self,
        pseudo: Mapping[str, str],
        *,
        ref: Callable[[str], str],
        attribute: Callable[[str, str], str],
        exports: Mapping[str, str],
    ) -> None:
        self._pseudo = pseudo
        self._ref_of_resource = ref
        self._attribute = attribute
        self._exports = exports

    def resolve(self, value: Any) -> Any:
        """The value with every function in it evaluated. Raises `NotEmulated` for a function that is not known."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._call(name, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not None}  # AWS::NoValue

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return None
        return self._pseudo[name] if name in self._pseudo else self._ref_of_resource(name)

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Fn::GetAtt":
            return self._attribute(*argument)
        resolved = self.resolve(argument)
        match name, resolved:
            case "Fn::Join", [separator, parts]:
                return separator.join(str(part) for part in parts)
            case "Fn::Split", [separator, text]:
                return text.split(separator)
            case "Fn::Select", [index, values]:
                return values[int(index)]
            case "Fn::Sub", str() as text:
                return re.sub(r"\$\{([^}!]+)\}", lambda found: str(self._ref(found[1])), text)
            case "Fn::GetAZs", _:
                return [f"{self._pseudo['AWS::Region']}{letter}" for letter in "abc"]
            case "Fn::Base64", str() as text:
                return b64encode(text.encode()).decode()
            case "Fn::ImportValue", exported:
                return self._exports[exported]
        raise NotEmulated(f"the function {name} of {argument!r}")
