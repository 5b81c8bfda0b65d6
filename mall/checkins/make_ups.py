"""Making up a day that was missed: a few a month, for points.

A day made up pays no daily points: it was not signed when it was due. It counts in the streak,
so it joins the runs before and after it, and pays the milestones that the joined run newly
reaches. The window holds past days of this month; a day of last month stays as it was.
"""

from datetime import date, datetime, timedelta

import sqlalchemy as sa

from mall import clock, points, shop
from mall.atomic import atomic
from mall.checkins import runs, sign
from mall.checkins.ladder import in_force
from mall.checkins.month import forget, make_ups_left
from mall.errors import AlreadyCheckedIn, MakeUpOutsideWindow, NoMakeUpsLeft
from mall.idempotency import Answer, Key
from mall.points import Cause
from models import CheckIn, Member, db
from models.base import insert


def make_up(member_id: int, day: date, *, key: Key, now: datetime) -> Answer:
    """Sign in for a past day, for points; `streak_days` is the length of the run it now belongs to."""
    today = clock.business_day(now)
    with atomic() as transaction:
        key.claim(now=now)
        book = points.open_book([member_id], now=now, lots=True)
        book.account(member_id)
        _check_window(member_id, day, today)
        near = runs.near(member_id, day)
        if day in near:
            raise AlreadyCheckedIn(day=day.isoformat())
        left = make_ups_left(member_id, today)
        if not left:
            raise NoMakeUpsLeft(limit=shop.setting("make_ups_per_month"))
        price = _spend(book, member_id, day)
        rules, before = in_force(), near.get(day - runs.ONE_DAY)
        row = {
            "member_id": member_id,
            "day": day,
            "kind": "make_up",
            "streak_days": before.streak_days + 1 if before else 1,
            "points_awarded": 0,
            "bonus_points": 0,
            "ladder_version": rules.version,
            "created_at": now,
        }
        transaction.execute(insert(CheckIn).values(**row))
        runs.lift([member_id], day)
        runs.fill_outages([member_id], day + runs.ONE_DAY, now=now)
        row["bonus_points"] = runs.pay_milestones(book, [member_id], day, rules).get(member_id, 0)
        book.write()
        row["streak_days"] = runs.last_of_run(member_id, day)
        transaction.after_commit(lambda: forget([member_id], day, today))
        paid = {"points_paid": price, "balance_after": book.account(member_id).balance_points}
        return key.store(201, {**sign.view(row, rules), **paid, "make_ups_left": left - 1})


def _check_window(member_id: int, day: date, today: date) -> None:
    window_days: int = shop.setting("make_up_window_days")
    joined_at = db.session.scalars(sa.select(Member.joined_at).where(Member.id == member_id)).one()
    earliest = max(
        today - timedelta(days=window_days), today.replace(day=1), clock.business_day(joined_at)
    )
    if not earliest <= day < today:
        raise MakeUpOutsideWindow(
            window_days=window_days,
            earliest_day=earliest.isoformat() if earliest < today else None,
        )


def _spend(book: points.Book, member_id: int, day: date) -> int:
    price: int = shop.setting("make_up_price_points")
    cause = Cause("make_up", "make_up", f"{member_id}:{day}", f"member:{member_id}")
    book.spend(member_id, price, cause)
    return price
