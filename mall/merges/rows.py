"""Rows that change hands: whatever names the member who has it.

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
    Message,
    PendingGrant,
    PointsAdjustment,
    PointsPayment,
    PointsReminder,
    Purchase,
    Redemption,
    Review,
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
    PointsPayment,
    PointsReminder,
    Message,
    Review,
)
COUNTERS: tuple[tuple[type[Base], tuple[str, ...], str], ...] = (  # key beside the member; figure
    (LimitCounter, ("reward_id", "period"), "quantity"),
    (EarningCounter, ("rule_code", "period"), "points"),
)
ONCE_A_MEMBER = (
    "welcome",
    "birthday",
    "store_join",
)  # gifts whose cause begins with the member's id
HANDLED = (
    "accounts",
    "benefits",
    "campaign_members",
    "checkins",
    "earning_counters",
    "growth_counts",
    "limit_counters",
    "lots",
    "merges",
    "milestones_paid",
    "referral_steps",
    "referrals",
    "task_claims",
    "task_marks",
    "sightings",
    "tier_grants",
    "tier_standings",
)
KEPT = (
    "alarms",
    "benefit_entries",
    "balance_settlements",
    "closures",
    "consents",
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
    keep_gifts_once(from_id, into_id)
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


def keep_gifts_once(from_id: int, into_id: int) -> None:
    """What is given once a member, or once a year, was given to the one who is left as well."""
    table = table_of(GivenBundle)
    columns = (table.c.id, table.c.ref_kind, table.c.ref_id)
    theirs = (table.c.member_id == from_id) & table.c.ref_kind.in_(ONCE_A_MEMBER)
    with atomic() as transaction:
        for row in transaction.execute(sa.select(*columns).where(theirs)).all():
            who, colon, rest = row.ref_id.partition(":")
            if who != str(from_id):
                continue
            named = f"{into_id}{colon}{rest}"
            same = sa.select(table.c.id).where(
                table.c.ref_kind == row.ref_kind, table.c.ref_id == named
            )
            if transaction.execute(same).first() is None:
                transaction.execute(
                    sa.update(table).where(table.c.id == row.id).values(ref_id=named)
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
