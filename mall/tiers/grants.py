"""Tiers given by hand: to an end that is said, or for life; a review does not take them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.errors import GrantEnded, GrantInThePast, NotFound
from mall.idempotency import Answer, Key
from mall.tiers.ladder import highest, ladder, named, rank
from mall.tiers.moves import (
    Move,
    Standing,
    granted,
    lock,
    move_many,
    standings,
    write_standings,
)
from mall.tiers.rules import in_force
from models import TierGrant, db
from models.base import insert, table_of

ENDED_AT_ONCE = 500


def view(grant: Any) -> dict[str, Any]:
    names = ("id", "member_id", "tier_code", "reason", "state", "granted_by", "ended_by")
    moments = ("ends_at", "granted_at", "ended_at")
    shown = {name: getattr(grant, name) for name in names}
    shown["tier"] = shown.pop("tier_code")
    shown["until"] = None
    for name in moments:
        at = getattr(grant, name)
        shown["until" if name == "ends_at" else name] = clock.rfc3339(at) if at else None
    return shown


def grant(
    member_id: int,
    tier: str,
    *,
    until: datetime | None,
    reason: str,
    staff_id: int,
    key: Key,
    now: datetime,
) -> Answer:
    """Give a member a tier until a moment, or for life. A higher one they have stays."""
    if until is not None and until <= now:
        raise GrantInThePast()
    with atomic() as transaction:
        key.claim(now=now)
        named(ladder(), tier)
        accounts = lock([member_id])
        if not accounts:
            raise NotFound()
        remember_what_was_earned(accounts, now)
        row = {"member_id": member_id, "tier_code": tier, "reason": reason, "state": "active"}
        by = {"ends_at": until, "granted_by": staff_id, "granted_at": now}
        statement = insert(TierGrant).values(**row, **by).returning(TierGrant.id)
        id_ = transaction.execute(statement).scalar_one()
        settle(accounts, reason=reason, actor=f"staff:{staff_id}", now=now)
        return key.store(201, view(db.session.get_one(TierGrant, id_)))


def remember_what_was_earned(accounts: Sequence[Any], now: datetime) -> None:
    """Whoever has no standing has earned what the account says; before that is changed by hand."""
    known, rules = standings([row.member_id for row in accounts]), in_force()
    write_standings(
        [
            Standing(
                *(row.member_id, row.tier_code, now, rules.window.review_after(now)),
                rule_version=rules.version,
            )
            for row in accounts
            if row.member_id not in known
        ]
    )


def settle(
    accounts: Sequence[Any], *, reason: str, actor: str, now: datetime, source: str = "grant"
) -> int:
    """Put members where what they have earned and their grants put them; answers how many moved."""
    tiers, rules = ladder(), in_force()
    ids = [row.member_id for row in accounts]
    earned, by_hand = standings(ids), granted(ids, now=now)
    moves = []
    for row in accounts:
        own = earned[row.member_id].tier_code if row.member_id in earned else row.tier_code
        after = highest(tiers, [own, *by_hand.get(row.member_id, [])])
        if after != row.tier_code:
            named_ = (row.member_id, row.tier_code, after, reason, source, rules.version)
            moves.append(Move(*named_, actor=actor))
    move_many(moves, tiers, now=now)
    return len(moves)


def revoke(grant_id: int, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """End a grant before its time; the member has what they have earned."""
    with atomic():
        key.claim(now=now)
        found = db.session.get(TierGrant, grant_id)
        if found is None:
            raise NotFound()
        accounts = lock([found.member_id])
        if not _end([grant_id], "revoked", now, staff_id):
            db.session.refresh(found)
            at = clock.rfc3339(found.ended_at) if found.ended_at else None
            raise GrantEnded(ended_at=at)
        settle(accounts, reason="revoked", actor=f"staff:{staff_id}", now=now)
        return key.store(200, view(db.session.get_one(TierGrant, grant_id, populate_existing=True)))


def _end(ids: Sequence[int], state: str, now: datetime, staff_id: int | None = None) -> int:
    table = table_of(TierGrant)
    with atomic() as transaction:
        return transaction.execute(
            sa.update(table)
            .where(table.c.id.in_(ids), table.c.state == "active")
            .values(state=state, ended_at=now, ended_by=staff_id)
        ).rowcount


def end_due(*, now: datetime) -> int:
    """End a bounded batch of grants whose time has come; answers how many."""
    table = table_of(TierGrant).c
    due = sa.select(table.id, table.member_id).where(table.state == "active", table.ends_at <= now)
    with atomic() as transaction:
        rows = transaction.execute(due.order_by(table.ends_at).limit(ENDED_AT_ONCE)).all()
        if not rows:
            return 0
        accounts = lock({row.member_id for row in rows})
        _end([row.id for row in rows], "ended", now)
        settle(accounts, reason="grant_ended", actor="system", now=now)
    return len(rows)


def best_of(member_id: int, *, now: datetime) -> Any:
    """The highest tier somebody has by hand, the longest of them; None where there is none."""
    tiers = ladder()
    query = sa.select(TierGrant).where(
        TierGrant.member_id == member_id,
        TierGrant.state == "active",
        sa.or_(TierGrant.ends_at.is_(None), TierGrant.ends_at > now),
    )
    found = db.session.scalars(query).all()

    def place(each: TierGrant) -> tuple[int, bool, float]:
        ends = each.ends_at.timestamp() if each.ends_at else 0.0
        return rank(tiers, each.tier_code), each.ends_at is None, ends

    return max(found, key=place, default=None)
