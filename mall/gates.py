"""The keeping of gates: rebuilt from SQL when absent or wrong, and swept of leases nobody ended."""

import logging
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from mall import clock, idempotency, limits
from mall.atomic import atomic
from mall.guards import stock
from mall.guards.client import RedisError
from models import LimitCounter, Redemption, Reward, db

log = logging.getLogger(__name__)


def rebuild(reward_id: int) -> bool:
    """Open a reward's gate anew from SQL, under a new epoch; False where another is doing so.

    The reward's row is locked while its numbers are read. Redemptions that have counted their
    limit but not yet taken their unit are not seen: the gate may let in too many, SQL refuses
    them, and `reconcile` corrects the gate.
    """
    if not stock.builder(reward_id):
        return False
    with atomic() as transaction:
        row = transaction.execute(
            sa.update(Reward)
            .where(Reward.id == reward_id)
            .values(epoch=Reward.epoch + 1)
            .returning(Reward.epoch, Reward.units_left)
        ).one()
        counts = transaction.execute(
            sa.select(LimitCounter.member_id, LimitCounter.quantity).where(
                LimitCounter.reward_id == reward_id,
                LimitCounter.period == limits.EVER,
                LimitCounter.quantity > 0,
            )
        ).all()
    installed = stock.install(
        reward_id,
        epoch=row.epoch,
        units_left=row.units_left,
        period=limits.EVER,
        counts=[(each.member_id, each.quantity) for each in counts],
    )
    stock.builder_done(reward_id)
    return installed


def reap(reward_id: int, *, route: str, now: datetime) -> int:
    """End overdue leases: settle what SQL says was redeemed, give up and release the rest."""
    ended = 0
    for ask, period in stock.overdue(reward_id):
        caller, text = caller_of(ask.member_id), ask.token.partition(":")[2]
        if _redeemed(ask.member_id, text) or not idempotency.give_up(
            caller, route, text, lease=ask.lease, now=now
        ):
            ended += stock.settle(reward_id, [ask], period=period)
        else:
            ended += stock.release(reward_id, [ask], period=period)
    return ended


def caller_of(member_id: int) -> str:
    """Who a shopper's idempotency keys belong to."""
    return f"member:{member_id}"


def _redeemed(member_id: int, request_key: str) -> bool:
    query = sa.select(Redemption.id).where(
        Redemption.member_id == member_id, Redemption.request_key == request_key
    )
    with atomic() as transaction:
        return transaction.execute(query).first() is not None


def drift(reward: Reward) -> int | None:
    """Units the gate has too many (or, below zero, too few); None while that can't be said."""
    gate = stock.look(reward.id)
    return None if gate is None or gate.leases else gate.units_left - reward.units_left


def keep(*, route: str) -> None:
    """One round over every reward on the shelf: reap, and rebuild what is absent or has drifted."""
    ids = db.session.scalars(sa.select(Reward.id).where(Reward.published)).all()
    db.session.rollback()
    for reward_id in ids:
        try:
            reap(reward_id, route=route, now=clock.now())
            _keep_one(reward_id, twice=_twice)
        except RedisError as error:
            log.warning("gates can't be kept, Redis does not answer: %s", error)
            return


def _keep_one(reward_id: int, *, twice: Callable[[int, int], bool]) -> None:
    reward = db.session.get(Reward, reward_id, populate_existing=True)
    assert reward is not None
    gate, off = stock.look(reward_id), drift(reward)
    stale = gate is None or gate.epoch != reward.epoch
    db.session.rollback()
    if stale or (off and twice(reward_id, off)):
        log.info("rebuilding the gate of reward %s (drift %s)", reward_id, off)
        rebuild(reward_id)
    if not off:
        _seen_drift.pop(reward_id, None)


_seen_drift: dict[int, int] = {}


def _twice(reward_id: int, off: int) -> bool:
    """Whether the same drift was seen in the round before: a lone one may be a request in flight."""
    seen = _seen_drift.get(reward_id) == off
    _seen_drift[reward_id] = off
    return seen
