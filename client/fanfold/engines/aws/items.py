"""Runs as the items that state machines carry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fanfold.contract.cloud import shard_of
from fanfold.contract.payloads import INLINE_ARGUMENTS_BYTES, RUNS_PER_CHILD, DispatchJob, RunItem
from fanfold.models import JobHeader, RunRef
from fanfold.stores.manifest import Manifest
from fanfold.stores.protocols import ObjectStore


def run_items(
    header: JobHeader, runs: Iterable[RunRef], *, objects: ObjectStore, functions: Sequence[str]
) -> Iterator[RunItem]:
    """An item for each run, in turn for each of the function's clones. Long arguments travel by reference."""
    manifest = Manifest(objects, header.id, header.count)
    for index, attempt, *_ in runs:
        yield {
            "index": index,
            "attempt": attempt,
            "shard": shard_of(index, header.count),
            "function": functions[index % len(functions)],
            "key": manifest.cache_key(index),
            "arguments": _arguments(manifest, index),
        }


def narrow_input(job: DispatchJob, items: Sequence[RunItem]) -> str:
    """The input of one Express execution."""
    return _json({"BatchInput": {"job": job}, "Items": items})


def batches(items: Iterable[RunItem]) -> Iterator[list[RunItem]]:
    """The items, as many together as one Express execution takes."""
    batch: list[RunItem] = []
    for item in items:
        batch.append(item)
        if len(batch) == RUNS_PER_CHILD:
            yield batch
            batch = []
    if batch:
        yield batch


def lines(items: Iterable[RunItem]) -> Iterator[bytes]:
    """The items as the lines of a Distributed Map's manifest."""
    return (_json(item).encode() + b"\n" for item in items)


def _arguments(manifest: Manifest, index: int) -> dict[str, Any]:
    text = manifest.arguments(index)
    # As it travels, within JSON itself: each quote and backslash takes two bytes there.
    if len(_json(text)) <= INLINE_ARGUMENTS_BYTES:
        return {"text": text}
    return {"range": list(manifest.extent(index))}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
