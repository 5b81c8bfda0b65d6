"""Who was here before: links and codes that visitors opened, devices and addresses of members.

A visitor is known by what they carry along: a device's own token, or who WeChat says they are. All
of it is kept as a mark that only the key ring can make, and forgotten after a while.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import keys
from mall.atomic import atomic, read
from models import Sighting, Touch
from models.base import insert, table_of

INVITE, CHANNEL = "invite", "channel"
DEVICE, ADDRESS, OPENID = "device", "address", "openid"
FORGOTTEN_AT_ONCE = 500


def mark(kind: str, value: str) -> str:
    """What is kept in place of a device's token, an address or an identity."""
    oldest = list(keys.ring())[-1]  # a ring that is turned keeps it longest
    made = keys.tag(f"mark of {kind}", oldest, value.encode())
    assert made is not None
    return made


def marks_of(*, device: str | None, openid: str | None) -> list[str]:
    """The marks under which a visitor may have been here before."""
    pairs = ((DEVICE, device), (OPENID, openid))
    return [mark(kind, value) for kind, value in pairs if value]


def touch(kind: str, code: str, visitors: Iterable[str], *, now: datetime) -> bool:
    """Note that a visitor opened a link or code; True where none of their marks had before."""
    rows = [
        {"visitor": visitor, "kind": kind, "code": code, "first_at": now, "last_at": now}
        for visitor in sorted(visitors)
    ]
    with atomic() as transaction:
        statement = insert(Touch).on_conflict_do_nothing().returning(Touch.visitor)
        added = transaction.execute(statement, rows).all()
        table = table_of(Touch)
        transaction.execute(
            sa.update(table)
            .where(
                table.c.visitor.in_([row["visitor"] for row in rows]),
                table.c.kind == kind,
                table.c.code == code,
                table.c.last_at < now,
            )
            .values(last_at=now)
        )
    return len(added) == len(rows)


def last(kind: str, visitors: Sequence[str], *, since: datetime) -> list[str]:
    """Codes that a visitor opened since a moment, the latest first."""
    latest = sa.func.max(Touch.last_at)
    query = (
        sa.select(Touch.code)
        .where(Touch.visitor.in_(visitors), Touch.kind == kind, Touch.last_at >= since)
        .group_by(Touch.code)
        .order_by(latest.desc(), Touch.code)
    )
    return [row.code for row in read(query)] if visitors else []


def first(kind: str, visitors: Sequence[str]) -> str | None:
    """The code that a visitor opened first, of those that are remembered."""
    query = (
        sa.select(Touch.code)
        .where(Touch.visitor.in_(visitors), Touch.kind == kind)
        .order_by(Touch.first_at, Touch.code)
        .limit(1)
    )
    return next((row.code for row in read(query)), None) if visitors else None


def see(
    member_id: int, *, device: str | None, address: str | None, joining: bool, now: datetime
) -> None:
    """Note from where a member joined, or on which device they logged in again."""
    pairs = [(DEVICE, device)] + ([(ADDRESS, address)] if joining else [])
    stamps = {"at_joining": joining, "first_at": now, "seen_at": now}
    rows = [
        {"member_id": member_id, "kind": kind, "mark": mark(kind, value), **stamps}
        for kind, value in pairs
        if value
    ]
    if not rows:
        return
    statement = insert(Sighting)
    with atomic() as transaction:
        transaction.execute(
            statement.on_conflict_do_update(
                index_elements=["member_id", "kind", "mark"],
                set_={"seen_at": statement.excluded.seen_at},
            ),
            rows,
        )


def change_hands(from_id: int, into_id: int) -> None:
    """Let one member's devices and addresses be another's; of what both have the other's stays."""
    table, same = table_of(Sighting), table_of(Sighting).alias()
    there = sa.exists().where(
        same.c.member_id == into_id, same.c.kind == table.c.kind, same.c.mark == table.c.mark
    )
    with atomic() as transaction:
        mine = table.c.member_id == from_id
        transaction.execute(sa.update(table).where(mine, ~there).values(member_id=into_id))
        transaction.execute(sa.delete(table).where(mine))


def forget(*, seen_before: datetime, touched_before: datetime) -> int:
    """Forget a bounded batch of what was last seen or opened too long ago; answers how much."""
    seen, touched = table_of(Sighting), table_of(Touch)
    old = sa.select(seen.c.id).where(seen.c.seen_at < seen_before).limit(FORGOTTEN_AT_ONCE)
    key = (touched.c.visitor, touched.c.kind, touched.c.code)
    opened = sa.select(*key).where(touched.c.last_at < touched_before).limit(FORGOTTEN_AT_ONCE)
    with atomic() as transaction:
        gone: list[Any] = [
            transaction.execute(sa.delete(seen).where(seen.c.id.in_(old))),
            transaction.execute(sa.delete(touched).where(sa.tuple_(*key).in_(opened))),
        ]
    return sum(each.rowcount for each in gone)
