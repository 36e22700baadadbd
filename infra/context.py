"""Reading settings from the CDK's context, and saying what is wrong with them.

`cdk.json` holds the choices in its context under `fanfold`; `-c fanfold:<name>=<value>` on the command line wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from infra.settings import ExtraInstanceType, OwnImage, SettingError, Settings


def read_settings(context: Mapping[str, Any]) -> Settings:
    """The settings in a CDK app's context. Raises `SettingError` that names the setting and the allowed values."""
    given = _parsed(context.get("fanfold", {}))
    if not isinstance(given, Mapping):
        raise SettingError(f'fanfold: an object of settings is wanted, such as {{"spot": true}}, not {given!r}')
    chosen = dict(given)
    _check_keys(context)
    for key, value in context.items():
        if key.startswith("fanfold:"):
            chosen[key.removeprefix("fanfold:")] = _parsed(value)
    try:
        return Settings(**chosen)
    except ValidationError as error:
        raise SettingError("\n".join(_explained(problem) for problem in error.errors())) from None


#: How near a key is to a setting's name that is taken for it; of one that begins as ours do, farther.
_NEAR, _NEAR_OURS = 0.8, 0.6


def _check_keys(context: Mapping[str, Any]) -> None:
    """Raises `SettingError` for a key that means a setting and is not its name: CDK leaves it out without a word."""
    for key, value in context.items():
        if key == "fanfold" or key.startswith("fanfold:"):
            continue
        found = re.fullmatch(r"(?:([A-Za-z]+)[^\w-]+)?(\w[\w-]*)", key)
        head, bare = found.groups() if found else (None, "")
        is_ours = head is not None and bool(get_close_matches(head.lower(), ["fanfold"], cutoff=_NEAR))
        if not bare or (head is not None and not is_ours):
            continue  # "@aws-cdk/...", "aws:cdk:...", "availability-zones:..."
        name = bare.lower().replace("-", "_").removeprefix("fanfold_")
        is_ours = is_ours or bare.lower().startswith("fanfold")
        near = get_close_matches(name, Settings.model_fields, n=1, cutoff=_NEAR_OURS if is_ours else _NEAR)
        if near:
            raise SettingError(
                f"{key}: no setting of Fanfold's is called so, and CDK leaves it out without a word;"
                f" next: -c fanfold:{near[0]}={value}"
            )
        if is_ours:
            raise SettingError(
                f"{key}: no such setting; allowed are fanfold:{', fanfold:'.join(Settings.model_fields)}"
            )


def _parsed(value: Any) -> Any:
    """A value from the command line is text; where it reads as JSON, that is what is meant. A version is no number."""
    try:
        return json.loads(value, parse_float=str)
    except (TypeError, ValueError):
        return value


def _explained(problem: Any) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _NESTED.get(str(problem["loc"][0]), Settings)
        return f"{name}: no such setting; allowed are {', '.join(known.model_fields)}"
    allowed = allowed_values(str(problem["loc"][0])) if len(problem["loc"]) == 1 else ""
    return f"{name}: {problem['msg']}, not {problem['input']!r}" + (f"; allowed: {allowed}" if allowed else "")


def allowed_values(name: str) -> str:
    """What a setting takes, in words."""
    field = Settings.model_fields.get(name)
    if field is None:
        return ""
    literal = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if literal:
        return ", ".join(str(value) for value in literal)
    if field.annotation is bool:
        return "true, false"
    bounds = {type(rule).__name__: rule for rule in field.metadata}
    least = getattr(bounds.get("Ge"), "ge", None)
    most = getattr(bounds.get("Le"), "le", None)
    if least is not None:
        return f"{least} to {most}" if most is not None else f"{least} and more"
    pattern = next((rule.pattern for rule in field.metadata if getattr(rule, "pattern", None)), None)
    return f"text like `{pattern}`" if pattern else _KINDS.get(name, "")


_NESTED: dict[str, type[BaseModel]] = {"extra_instance_types": ExtraInstanceType, "images": OwnImage}
_KINDS = {
    "image_uri": "`<account>.dkr.ecr.<region>.amazonaws.com/<name>:<tag>` or `@sha256:<digest>`",
    "image_uri_arm64": "as `image_uri`",
    "instance_types": "a list of names, see `fanfold instance-types`",
    "extra_instance_types": "an object, see below",
    "system_packages": "a list of Debian's packages",
    "images": "an object, see below",
    "teams": "an object, see below",
    "subnet_ids": "a list of `subnet-...`",
    "read_buckets": "a list of bucket names",
    "write_buckets": "a list of bucket names",
    "notify_topics": "a list of `arn:aws:sns:<region>:<account>:<topic>`, 8 at most",
    "tags": "an object of keys and values",
    "kms_keys": "a list of `arn:aws:kms:<region>:<account>:key/<id>`",
}
