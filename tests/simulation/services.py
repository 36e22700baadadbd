"""DynamoDB, S3, Step Functions and Batch in memory, behind the one method by which the client calls AWS.

Only what the client uses of them is there. What a call does, it does at one moment; before and after it time passes. An
answer may be lost (botocore then calls again), a read that need not be consistent may be stale, and a service be away.
"""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Callable, Collection, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from fanfold.errors import StoreUnavailable
from fanfold.stores.aws.account import Refused
from tests.simulation.world import Process, World

Item = dict[str, dict[str, Any]]
#: The share of calls after which time passes before their answer is there; each costs the scheduler a turn.
_HEARD_LATER = 0.3


class Account:
    """Stands in for `fanfold.stores.aws.account.Account`, for one process."""

    def __init__(self, world: World, services: Services, process: Process) -> None:
        self._world, self._services, self._process = world, services, process
        # As answers tell it, which is right within two seconds.
        within_s = max(-2.0, min(process.skew_s, 2.0))
        self.clock = SimpleNamespace(ahead_s=process.skew_s - within_s, now=lambda: world.now + within_s)

    def call(
        self, service: str, operation: str, *, on: str, expected: Collection[str] = (), **given: Any
    ) -> dict[str, Any]:
        """One call, with all that may happen to it."""
        world, weather = self._world, self._world.weather
        act: Callable[..., dict[str, Any]] = getattr(self._services, f"{service}_{operation}")
        world.call()
        if world.is_cut_off() or world.chance(weather.outages):
            self._note(operation, on, given, "no answer")
            raise StoreUnavailable(f"{service} does not answer about {on}.", next_step="call again.")
        answer = self._act(act, given, expected)
        self._note(operation, on, given, answer)
        if world.chance(weather.lost_answers):
            world.sleep(world.random.uniform(0.1, 5.0))
            answer = self._act(act, given, expected)
            self._note(operation, on, given, answer)
        # What is done and not yet heard of matters where another part of the process goes on meanwhile, or it dies.
        if world.random.random() < _HEARD_LATER:
            world.sleep(world.random.uniform(0.001, 0.02))
        return answer

    def _note(self, operation: str, on: str, given: dict[str, Any], answer: Any) -> None:
        if self._world.notes_calls:
            key = given.get("Key") or {**given.get("Item", {}), **given.get("ExpressionAttributeValues", {})}
            place = key if isinstance(key, str) else "/".join(str(next(iter(part.values()))) for part in key.values())
            self._world.note(f"  {self._process.name}: {operation} {on} {place[:90]} -> {str(answer)[:90]}")

    def _act(self, act: Callable[..., Any], given: dict[str, Any], expected: Collection[str]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = act(**given)
            return answer
        except Refused as refused:
            self._note(act.__name__, "", given, refused.code)
            assert refused.code in expected, f"{act.__name__}: {refused.code}"
            raise

    def client(self, service: str) -> object:
        """Nothing but what `call` does: an SDK that is old has not all operations either."""
        return object()

    def each(self, work: Callable[[Any], Any], things: Iterable[Any]) -> Iterator[Any]:
        """One after the other: what is done side by side is other processes' part here."""
        return map(work, list(things))

    def read(self, body: bytes, **_: Any) -> bytes:
        """All bytes of an answer."""
        return body


class Overseer(Account):
    """Calls that take no time and never fail: for a look from outside."""

    def call(self, service: str, operation: str, *, on: str, expected: Collection[str] = (), **given: Any) -> Any:
        """One call, at once."""
        return getattr(self._services, f"{service}_{operation}")(**given)


class Services:
    """What all processes of a world share. `start`: what becomes of an execution that is started, by its path."""

    def __init__(self, world: World, start: Callable[[str, str, str], None]) -> None:
        self._world = world
        self._start = start
        self.objects: dict[str, bytes] = {}
        self.executions: dict[str, dict[str, Any]] = {}
        self._items: dict[tuple[str, str], tuple[Item, float]] = {}
        self._sorted: dict[str, list[str]] = {}
        #: When each item of the table was written last.
        self.written_at: dict[tuple[str, str], float] = {}
        self.batch_jobs: dict[str, dict[str, Any]] = {}
        self.answer_call: Callable[[dict[str, Any]], dict[str, Any]] = lambda _: {}
        self.terminate: Callable[[str], None] = lambda _: None

    # Items are never changed, only replaced: what is handed out is what is there.

    # --- DynamoDB ----------------------------------------------------------------------------------------------------

    def get(self, partition: str, sort: str) -> Item | None:
        """An item as it is now, for a look from outside."""
        found = self._items.get((partition, sort))
        return None if found is None else found[0]

    def dynamodb_get_item(self, Key: Item, **_: Any) -> dict[str, Any]:
        found = self.get(*_place(Key))
        return {} if found is None else {"Item": dict(found)}

    def dynamodb_put_item(self, Item: Item, ConditionExpression: str = "", **facts: Any) -> dict[str, Any]:
        self._check(ConditionExpression, self.get(*_place(Item)), facts)
        self._put(Item)
        return {}

    def dynamodb_update_item(
        self,
        Key: Item,
        UpdateExpression: str,
        ConditionExpression: str = "",
        **facts: Any,
    ) -> dict[str, Any]:
        before = self.get(*_place(Key))
        self._check(ConditionExpression, before, facts)
        self._put(_updated({**(before or {}), **Key}, UpdateExpression, facts))
        return {"Attributes": before or {}}

    def dynamodb_batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        for requests in RequestItems.values():
            for request in requests:
                self._put(request["PutRequest"]["Item"])
        return {}

    def dynamodb_batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        found = {
            name: [item for key in asked["Keys"] if (item := self.get(*_place(key))) is not None]
            for name, asked in RequestItems.items()
        }
        return {"Responses": found}

    def dynamodb_query(
        self,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        ConsistentRead: bool = False,
        Select: str = "",
        IndexName: str = "",
        **_: Any,
    ) -> dict[str, Any]:
        if IndexName:  # lists of jobs, which serve errors alone here
            return {"Count": 0, "Items": []}
        values = {name: next(iter(value.values())) for name, value in ExpressionAttributeValues.items()}
        partition = values[KeyConditionExpression.split(" AND ", maxsplit=1)[0].partition("= ")[2]]
        condition = KeyConditionExpression.partition(" AND ")[2]
        if "BETWEEN" in condition:
            low, high = (values[name] for name in condition.partition("BETWEEN ")[2].split(" AND "))
            keys = [key for key in self._sorted.get(partition, ()) if low <= key <= high]
        else:
            after = values[condition.partition("> ")[2]]
            keys = [key for key in self._sorted.get(partition, ()) if key > after]
        seen = [self._items[partition, key] for key in keys]
        items = [item for item, visible_at in seen if ConsistentRead or visible_at <= self._world.now]
        return {"Count": len(items)} if Select == "COUNT" else {"Items": items, "Count": len(items)}

    def _put(self, item: Item) -> None:
        world = self._world
        place = _place(item)
        stale_s = world.random.uniform(0.0, 1.5) if world.chance(world.weather.stale) else 0.0
        if place not in self._items:
            insort(self._sorted.setdefault(place[0], []), place[1])
        self._items[place] = item, world.now + stale_s
        self.written_at[place] = world.now

    @staticmethod
    def _check(condition: str, item: Item | None, facts: dict[str, Any]) -> None:
        if condition and not any(
            all(_holds(one, item or {}, facts) for one in every.split(" AND ")) for every in condition.split(" OR ")
        ):
            raise Refused("ConditionalCheckFailedException")

    # --- S3 ----------------------------------------------------------------------------------------------------------

    def s3_put_object(self, Key: str, Body: bytes, IfNoneMatch: str = "", **_: Any) -> dict[str, Any]:
        if IfNoneMatch and Key in self.objects:
            raise Refused("PreconditionFailed")
        self.objects[Key] = bytes(Body)
        return {"ETag": "x"}

    def s3_get_object(self, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:
        if Key not in self.objects:
            raise Refused("NoSuchKey")
        body, start = self.objects[Key], 0
        if Range:
            first, _dash, last = Range.removeprefix("bytes=").partition("-")
            start = int(first)
            if start >= len(body):
                raise Refused("InvalidRange")
            body = body[start : int(last) + 1]
        return {"Body": body, "ContentLength": len(body), "ETag": "x"}

    # --- Step Functions and Batch ------------------------------------------------------------------------------------

    def stepfunctions_start_execution(self, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:
        path = stateMachineArn.rpartition(":")[2]
        arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
        if path != "express":
            if arn in self.executions:
                raise Refused("ExecutionAlreadyExists")
            self.executions[arn] = {"status": "RUNNING"}
        self._start(path, arn, input)
        return {}

    def stepfunctions_describe_execution(self, executionArn: str) -> dict[str, Any]:
        if executionArn not in self.executions:
            raise Refused("ExecutionDoesNotExist")
        return dict(self.executions[executionArn])

    def stepfunctions_stop_execution(self, executionArn: str, **_: Any) -> dict[str, Any]:
        execution = self.executions.get(executionArn)
        if execution is None:
            raise Refused("ExecutionDoesNotExist")
        if execution["status"] == "RUNNING":
            execution["status"] = "ABORTED"
        return {}

    def lambda_invoke(self, Payload: bytes, **_: Any) -> dict[str, Any]:
        return self.answer_call(json.loads(Payload))

    def batch_list_jobs(self, **_: Any) -> dict[str, Any]:
        return {"jobSummaryList": [{"jobId": name, **facts} for name, facts in self.batch_jobs.items()]}

    def batch_terminate_job(self, jobId: str, **_: Any) -> dict[str, Any]:
        self.terminate(jobId)
        return {}


def _place(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _value(name: str, item: Item, facts: dict[str, Any]) -> Any:
    """What a name of an expression stands for, as a value that compares; None for an attribute that is not there."""
    name = facts.get("ExpressionAttributeNames", {}).get(name, name)
    typed = facts["ExpressionAttributeValues"][name] if name.startswith(":") else item.get(name)
    if typed is None:
        return None
    kind, value = next(iter(typed.items()))
    return float(value) if kind == "N" else value


def _holds(condition: str, item: Item, facts: dict[str, Any]) -> bool:
    if condition.startswith("attribute_"):
        there = condition.partition("(")[2].rstrip(")") in item
        return there is condition.startswith("attribute_exists")
    name, compare, other = condition.split(" ")
    left, right = _value(name, item, facts), _value(other, item, facts)
    if left is None:
        return compare == "<>"
    order = {"=": left == right, "<>": left != right, "<": left < right, "<=": left <= right, ">": left > right}
    return order[compare]


def _updated(item: Item, change: str, facts: dict[str, Any]) -> Item:
    """The item after an update, of as much of the language as the client speaks."""
    after = dict(item)
    verb, names = "", facts.get("ExpressionAttributeNames", {})
    for word in change.replace(" = ", "=").replace(",", " ").split():
        if word in ("SET", "ADD", "REMOVE", "DELETE"):
            verb, waiting = word, ""
        elif verb == "REMOVE":
            after.pop(names.get(word, word), None)
        elif verb == "SET":
            name, _, value = word.partition("=")
            after[names.get(name, name)] = facts["ExpressionAttributeValues"][value]
        elif not waiting:
            waiting = word
        else:
            _add(after, verb, waiting, facts["ExpressionAttributeValues"][word])
            waiting = ""
    return after


def _add(item: Item, verb: str, name: str, value: dict[str, Any]) -> None:
    if "N" in value:
        item[name] = {"N": str(int(item.get(name, {"N": "0"})["N"]) + int(value["N"]))}
        return
    before, given = set(item.get(name, {"SS": []})["SS"]), set(value["SS"])
    left = before | given if verb == "ADD" else before - given
    item.pop(name, None)
    if left:
        item[name] = {"SS": sorted(left)}
