"""Loggers and the handlers that print, as the standard library has them: what of them travels."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from fanfold.source.instances import call
from fanfold.source.modules import is_library

if TYPE_CHECKING:
    from fanfold.source.graph import Graph


def describe_logger(graph: Graph, value: Any) -> Any:
    """The node of a logger: of that name, with its filters, the handlers that print and those of the user's classes.

    A library's handlers belong to this process.
    """
    going = []
    for each in value.handlers:
        is_own = not is_library(type(each).__module__)
        if is_own and not graph.can_travel(each):
            added = f"{value.name}.addHandler({type(each).__qualname__})"
            graph.note_left(added, "what it holds belongs to this process")
        elif is_own or (type(each) is logging.StreamHandler and each.stream in (sys.stdout, sys.stderr)):
            going.append(each)
    node = call(graph, logging.getLogger, value.name)
    given = {"handlers": going, "filters": value.filters}
    node[1]["attributes"] = [[name, graph.ref(each, f".{name}")] for name, each in given.items() if each]
    return node


def describe_handler(graph: Graph, value: Any) -> Any:
    """The node of a handler that prints."""
    node = call(graph, type(value), value.stream)
    given = {"formatter": value.formatter, "level": value.level, "filters": value.filters}
    node[1]["attributes"] = [[name, graph.ref(each, f".{name}")] for name, each in given.items() if each]
    return node
