"""Moves: a member goes from one tier to another, with the row that says why and the fact."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.events import TierChanged, record_many
from mall.tiers.ladder import rank
from models import Account, GrowthEntry, Merge, Tier, TierChange, TierGrant, TierStanding, db
from models.base import insert, table_of

MERGED = MERGE_OUT, MERGE_IN = ("merge_out", "merge_in")  # growth that changed hands


@dataclass(frozen=True)
class Move:
    """From tier to tier: what for, from which source, by whom, under which rules."""

    member_id: int
    before: str
    after: str
    reason: str
    source: str
    rule_version: int
    actor: str = "system"
    undoes_id: int | None = None
    replaced_id: int | None = None
    replaced_code: str | None = None
    replaced_review_at: datetime | None = None


@dataclass(frozen=True)
class Standing:
    """The tier a member has earned, until when it is kept, and the rise that made it."""

    member_id: int
    tier_code: str
    held_since: datetime
    review_at: datetime | None = None
    grace_ends_at: datetime | None = None
    change_id: int | None = None
    rule_version: int = 0


def lock(member_ids: Collection[int]) -> Sequence[Any]:
    """Lock accounts, ascending; answers `member_id`, `tier_code` and `growth_value` of each."""
    query = (
        sa.select(Account.member_id, Account.tier_code, Account.growth_value)
        .where(Account.member_id.in_(sorted(member_ids)), Account.state != "closed")
        .order_by(Account.member_id)
        .with_for_update(key_share=True)
    )
    with atomic() as transaction:
        return transaction.execute(query).all()


def move_many(moves: Sequence[Move], tiers: Sequence[Tier], *, now: datetime) -> dict[int, int]:
    """Put members into other tiers; answers the id of each member's change. Needs their locks."""
    if not moves:
        return {}
    rows = [
        {
            "member_id": move.member_id,
            "tier_before": move.before,
            "tier_after": move.after,
            "reason": move.reason,
            "source": move.source,
            "actor": move.actor,
            "rule_version": move.rule_version,
            "undoes_id": move.undoes_id,
            "replaced_id": move.replaced_id,
            "replaced_code": move.replaced_code,
            "replaced_review_at": move.replaced_review_at,
            "changed_at": now,
        }
        for move in moves
    ]
    accounts = table_of(Account)
    to_tier = (
        sa.update(accounts)
        .where(
            accounts.c.member_id == sa.bindparam("member"),
            accounts.c.tier_code == sa.bindparam("before"),
        )
        .values(tier_code=sa.bindparam("after"))
    )
    with atomic() as transaction:
        transaction.execute(
            to_tier,
            [{"member": m.member_id, "before": m.before, "after": m.after} for m in moves],
        )
        returned = insert(TierChange).returning(TierChange.member_id, TierChange.id)
        ids = {row.member_id: row.id for row in transaction.execute(returned, rows)}
    record_many([_fact(move, ids[move.member_id], tiers) for move in moves], now=now)
    return ids


def _fact(move: Move, change_id: int, tiers: Sequence[Tier]) -> TierChanged:
    rose = rank(tiers, move.after) > rank(tiers, move.before)
    return TierChanged(
        *(move.member_id, change_id, move.before, move.after),
        *("up" if rose else "down", move.source, move.undoes_id),
    )


def standings(member_ids: Collection[int]) -> dict[int, Standing]:
    """What members have earned, where a row says so."""
    query = sa.select(TierStanding.__table__).where(TierStanding.member_id.in_(member_ids))
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    return {row.member_id: Standing(**row._asdict()) for row in rows}


def write_standings(written: Sequence[Standing]) -> None:
    """Put down what members have earned, over what stood there."""
    if not written:
        return
    statement = insert(TierStanding)
    columns = [name for name in Standing.__dataclass_fields__ if name != "member_id"]
    upsert = statement.on_conflict_do_update(
        index_elements=["member_id"], set_={name: statement.excluded[name] for name in columns}
    )
    with atomic() as transaction:
        transaction.execute(upsert, [vars(each) for each in written])


def granted(member_ids: Collection[int], *, now: datetime) -> dict[int, list[str]]:
    """Tiers that members have by hand at a moment."""
    grant = table_of(TierGrant).c
    query = sa.select(grant.member_id, grant.tier_code).where(
        grant.member_id.in_(member_ids),
        grant.state == "active",
        sa.or_(grant.ends_at.is_(None), grant.ends_at > now),
    )
    found: dict[int, list[str]] = {}
    with atomic() as transaction:
        for row in transaction.execute(query):
            found.setdefault(row.member_id, []).append(row.tier_code)
    return found


def holder_of(entry: Any) -> sa.ColumnElement[int]:
    """Whose growth an entry is: a merged member's is the one's who is left, at its own moment."""
    merge = table_of(Merge).c
    holder = sa.select(merge.holder_id).where(merge.from_member_id == entry.member_id)
    return sa.func.coalesce(holder.scalar_subquery(), entry.member_id)


def of_members(entry: Any, member_ids: Collection[int]) -> sa.ColumnElement[bool]:
    """The entries of members and of those who were merged into them, but not the merges' own."""
    merge = table_of(Merge).c
    merged = sa.select(merge.from_member_id).where(merge.holder_id.in_(member_ids))
    theirs = sa.or_(entry.member_id.in_(member_ids), entry.member_id.in_(merged))
    return sa.and_(theirs, entry.kind.not_in(MERGED))


def counted(
    member_ids: Collection[int], *, since: datetime | None, until: datetime | None = None
) -> dict[int, int]:
    """Growth of members that counts from a moment on, and before another."""
    entry = table_of(GrowthEntry).c
    at = sa.func.coalesce(entry.earned_at, entry.created_at)
    owner = holder_of(entry).label("member_id")
    value = sa.func.sum(entry.delta_value).label("value")
    query = sa.select(owner, value).where(of_members(entry, member_ids))
    if since is not None:
        query = query.where(at >= since)
    if until is not None:
        query = query.where(at < until)
    rows = db.session.execute(query.group_by(owner)).all()
    found = {row.member_id: int(row.value) for row in rows}
    return {member_id: found.get(member_id, 0) for member_id in member_ids}
