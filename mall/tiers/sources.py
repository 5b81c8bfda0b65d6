"""What growth comes from: receipts, days on which something was bought, activities.

A visit counts once a day however many receipts the day has, and is gone when the last of them is
refunded. An activity counts each time, up to the day's cap; undone, exactly what it gave is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.events import CheckedIn, Fact, Redeemed, RedemptionCancelled
from mall.tiers.grow import Growth, grow_many
from mall.tiers.moves import lock
from mall.tiers.rules import in_force
from models import GrowthCount, GrowthEntry, Redemption
from models.base import insert, table_of

VISIT, VISIT_BACK, VISIT_AGAIN = "visit", "visit_back", "visit_again"
CHECK_IN, REDEEM = "check_in", "redeem"
ACTIVITIES = (CHECK_IN, REDEEM)  # what a rule may name
OF_FACTS: dict[type[Fact], str] = {CheckedIn: CHECK_IN, Redeemed: REDEEM}


@dataclass(frozen=True)
class Bought:
    """A receipt that is in the books, with the growth that its money gives."""

    member_id: int
    purchase_id: int
    growth: int
    paid_at: datetime


def grow_by_receipts(bought: Sequence[Bought], *, now: datetime) -> dict[int, int]:
    """Growth for receipts and for the days they make visits; answers what each receipt gave.

    The caller holds the accounts' locks.
    """
    visits = _visit(bought)
    growths = []
    for each in bought:
        ref = ("purchase", str(each.purchase_id))
        at = min(each.paid_at, now)
        growths.append(Growth(each.member_id, each.growth, "purchase", *ref, at))
        visit = visits.get(each.purchase_id, 0)
        growths.append(Growth(each.member_id, visit, VISIT, *ref, at))
    grow_many(growths, now=now)
    return {each.purchase_id: each.growth + visits.get(each.purchase_id, 0) for each in bought}


def _visit(bought: Sequence[Bought]) -> dict[int, int]:
    """Count receipts by day; answers the growth of those that make a day a visit."""
    value = in_force().of_visit()
    days: dict[tuple[int, date], list[int]] = {}
    for each in bought:
        at = (each.member_id, clock.business_day(each.paid_at))
        days.setdefault(at, []).append(each.purchase_id)
    table, statement = table_of(GrowthCount), insert(GrowthCount)
    more = statement.excluded
    upsert = statement.on_conflict_do_update(
        index_elements=["member_id", "day", "kind"],
        set_={
            "times": table.c.times + more.times,
            "growth_value": sa.case(
                (table.c.times == 0, more.growth_value), else_=table.c.growth_value
            ),
        },
    ).returning(table.c.member_id, table.c.day, table.c.times)
    rows = [
        {"member_id": who, "day": day, "kind": VISIT, "times": len(ids), "growth_value": value}
        for (who, day), ids in sorted(days.items())
    ]
    with atomic() as transaction:
        counts = transaction.execute(upsert, rows).all() if rows else []
    first = [days[row.member_id, row.day] for row in counts]
    return {
        min(ids): value for row, ids in zip(counts, first, strict=True) if row.times == len(ids)
    }


def _count(member_id: int, day: date, kind: str, times: int, value: int) -> None:
    """Count what was done on a day, and what it gave."""
    table = table_of(GrowthCount)
    row = {"member_id": member_id, "day": day, "kind": kind, "times": times, "growth_value": value}
    change = {"times": table.c.times + times, "growth_value": table.c.growth_value + value}
    with atomic() as transaction:
        transaction.execute(
            insert(GrowthCount)
            .values(**row)
            .on_conflict_do_update(index_elements=["member_id", "day", "kind"], set_=change)
        )


def take_back(
    bought: Bought, *, growth: int, cause: tuple[str, str, str], whole: bool, now: datetime
) -> int:
    """Take a receipt's growth from the window it counted in; answers how much went.

    `cause` is the (kind, ref_kind, ref_id) of what takes it. With the last receipt of a day its
    visit goes too.
    """
    kind, ref = cause[0], cause[1:]
    at = min(bought.paid_at, now)
    visit = _visit_lost(bought) if whole else 0
    who = bought.member_id
    growths = [Growth(who, -growth, kind, *ref, at), Growth(who, -visit, VISIT_BACK, *ref, at)]
    grow_many(growths, now=now)
    return growth + visit


def give_again(
    bought: Bought, *, taken: int, cause: tuple[str, str, str], whole: bool, now: datetime
) -> None:
    """Give back what `take_back` took for a cause that is undone: `taken` in all, with its visit.

    A day that another receipt has made a visit meanwhile has its visit already.
    """
    kind, ref = cause[0], cause[1:]
    at = min(bought.paid_at, now)
    visit = taken - bought.growth
    day = clock.business_day(bought.paid_at)
    if whole:
        if _given(bought.member_id, day, VISIT):
            visit = 0
        _count(bought.member_id, day, VISIT, 1, visit)
    who = bought.member_id
    growths = [
        Growth(who, bought.growth, kind, *ref, at),
        Growth(who, visit, VISIT_AGAIN, *ref, at),
    ]
    grow_many(growths, now=now)


def _visit_lost(bought: Bought) -> int:
    table = table_of(GrowthCount)
    mine = (
        (table.c.member_id == bought.member_id)
        & (table.c.day == clock.business_day(bought.paid_at))
        & (table.c.kind == VISIT)
        & (table.c.times > 0)
    )
    with atomic() as transaction:
        before = transaction.execute(sa.select(table.c.growth_value).where(mine)).scalar()
        statement = sa.update(table).where(mine).values(times=table.c.times - 1)
        times = transaction.execute(statement.returning(table.c.times)).scalar()
        if times != 0:
            return 0
        gone = sa.update(table).where(
            table.c.member_id == bought.member_id,
            table.c.day == clock.business_day(bought.paid_at),
            table.c.kind == VISIT,
        )
        transaction.execute(gone.values(growth_value=0))
    return int(before or 0)


def kinds() -> set[str]:
    """The kinds of facts that give growth by the rules in force."""
    named = in_force().activities
    return {fact.kind for fact, kind in OF_FACTS.items() if kind in named}


def grow_by_fact(fact: Fact, *, now: datetime) -> None:
    """An activity that was told gives growth, if the rules in force name it."""
    kind = OF_FACTS[type(fact)]
    rules = in_force()
    if kind not in rules.activities:
        return
    day = date.fromisoformat(fact.day) if isinstance(fact, CheckedIn) else clock.business_day(now)
    with atomic():
        if not lock([fact.member_id]) or _cancelled(fact):
            return
        value = rules.of_activity(kind, _given(fact.member_id, day, kind))
        _count(fact.member_id, day, kind, 1, value)
        at = None if day == clock.business_day(now) else clock.start_of_day(day)
        ref = (kind, _cause(fact))
        grow_many([Growth(fact.member_id, value, "activity", *ref, at)], now=now)


def _cause(fact: Fact) -> str:
    if isinstance(fact, CheckedIn):
        return f"{fact.member_id}:{fact.day}"
    assert isinstance(fact, Redeemed | RedemptionCancelled)
    return str(fact.redemption_id)


def _cancelled(fact: Fact) -> bool:
    """Whether what a fact says is undone by the time that it is told."""
    if not isinstance(fact, Redeemed):
        return False
    query = sa.select(Redemption.state).where(Redemption.id == fact.redemption_id)
    with atomic() as transaction:
        return transaction.execute(query).scalar() == "cancelled"


def _given(member_id: int, day: date, kind: str) -> int:
    count = table_of(GrowthCount).c
    query = sa.select(count.growth_value).where(
        count.member_id == member_id, count.day == day, count.kind == kind
    )
    with atomic() as transaction:
        return int(transaction.execute(query).scalar() or 0)


def undo_by_fact(fact: Fact, *, now: datetime) -> None:
    """What was redeemed and cancelled gives no growth: exactly what it gave goes."""
    assert isinstance(fact, RedemptionCancelled)
    entry = table_of(GrowthEntry).c
    query = sa.select(entry.delta_value, entry.created_at, entry.earned_at).where(
        entry.kind == "activity", entry.ref_kind == REDEEM, entry.ref_id == _cause(fact)
    )
    with atomic() as transaction:
        if not lock([fact.member_id]):
            return
        given = transaction.execute(query).one_or_none()
        if given is None:
            return
        at = given.earned_at or given.created_at
        day = clock.business_day(at)
        value = min(given.delta_value, _given(fact.member_id, day, REDEEM))
        _uncount(fact.member_id, day, REDEEM, value)
        ref = (REDEEM, _cause(fact))
        back = Growth(fact.member_id, -value, "activity_back", *ref, at)
        grow_many([back], now=now)


def _uncount(member_id: int, day: date, kind: str, value: int) -> None:
    """Count something as not done, and what it gave as not given."""
    table = table_of(GrowthCount)
    less = {"times": table.c.times - 1, "growth_value": table.c.growth_value - value}
    with atomic() as transaction:
        transaction.execute(
            sa.update(table)
            .where(table.c.member_id == member_id, table.c.day == day, table.c.kind == kind)
            .values(**less)
        )
