"""Members' counts at the gates, compared with SQL's: one too high refuses a shopper for nothing."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from mall import limits
from mall.atomic import atomic, end_reading
from mall.guards import stock
from models import GateMark, LimitCounter, Reward, db

CHECKED_AT_ONCE = 20
LEASES_READ = 200


def wrong_twice(*, now: datetime) -> list[int]:
    """Compare some members' counts at some gates, in turn; answers those found wrong again.

    Units are compared with every round; counts are many, so each round draws a few. A lone
    difference may be a request in flight, and the next round looks there first.
    """
    periods = limits.periods_of(now)
    due = [(row.id, periods[row.limit_period], row.counts_wrong) for row in _due()]
    leased = stock.look_many([reward_id for reward_id, *_ in due], leases=LEASES_READ)
    drawn = stock.sample_counts([(reward_id, period) for reward_id, period, _ in due])
    again = []
    for (reward_id, period, before), counts in zip(due, drawn, strict=True):
        gate = leased.get(reward_id)
        if gate is None or len(gate.live) != gate.leases:
            continue
        on_the_way = {each.ask.member_id for each in gate.live}
        settled = {m: n for m, n in counts.items() if m not in on_the_way}
        wrong = _differ(reward_id, period, settled)
        _note(reward_id, wrong=wrong and not before, now=now)
        if wrong and before:
            again.append(reward_id)
    return again


def _due() -> list[sa.Row[int, str, bool]]:
    query = (
        sa.select(Reward.id, Reward.limit_period, GateMark.counts_wrong)
        .join(GateMark, (GateMark.reward_id == Reward.id) & (GateMark.epoch == Reward.epoch))
        .where(Reward.per_member_limit.is_not(None))
        .order_by(GateMark.counts_wrong.desc(), GateMark.counts_seen_at)
        .limit(CHECKED_AT_ONCE)
    )
    rows = list(db.session.execute(query))
    end_reading()
    return rows


def _differ(reward_id: int, period: str, counts: Mapping[int, int]) -> bool:
    counter = LimitCounter
    query = sa.select(counter.member_id, counter.quantity).where(
        counter.reward_id == reward_id,
        counter.period == period,
        counter.member_id.in_(counts),
    )
    with atomic() as transaction:
        known = {row.member_id: row.quantity for row in transaction.execute(query)}
    return any(known.get(member_id, 0) != count for member_id, count in counts.items())


def _note(reward_id: int, *, wrong: bool, now: datetime) -> None:
    with atomic() as transaction:
        transaction.execute(
            sa.update(GateMark)
            .where(GateMark.reward_id == reward_id)
            .values(counts_wrong=wrong, counts_seen_at=now)
        )
