"""What the tests of the mall read and ask: always what the database says now."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock, ledger, phones, points
from mall.atomic import atomic
from mall.guards import stock
from mall.idempotency import Answer, Key
from mall.points import Book, Cause
from mall.redemptions import Request
from models import (
    Account,
    LedgerEntry,
    LimitCounter,
    Lot,
    LotUse,
    Member,
    Redemption,
    Reward,
    Staff,
    db,
)
from tests.makers import a_key

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def rows(*columns: Any, where: Any = (), order: Any = None) -> list[tuple[Any, ...]]:
    """Rows as they stand now, not as this session once saw them, in the order they were written.

    Without an ORDER BY, PostgreSQL answers in whatever order its pages happen to hold."""
    db.session.rollback()
    query = sa.select(*columns).where(*where)
    model = getattr(columns[0], "class_", None)
    if order is not None:
        query = query.order_by(order)
    elif model is not None:
        query = query.order_by(*sa.inspect(model).primary_key)
    return [tuple(row) for row in db.session.execute(query)]


def one(column: Any, *where: Any) -> Any:
    (found,) = rows(column, where=where)
    return found[0]


def count(model: Any, *where: Any) -> int:
    db.session.rollback()
    query = sa.select(sa.func.count()).select_from(model).where(*where)
    return db.session.scalar(query) or 0


def by_hand(statement: Any) -> None:
    """Change a row past every rule of ours; those of the database still hold."""
    db.session.rollback()
    with db.engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(statement)


def balance(member_id: int) -> int:
    return one(Account.balance_points, Account.member_id == member_id)


def lots(member_id: int) -> list[tuple[int, datetime | None]]:
    """Points left and the end of each lot, in the order they were made."""
    return rows(Lot.points_left, Lot.expires_at, where=[Lot.member_id == member_id], order=Lot.id)


def left(member_id: int) -> list[int]:
    """Points left in each lot, in the order they were made."""
    return [points_left for points_left, _ in lots(member_id)]


def entries(member_id: int) -> list[tuple[str, int, int]]:
    """(kind, change, balance after) of each entry, in order."""
    entry = LedgerEntry
    columns = (entry.kind, entry.delta_points, entry.balance_after_points)
    return rows(*columns, where=[entry.member_id == member_id], order=entry.seq)


def uses(kind: str) -> list[tuple[int, int]]:
    """(lot, points) that entries of a kind took."""
    return rows(
        LotUse.lot_id,
        LotUse.points,
        where=[LotUse.entry_id.in_(sa.select(LedgerEntry.id).where(LedgerEntry.kind == kind))],
        order=LotUse.lot_id,
    )


def units_left(reward_id: int) -> int:
    return one(Reward.units_left, Reward.id == reward_id)


def taken(member_id: int, reward_id: int) -> int:
    """Units that count towards a member's limit."""
    where = [LimitCounter.member_id == member_id, LimitCounter.reward_id == reward_id]
    return sum(quantity for (quantity,) in rows(LimitCounter.quantity, where=where))


def gate(reward_id: int) -> tuple[int, int] | None:
    """(units left, leases) of a reward's gate; None where there is none."""
    seen = stock.look(reward_id)
    return None if seen is None else (seen.units_left, seen.leases)


def trades(**columns: Any) -> int:
    """How many redemptions there are."""
    return count(Redemption, *(getattr(Redemption, k) == v for k, v in columns.items()))


def wrong() -> list[dict[str, Any]]:
    """What the ledger's own proof finds."""
    db.session.rollback()
    return ledger.verify()["mismatches"]


def clerk(staff_id: int) -> Staff:
    return db.session.get_one(Staff, staff_id)


def said(answer: Answer) -> dict[str, Any]:
    return json.loads(answer.body)


def ask(
    member_id: int, reward_id: int, quantity: int = 1, key: Key | None = None, **more: Any
) -> Request:
    return Request(member_id, reward_id, quantity, key or a_key(member_id), **more)


def a_cause(name: str, kind: str = "adjust") -> Cause:
    return Cause(kind, "test", name, "system")


@contextmanager
def book_of(*member_ids: int, now: datetime | None = None) -> Iterator[Book]:
    """A book on some accounts, written at the end."""
    with atomic():
        book = points.open_book(member_ids, now=now or clock.now(), lots=True)
        yield book
        book.write()


def give(
    member_id: int, amount: int, name: str, *, expires_at: datetime | None, now: datetime
) -> None:
    with book_of(member_id, now=now) as book:
        book.grant(member_id, amount, a_cause(name), expires_at=expires_at)


def spend(member_id: int, amount: int, name: str, *, now: datetime | None = None) -> int:
    with book_of(member_id, now=now) as book:
        return book.spend(member_id, amount, a_cause(name, "redeem"))


def numbers() -> list[str | None]:
    """The phone numbers of all members, in the order of their ids."""
    found = rows(Member.phone, Member.phone_sealed, order=Member.id)
    return [phones.of({"phone": plain, "phone_sealed": sealed}) for plain, sealed in found]
