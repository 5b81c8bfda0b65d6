"""Limits: how many units of a reward a member may take. Counted in rows, never by counting history."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mall.atomic import atomic
from models import LimitCounter
from models.base import insert

EVER = "ever"
UNLIMITED = 10**9


@dataclass(frozen=True)
class Take:
    """A member who wants units of a reward within a period, and the limit that holds there."""

    member_id: int
    reward_id: int
    period: str
    quantity: int
    limit: int | None


def take_many(takes: Sequence[Take]) -> set[Take]:
    """Count units that stay within their limits; answers the takes that were refused.

    At most one take for each (member, reward, period).
    """
    refused = {take for take in takes if take.limit is not None and take.quantity > take.limit}
    by_limit: dict[int, list[Take]] = {}
    for take in sorted(set(takes) - refused, key=lambda t: (t.member_id, t.reward_id)):
        by_limit.setdefault(take.limit or UNLIMITED, []).append(take)
    for limit, group in sorted(by_limit.items()):
        refused |= _take_within(limit, group)
    return refused


def _take_within(limit: int, takes: list[Take]) -> set[Take]:
    rows = [
        {
            "member_id": take.member_id,
            "reward_id": take.reward_id,
            "period": take.period,
            "quantity": take.quantity,
        }
        for take in takes
    ]
    statement = insert(LimitCounter).values(rows)
    total = LimitCounter.quantity + statement.excluded.quantity
    statement = statement.on_conflict_do_update(
        index_elements=["member_id", "reward_id", "period"],
        set_={"quantity": total},
        where=total <= limit,
    )
    columns = (LimitCounter.member_id, LimitCounter.reward_id)
    with atomic() as transaction:
        counted = {tuple(row) for row in transaction.execute(statement.returning(*columns))}
    return {take for take in takes if (take.member_id, take.reward_id) not in counted}


def give_back(member_id: int, reward_id: int, period: str, quantity: int) -> None:
    """Take units off a counter again: they were cancelled."""
    with atomic() as transaction:
        transaction.execute(
            sa.update(LimitCounter)
            .where(
                LimitCounter.member_id == member_id,
                LimitCounter.reward_id == reward_id,
                LimitCounter.period == period,
            )
            .values(quantity=LimitCounter.quantity - quantity)
        )
