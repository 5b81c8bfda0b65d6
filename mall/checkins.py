"""Check-ins: once a business day, paid by a ladder, with a streak.

The row (member, day) is the rule; Redis keeps the year as a bitmap, written after COMMIT, which
answers "already today" and the calendar without asking SQL.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock, points, shop
from mall.atomic import atomic
from mall.events import CheckedIn, record
from mall.guards import streaks
from mall.guards.client import RedisError
from mall.idempotency import Answer, Key, to_bytes
from mall.points import Cause
from models import CheckIn, CheckInRule, db
from models.base import insert

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Step:
    """What one day of the ladder pays."""

    points: int
    bonus_points: int


def ladder() -> list[Step]:
    """The ladder from day 1; a streak longer than it starts over at its day 1."""
    rules = db.session.scalars(sa.select(CheckInRule).order_by(CheckInRule.streak_day))
    return [Step(rule.points, rule.bonus_points) for rule in rules]


def step_of(steps: list[Step], streak_days: int) -> Step:
    return steps[(streak_days - 1) % len(steps)] if steps else Step(0, 0)


def next_bonus(steps: list[Step], streak_days: int) -> dict[str, int] | None:
    """How many more days until a day with a bonus, and how much that is; None without one."""
    for in_days in range(1, len(steps) + 1):
        bonus = step_of(steps, streak_days + in_days).bonus_points
        if bonus:
            return {"in_days": in_days, "points": bonus}
    return None


def check_in(member_id: int, *, key: Key, now: datetime) -> Answer:
    """Sign in for today: 201 the first time, 200 with `already` each time after."""
    day = clock.business_day(now)
    if key.text is None and _marked(member_id, day):
        done = _find(member_id, day)
        if done is not None:
            return _again(done)
    with atomic() as transaction:
        key.claim(now=now)
        book = points.open_book([member_id], now=now)
        book.account(member_id)
        done = _find(member_id, day)
        if done is not None:
            return key.keep(_again(done))
        row = _row(member_id, day, now)
        transaction.execute(insert(CheckIn).values(**row))
        _pay(book, row)
        record(CheckedIn(member_id, day.isoformat(), row["streak_days"]), now=now)
        transaction.after_commit(lambda: _mark(member_id, day))
        return key.store(201, _view(row))


def _find(member_id: int, day: date) -> CheckIn | None:
    return db.session.get(CheckIn, (member_id, day), populate_existing=True)


def _row(member_id: int, day: date, now: datetime) -> dict[str, Any]:
    yesterday = _find(member_id, day - ONE_DAY)
    streak_days = yesterday.streak_days + 1 if yesterday else 1
    step = step_of(ladder(), streak_days)
    return {
        "member_id": member_id,
        "day": day,
        "streak_days": streak_days,
        "points_awarded": step.points,
        "bonus_points": step.bonus_points,
        "created_at": now,
    }


def _pay(book: points.Book, row: dict[str, Any]) -> None:
    member_id, day = row["member_id"], row["day"]
    expires_at = shop.points_expire_at(book.now)
    rule = f"连签第{row['streak_days']}天"
    for kind, paid in (
        ("check_in", row["points_awarded"]),
        ("check_in_bonus", row["bonus_points"]),
    ):
        cause = Cause(kind, "check_in", f"{member_id}:{day}", f"member:{member_id}", rule=rule)
        book.grant(member_id, paid, cause, expires_at=expires_at)
    book.write()


def _view(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "day": row["day"].isoformat(),
        "streak_days": row["streak_days"],
        "points_awarded": row["points_awarded"],
        "bonus_points": row["bonus_points"],
        "next_bonus": next_bonus(ladder(), row["streak_days"]),
        "already": False,
    }


def _again(done: CheckIn) -> Answer:
    columns = {column.name: getattr(done, column.name) for column in CheckIn.__table__.columns}
    return Answer(200, to_bytes({**_view(columns), "already": True}))


def _marked(member_id: int, day: date) -> bool:
    try:
        return streaks.marked(member_id, day)
    except RedisError:
        return False


def _mark(member_id: int, day: date) -> None:
    try:
        streaks.mark(member_id, day)
    except RedisError:
        return  # a lost bit costs a query


def _days_of_year(member_id: int, year: int, count: int) -> list[date]:
    """The `count` days of a year on which a member signed in; Redis' answer, or SQL's, which it learns.

    A bit that was lost or strays shows in the number of days, and the year is loaded anew.
    """
    try:
        known = streaks.days_of(member_id, year)
        if known is not None and len(known) == count:
            return known
        days = _days_in_sql(member_id, year)
        streaks.load(member_id, year, days)
        return days
    except RedisError:
        return _days_in_sql(member_id, year)


def _days_in_sql(member_id: int, year: int) -> list[date]:
    query = sa.select(CheckIn.day).where(CheckIn.member_id == member_id, _within(year))
    return list(db.session.scalars(query.order_by(CheckIn.day)))


def _within(year: int) -> sa.ColumnElement[bool]:
    return CheckIn.day.between(date(year, 1, 1), date(year, 12, 31))


def calendar(member_id: int, first: date, *, now: datetime) -> dict[str, Any]:
    """A month's days, the running streak and the longest ever."""
    today = clock.business_day(now)
    running = _find(member_id, today) or _find(member_id, today - ONE_DAY)
    longest, count = db.session.execute(
        sa.select(
            sa.func.max(CheckIn.streak_days),
            sa.func.count().filter(_within(first.year)),
        ).where(CheckIn.member_id == member_id)
    ).one()
    days = _days_of_year(member_id, first.year, count)
    return {
        "month": f"{first:%Y-%m}",
        "days": [day.isoformat() for day in _of_month(days, first)],
        "streak_days": running.streak_days if running else 0,
        "longest_streak_days": longest or 0,
        "make_ups_left": 0,
    }


def _of_month(days: Iterable[date], first: date) -> list[date]:
    return [day for day in days if day.month == first.month]
