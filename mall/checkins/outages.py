"""Days on which the shop itself was down: streaks that broke for it are mended, for everybody.

Whoever had signed the day before and did not sign that day is given a mark for it: no points, no
make-up used, but the streak goes on. Whoever of them has made the day up by then gets the points
back that it took, and may make up another. The mending is done by the worker in bounded batches of members,
ascending; how far it has come stands on the outage's row, in the transaction of the batch.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from mall import clock, points, shop
from mall.atomic import atomic
from mall.checkins import runs
from mall.checkins.ladder import MAX_STEP_POINTS, in_force
from mall.checkins.month import forget
from mall.errors import OutageKnown, OutageOutsideWindow
from mall.idempotency import Answer, Key
from mall.points import Cause
from models import Account, CheckIn, LedgerEntry, Outage
from models.base import insert, table_of
from models.points import MAX_BALANCE_POINTS

MENDED_AT_ONCE = 200
SETTLES = timedelta(seconds=30)  # longer than any request that began before the outage was named
FULLEST_POINTS = MAX_BALANCE_POINTS - (runs.REPAIRED_DAYS + 1) * MAX_STEP_POINTS


def declare(day: date, note: str, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Name a past day on which the shop was down; the worker mends the streaks."""
    today = clock.business_day(now)
    earliest, latest = today - timedelta(days=runs.REPAIRED_DAYS), today - runs.ONE_DAY
    with atomic() as transaction:
        key.claim(now=now)
        if not earliest <= day <= latest:
            raise OutageOutsideWindow(
                earliest_day=earliest.isoformat(), latest_day=latest.isoformat()
            )
        row = {
            "day": day,
            "note": note,
            "state": "repairing",
            "after_member_id": 0,
            "members_marked": 0,
            "declared_by": staff_id,
            "declared_at": now,
        }
        statement = insert(Outage).values(**row).on_conflict_do_nothing().returning(Outage.id)
        added = transaction.execute(statement).scalar()
        if added is None:
            raise OutageKnown(day=day.isoformat())
        return key.store(201, view(Outage(id=added, **row)))


def view(outage: Outage) -> dict[str, Any]:
    at = outage.repaired_at
    return {
        "id": outage.id,
        "day": outage.day.isoformat(),
        "note": outage.note,
        "state": outage.state,
        "members_marked": outage.members_marked,
        "declared_by": outage.declared_by,
        "declared_at": clock.rfc3339(outage.declared_at),
        "repaired_at": clock.rfc3339(at) if at else None,
    }


def repair(*, now: datetime) -> int:
    """Mend a bounded batch of streaks; 0 where no outage waits. Repeated anywhere it does no harm."""
    waiting = sa.select(Outage.id, Outage.day, Outage.after_member_id).where(
        Outage.state == "repairing", Outage.declared_at <= now - SETTLES
    )
    with atomic() as transaction:
        outage = transaction.execute(waiting.order_by(Outage.day).limit(1)).one_or_none()
        if outage is None:
            return 0
        members = _harmed(outage.day, outage.after_member_id)
        book = points.open_book(members, now=now, lots=True)
        mended = _mend(book, outage.day) | _give_back(book, outage.day)
        book.write()
        _advance(outage.id, members, now)
        transaction.after_commit(lambda: forget(mended, outage.day, clock.business_day(now)))
    return 1


def _harmed(day: date, after_member_id: int) -> Sequence[int]:
    """The next members whom an outage cost their streak, or the price of making it up, ascending."""
    then = aliased(CheckIn)
    query = (
        sa.select(CheckIn.member_id)
        .join(Account, Account.member_id == CheckIn.member_id)
        .outerjoin(then, (then.member_id == CheckIn.member_id) & (then.day == day))
        .where(
            CheckIn.day == day - runs.ONE_DAY,
            CheckIn.member_id > after_member_id,
            sa.or_(then.member_id.is_(None), then.kind == "make_up"),
            Account.state != "closed",
            Account.balance_points <= FULLEST_POINTS,  # nobody is too rich for their bonus
        )
        .order_by(CheckIn.member_id)
        .limit(MENDED_AT_ONCE)
    )
    with atomic() as transaction:
        return transaction.execute(query).scalars().all()


def _mend(book: points.Book, day: date) -> set[int]:
    """Mark the day, and those of outage that follow, and pay what runs newly reach."""
    rules, mended = in_force(), set[int]()
    for each, marked in runs.fill_outages(list(book.accounts), day, now=book.now).items():
        runs.pay_milestones(book, marked - mended, each, rules, actor="system")
        mended |= marked
    return mended


def _give_back(book: points.Book, day: date) -> set[int]:
    """Let those who made the day up have their points back; from now on it is a day of outage."""
    table, grace = table_of(CheckIn), timedelta(days=shop.setting("give_back_grace_days"))
    mine = (table.c.day == day) & (table.c.kind == "make_up")
    with atomic() as transaction:
        statement = sa.update(table).where(mine, table.c.member_id.in_(book.accounts))
        changed = statement.values(kind="outage").returning(table.c.member_id)
        members = set(transaction.execute(changed).scalars())
        for paid in transaction.execute(_paid_for(day, members)).all():
            cause = Cause("make_up_back", "make_up", paid.ref_id, "system")
            book.give_back(paid.member_id, paid.id, cause, grace=grace)
        runs.count_marked(day, len(members))
    return members


def _paid_for(day: date, members: Collection[int]) -> sa.Select[Any]:
    """The entries by which members paid for a day they made up; one that was free has none."""
    entries: Any = sa.select(LedgerEntry.member_id, LedgerEntry.id, LedgerEntry.ref_id)
    found: sa.Select[Any] = entries.where(
        LedgerEntry.kind == "make_up",
        LedgerEntry.ref_kind == "make_up",
        LedgerEntry.ref_id.in_([f"{each}:{day}" for each in sorted(members)]),
    )
    return found


def _advance(outage_id: int, members: Sequence[int], now: datetime) -> None:
    """Write down how far the repair has come; a batch that is not full was the last."""
    table = table_of(Outage)
    last = len(members) < MENDED_AT_ONCE
    done: dict[str, Any] = {"state": "repaired", "repaired_at": now} if last else {}
    reached = {"after_member_id": members[-1]} if members else {}
    if done or reached:
        with atomic() as transaction:
            transaction.execute(
                sa.update(table).where(table.c.id == outage_id).values(**done, **reached)
            )
