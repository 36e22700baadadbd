"""What moto answers of an item is the same as ever; only the way to its words is shorter."""

from __future__ import annotations

import json

import pytest
from moto import backends
from moto.core import responses, serialize

from tests.aws import moto_answers

moto_answers.install()
#: moto's own, which tries every type for every attribute.
BY_TRYING_ALL = serialize.BaseJSONSerializer._serialize_type_structure.__wrapped__

ITEM = {
    "text": {"S": "a"},
    "empty": {"S": ""},
    "number": {"N": "12.5"},
    "bytes": {"B": "AAE="},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "nothing": {"NULL": True},
    "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]},
    "blobs": {"BS": ["AAE="]},
    "list": {"L": [{"S": "a"}, {"M": {"in": {"N": "1"}}}, {"L": []}]},
    "map": {"M": {"S": {"S": "named like a type"}, "deep": {"M": {}}}},
}


def worded(operation, result):
    model = responses.get_service_model("dynamodb").operation_model(operation)
    serializer = serialize.JSONSerializer(model, value_picker=serialize.XFormedAttributePicker())
    return json.loads(serializer.serialize(result)["body"])


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("GetItem", {"Item": ITEM}),
        ("Query", {"Items": [ITEM, {}], "Count": 2, "LastEvaluatedKey": {"pk": {"S": "a"}}}),
        ("BatchGetItem", {"Responses": {"table": [ITEM]}, "UnprocessedKeys": {}}),
        ("GetItem", {"Item": {"odd": {"S": None}, "unknown": {"X": "a"}, "two": {"S": "a", "N": "1"}}}),
    ],
)
def test_an_item_is_told_as_moto_tells_it(operation, result, monkeypatch):
    told = worded(operation, result)
    monkeypatch.setattr(serialize.BaseJSONSerializer, "_serialize_type_structure", BY_TRYING_ALL)
    assert told == worded(operation, result)


def test_an_attribute_is_looked_up_under_its_own_type_alone(monkeypatch):
    """Under all types it took three quarters of a query."""
    looked_up = []
    pick = serialize.ResponseSerializer.get_value
    monkeypatch.setattr(
        serialize.ResponseSerializer, "get_value", lambda *asked: looked_up.append(asked[2]) or pick(*asked)
    )
    worded("Query", {"Items": [ITEM] * 10})
    assert not {"S", "N", "B", "BOOL"} & set(looked_up)


def test_what_never_changes_is_found_once():
    assert backends.list_of_moto_modules() is backends.list_of_moto_modules()
    assert "dynamodb" in backends.list_of_moto_modules()
    names = responses.method_names_from_class(responses.BaseResponse)
    assert names is responses.method_names_from_class(responses.BaseResponse)
    assert "call_action" in names
