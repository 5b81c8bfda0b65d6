"""Signing in: once a business day, paid by the ladder in force.

The row (member, day) is the rule; Redis keeps the year as a bitmap, written after COMMIT, which
answers "already today" without a transaction. The day is taken once, from the moment the request
began: who waits past midnight for a lock has still signed in on the day before.
"""

from datetime import date, datetime
from typing import Any

from mall import clock, points
from mall.atomic import atomic
from mall.checkins import runs
from mall.checkins.ladder import Ladder, in_force
from mall.events import CheckedIn, record
from mall.guards import streaks
from mall.guards.client import RedisError
from mall.idempotency import Answer, Key, to_bytes
from models import CheckIn
from models.base import insert


def check_in(member_id: int, *, key: Key, now: datetime) -> Answer:
    """Sign in for today: 201 the first time, 200 with `already` each time after."""
    day = clock.business_day(now)
    if key.text is None and _marked(member_id, day):
        done = runs.find(member_id, day)
        if done is not None:
            return _again(done)
    with atomic() as transaction:
        key.claim(now=now)
        book = points.open_book([member_id], now=now)
        book.account(member_id)
        near = runs.near(member_id, day)
        if day in near:
            return key.keep(_again(near[day]))
        rules = in_force()
        row = _row(member_id, day, near.get(day - runs.ONE_DAY), rules, now)
        transaction.execute(insert(CheckIn).values(**row))
        _pay(book, row, rules, joins=day + runs.ONE_DAY in near)
        book.write()
        record(CheckedIn(member_id, day.isoformat(), row["streak_days"]), now=now)
        transaction.after_commit(lambda: _mark(member_id, day))
        return key.store(201, view(row, rules))


def _row(
    member_id: int, day: date, yesterday: CheckIn | None, rules: Ladder, now: datetime
) -> dict[str, Any]:
    streak_days = yesterday.streak_days + 1 if yesterday else 1
    return {
        "member_id": member_id,
        "day": day,
        "kind": "normal",
        "streak_days": streak_days,
        "points_awarded": rules.step(streak_days).points,
        "bonus_points": 0,
        "ladder_version": rules.version,
        "created_at": now,
    }


def _pay(book: points.Book, row: dict[str, Any], rules: Ladder, *, joins: bool) -> None:
    """The day's points, and the bonus of a milestone; `joins` where a clock that went back left
    days after this one."""
    member_id, day, streak_days = row["member_id"], row["day"], row["streak_days"]
    ref = ("check_in", f"{member_id}:{day}")
    cause = rules.cause("check_in", ref, streak_days, f"member:{member_id}")
    book.act(member_id, "check_in")
    book.earn(member_id, row["points_awarded"], cause)
    if joins:
        runs.lift([member_id], day)
    if joins or rules.step(streak_days).bonus_points:
        row["bonus_points"] = runs.pay_milestones(book, [member_id], day, rules).get(member_id, 0)


def view(row: dict[str, Any], rules: Ladder) -> dict[str, Any]:
    """A check-in as it is answered."""
    return {
        "day": row["day"].isoformat(),
        "streak_days": row["streak_days"],
        "points_awarded": row["points_awarded"],
        "bonus_points": row["bonus_points"],
        "next_bonus": rules.next_bonus(row["streak_days"]),
        "already": False,
    }


def _again(done: CheckIn) -> Answer:
    columns = {column.name: getattr(done, column.name) for column in CheckIn.__table__.columns}
    return Answer(200, to_bytes({**view(columns, in_force()), "already": True}))


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
