"""What stands in the way of running in a deployment: AWS itself is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fanfold.core.formatting import duration
from fanfold.diagnosis.checks import Check, Verdict
from fanfold.diagnosis.quotas import room_for_another
from fanfold.errors import ConfigurationError, FanfoldError
from fanfold.settings import Settings
from fanfold.stores.keys import bundle_key

if TYPE_CHECKING:
    from fanfold.engines.aws.discovery import Deployment
    from fanfold.stores.aws.account import Account

#: Runs at once of an account that AWS holds no lower than others; new accounts may have 10.
#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_USUAL_CONCURRENCY = 1_000
#: What a function may have in an account that AWS does not know well yet.
_NEW_ACCOUNT_MIB = 3_008
_NAMES_SHOWN = 5


def deployment(settings: Settings) -> Iterator[Check]:
    """Whether the deployment that the settings name is there, and what the account allows it.

    Where it is not there, what the account allows is told all the same: it may be why a deploy has failed.
    """
    if find_spec("boto3") is None:
        yield Check("deployment", "fail", "boto3 is not installed, by which AWS is asked", "pip install 'fanfold[aws]'")
        return
    from fanfold.engines.aws.discovery import discover
    from fanfold.stores.aws.account import Account

    account = Account(region=settings.region, profile=settings.profile, patient=False)
    try:
        found = discover(account, str(settings.deployment))
    except FanfoldError as error:
        yield Check("deployment", "fail", error.message, error.next_step)
        if isinstance(error, ConfigurationError):  # AWS does answer
            yield from _limits_alone(account)
        return
    yield _describe_deployment(account, found)
    yield check_clock(account)
    yield _check("records", lambda: _records(account, found, settings), otherwise="fail")
    yield _check("function", lambda: _function(account, found))
    reserved = found.descriptor["limits"].get("concurrency", 0)
    yield _check("concurrency", lambda: _concurrency(account, reserved))
    yield from _machines(account, found)


def _check(what: str, look: Callable[[], Check], *, otherwise: Verdict = "warn") -> Check:
    """What AWS does not tell may be well all the same, and is a warning unless nothing goes without it."""
    try:
        return look()
    except FanfoldError as error:
        return Check(what, otherwise, f"could not be asked: {error.message}", error.next_step)


def _limits_alone(account: Account) -> Iterator[Check]:
    try:
        check = _concurrency(account)
    except FanfoldError:
        return  # for the reason that has just been told
    yield check
    yield from room_for_another(account)


def _describe_deployment(account: Account, found: Deployment) -> Check:
    image = found.descriptor["image"]
    clones = len(found.descriptor["functions"])
    parts = f"{clones} function{'s' * (clones != 1)}, {len(found.lanes)} instance types"
    if found.images:
        parts += f", the image{'s' * (len(found.images) > 1)} {', '.join(found.images)} beside the default one"
    runs = f"Python {image['python']} on {image['architecture']}"
    return Check("deployment", "ok", f"{found.name} in {account.region}: {parts}, {runs}")


def check_clock(account: Account) -> Check:
    """Whether this machine's clock is right, as AWS's answers tell."""
    ahead_s = account.clock.ahead_s
    if not ahead_s:
        return Check("clock", "ok", "this machine's clock is right")
    found = f"this machine's clock is {duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} AWS's"
    step = "set the clock (turn on network time): from 5 minutes on, AWS refuses every call."
    return Check("clock", "warn", found, step)


def _records(account: Account, found: Deployment, settings: Settings) -> Check:
    """Whether these credentials reach the table and the bucket, which every job needs."""
    from fanfold.stores.aws import AwsStores

    table, bucket = found.descriptor["table"], found.descriptor["bucket"]
    scratch = settings.home / "scratch"
    stores = AwsStores(account, table=table, bucket=bucket, retention_s=0.0, scratch=scratch)
    stores.log.list_jobs(limit=1)
    stores.objects.exists(bundle_key("no-such-bundle"))
    return Check("records", "ok", f"table {table} and bucket {bucket} can be read")


def _function(account: Account, found: Deployment) -> Check:
    from fanfold.engines.aws.capacity import function

    name, wanted_mib = found.descriptor["functions"][0], found.descriptor["limits"]["memory_mib"]
    told = function(account, name)
    has = f"{name} is {told.state.lower()}, with {told.memory_mib:,} MiB"
    if told.state == "Failed":
        return Check("function", "fail", f"{has}: {told.reason}", "deploy again: `make deploy`.")
    if told.state in ("Inactive", "Pending"):
        step = "nothing: the next job wakes it up, which takes up to two minutes once; runs wait for that."
        return Check("function", "warn", f"{has}: AWS puts functions to sleep that nobody called for weeks", step)
    if told.memory_mib < wanted_mib:
        step = f"runs that need more end; ask AWS Support to let functions have {wanted_mib:,} MiB, then deploy again."
        return Check("function", "warn", f"{has}, not {wanted_mib:,} MiB", step)
    return Check("function", "ok", has)


def _concurrency(account: Account, reserved: int = 0) -> Check:
    """How many runs go side by side; `reserved`: those that the deployment's own settings keep for it."""
    from fanfold.engines.aws.capacity import concurrency

    told = concurrency(account)
    has = f"{told.limit:,} realtime runs at once in this account, {told.unreserved:,} of them unreserved"
    if reserved:
        has = f"{reserved:,} realtime runs at once, which this deployment has reserved of the account's {told.limit:,}"
    if reserved or told.limit >= _USUAL_CONCURRENCY:
        return Check("concurrency", "ok", has)
    step = (
        f"until you have asked for {_USUAL_CONCURRENCY:,} in the Service Quotas console (Lambda, L-B99A9384) runs take"
        f" turns. A new account may also hold functions to {_NEW_ACCOUNT_MIB:,} MB, with which the deploy fails."
    )
    return Check("concurrency", "warn", has, step)


