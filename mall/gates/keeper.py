"""The keeper: a round over every gate, which is reaped, compared with SQL, corrected or rebuilt.

Gates are read in pipelines and SQL in one statement a batch, so that thousands of rewards cost a
handful of calls. What it suspects is written down in gate_marks: the next round may be another's.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic, end_reading
from mall.errors import MallError
from mall.events import RedemptionCancelled, UnitsGiven
from mall.gates import counts
from mall.gates.build import count, rebuild_many
from mall.gates.reap import reap
from mall.guards import stock
from mall.guards.client import RedisError
from mall.guards.stock import Ask, Gate
from models import Event, GateMark, Redemption, Reward, db
from models.base import insert

log = logging.getLogger(__name__)

READ_AT_ONCE = 200
MAX_BATCHES = 5_000
REBUILT_AT_ONCE = 50
LEASES_READ = 200  # of one reward
TOKENS_AT_ONCE = 2_000  # of a batch
UNSURE_S = 16.0  # longer than any transaction lasts: an older lease is the reaper's to judge
TOLD_WITHIN = timedelta(hours=1)
FAILURES = 3  # of batches in one round, then it ends
TRIMMED_PERCENT = 5  # a drift up to this is corrected in place, a larger one rebuilds the gate


@dataclass
class Truth:
    """What SQL says of a reward at one moment, and under which leases it has redeemed requests."""

    epoch: int
    units_left: int
    published: bool
    redeemed: dict[str, str | None] = field(default_factory=dict)

    def has_spent(self, ask: Ask) -> bool:
        return ask.token in self.redeemed and ask.went_to(self.redeemed[ask.token])


def drift(reward: Reward) -> int | None:
    """Units the gate has too many (or, below zero, too few); None while that can't be said."""
    gate = stock.look(reward.id)
    return None if gate is None or gate.leases else gate.units_left - reward.units_left


def keep(*, route: str) -> None:
    """One round over every gate: end leases nobody ended, correct units, rebuild what is not right.

    Rewards on the shelf get a gate where they have none; a gate that is there is kept on the shelf
    or off it.
    """
    failures = 0
    for reward_ids in _batches():
        try:
            server = stock.server()
            _keep_batch(reward_ids, route=route, server=server, now=clock.now())
        except (RedisError, MallError) as error:  # a lone one: the batch waits for the next round
            failures += 1
            log.warning("gates can't be kept now: %s", error)
            if failures == FAILURES:
                return
    with suppress(RedisError, MallError):
        rebuild_many(counts.wrong_twice(now=clock.now()))


def _batches() -> Iterator[list[int]]:
    last = 0
    for _ in range(MAX_BATCHES):
        query = sa.select(Reward.id).where(Reward.id > last).order_by(Reward.id)
        reward_ids = list(db.session.scalars(query.limit(READ_AT_ONCE)))
        end_reading()
        if not reward_ids:
            return
        yield reward_ids
        last = reward_ids[-1]


def _keep_batch(reward_ids: list[int], *, route: str, server: str, now: datetime) -> None:
    marks = _marks(reward_ids)  # before the gates: what was noted then can't be newer than a gate
    there = stock.look_many(reward_ids, leases=LEASES_READ)
    for reward_id, gate in there.items():
        if gate.is_overdue:
            _despite(lambda each=reward_id: reap(each, route=route, now=now))  # type: ignore[misc]
    truths = _truths(reward_ids, there)
    seen, failing = {}, {}
    for reward_id, truth in truths.items():
        view = View(reward_id, there.get(reward_id), truth, marks.get(reward_id), server)
        fault = view.fault() or _reconcile(view)
        if fault:
            failing[reward_id] = fault
        elif view.gate is not None and view.gate.is_open:
            seen[reward_id] = view
    _despite(lambda: _note(seen.values(), now))
    _rebuild(failing, there)


def faults() -> int:
    """How many gates a round would see to: leases to be ended, units to be corrected or rebuilt."""
    found = 0
    server = stock.server()
    for reward_ids in _batches():
        marks, there = _marks(reward_ids), stock.look_many(reward_ids, leases=LEASES_READ)
        for reward_id, truth in _truths(reward_ids, there).items():
            gate = there.get(reward_id)
            view = View(reward_id, gate, truth, marks.get(reward_id), server)
            found += bool(view.fault() or (gate is not None and gate.is_overdue))
    return found


def _despite(act: Callable[[], Any]) -> None:
    """One reward that is busy must not keep the keeper from the others."""
    try:
        act()
    except MallError as error:
        log.warning("left for the next round: %s", error)


def _rebuild(failing: dict[int, str], there: dict[int, Gate]) -> None:
    """Close the gates that are there, then open all of them anew."""
    for reward_id, fault in failing.items():
        log.info("rebuilding the gate of reward %s: %s", reward_id, fault)
        if reward_id in there:
            stock.close(reward_id, epoch=there[reward_id].epoch)
    ids = sorted(failing)
    for start in range(0, len(ids), REBUILT_AT_ONCE):
        part = ids[start : start + REBUILT_AT_ONCE]
        _despite(lambda part=part: rebuild_many(part))  # type: ignore[misc]


