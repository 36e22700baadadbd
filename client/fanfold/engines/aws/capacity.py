"""How many realtime runs may run side by side, and how a Distributed Map keeps to that."""

from __future__ import annotations

from typing import NamedTuple

from fanfold.contract.payloads import RUNS_PER_CHILD
from fanfold.errors import FanfoldError
from fanfold.stores.aws.account import Account

#: What an account has that has asked AWS for no more; new ones have 10 for a while.
_USUAL = 1_000


class Capacity:
    """What the deployment has reserved, or else what the account leaves to all its functions. Asked for once."""

    def __init__(self, account: Account, reserved: int) -> None:
        """`reserved`: runs side by side, 0 for none of its own."""
        self._account = account
        self._known = reserved

    def runs(self) -> int:
        """Runs side by side at most."""
        if not self._known:
            self._known = self._asked()
        return self._known

    def _asked(self) -> int:
        try:
            answer = self._account.call("lambda", "get_account_settings", on="the account's limits")
        except FanfoldError:
            return _USUAL  # it is only for the pace: too fast is throttled, and tried again
        return max(1, int(answer["AccountLimit"]["UnreservedConcurrentExecutions"]))


class Portions(NamedTuple):
    """Children of a Distributed Map at once, and the runs that each of them has, all at once."""

    children: int
    runs_per_child: int


def portions(at_once: int) -> Portions:
    """As many children of as many runs as come nearest to so many runs side by side, and no more."""
    children = -(-at_once // RUNS_PER_CHILD)
    return Portions(children, at_once // children)
