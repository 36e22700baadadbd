"""The work counter of a dedicated job, and what each machine holds of the work: claimed by many, lost by none.

A dispatch's list of runs is an object. A machine takes the next few by moving the counter on, and writes down what it
holds and until when it answers for that; whatever a machine holds past its time, another takes over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fanfold.contract.cloud import CLAIMS, EXPIRES_AT, PARTITION_KEY, SORT_KEY, job_partition, machine_sort_key
from fanfold.contract.records import NamedTuple
from fanfold.core.models import RunRef
from fanfold.engines.aws.dispatch import RUN_BYTES, pack, unpack
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.table import Item, key
from fanfold.stores.keys import work_key

#: How long a machine answers for what it holds; it says so anew several times in between. All of them read one clock,
#: the table's. What a lost one held is begun by another within a minute: this, and how often that one looks.
LEASE_S = 45.0

#: What a holding is called that is a try which no machine has claimed yet, or one has.
_TRY = "try/"


def is_offered_try(name: str) -> bool:
    """Whether a holding of that name is a try of a run that has another, rather than a machine's."""
    return name.startswith(_TRY)


def machine_name(batch_job: str, attempt: int) -> str:
    """What a machine is called: its job at AWS Batch, and the attempt of it, which counts from 1."""
    return f"{batch_job}.{attempt}"


def _name_of_try(run: RunRef) -> str:
    return f"{_TRY}{run.index}.{run.attempt}"


class Holding(NamedTuple):
    """What a machine holds, until when (its clock, seconds since 1970)."""

    machine: str
    until: float
    runs: list[RunRef]


