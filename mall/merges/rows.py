"""Rows that change hands: whatever a member has that names him.

MOVED goes as it is. KEPT stays with the one who was merged, as history or because something else
speaks for it. HANDLED needs thought and has a function. A test holds every table that names a
member against these three.
"""

import sqlalchemy as sa

from mall.atomic import atomic
from models import (
    EarningCounter,
    Event,
    GivenBundle,
    Hold,
    LimitCounter,
    PendingGrant,
    PointsAdjustment,
    Purchase,
    Redemption,
    TillAction,
    Voucher,
)
from models.base import Base, insert, table_of

MOVED: tuple[type[Base], ...] = (  # in the order of locks: vouchers before redemptions
    Purchase,
    Voucher,
    Redemption,
    Hold,
    PendingGrant,
    PointsAdjustment,
    GivenBundle,
    TillAction,
)
COUNTERS: tuple[tuple[type[Base], tuple[str, ...], str], ...] = (  # key beside the member; figure
    (LimitCounter, ("reward_id", "period"), "quantity"),
    (EarningCounter, ("rule_code", "period"), "points"),
)
HANDLED = (
    "accounts",
    "campaign_members",
    "checkins",
    "earning_counters",
    "limit_counters",
    "lots",
    "merges",
    "milestones_paid",
    "referrals",
)
KEPT = (
    "alarms",
    "balance_settlements",
    "debt_entries",
    "growth_entries",
    "ledger_entries",
    "member_code_uses",
    "profile_changes",
    "tier_changes",
    "transfers",
)


def add_counters(from_id: int, into_id: int) -> None:
    """Count what both have had of limits and caps together."""
    for model, key, figure in COUNTERS:
        table = table_of(model)
        columns = [table.c[name] for name in (*key, figure)]
        theirs = sa.select(sa.literal(into_id), *columns).where(table.c.member_id == from_id)
        statement = insert(model).from_select(["member_id", *key, figure], theirs)
        total = table.c[figure] + statement.excluded[figure]
        with atomic() as transaction:
            transaction.execute(
                statement.on_conflict_do_update(
                    index_elements=["member_id", *key], set_={figure: total}
                )
            )
            transaction.execute(sa.delete(table).where(table.c.member_id == from_id))


def move_rows(from_id: int, into_id: int) -> None:
    """Let every plain row be the other member's, and facts not told yet be told of that one."""
    _tell_keys_apart(from_id, into_id)
    events = table_of(Event)
    with atomic() as transaction:
        for model in MOVED:
            table = table_of(model)
            transaction.execute(
                sa.update(table).where(table.c.member_id == from_id).values(member_id=into_id)
            )
        transaction.execute(
            sa.update(events)
            .where(events.c.member_id == from_id, events.c.done_at.is_(None))
            .values(member_id=into_id)
        )


def _tell_keys_apart(from_id: int, into_id: int) -> None:
    """Two members may have used one key; nobody can ask with the merged one's any more."""
    table = table_of(Redemption)
    taken = sa.select(table.c.request_key).where(table.c.member_id == into_id)
    named = sa.literal("merged:").concat(sa.cast(table.c.id, sa.String))
    with atomic() as transaction:
        transaction.execute(
            sa.update(table)
            .where(table.c.member_id == from_id, table.c.request_key.in_(taken))
            .values(request_key=named)
        )
