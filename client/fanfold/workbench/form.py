"""A UDF's parameters as fields of a form, and what is written there as inputs."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from fanfold.errors import InputError


class Field(NamedTuple):
    """A parameter: the kind of input that suits it, the text it has at first, and what it may be chosen from."""

    name: str
    kind: str
    default: str
    required: bool
    options: tuple[str, ...] = ()
    annotation: str = ""
    #: A default that only the UDF can compute, as it is written there.
    computed: str = ""

    @property
    def label(self) -> str:
        """The parameter's name and what is known of it."""
        return f"{self.name}{f': {self.annotation}' if self.annotation else ''}{' (required)' if self.required else ''}"


def text_of(value: Any) -> str:
    """A value as it is written in a form."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def arguments(fields: tuple[Field, ...], given: dict[str, str]) -> dict[str, str]:
    """Arguments from the texts in a form: what is empty is left to the UDF's default."""
    return {one.name: given[one.name] for one in fields if given.get(one.name, "") != ""}


def inputs_from(text: str, fields: tuple[Field, ...], given: dict[str, str]) -> list[dict[str, Any]]:
    """Inputs, one a line: an object in JSON is keyword arguments, anything else goes to the first parameter.

    What a line does not say is taken from the form.
    """
    first = fields[0].name if fields else ""
    others = arguments(fields[1:], given)
    inputs: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip().startswith("{"):
            try:
                inputs.append({**others, **json.loads(line)})
            except ValueError as error:
                raise InputError(f"Line {number} is not JSON: {error}.", next_step="mend it.") from None
        elif line.strip():
            inputs.append({first: line.strip(), **others})
    if not inputs:
        raise InputError("There are no inputs.", next_step="write one a line.")
    return inputs
