"""A query of a table costs what its partition holds, as in DynamoDB, and answers what moto's own does."""

from __future__ import annotations

import pytest
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from tests.aws import moto_tables

moto_tables.install()
#: moto's own, which looks through the whole table.
WHOLE = Table.query.__wrapped__


def text(value):
    return DynamoType({"S": value})


@pytest.fixture
def table():
    """Three partitions of ten items each, and an index on who owns them."""
    definition = [("pk", "HASH"), ("sk", "RANGE")]
    made = Table(
        "events",
        account_id="123456789012",
        region="us-east-1",
        schema=[{"AttributeName": name, "KeyType": kind} for name, kind in definition],
        attr=[{"AttributeName": name, "AttributeType": "S"} for name, _ in definition],
        indexes=[],
    )
    for number in range(30):
        of_item = {"pk": {"S": f"p{number % 3}"}, "sk": {"S": f"{number:02d}"}}
        made.items[text(f"p{number % 3}")][text(f"{number:02d}")] = Item(
            hash_key=text(f"p{number % 3}"), range_key=text(f"{number:02d}"), attrs=of_item
        )
    return made


@pytest.mark.parametrize(
    ("comparison", "values", "limit", "forward"),
    [
        (None, [], None, True),
        (">", ["12"], None, True),
        ("BETWEEN", ["04", "22"], 3, False),
        ("BEGINS_WITH", ["1"], 2, True),
    ],
)
def test_a_query_answers_what_moto_s_own_does(table, comparison, values, limit, forward):
    asked = (text("p1"), comparison, [text(value) for value in values], limit, None, forward, None)
    told, whole = Table.query(table, *asked), WHOLE(table, *asked)
    assert [item.range_key.value for item in told[0]] == [item.range_key.value for item in whole[0]]
    assert told[1:] == whole[1:]


def test_it_looks_at_its_own_partition_alone(table):
    table.items[text("p2")] = {text("01"): "not looked at"}
    found, *_ = Table.query(table, text("p1"), ">", [text("12")], None, None, True, None)
    assert [item.range_key.value for item in found] == ["13", "16", "19", "22", "25", "28"]
