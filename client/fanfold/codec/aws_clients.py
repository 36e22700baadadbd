"""Clients, resources and sessions of boto3: made anew where they arrive, of the same service and settings.

A client is connections and locks, which travel nowhere; what it was made of does. Keys never do, for there are others
where it arrives: one that was made with other keys than any client has here by default is refused, and so is one that
somebody has changed since it was made.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_KEYS = "made with keys of its own, which no code carries (`fanfold.secret` does)"
#: How keys are found that stay the same: others are fetched anew by each session.
_AS_THEY_STAND = ("env", "shared-credentials-file", "config-file")
_CHANGED = "which was changed since it was made (a handler, a setting)"


class NotAnew(Exception):
    """One of these that cannot be made anew; says why, where there is more to say than what it is."""


def made_of(value: Any) -> tuple[Any, ...]:
    """What `made_anew` takes to make one like it: plain data. Raises `NotAnew`."""
    boto3: Any = sys.modules.get("boto3")
    if boto3 is None:
        raise NotAnew
    if isinstance(value, boto3.Session):
        return "Session", "", _of_session(boto3, value), {}, False, []
    client = value if hasattr(value, "_request_signer") else getattr(getattr(value, "meta", None), "client", None)
    if client is None or not hasattr(client, "_request_signer"):
        raise NotAnew
    service, given, options = _of_client(boto3, value, client)
    is_unsigned = options.get("signature_version") is sys.modules["botocore"].UNSIGNED  # a mark, not a text
    options = {name: each for name, each in options.items() if not (is_unsigned and name == "signature_version")}
    identifiers = getattr(value.meta, "identifiers", None) or ()
    part = [type(value).__name__.rpartition(".")[2], *(getattr(value, each) for each in identifiers)]
    maker = "client" if value is client else "resource"
    return maker, service, given, options, is_unsigned, part if identifiers else []


def made_anew(
    maker: str, service: str, given: dict[str, Any], options: dict[str, Any], is_unsigned: bool, part: list[str]
) -> Any:
    """One made anew: a client, a resource, what stands in it by its names (a bucket, a table), or a session."""
    boto3: Any = import_module("boto3")
    if maker == "Session":
        return boto3.Session(**given)
    if is_unsigned:
        options = {**options, "signature_version": import_module("botocore").UNSIGNED}
    if options:
        given = {**given, "config": import_module("botocore.config").Config(**options)}
    made = getattr(boto3, maker)(service, **given)
    return getattr(made, part[0])(*part[1:]) if part else made


def _of_session(boto3: Any, session: Any) -> dict[str, Any]:
    """The arguments that make a session again."""
    said = {"region_name": session.region_name, "profile_name": session._session.instance_variables().get("profile")}
    given = {name: each for name, each in said.items() if each}
    known = session._session._credentials
    if known is None:  # nothing has been asked of it yet
        return given
    usual = None if known.method == "explicit" else boto3.Session(**given).get_credentials()
    if usual is None or usual.method != known.method:
        raise NotAnew(_KEYS)
    if known.method in _AS_THEY_STAND and usual.access_key != known.access_key:
        raise NotAnew(_KEYS)
    return given


def _of_client(boto3: Any, value: Any, client: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The service, the arguments and the settings that make a client again."""
    service, plain = client.meta.service_model.service_name, boto3.Session()
    given: dict[str, Any] = {"region_name": client.meta.region_name}
    usual = plain.client(service, **given)
    if client.meta.endpoint_url != usual.meta.endpoint_url:
        given["endpoint_url"] = client.meta.endpoint_url
    if (verify := client._endpoint.http_session._verify) != usual._endpoint.http_session._verify:
        given["verify"] = verify
    base, own = _options(usual), _options(client)
    more = {name: each for name, each in own.items() if each != base.get(name)}
    config = {"config": sys.modules["botocore.config"].Config(**more)} if more else {}
    again = plain.client(service, **given, **config)
    usual_keys = [_keys(again._request_signer._credentials)]
    if boto3.DEFAULT_SESSION is not None:  # of which `boto3.client` made it: keys may have changed since
        usual_keys.append(_keys(boto3.DEFAULT_SESSION._session._credentials))
    if _keys(client._request_signer._credentials) not in usual_keys:
        raise NotAnew(_KEYS)
    if value is not client:  # a resource has handlers of its own, which another one has as well
        again = plain.resource(service, **given, **config).meta.client
    if _options(again) != own or _handlers(again) != _handlers(client) or vars(again).keys() != vars(client).keys():
        raise NotAnew(_CHANGED)
    return service, given, more


def _options(client: Any) -> dict[str, Any]:
    """The settings of a client, however it came to them, without what it says of itself."""
    known = client.meta.config._user_provided_options
    return {name: each for name, each in known.items() if name not in ("user_agent", "region_name")}


def _keys(credentials: Any) -> Any:
    return None if credentials is None else (credentials.access_key, credentials.method)


def _handlers(client: Any) -> int:
    """How many handlers a client's events have."""
    waiting, count = [client.meta.events._emitter._handlers._root], 0
    while waiting:
        node = waiting.pop()
        count += sum(map(len, node["values"])) if node["values"] else 0
        waiting += node["children"].values()
    return count
