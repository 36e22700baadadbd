"""Clients, resources and sessions of boto3: made anew in the run, of the same service and settings, with its own keys.

A client is connections and locks, which travel nowhere; what it was made of does. Keys never do: one that was made with
other keys than any client has here by default is refused, and so is one that somebody has changed since it was made.
"""

from __future__ import annotations

import operator
import sys
from typing import TYPE_CHECKING, Any

from fanfold.source.instances import call

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

_KEYS = "made with keys of its own, which no code carries (`fanfold.secret` does)"
_CHANGED = "which was changed since it was made (a handler, a setting)"


def describe(graph: Graph, value: Any) -> Any:
    """The node that makes a client, a resource or a session of boto3 anew. Raises `CaptureError` where it cannot."""
    boto3: Any = sys.modules.get("boto3")
    if boto3 is None or not isinstance(value, boto3.Session):
        client = value if hasattr(value, "_request_signer") else getattr(getattr(value, "meta", None), "client", None)
        if boto3 is None or client is None or not hasattr(client, "_request_signer"):
            raise graph.refuse(value)
        return _made_of(graph, boto3, value, client)
    credentials = value._session._credentials
    if getattr(credentials, "method", "") == "explicit":
        raise graph.refuse(value, _KEYS)
    given = {"region_name": value.region_name, "profile_name": value._session.instance_variables().get("profile")}
    return call(graph, boto3.Session, **{name: each for name, each in given.items() if each})


def _made_of(graph: Graph, boto3: Any, value: Any, client: Any) -> Any:
    service, plain = client.meta.service_model.service_name, boto3.Session()
    given: dict[str, Any] = {"region_name": client.meta.region_name}
    usual = plain.client(service, **given)
    if client.meta.endpoint_url != usual.meta.endpoint_url:
        given["endpoint_url"] = client.meta.endpoint_url
    if (verify := client._endpoint.http_session._verify) != usual._endpoint.http_session._verify:
        given["verify"] = verify
    base, own = _options(usual), _options(client)
    if more := {name: each for name, each in own.items() if each != base.get(name)}:
        given["config"] = sys.modules["botocore.config"].Config(**more)
    again = plain.client(service, **given)
    usual_keys = [_keys(again._request_signer._credentials)]
    if boto3.DEFAULT_SESSION is not None:  # of which `boto3.client` made it: keys may have changed since
        usual_keys.append(_keys(boto3.DEFAULT_SESSION._session._credentials))
    if _keys(client._request_signer._credentials) not in usual_keys:
        raise graph.refuse(value, _KEYS)
    maker = boto3.client
    if value is not client:  # a resource has handlers of its own, which another one has as well
        maker, again = boto3.resource, plain.resource(service, **given).meta.client
    if _options(again) != own or _handlers(again) != _handlers(client) or vars(again).keys() != vars(client).keys():
        raise graph.refuse(value, _CHANGED)
    config = given.pop("config", None)
    node = call(graph, maker, service, **given)
    if config is not None:
        settings = call(graph, type(config), **more)
        node[1].setdefault("kwargs", {})["config"] = graph.number(settings)
    identifiers = getattr(value.meta, "identifiers", None)
    return _of_resource(graph, value, node, identifiers) if identifiers else node


def _of_resource(graph: Graph, value: Any, service: list[Any], identifiers: list[str]) -> Any:
    """What stands in a service by its names: a bucket, a table."""
    name = type(value).__name__.rpartition(".")[2]
    node = call(graph, operator.methodcaller(name, *(getattr(value, each) for each in identifiers)))
    node[1]["args"] = [graph.number(service)]
    return node


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