@dataclass
class View:
    """One reward in one round: its gate, SQL's word, and what the round before noted."""

    reward_id: int
    gate: Gate | None
    truth: Truth
    noted: dict[str, Any] | None
    server: str
    drift_units: int = 0

    def __post_init__(self) -> None:
        if self.noted is not None and (self.gate is None or self.noted["epoch"] != self.gate.epoch):
            self.noted = None  # of another gate
        self.drift_units = self.noted["drift_units"] if self.noted else 0

    def fault(self) -> str | None:
        """Why this gate must be opened anew whatever its units; None where it need not."""
        if self.gate is None or (self.gate.epoch < 0 and not self.truth.published):
            return "absent" if self.truth.published else None
        if not self.gate.is_open:
            return "closed" if self.gate.epoch >= 0 else "absent"
        if self.gate.epoch != self.truth.epoch:
            return "of another epoch"
        if self.noted and self.gate.seq < self.noted["seq"]:
            return "went back in time"
        return "another server" if self.noted and self.server != self.noted["server"] else None

    def mark(self, now: datetime) -> dict[str, Any] | None:
        """What to note for the next round; None where that stands there already."""
        assert self.gate is not None
        noted = {
            "reward_id": self.reward_id,
            "epoch": self.gate.epoch,
            "seq": self.gate.seq,
            "server": self.server,
            "drift_units": self.drift_units,
        }
        old = self.noted or {"counts_wrong": False, "counts_seen_at": now}  # SQL's own, just loaded
        if all(old.get(name) == value for name, value in noted.items()):
            return None
        kept = {name: old[name] for name in ("counts_wrong", "counts_seen_at")}
        return {**noted, **kept, "seen_at": now}


def _reconcile(view: View) -> str | None:
    """Compare a gate's units with SQL's; what was wrong in the round before too is put right."""
    gate = view.gate
    if gate is None or not gate.is_open:
        return None
    if gate.oldest_s > UNSURE_S or len(gate.live) != gate.leases:
        return None
    open_ones = [each.ask for each in gate.live if not view.truth.has_spent(each.ask)]
    expected = view.truth.units_left - sum(ask.quantity for ask in open_ones)
    off = gate.units_left - expected
    before, view.drift_units = view.drift_units, off
    if not off or not before or _is_untold(view.reward_id):
        return None
    if abs(off) > max(1, expected * TRIMMED_PERCENT // 100):
        count("gate_drift")
        return f"{off} units off"
    if stock.shift(view.reward_id, epoch=gate.epoch, seq=gate.seq, units=-off):
        log.info("the gate of reward %s was %s units off", view.reward_id, off)
        count("gate_drift")
        view.drift_units = 0
    return None


def _is_untold(reward_id: int) -> bool:
    """Whether units that came back or were given may still be on their way to the gate.

    Corrected now they would be counted twice. The worker tells of them within seconds; what it
    could not tell in an hour it never will.
    """
    query = sa.select(Event.id).where(
        Event.done_at.is_(None),
        Event.kind.in_([RedemptionCancelled.kind, UnitsGiven.kind]),
        Event.created_at > clock.now() - TOLD_WITHIN,
        Event.payload["reward_id"].as_integer() == reward_id,
    )
    with atomic() as transaction:
        return transaction.execute(query.limit(1)).first() is not None


def _truths(reward_ids: Sequence[int], there: dict[int, Gate]) -> dict[int, Truth]:
    """SQL's word on rewards and their leases, in one statement: at one moment, later than the gates'."""
    tokens = [each.ask.token for gate in there.values() for each in gate.live]
    known = [(int(member), key) for member, _, key in (t.partition(":") for t in tokens)]
    theirs = sa.tuple_(Redemption.member_id, Redemption.request_key).in_(known[:TOKENS_AT_ONCE])
    redeemed = (Redemption.reward_id == Reward.id) & (theirs if known else sa.false())
    columns = (Reward.id, Reward.epoch, Reward.units_left, Reward.published)
    query = (
        sa.select(*columns, Redemption.member_id, Redemption.request_key, Redemption.lease)
        .outerjoin(Redemption, redeemed)
        .where(Reward.id.in_(reward_ids))
    )
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    truths: dict[int, Truth] = {}
    for row in rows:
        truth = truths.setdefault(row.id, Truth(row.epoch, row.units_left, row.published))
        if row.member_id is not None:
            truth.redeemed[f"{row.member_id}:{row.request_key}"] = row.lease
    return truths


def _marks(reward_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    query = sa.select(GateMark.__table__).where(GateMark.reward_id.in_(reward_ids))
    rows = db.session.execute(query).mappings().all()
    end_reading()
    return {row["reward_id"]: dict(row) for row in rows}


def _note(views: Any, now: datetime) -> None:
    rows = [mark for view in views if (mark := view.mark(now)) is not None]
    if not rows:
        return
    statement = insert(GateMark)
    new = {name: statement.excluded[name] for name in rows[0] if name != "reward_id"}
    with atomic() as transaction:
        upsert = statement.on_conflict_do_update(index_elements=["reward_id"], set_=new)
        transaction.execute(upsert, sorted(rows, key=lambda row: row["reward_id"]))
