"""Promises: points for a later moment, granted once when it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.points.account import Cause
from mall.points.book import Book, open_book
from models import Account, PendingGrant
from models.base import insert, table_of

ACTIVATED_AT_ONCE = 200


@dataclass(frozen=True)
class Promise:
    """Points for a later moment."""

    member_id: int
    points: int
    cause: Cause
    due_at: datetime | None  # none: when somebody says so


def promise_many(promises: Sequence[Promise], *, now: datetime) -> None:
    """Write down points that will be granted when their moment comes; shown as pending till then."""
    if not promises:
        return
    rows = [
        {
            "member_id": each.member_id,
            "points": each.points,
            "kind": each.cause.kind,
            "rule": each.cause.rule,
            "rule_version": each.cause.rule_version,
            "ref_kind": each.cause.ref_kind,
            "ref_id": each.cause.ref_id,
            "actor": each.cause.actor,
            "state": "pending",
            "due_at": each.due_at,
            "created_at": now,
        }
        for each in promises
    ]
    with atomic() as transaction:
        open_book([each.member_id for each in promises], now=now)
        transaction.execute(insert(PendingGrant), rows)
        _move_pending([{"member": each.member_id, "delta": each.points} for each in promises])


def _move_pending(rows: list[dict[str, Any]]) -> None:
    accounts = table_of(Account)
    with atomic() as transaction:
        transaction.execute(
            sa.update(accounts)
            .where(accounts.c.member_id == sa.bindparam("member"))
            .values(pending_points=accounts.c.pending_points + sa.bindparam("delta")),
            rows,
        )


def lower(cause: tuple[str, str, str], points: int) -> int:
    """Take points off a promise that has not come due; answers how many it still held of them.

    `cause` is its (kind, ref_kind, ref_id). The caller holds the account's lock.
    """
    table = table_of(PendingGrant)
    kind, ref_kind, ref_id = cause
    same = (table.c.kind == kind) & (table.c.ref_kind == ref_kind) & (table.c.ref_id == ref_id)
    mine = same & (table.c.state == "pending")
    with atomic() as transaction:
        query = sa.select(table.c.id, table.c.member_id, table.c.points).where(mine)
        grant = transaction.execute(query).one_or_none()
        if grant is None or not points:
            return 0
        taken = min(points, int(grant.points))
        gone = {"state": "voided"} if taken == grant.points else {"points": grant.points - taken}
        transaction.execute(sa.update(table).where(table.c.id == grant.id).values(**gone))
        _move_pending([{"member": grant.member_id, "delta": -taken}])
    return taken


def promise_again(cause: tuple[str, str, str], points: int) -> int:
    """Put points back on a promise they were taken off; 0 where it has been granted meanwhile.

    `cause` is its (kind, ref_kind, ref_id). The caller holds the account's lock.
    """
    table = table_of(PendingGrant)
    kind, ref_kind, ref_id = cause
    same = (table.c.kind == kind) & (table.c.ref_kind == ref_kind) & (table.c.ref_id == ref_id)
    held = sa.case((table.c.state == "pending", table.c.points), else_=0)
    with atomic() as transaction:
        member_id = transaction.execute(
            sa.update(table)
            .where(same, table.c.state != "granted")
            .values(state="pending", points=held + points)
            .returning(table.c.member_id)
        ).scalar()
        if member_id is None:
            return 0
        _move_pending([{"member": member_id, "delta": points}])
    return points


def activate_due(*, now: datetime) -> list[PendingGrant]:
    """Grant promised points whose moment has come, each once; a bounded batch, answers what it was.

    They live from now on, as the policy in force says for the tier held now.
    """
    due = (
        sa.select(PendingGrant)
        .where(PendingGrant.state == "pending", PendingGrant.due_at <= now)
        .order_by(PendingGrant.member_id, PendingGrant.id)
        .limit(ACTIVATED_AT_ONCE)
    )
    with atomic() as transaction:
        session_rows = transaction.execute(due.with_only_columns(PendingGrant.member_id)).scalars()
        members = set(session_rows)
        if not members:
            return []
        book = open_book(members, now=now)
        grants = _grant(members, book)
        book.write()
        return grants


def come_due(ref_kind: str, ref_id: str, *, now: datetime) -> int:
    """What waits for somebody's word is due now; answers how many promises. Locks the rows."""
    table = table_of(PendingGrant)
    waits = (table.c.state == "pending") & table.c.due_at.is_(None)
    same = (table.c.ref_kind == ref_kind) & (table.c.ref_id == ref_id)
    with atomic() as transaction:
        turned = transaction.execute(sa.update(table).where(same, waits).values(due_at=now))
        return turned.rowcount


def activate(ref_kind: str, ref_id: str, *, book: Book, now: datetime) -> int:
    """Grant what was promised for a cause and is due; answers how many promises.

    The book holds the accounts, and its owner writes it.
    """
    table = table_of(PendingGrant)
    same = (table.c.ref_kind == ref_kind) & (table.c.ref_id == ref_id)
    due = same & (table.c.state == "pending") & (table.c.due_at <= now)
    with atomic() as transaction:
        members = set(transaction.execute(sa.select(table.c.member_id).where(due)).scalars())
    return len(_grant(members, book, same)) if members else 0


def _grant(members: set[int], book: Book, *which: sa.ColumnElement[bool]) -> list[Any]:
    """Grant members' due promises, all or those of a kind; those of a closed account are nobody's."""
    closed = {each for each in members if book.account(each).state == "closed"}
    voided = _claim_grants(closed, "voided", book.now, *which)
    grants = _claim_grants(members - closed, "granted", book.now, *which)
    for grant in grants:
        book.earn(grant.member_id, grant.points, _cause(grant))
    done = [{"member": each.member_id, "delta": -each.points} for each in [*grants, *voided]]
    if done:
        _move_pending(done)
    return grants


def _cause(grant: PendingGrant) -> Cause:
    names = ("kind", "ref_kind", "ref_id", "actor", "rule", "rule_version")
    return Cause(**{name: getattr(grant, name) for name in names})


def _claim_grants(
    members: set[int], state: str, now: datetime, *which: sa.ColumnElement[bool]
) -> list[Any]:
    """Turn due promises into granted or voided ones; only whoever turns a row may act on it."""
    table = table_of(PendingGrant)
    with atomic() as transaction:
        return list(
            transaction.execute(
                sa.update(table)
                .where(
                    table.c.member_id.in_(members),
                    table.c.state == "pending",
                    table.c.due_at <= now,
                    *which,
                )
                .values(state=state)
                .returning(*table.c)
            ).all()
        )


def void_promises(ref_kind: str, ref_id: str) -> int:
    """Let promised points of a cause be nobody's; answers how many. The caller holds the accounts."""
    table = table_of(PendingGrant)
    return _void(table.c.ref_kind == ref_kind, table.c.ref_id == ref_id)


def void_promises_to(member_id: int) -> int:
    """Let all points promised to a member be nobody's; answers how many."""
    return _void(table_of(PendingGrant).c.member_id == member_id)


def _void(*which: sa.ColumnElement[bool]) -> int:
    table = table_of(PendingGrant)
    with atomic() as transaction:
        voided = transaction.execute(
            sa.update(table)
            .where(*which, table.c.state == "pending")
            .values(state="voided")
            .returning(table.c.member_id, table.c.points)
        ).all()
    if voided:
        _move_pending([{"member": each.member_id, "delta": -each.points} for each in voided])
    return sum(each.points for each in voided)
