"""Batches that DynamoDB takes or answers only in part are finished; a batch takes no twins."""

from __future__ import annotations

import pytest

from fanfold.errors import StoreError
from fanfold.stores.aws import table as tables
from tests.aws.calls import counted
from tests.aws.cloud import account, aws, aws_stores, deployment, moto
from tests.stores.samples import an_entry

__all__ = ["account", "aws", "aws_stores", "deployment", "moto"]


@pytest.fixture
def hindered(account):
    """Has a handler change what DynamoDB is asked or answers."""
    events, added = account.client("dynamodb").meta.events, []

    def hinder(event, handler):
        events.register(event, handler)
        added.append((event, handler))

    yield hinder
    for event, handler in added:
        events.unregister(event, handler)


def test_what_was_not_written_is_written_again(aws_stores, account, hindered):
    held_back = []

    def take_half(params, **_):
        """Keeps half of the first batch from ever reaching the table."""
        import json

        asked = json.loads(params["body"])
        [(name, requests)] = asked["RequestItems"].items()
        if not held_back and len(requests) > 1:
            half = len(requests) // 2
            held_back.extend(requests[half:])
            asked["RequestItems"][name] = requests[:half]
            params["body"] = json.dumps(asked).encode()
            params["headers"].pop("Content-Length", None)

    def say_so(parsed, **_):
        if held_back and "told" not in held_back:
            parsed["UnprocessedItems"] = {aws_stores.table.name: [_parsed(request) for request in held_back]}
            held_back.append("told")

    hindered("before-call.dynamodb.BatchWriteItem", take_half)
    hindered("after-call.dynamodb.BatchWriteItem", say_so)
    entries = [an_entry(str(number)) for number in range(10)]
    aws_stores.cache.record(entries)
    assert held_back[-1] == "told"
    assert len(aws_stores.cache.lookup([entry.key for entry in entries], max_age_s=3600)) == 10


def test_keys_that_were_not_read_are_asked_for_again(aws_stores, account, hindered):
    entries = [an_entry(str(number)) for number in range(10)]
    aws_stores.cache.record(entries)
    told = []

    def answer_half(parsed, **_):
        if told:
            return
        found = parsed["Responses"][aws_stores.table.name]
        left = [{name: item[name] for name in ("pk", "sk")} for item in found[5:]]
        del found[5:]
        parsed["UnprocessedKeys"] = {aws_stores.table.name: {"Keys": left}}
        told.append(left)

    hindered("after-call.dynamodb.BatchGetItem", answer_half)
    with counted(account) as calls:
        found = aws_stores.cache.lookup([entry.key for entry in entries], max_age_s=3600)
    assert calls["dynamodb:BatchGetItem"] == 2
    assert len(found) == 10


def test_a_table_that_never_takes_everything_is_an_error_that_says_so(aws_stores, hindered, monkeypatch):
    monkeypatch.setattr(tables, "_PATIENCE_S", 0.3)

    def refuse(parsed, params=None, **_):
        parsed["UnprocessedItems"] = {aws_stores.table.name: [{"PutRequest": {"Item": item}}]}

    [item] = aws_stores.cache.items([an_entry("x")])
    hindered("after-call.dynamodb.BatchWriteItem", refuse)
    with pytest.raises(StoreError, match="so busy"):
        aws_stores.table.put_all([item])


def test_the_same_item_twice_is_written_once(aws_stores):
    [item] = aws_stores.cache.items([an_entry("x")])
    aws_stores.table.put_all([item, item])
    assert aws_stores.cache.lookup([an_entry("x").key], max_age_s=3600)


def _parsed(request):
    """A request as the answer tells it: bytes, not base64."""
    import base64

    item = request["PutRequest"]["Item"]
    return {
        "PutRequest": {
            "Item": {
                name: {kind: base64.b64decode(value) if kind == "B" else value for kind, value in attribute.items()}
                for name, attribute in item.items()
            }
        }
    }
