"""Merge two members: everything goes to one, the other's account closes and points there."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import benefits, checkins, phones, points, tasks, tiers
from mall.atomic import Contended, atomic
from mall.errors import AccountFrozen, MemberClosed
from mall.events import Merged, record
from mall.idempotency import Answer, Key
from mall.merges.days import join_days
from mall.merges.friends import inviters_of, join_friends
from mall.merges.preview import BLANK, accounts_of, check_two, moves
from mall.merges.rows import add_counters, move_rows
from mall.points import Book, Cause
from models import Account, CampaignMember, Member, Merge
from models.base import insert, table_of

FILLED = ("nickname", "gender", "birthday", "city", "channel_code")
IDENTITY = ("appid", "openid", "unionid")


def merge(
    into_id: int, from_id: int, reason: str, *, actor: str, key: Key, now: datetime
) -> Answer:
    """Make one member of two; answers what moved and how the one who is left stands."""
    with atomic():
        key.claim(now=now)
        moved = merge_locked(into_id, from_id, reason, actor=actor, now=now)
        (after,) = accounts_of(into_id).values()
        return key.store(201, {"id": into_id, "from_member_id": from_id, **moved, "after": after})


def merge_locked(
    into_id: int, from_id: int, reason: str, *, actor: str, now: datetime
) -> dict[str, Any]:
    """Merge inside a caller's transaction; answers what moved."""
    with atomic() as transaction:
        check_two(from_id, into_id)
        before = accounts_of(from_id, into_id)
        inviters = inviters_of(from_id, into_id)
        book = points.open_book({from_id, into_id, *inviters}, now=now, lots=True)
        check_two(from_id, into_id)  # again, under the lock
        if not inviters_of(from_id, into_id) <= inviters:
            raise Contended()
        _check_open(book, from_id, into_id)
        told = {"moves": moves(from_id, into_id), "from": before[from_id], "into": before[into_id]}
        row = {"from_member_id": from_id, "into_member_id": into_id, "holder_id": into_id}
        stamp = {"reason": reason, "actor": actor, "moved": told, "merged_at": now}
        transaction.execute(insert(Merge).values(**row, **stamp))
        _move(book, from_id, into_id, actor)
        days = join_days(from_id, into_id)
        _join_profiles(from_id, into_id)
        _close(from_id, into_id)
        record(Merged(into_id, from_id), now=now)
        if days:
            transaction.after_commit(lambda: _forget(from_id, into_id, days))
    return told


def _check_open(book: Book, *member_ids: int) -> None:
    for member_id in member_ids:
        state = book.account(member_id).state
        if state != "open":
            raise MemberClosed() if state == "closed" else AccountFrozen()


def _move(book: Book, from_id: int, into_id: int, actor: str) -> None:
    """Points, growth and every row, in the order of locks."""
    out = Cause("merge_out", "merge", str(from_id), actor)
    into = Cause("merge_in", "merge", str(from_id), actor)
    book.move(from_id, into_id, out, into)
    book.write()
    points.change_hands(from_id, into_id)
    tiers.join(from_id, into_id, actor=actor, now=book.now)
    benefits.join(from_id, into_id, now=book.now)
    tasks.join(from_id, into_id)
    add_counters(from_id, into_id)
    join_friends(from_id, into_id)  # before the promises: it may end some
    _move_pending(from_id, into_id)
    move_rows(from_id, into_id)
    _follow(from_id, into_id)


def _move_pending(from_id: int, into_id: int) -> None:
    table = table_of(Account)
    pending = accounts_of(from_id)[from_id]["pending_points"]
    with atomic() as transaction:
        for member_id, delta in ((from_id, -pending), (into_id, pending)):
            transaction.execute(
                sa.update(table)
                .where(table.c.member_id == member_id)
                .values(pending_points=table.c.pending_points + delta)
            )


def _follow(from_id: int, into_id: int) -> None:
    """Whoever was merged into the one that goes is held by the one who is left; so are their gifts to come."""
    merges, chosen = table_of(Merge), table_of(CampaignMember)
    there = sa.select(chosen.c.campaign_id).where(chosen.c.member_id == into_id)
    with atomic() as transaction:
        transaction.execute(
            sa.update(merges).where(merges.c.holder_id == from_id).values(holder_id=into_id)
        )
        transaction.execute(
            sa.update(chosen)
            .where(
                chosen.c.member_id == from_id,
                chosen.c.state == "waiting",
                chosen.c.campaign_id.not_in(there),
            )
            .values(member_id=into_id)
        )


def _join_profiles(from_id: int, into_id: int) -> None:
    """Fill what is blank, take the earlier day of joining; identities and phone go where none is."""
    table = table_of(Member)
    with atomic() as transaction:
        rows = transaction.execute(
            sa.select(table).where(table.c.id.in_([from_id, into_id])).with_for_update()
        ).all()
        found = {row.id: row._mapping for row in rows}
        source, target = found[from_id], found[into_id]
        filled = {
            name: source[name]
            for name in FILLED
            if target[name] in BLANK and source[name] not in BLANK
        }
        for names in (IDENTITY, phones.COLUMNS, ("external_id",)):
            if all(target[name] is None for name in names if name != "appid"):
                filled |= {name: source[name] for name in names}
        kept = set(filled) - set(FILLED)
        if kept:  # of what there can be one: it leaves the one before the other has it
            gone = sa.update(table).where(table.c.id == from_id).values(dict.fromkeys(kept))
            transaction.execute(gone)
        filled["joined_at"] = min(source["joined_at"], target["joined_at"])
        transaction.execute(sa.update(table).where(table.c.id == into_id).values(**filled))


def _close(from_id: int, into_id: int) -> None:
    table = table_of(Account)
    with atomic() as transaction:
        transaction.execute(
            sa.update(table).where(table.c.member_id == from_id).values(state="closed")
        )


def _forget(from_id: int, into_id: int, days: list[date]) -> None:
    checkins.forget([from_id, into_id], days[0], days[-1])
