"""What a draft would mean: the points that are there now, as if they had been earned under it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.expiry_policies.policies import Policies, check, draft
from mall.expiry_policies.terms import INACTIVITY, Terms
from mall.idempotency import Answer, Key
from models import Account, CheckIn, LedgerEntry, Lot, Purchase

READ_AT_ONCE = 5_000
GIFTS = ("adjust", "transfer_in", "cancel", "hold_void", "make_up_back", "pay_back")
SPENT = ("redeem", "make_up", "transfer_out", "pay")


def preview(values: dict[str, Any], *, key: Key, now: datetime) -> Answer:
    """How many points of how many members would end in which month, now and under a draft.

    Nothing is changed, and publishing changes no lot either: a version is for what is earned after.
    """
    check(values)
    ends = _Ends(), _Ends()
    policies = draft(values)
    for chunk in _lots():
        seen = _last_acts(chunk, policies)
        for row in chunk:
            ends[0].count(row, row.expires_at)
            ends[1].count(row, _end(row, policies, seen))
    body = {
        "lots": sum(each.lots for each in ends[:1]),
        "today": clock.business_day(now).isoformat(),
        "now": ends[0].told(now),
        "draft": ends[1].told(now),
    }
    with atomic():
        key.claim(now=now)
        return key.store(200, body)


class _Ends:
    """Points and members by the month of their end."""

    def __init__(self) -> None:
        self.lots = 0
        self.points: dict[str, int] = defaultdict(int)
        self.members: dict[str, set[int]] = defaultdict(set)

    def count(self, row: Any, expires_at: datetime | None) -> None:
        month = "never" if expires_at is None else f"{clock.last_day_before(expires_at):%Y-%m}"
        self.lots += 1
        self.points[month] += row.points_left
        self.members[month].add(row.member_id)

    def told(self, now: datetime) -> list[dict[str, Any]]:
        """By month, the first first and `never` last; what is over already is `over`."""
        this_month = f"{clock.business_day(now):%Y-%m}"
        return [
            {
                "month": month,
                "points": self.points[month],
                "members": len(self.members[month]),
                "over": month < this_month,
            }
            for month in sorted(self.points)
        ]


def _lots() -> Iterator[Sequence[Any]]:
    """Lots that hold points, a bounded number of them at a time."""
    columns = (Lot.id, Lot.member_id, Lot.points_left, Lot.earned_at, Lot.expires_at)
    query = sa.select(*columns, Account.tier_code).join(Account, Account.member_id == Lot.member_id)
    reached = 0
    while True:
        part = query.where(Lot.points_left > 0, Lot.id > reached).order_by(Lot.id)
        with atomic() as transaction:
            rows = transaction.execute(part.limit(READ_AT_ONCE)).all()
        if not rows:
            return
        yield rows
        reached = rows[-1].id


def _end(row: Any, policies: Policies, seen: Mapping[tuple[int, Terms], datetime]) -> Any:
    """When a lot would end."""
    terms = policies.of(row.tier_code)
    since = max(row.earned_at, seen.get((row.member_id, terms), row.earned_at))
    return _end_of(terms, clock.business_day(since))


def _end_of(terms: Terms, day: date) -> datetime | None:
    last = terms.last_day(day)
    return None if last is None else clock.end_of_day(last)


def _last_acts(chunk: Sequence[Any], policies: Policies) -> dict[tuple[int, Terms], datetime]:
    """When members last did what counts under their terms."""
    by_terms: dict[Terms, set[int]] = defaultdict(set)
    for row in chunk:
        terms = policies.of(row.tier_code)
        if terms.kind == INACTIVITY:
            by_terms[terms].add(row.member_id)
    found: dict[tuple[int, Terms], datetime] = {}
    for terms, members in by_terms.items():
        for act in sorted(terms.resets):
            for member_id, at in _acts(act, members):
                known = found.get((member_id, terms))
                found[member_id, terms] = at if known is None else max(known, at)
    return found


def _acts(act: str, members: set[int]) -> Sequence[Any]:
    """(member, moment) of the last time that each did something."""
    entry = LedgerEntry
    sources: dict[str, tuple[Any, Any, Any]] = {
        "earn": (
            entry.member_id,
            entry.created_at,
            (entry.delta_points > 0) & entry.kind.not_in(GIFTS),
        ),
        "spend": (entry.member_id, entry.created_at, entry.kind.in_(SPENT)),
        "check_in": (CheckIn.member_id, CheckIn.created_at, CheckIn.kind == "normal"),
        "purchase": (Purchase.member_id, Purchase.created_at, sa.true()),
    }
    who, at, which = sources[act]
    query = sa.select(who, sa.func.max(at)).where(who.in_(members), which).group_by(who)
    with atomic() as transaction:
        return [tuple(row) for row in transaction.execute(query)]