def _machines(account: Account, found: Deployment) -> Iterator[Check]:
    from fanfold.engines.aws.capacity import family_of

    yield _check("queues", lambda: _queues(account, found))
    families = {family_of(lane["host"]) for lane in found.lanes.values()}
    for family in sorted(name for name in families if name):
        yield _check(f"{family} vCPUs", lambda family=family: _vcpus(account, found, family))  # type: ignore[misc]


def _queues(account: Account, found: Deployment) -> Check:
    from fanfold.engines.aws.capacity import broken_queues

    broken = broken_queues(account, found.lanes.values())
    if not broken:
        queues = len({lane["queue"] for lane in found.lanes.values()})
        return Check("queues", "ok", f"{queues} queues of machines are open and in order")
    told = "; ".join(f"{queue}: {why}" for queue, why in sorted(broken.items()))
    step = "deploy again: `make deploy`; a queue that is closed an operator opens in the Batch console."
    return Check("queues", "warn", told, step)


def _vcpus(account: Account, found: Deployment, family: str) -> Check:
    from fanfold.engines.aws.capacity import family_of, vcpu_quota

    spot = found.descriptor["spot"]
    quota = vcpu_quota(account, family, spot=spot)
    lanes = {name: lane for name, lane in found.lanes.items() if family_of(lane["host"]) == family}
    market = "Spot" if spot else "on demand"
    has = f"{quota.vcpus:,} at once, {market}"
    too_large = [name for name, lane in lanes.items() if lane["vcpus"] > quota.vcpus]
    if not too_large:
        largest = max(lane["vcpus"] for lane in lanes.values())
        return Check(f"{family} vCPUs", "ok", f"{has}; the largest machine has {largest}")
    more = f" and {len(too_large) - _NAMES_SHOWN} more" if len(too_large) > _NAMES_SHOWN else ""
    none = f"{has}: no room for {', '.join(too_large[:_NAMES_SHOWN])}{more}"
    step = f"jobs on these wait for ever; ask for more in the Service Quotas console (EC2, {quota.code})."
    return Check(f"{family} vCPUs", "warn", none, step)
