"""Limits: how many units of a reward a member may take. Counted in rows, never by counting history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from models import LimitCounter
from models.base import insert, per_dialect
from models.rewards import LIMIT_PERIODS

EVER, DAY, WEEK, MONTH = LIMIT_PERIODS
KEPT_AFTER = timedelta(days=2)
UNLIMITED = 10**9


@dataclass(frozen=True)
class Take:
    """A member who wants units of a reward within a period, and the limit that holds there."""

    member_id: int
    reward_id: int
    period: str
    quantity: int
    limit: int | None


def period_of(limit_period: str, now: datetime) -> str:
    """The shop's period that a moment falls in: "ever", "2026-11-23", "2026-W48" or "2026-11"."""
    assert limit_period in LIMIT_PERIODS, limit_period
    day = clock.business_day(now)
    if limit_period == DAY:
        return day.isoformat()
    if limit_period == WEEK:
        return f"{day:%G-W%V}"
    return f"{day:%Y-%m}" if limit_period == MONTH else EVER


def periods_of(now: datetime) -> dict[str, str]:
    """Every kind of period to the one that a moment falls in."""
    return {each: period_of(each, now) for each in LIMIT_PERIODS}


def end_of(period: str) -> datetime | None:
    """The first moment that is no longer in a period; None for ever."""
    if period == EVER:
        return None
    if "W" in period:
        year, _, week = period.partition("-W")
        return clock.end_of_day(date.fromisocalendar(int(year), int(week), 7))
    if len(period) == len("2026-11"):
        return clock.end_of_month_after(clock.start_of_day(date.fromisoformat(f"{period}-01")), 0)
    return clock.end_of_day(date.fromisoformat(period))


def forget_at(period: str) -> datetime | None:
    """From when a gate need not know a period's counts: nobody is still on the way to it."""
    end = end_of(period)
    return None if end is None else end + KEPT_AFTER


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
            "most": limit,
        }
        for take in takes
    ]
    with atomic() as transaction:
        counted = {tuple(row) for row in transaction.execute(_count(), rows)}
    return {take for take in takes if (take.member_id, take.reward_id) not in counted}


@per_dialect
def _count() -> sa.Executable:
    statement = insert(LimitCounter)
    total = LimitCounter.quantity + statement.excluded.quantity
    counted = statement.on_conflict_do_update(
        index_elements=["member_id", "reward_id", "period"],
        set_={"quantity": total},
        where=total <= sa.bindparam("most"),
    )
    return counted.returning(LimitCounter.member_id, LimitCounter.reward_id)


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
