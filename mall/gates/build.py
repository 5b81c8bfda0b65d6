"""Open gates anew from SQL: the cure for one that is gone, stale or wrong."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from mall import clock, limits, metrics
from mall.atomic import atomic
from mall.errors import Unavailable
from mall.guards import stock
from mall.guards.client import RedisError
from models import LimitCounter, Reward

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shelf:
    """What SQL says of a reward at the moment its epoch was raised."""

    id: int
    epoch: int
    units_left: int
    period: str


def rebuild(reward_id: int) -> bool:
    """Open a reward's gate anew from SQL, under a new epoch; False where another is doing so."""
    return bool(rebuild_many([reward_id]))


def rebuild_many(reward_ids: Iterable[int]) -> set[int]:
    """Open gates anew from SQL, each under a new epoch; answers those that were opened.

    The rewards' rows are locked while their numbers are read. Redemptions that have counted their
    limit but not yet taken their unit are not seen: the gate may let in too many, SQL refuses
    them, and the keeper corrects the gate. The leases of the gate that was there are void.
    """
    ours = [each for each in sorted(set(reward_ids)) if stock.builder(each)]
    if not ours:
        return set()
    try:
        opened = _open(ours)
    finally:
        with suppress(RedisError):  # the lock ends by itself
            for reward_id in ours:
                stock.builder_done(reward_id)
    if opened:
        log.info("the gates of rewards %s were opened anew", sorted(opened))
        count("gate_rebuilds", len(opened))
    return opened


def count(name: str, by: int = 1) -> None:
    """Add to a tally; what it counts has happened even where the tally is busy."""
    try:
        metrics.count(name, by)
    except Unavailable:
        log.warning("%s could not be counted", name)


def _open(reward_ids: Sequence[int]) -> set[int]:
    shelves, counts = _read(reward_ids)
    return {
        shelf.id
        for shelf in shelves
        if stock.install(
            shelf.id,
            epoch=shelf.epoch,
            units_left=shelf.units_left,
            period=shelf.period,
            counts=counts[shelf.id],
            forget_at=limits.forget_at(shelf.period),
        )
    }


def _read(
    reward_ids: Sequence[int],
) -> tuple[list[Shelf], dict[int, list[tuple[int, int]]]]:
    """Raise the rewards' epochs; answers what they hold and what each member has taken."""
    there = stock.look_many(reward_ids)
    ahead = {each: gate.epoch for each, gate in there.items() if gate.epoch > 0}
    periods = limits.periods_of(clock.now())
    with atomic() as transaction:
        ours = sa.select(Reward.id).where(Reward.id.in_(reward_ids)).order_by(Reward.id)
        transaction.execute(ours.with_for_update(key_share=True))  # ascending, as everybody does
        rows = transaction.execute(
            sa.update(Reward)
            .where(Reward.id.in_(reward_ids))
            .values(epoch=_newer_than(ahead))
            .returning(Reward.id, Reward.epoch, Reward.units_left, Reward.limit_period)
        ).all()
        shelves = [
            Shelf(row.id, row.epoch, row.units_left, periods[row.limit_period]) for row in rows
        ]
        counts = _counts(transaction.connection, shelves)
    return shelves, counts


def _newer_than(ahead: dict[int, int]) -> sa.ColumnElement[int]:
    """The next epoch; past the gate's own where SQL was restored from a backup older than that."""
    behind = [
        ((Reward.id == reward_id) & (Reward.epoch < epoch), epoch + 1)
        for reward_id, epoch in ahead.items()
    ]
    following = Reward.epoch + 1
    return sa.case(*behind, else_=following) if behind else following


def _counts(connection: sa.Connection, shelves: list[Shelf]) -> dict[int, list[tuple[int, int]]]:
    """What members have taken of each reward in its period."""
    counter = LimitCounter
    wanted = [(shelf.id, shelf.period) for shelf in shelves]
    rows = connection.execute(
        sa.select(counter.reward_id, counter.member_id, counter.quantity).where(
            sa.tuple_(counter.reward_id, counter.period).in_(wanted), counter.quantity > 0
        )
    )
    counts: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        counts[row.reward_id].append((row.member_id, row.quantity))
    return counts