class Work:
    """The work of one dedicated job."""

    def __init__(self, stores: AwsStores, job_id: str, *, lease_s: float = LEASE_S) -> None:
        self._stores = stores
        self._table = stores.table
        self._clock = stores.account.clock
        self._job_id = job_id
        self.lease_s = lease_s

    def put(self, dispatch: str, runs: Sequence[RunRef]) -> None:
        """Lay out the runs of a dispatch. Doing it again takes no claim back."""
        self._stores.objects.put(work_key(self._job_id, dispatch), pack(runs))
        item: Item = {
            **self._claims_key(),
            EXPIRES_AT: {"N": str(self._stores.log.job_headers.known(self._job_id).expires_at)},
            "dispatch": {"S": dispatch},
            "total": {"N": str(len(runs))},
            "taken": {"N": "0"},
        }
        condition = f"attribute_not_exists({PARTITION_KEY}) OR dispatch <> :dispatch"
        self._table.put_if(item, condition, ExpressionAttributeValues={":dispatch": {"S": dispatch}})

    def take(self, count: int) -> list[RunRef]:
        """The next runs that nobody has taken, up to `count`; none when all are taken."""
        before = self._table.update(
            self._claims_key(), "ADD taken :count", ExpressionAttributeValues={":count": {"N": str(count)}}
        )
        if "dispatch" not in before:
            return []
        first, total = int(before["taken"]["N"]), int(before["total"]["N"])
        if first >= total:
            return []
        place = work_key(self._job_id, before["dispatch"]["S"])
        last = min(first + count, total)
        return list(unpack(self._stores.objects.get_range(place, first * RUN_BYTES, last * RUN_BYTES)))

    def hold(self, machine: str, runs: Sequence[RunRef], *, anew: bool = False) -> bool:
        """Say that a machine holds these runs, from now on for a lease. False where what it held is another's by now.

        A machine that was frozen or cut off for longer than its lease would else hold what another does. `anew`: it
        knows that, and these are runs that it has claimed since.
        """
        values: Item = {
            ":held": {"B": pack(runs)},
            ":until": {"N": repr(self._clock.now() + self.lease_s)},
            ":expires": {"N": str(self._stores.log.job_headers.known(self._job_id).expires_at)},
        }
        change = f"SET held = :held, leased_until = :until, {EXPIRES_AT} = :expires"
        if anew:
            self._table.update(self._machine_key(machine), change, ExpressionAttributeValues=values)
            return True
        still = f"attribute_not_exists({PARTITION_KEY}) OR leased_until > :over"
        values[":over"] = {"N": "0"}
        return self._table.update_if(self._machine_key(machine), change, still, ExpressionAttributeValues=values)

    def give_back(self, machine: str, runs: Sequence[RunRef]) -> None:
        """Say that a machine runs none of these any more: another may take them over at once.

        Nothing where that has been said before: said again, late, it would give what another has taken over to a third.
        """
        values = {":held": {"B": pack(runs)}, ":now": {"N": "0"}}
        self._table.update_if(
            self._machine_key(machine),
            "SET held = :held, leased_until = :now",
            "leased_until > :now",
            ExpressionAttributeValues=values,
        )

    def offer(self, machine: str, runs: Sequence[RunRef]) -> None:
        """Let others take these over at once, which a machine has claimed and will not begin: a holding of its own.

        Nothing where that has been said before: another may have taken them over since.
        """
        self._lay_out(f"{machine}/{runs[0].index}.{runs[0].attempt}", runs)

    def offer_try(self, run: RunRef) -> None:
        """Let a machine that has room make this try of a run that has another. Nothing where somebody has it."""
        self._lay_out(_name_of_try(run), [run])

    def claim_try(self, run: RunRef, machine: str) -> bool:
        """Become the machine that makes this try, and no other; False where another is. Again changes nothing."""
        mine: Item = {
            **self._machine_key(_name_of_try(run)),
            "held": {"B": b""},
            "leased_until": {"N": "0"},
            "by": {"S": machine},
            EXPIRES_AT: {"N": str(self._stores.log.job_headers.known(self._job_id).expires_at)},
        }
        free = f"attribute_not_exists({PARTITION_KEY}) OR #by = :machine"
        told: Item = {":machine": {"S": machine}}
        if self._table.put_if(mine, free, ExpressionAttributeNames={"#by": "by"}, ExpressionAttributeValues=told):
            return True
        return bool(self.take_over(Holding(_name_of_try(run), 0.0, [run])))  # it may have been laid out for anybody

    def stay(self, machine: str, for_s: float) -> bool:
        """Become the one machine that stays though it has nothing to do, for so long; False where another does."""
        now = self._clock.now()
        values: Item = {
            ":now": {"N": repr(now)},
            ":until": {"N": repr(now + for_s)},
            ":machine": {"S": machine},
        }
        change = "SET stays_until = :until, stays = :machine"
        free = "attribute_not_exists(stays_until) OR stays_until < :now OR stays = :machine"
        return self._table.update_if(self._claims_key(), change, free, ExpressionAttributeValues=values)

    def _lay_out(self, name: str, runs: Sequence[RunRef]) -> None:
        item: Item = {
            **self._machine_key(name),
            "held": {"B": pack(runs)},
            "leased_until": {"N": "0"},
            EXPIRES_AT: {"N": str(self._stores.log.job_headers.known(self._job_id).expires_at)},
        }
        self._table.put_if(item, f"attribute_not_exists({PARTITION_KEY})")

    def abandoned(self) -> Iterator[Holding]:
        """What machines hold past their time."""
        now = self._clock.now()
        return (held for held in self.held_by_all() if held.runs and held.until < now)

    def release_earlier(self, batch_job: str, attempt: int) -> None:
        """Free what earlier attempts of a Batch job hold: Batch starts one only when the one before is gone."""
        earlier = {machine_name(batch_job, before) for before in range(1, attempt)}
        for held in self.held_by_all():
            if held.runs and held.machine in earlier:
                self.give_back(held.machine, held.runs)

    def in_others_hands(self, machine: str) -> dict[str, float]:
        """The other machines that hold runs and still answer for them, each with until when."""
        now = self._clock.now()
        held = (one for one in self.held_by_all() if one.runs and one.until >= now and one.machine != machine)
        return {one.machine: one.until for one in held}

    def begin_search(self, for_s: float) -> bool:
        """Become the one machine that looks for runs which nobody holds, for so long; False where another is."""
        now = self._clock.now()
        free = "attribute_not_exists(searched_until) OR searched_until < :now"
        values = {":now": {"N": repr(now)}, ":until": {"N": repr(now + for_s)}}
        return self._table.update_if(
            self._claims_key(), "SET searched_until = :until", free, ExpressionAttributeValues=values
        )

    def end_search(self) -> None:
        """Let another machine look."""
        self._table.update(self._claims_key(), "REMOVE searched_until")

    def laid_out(self) -> Iterator[RunRef]:
        """Every run of the latest dispatch."""
        claims = self._table.get(self._claims_key())
        if claims is None or "dispatch" not in claims:
            return iter(())
        return unpack(self._stores.objects.get(work_key(self._job_id, claims["dispatch"]["S"])))

    def total(self) -> int:
        """How many runs the latest dispatch has."""
        claims = self._table.get(self._claims_key())
        return int(claims["total"]["N"]) if claims is not None and "total" in claims else 0

    def take_over(self, held: Holding) -> list[RunRef]:
        """The runs that another machine held past its time; none where a third was faster, or it came back."""
        values = {":until": {"N": repr(held.until)}, ":none": {"B": b""}, ":now": {"N": "0"}}
        mine = self._table.update_if(
            self._machine_key(held.machine),
            "SET held = :none, leased_until = :now",
            "leased_until = :until AND held <> :none",
            ExpressionAttributeValues=values,
        )
        return held.runs if mine else []

    def held_by_all(self) -> Iterator[Holding]:
        """What each machine that has ever held anything holds by now, perhaps nothing."""
        after = machine_sort_key("")
        while True:
            condition = f"{PARTITION_KEY} = :job AND {SORT_KEY} BETWEEN :after AND :end"
            values = {":job": {"S": job_partition(self._job_id)}, ":after": {"S": after}, ":end": {"S": "machine#~"}}
            page = self._table.query(condition, values, consistent=True)
            for item in page.items:
                name = item[SORT_KEY]["S"].partition("#")[2]
                yield Holding(name, float(item["leased_until"]["N"]), list(unpack(item["held"]["B"])))
            if not page.more:
                return
            after = page.items[-1][SORT_KEY]["S"] + "\0"

    def _claims_key(self) -> Item:
        return key(job_partition(self._job_id), CLAIMS)

    def _machine_key(self, machine: str) -> Item:
        return key(job_partition(self._job_id), machine_sort_key(machine))
