"""Growth value and tiers. Growth comes from what a member does and is never spent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from models import Account, GrowthEntry, Tier, TierChange
from models.base import db, insert, table_of

BASE = "base"


@dataclass(frozen=True)
class Growth:
    """An increase of a member's growth value, and its cause; a cause counts once."""

    member_id: int
    value: int
    kind: str
    ref_kind: str
    ref_id: str


def ladder() -> list[Tier]:
    """Every tier, the lowest first."""
    return list(db.session.scalars(sa.select(Tier).order_by(Tier.growth_min)))


def reached(tiers: Sequence[Tier], value: int) -> Tier:
    """The highest tier whose threshold a growth value meets."""
    return [tier for tier in tiers if tier.growth_min <= value][-1]


def above(tiers: Sequence[Tier], value: int) -> Tier | None:
    """The next tier to reach; None at the top."""
    return next((tier for tier in tiers if tier.growth_min > value), None)


def rank(tiers: Sequence[Tier], code: str) -> int:
    """A tier's place from below, 0 for the base."""
    return [tier.code for tier in tiers].index(code)


def grow_many(growths: Sequence[Growth], *, now: datetime) -> None:
    """Raise growth values and, in the same transaction, the tiers they reach.

    The caller holds the accounts' locks (an open book). Nobody is ever lowered here.
    """
    growths = [growth for growth in growths if growth.value]
    if not growths:
        return
    with atomic() as transaction:
        tiers = ladder()
        query = sa.select(Account.member_id, Account.growth_value, Account.tier_code)
        members = {growth.member_id for growth in growths}
        rows = transaction.execute(query.where(Account.member_id.in_(members))).all()
        values = {row.member_id: row.growth_value for row in rows}
        entries = []
        for growth in growths:
            values[growth.member_id] += growth.value
            entries.append(_entry(growth, values[growth.member_id], now))
        transaction.execute(insert(GrowthEntry), entries)
        _raise_accounts(rows, values, tiers, reason=growths[0].kind, now=now)


def _entry(growth: Growth, value_after: int, now: datetime) -> dict[str, Any]:
    return {
        "member_id": growth.member_id,
        "kind": growth.kind,
        "delta_value": growth.value,
        "value_after": value_after,
        "ref_kind": growth.ref_kind,
        "ref_id": growth.ref_id,
        "created_at": now,
    }


def _raise_accounts(
    rows: Sequence[Any],
    values: dict[int, int],
    tiers: Sequence[Tier],
    *,
    reason: str,
    now: datetime,
) -> None:
    accounts = table_of(Account)
    changes, updates = [], []
    for row in rows:
        earned = reached(tiers, values[row.member_id]).code
        up = rank(tiers, earned) > rank(tiers, row.tier_code)
        tier_after = earned if up else row.tier_code
        delta = values[row.member_id] - row.growth_value
        updates.append({"member": row.member_id, "delta": delta, "tier": tier_after})
        if up:
            changes.append(
                {
                    "member_id": row.member_id,
                    "tier_before": row.tier_code,
                    "tier_after": tier_after,
                    "reason": reason,
                    "changed_at": now,
                }
            )
    statement = (
        sa.update(accounts)
        .where(accounts.c.member_id == sa.bindparam("member"))
        .values(
            growth_value=accounts.c.growth_value + sa.bindparam("delta"),
            tier_code=sa.bindparam("tier"),
        )
    )
    with atomic() as transaction:
        transaction.execute(statement, updates)
        if changes:
            transaction.execute(insert(TierChange), changes)
