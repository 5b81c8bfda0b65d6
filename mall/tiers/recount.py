"""Growth counted anew from what happened, as a version of the rules would have given it.

What happened is receipts, less what was refunded of them, the days they make visits, and counted
activities. Growth that came from elsewhere (a gift, by hand) stays what it is. Corrections are
entries of the day they belong to, so that each window of days sums up to what the rules say.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.tiers.grow import Growth, write_entries
from mall.tiers.moves import holder_of, of_members
from mall.tiers.rules import Rules
from mall.tiers.sources import VISIT, VISIT_AGAIN, VISIT_BACK
from models import GrowthCount, GrowthEntry, Purchase
from models.base import table_of

RECOUNT = "recount"
BY_FORMULA = (
    *("purchase", "refund", VISIT, VISIT_BACK, VISIT_AGAIN),
    *("undo_purchase", "undo_refund", "activity", "activity_back", RECOUNT),
)
Days = dict[tuple[int, date], int]  # growth of a member's day


def worth(member_ids: Collection[int], rules: Rules, *, since: datetime | None) -> Days:
    """What the rules give each member's days for what happened on them, from a moment on."""
    days: Days = defaultdict(int)
    visited = set()
    for row in _receipts(member_ids, since):
        at = (row.member_id, clock.business_day(row.paid_at))
        left_fen = row.amount_fen - row.refunded_fen
        days[at] += rules.of_spend(row.amount_fen) * left_fen // row.amount_fen
        if left_fen:
            visited.add(at)
    for at in visited:
        days[at] += rules.of_visit()
    for row in _counts(member_ids, since):
        if row.kind != VISIT:
            days[row.member_id, row.day] += rules.of_activities(row.kind, row.times)
    return days


def _receipts(member_ids: Collection[int], since: datetime | None) -> Sequence[Any]:
    receipt = table_of(Purchase).c
    query = sa.select(
        *(receipt.id, receipt.member_id, receipt.amount_fen, receipt.refunded_fen),
        *(receipt.paid_at, receipt.growth_awarded),
    ).where(receipt.member_id.in_(member_ids), receipt.undone_at.is_(None))
    if since is not None:
        query = query.where(receipt.paid_at >= since)
    with atomic() as transaction:
        return transaction.execute(query).all()


def _counts(member_ids: Collection[int], since: datetime | None) -> Sequence[Any]:
    query = sa.select(GrowthCount.__table__).where(GrowthCount.member_id.in_(member_ids))
    if since is not None:
        query = query.where(GrowthCount.day >= clock.business_day(since))
    with atomic() as transaction:
        return transaction.execute(query).all()


def booked(member_ids: Collection[int], *, since: datetime | None) -> tuple[Days, dict[int, int]]:
    """What the ledger has: by the formula, for each day; and from elsewhere, for each member."""
    entry = table_of(GrowthEntry).c
    at = sa.func.coalesce(entry.earned_at, entry.created_at).label("at")
    owner = holder_of(entry).label("member_id")
    query = sa.select(owner, entry.kind, entry.delta_value, at).where(of_members(entry, member_ids))
    if since is not None:
        query = query.where(at >= since)
    days: Days = defaultdict(int)
    others: dict[int, int] = defaultdict(int)
    with atomic() as transaction:
        for row in transaction.execute(query):
            if row.kind in BY_FORMULA:
                days[row.member_id, clock.business_day(row.at)] += row.delta_value
            else:
                others[row.member_id] += row.delta_value
    return days, others


def totals(member_ids: Collection[int], rules: Rules, *, now: datetime) -> dict[int, int]:
    """The growth that members would have in the rules' window, had the rules always counted."""
    since = rules.window.opens_at(now)
    _, values = booked(member_ids, since=since)
    for (member_id, _), value in worth(member_ids, rules, since=since).items():
        values[member_id] += value
    return {member_id: values.get(member_id, 0) for member_id in member_ids}


def recount(
    member_ids: Collection[int], rules: Rules, *, since: datetime | None, now: datetime
) -> None:
    """Correct members' growth to what the rules give; done again it changes nothing. Needs locks."""
    should = worth(member_ids, rules, since=since)
    have, _ = booked(member_ids, since=since)
    growths = []
    for member_id, day in sorted({*should, *have}):
        value = should.get((member_id, day), 0) - have.get((member_id, day), 0)
        ref = f"{rules.version}:{member_id}:{day}"
        start = clock.start_of_day(day)
        at = start if since is None else max(start, since)
        growths.append(Growth(member_id, value, RECOUNT, "tier_rule", ref, min(at, now)))
    growths = [growth for growth in growths if growth.value]
    with atomic():
        if growths:
            write_entries(growths, rules.version, now=now)
        _reprice(member_ids, rules, since)


def _reprice(member_ids: Collection[int], rules: Rules, since: datetime | None) -> None:
    """From now on a refund takes what the receipt gives by the new rules."""
    receipts, counts = table_of(Purchase), table_of(GrowthCount)
    prices = [
        {"of_id": row.id, "growth": rules.of_spend(row.amount_fen)}
        for row in _receipts(member_ids, since)
        if row.growth_awarded != rules.of_spend(row.amount_fen)
    ]
    days = [
        {"of_member": row.member_id, "of_day": row.day, "of_kind": row.kind, "growth": value}
        for row in _counts(member_ids, since)
        for value in [_count_worth(row, rules)]
        if value != row.growth_value
    ]
    price = sa.update(receipts).where(receipts.c.id == sa.bindparam("of_id"))
    count = sa.update(counts).where(
        counts.c.member_id == sa.bindparam("of_member"),
        counts.c.day == sa.bindparam("of_day"),
        counts.c.kind == sa.bindparam("of_kind"),
    )
    with atomic() as transaction:
        if prices:
            transaction.execute(price.values(growth_awarded=sa.bindparam("growth")), prices)
        if days:
            transaction.execute(count.values(growth_value=sa.bindparam("growth")), days)


def _count_worth(row: Any, rules: Rules) -> int:
    if row.kind == VISIT:
        return rules.of_visit() if row.times else 0
    return rules.of_activities(row.kind, row.times)
