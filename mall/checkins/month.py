"""The calendar: a month's days, the running streak, the longest ever, the make-ups left.

Redis keeps a member's year as a bitmap. SQL's fingerprint of the year (how many days, their sum
and the sum of their squares) is asked for with every calendar: bits that were lost, or stray, or
both at once, show in it, and the year is answered from SQL and loaded anew in that same request.
"""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from mall import clock, shop
from mall.checkins import runs
from mall.guards import streaks
from mall.guards.client import RedisError
from models import CheckIn, db

RECENT_DAYS = 31


class Fingerprint(NamedTuple):
    """What tells one set of days of a year from another."""

    days: int
    total: int
    squares: int


def calendar(member_id: int, first: date, *, now: datetime) -> dict[str, Any]:
    """A month's days and what kind each is, the running streak, the longest, the make-ups left."""
    today = clock.business_day(now)
    days = [day for day in _days_of_year(member_id, first.year) if day.month == first.month]
    return {
        "month": f"{first:%Y-%m}",
        "days": [day.isoformat() for day in days],
        "marks": _marks(member_id, days),
        **_streaks(member_id, today),
        "make_ups_left": make_ups_left(member_id, today),
        "make_up_price_points": shop.setting("make_up_price_points"),
        "make_up_window_days": shop.setting("make_up_window_days"),
    }


def recent(member_id: int, *, now: datetime) -> dict[str, Any]:
    """A member's streaks and last days, as the console shows them."""
    query = sa.select(CheckIn.day, CheckIn.kind).where(CheckIn.member_id == member_id)
    rows = db.session.execute(query.order_by(CheckIn.day.desc()).limit(RECENT_DAYS))
    marks = [{"day": row.day.isoformat(), "kind": row.kind} for row in rows]
    return {**_streaks(member_id, clock.business_day(now)), "marks": marks}


def _streaks(member_id: int, today: date) -> dict[str, int]:
    running = runs.find(member_id, today) or runs.find(member_id, today - runs.ONE_DAY)
    longest = sa.select(sa.func.max(CheckIn.streak_days)).where(CheckIn.member_id == member_id)
    return {
        "streak_days": running.streak_days if running else 0,
        "longest_streak_days": db.session.scalar(longest) or 0,
    }


def make_ups_left(member_id: int, today: date) -> int:
    """How many days of this month a member may still make up."""
    used = sa.select(sa.func.count()).where(
        CheckIn.member_id == member_id,
        CheckIn.day.between(today.replace(day=1), today),
        CheckIn.kind == "make_up",
    )
    per_month: int = shop.setting("make_ups_per_month")
    return max(per_month - (db.session.scalar(used) or 0), 0)


def _marks(member_id: int, days: list[date]) -> list[dict[str, str]]:
    """What kind each of a month's days is; most are normal, so SQL names the others."""
    if not days:
        return []
    query = sa.select(CheckIn.day, CheckIn.kind).where(
        CheckIn.member_id == member_id,
        CheckIn.day.between(days[0], days[-1]),
        CheckIn.kind != "normal",
    )
    kinds = {row.day: row.kind for row in db.session.execute(query)}
    return [{"day": day.isoformat(), "kind": kinds.get(day, "normal")} for day in days]


def _days_of_year(member_id: int, year: int) -> list[date]:
    """The days of a year: Redis' where SQL's fingerprint agrees, else SQL's, which Redis learns."""
    try:
        known = streaks.days_of(member_id, year)
        if known is not None and _fingerprint(known) == _fingerprint_in_sql(member_id, year):
            return known
        days = _days_in_sql(member_id, year)
        streaks.load(member_id, year, days)
        return days
    except RedisError:
        return _days_in_sql(member_id, year)


def _fingerprint(days: Iterable[date]) -> Fingerprint:
    numbers = [day.timetuple().tm_yday for day in days]
    return Fingerprint(len(numbers), sum(numbers), sum(number**2 for number in numbers))


def _fingerprint_in_sql(member_id: int, year: int) -> Fingerprint:
    number = sa.cast(sa.extract("doy", CheckIn.day), sa.Integer)
    row = db.session.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(number), 0),
            sa.func.coalesce(sa.func.sum(number * number), 0),
        ).where(CheckIn.member_id == member_id, _within(year))
    ).one()
    return Fingerprint(*(int(part) for part in row))


def _days_in_sql(member_id: int, year: int) -> list[date]:
    query = sa.select(CheckIn.day).where(CheckIn.member_id == member_id, _within(year))
    return list(db.session.scalars(query.order_by(CheckIn.day)))


def _within(year: int) -> sa.ColumnElement[bool]:
    return CheckIn.day.between(date(year, 1, 1), date(year, 12, 31))


def forget(member_ids: Collection[int], first: date, last: date) -> None:
    """Let Redis ask SQL again for the years between two days; called after COMMIT."""
    try:
        streaks.forget(member_ids, range(first.year, last.year + 1))
    except RedisError:
        return  # the fingerprint will tell
