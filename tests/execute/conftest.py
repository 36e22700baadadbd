from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fanfold.codec import decode, encode_json
from fanfold.core.models import EventKind, RunError, RunStatus, Usage
from fanfold.execution.calls import Assignment, Call
from fanfold.execution.pool.pool import Pool
from fanfold.source.capture import capture


@dataclass
class Told:
    """What a pool told of one call."""

    status: RunStatus | None = None
    value: object = None
    error: RunError | None = None
    printed: str = ""
    usage: Usage | None = None
    pid: int = 0
    at: float = 0.0
    ended: int = 0
    kinds: list[EventKind] = field(default_factory=list)


class ListFeed:
    """A feed of these inputs, which keeps what it is told."""

    def __init__(self, assignment, inputs, *, allow_pickle=False):
        self.assignment = assignment
        self.told = {index: Told() for index in range(len(inputs))}
        self.order = []
        self.calls = [Call(index, 0, encode_json(given, name="input")) for index, given in enumerate(inputs)]
        self.calls.reverse()
        self._allow_pickle = allow_pickle

    def take(self):
        return self.calls.pop() if self.calls else None

    def record(self, reports):
        for event, file in reports:
            told = self.told[event.index]
            told.kinds.append(event.kind)
            if event.kind is EventKind.LOG:
                told.printed += event.data["text"]
            elif event.kind is EventKind.STARTED:
                told.pid = event.data["pid"]
            elif event.kind is EventKind.FINISHED:
                told.ended += 1
                told.at = event.at
                told.status, told.error, told.usage = event.status, event.error, event.usage
                self.order.append(event.index)
                if event.output is not None:
                    data = event.output.inline if file is None else file.read_bytes()
                    told.value = decode(event.output.codec, data, allow_pickle=self._allow_pickle)
            if file is not None:
                file.unlink()

    def ended(self):
        return [index for index, told in self.told.items() if told.ended]


@pytest.fixture
def feed(tmp_path):
    """Makes a feed: `feed(udf, inputs, timeout_s=...)`."""

    def make(fn, inputs=({},), **options):
        blobs = tmp_path / "blobs"
        blobs.mkdir(exist_ok=True)
        bundle = capture(fn, put_blob=lambda sha256, data: (blobs / sha256).write_bytes(data))
        path = tmp_path / f"bundle-{bundle.sha256}"
        path.write_bytes(bundle.to_bytes())
        allow_pickle = options.get("serializer") == "pickle"
        return ListFeed(Assignment("job-1", path, blobs, **options), list(inputs), allow_pickle=allow_pickle)

    return make


@pytest.fixture
def pool(tmp_path):
    """Makes pools: `pool(2)`; each is closed at the end."""
    pools = []

    def make(size=1):
        pools.append(Pool(size, tmp_path / f"pool-{len(pools)}"))
        return pools[-1]

    yield make
    for one in pools:
        one.close()


@pytest.fixture
def work(pool, feed):
    """Runs a UDF once per input in one pool of one worker, and returns what was told of each run."""
    pools = {}

    def run(fn, inputs=({},), *, workers=1, **options):
        given = feed(fn, inputs, **options)
        if workers not in pools:
            pools[workers] = pool(workers)
        pools[workers].serve(given)
        assert all(told.ended == 1 for told in given.told.values())
        return list(given.told.values())

    return run
