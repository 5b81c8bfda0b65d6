"""Packs that come by themselves: for a newcomer, and for a birthday once a year."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import bundles, clock, points, shop
from mall.atomic import atomic
from mall.bundles import Gift
from mall.earning import is_birthday
from mall.events import Fact, Joined
from models import Account, GivenBundle, Member, db

GIVEN_AT_ONCE = 200
READ_AT_ONCE = 5_000
CATCH_UP_DAYS = 7  # a worker that was down gives late


def kinds() -> set[str]:
    """The kinds of facts that a pack is given for."""
    return {Joined.kind} if shop.setting("welcome_bundle") else set()


def welcome(fact: Fact, *, now: datetime) -> None:
    """Give a newcomer the shop's pack, once for life. Whoever was imported has long been a member."""
    code = shop.setting("welcome_bundle")
    imported = sa.select(Member.id).where(
        Member.id == fact.member_id, Member.external_id.is_not(None)
    )
    if code and db.session.scalar(imported) is None:
        with atomic():
            book = points.open_book([fact.member_id], now=now)
            gift = Gift(fact.member_id, code, "welcome", str(fact.member_id), reason="新人礼")
            bundles.give_many([gift], book=book, now=now)
            book.write()


def birthdays(*, now: datetime) -> int:
    """Give a bounded batch of members what their birthday brings; 0 where nobody waits for it.

    Once in a calendar year, whatever becomes of the date, and to nobody who joined after it. What
    was missed for some days is given late; what is sold out is tried again as long.
    """
    by_tier, span = shop.setting("birthday_bundles"), shop.setting("birthday_window")
    if not by_tier:
        return 0
    today = clock.business_day(now)
    days = [today - timedelta(days=n) for n in range(CATCH_UP_DAYS + 1)]
    last = 0
    while True:
        rows = _born(last, now)
        due = [found for row in rows if (found := _due(row, days, span, by_tier))]
        given = _give(due, now) if due else 0
        if given or len(rows) < READ_AT_ONCE:
            return given
        last = rows[-1].id


def _born(after_id: int, now: datetime) -> Sequence[Any]:
    """Members whose birthday is known, ascending."""
    columns = (Member.id, Member.birthday, Member.joined_at, Account.tier_code)
    query = (
        sa.select(*columns)
        .join(Account, Account.member_id == Member.id)
        .where(Member.id > after_id, Member.birthday.is_not(None), Account.state != "closed")
    )
    with atomic() as transaction:
        return transaction.execute(query.order_by(Member.id).limit(READ_AT_ONCE)).all()


def _due(row: Any, days: Sequence[date], span: str, by_tier: dict[str, str]) -> Gift | None:
    """What a member's birthday brings in these days, the latest first."""
    code = by_tier.get(row.tier_code) or by_tier.get("")
    joined_on = clock.business_day(row.joined_at)
    day = next((each for each in days if is_birthday(each, row.birthday, span)), None)
    if not code or day is None or joined_on > day:
        return None
    return Gift(row.id, code, "birthday", f"{row.id}:{day.year}", reason="生日礼")


def _give(gifts: Sequence[Gift], now: datetime) -> int:
    """Give what has not been given, a bounded number of it."""
    wanted = {gift.ref_id: gift for gift in gifts}
    given = GivenBundle
    known = sa.select(given.ref_id).where(
        given.ref_kind == "birthday", given.ref_id.in_(list(wanted))
    )
    with atomic() as transaction:
        done = set(transaction.execute(known).scalars())
        fresh = [gift for ref_id, gift in wanted.items() if ref_id not in done][:GIVEN_AT_ONCE]
        if not fresh:
            return 0
        book = points.open_book([gift.member_id for gift in fresh], now=now)
        outcomes = bundles.give_many(fresh, book=book, now=now)
        book.write()
    return sum(outcome.state == bundles.GIVEN for outcome in outcomes)
