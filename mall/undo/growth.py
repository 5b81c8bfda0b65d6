"""Growth and the tier it led to, put back as if what was undone had never been."""

import sqlalchemy as sa

from mall import tiers
from mall.atomic import atomic
from mall.tiers import Growth
from mall.undo.undoing import Undoing
from models import Account, GrowthEntry, TierChange
from models.base import insert, table_of

BY_GROWTH = ("purchase", "check_in", "bundle", "task", "undo_refund", "merge_in")


def take_back(undoing: Undoing, kind: str, ref_kind: str, ref_id: str) -> None:
    """Take back the growth that a cause gave, and the tier where growth alone had led to it."""
    given = sa.select(sa.func.coalesce(sa.func.sum(GrowthEntry.delta_value), 0)).where(
        GrowthEntry.ref_kind == ref_kind,
        GrowthEntry.ref_id == ref_id,
    )
    with atomic() as transaction:
        value = int(transaction.execute(given).scalar_one())
    give(undoing, kind, -value)
    if value > 0:
        _lower(undoing, kind)


def give(undoing: Undoing, kind: str, value: int) -> None:
    """Change a growth value by what an undone action had changed it the other way."""
    growth = Growth(undoing.member_id, value, kind, "action", str(undoing.action_id))
    tiers.grow_many([growth], now=undoing.now)


def _lower(undoing: Undoing, kind: str) -> None:
    """Back to the tier that the growth left reaches, or to where the member stood before the action.

    Only where every change since then came from growth: what a review or a person decided stays.
    """
    with atomic() as transaction:
        changes = transaction.execute(
            sa.select(TierChange.tier_before, TierChange.reason)
            .where(
                TierChange.member_id == undoing.member_id,
                TierChange.changed_at >= undoing.done_at,
            )
            .order_by(TierChange.id)
        ).all()
        if not changes or any(change.reason not in BY_GROWTH for change in changes):
            return
        ladder = tiers.ladder()
        account = transaction.execute(
            sa.select(Account.growth_value, Account.tier_code).where(
                Account.member_id == undoing.member_id
            )
        ).one()
        codes = (tiers.reached(ladder, account.growth_value).code, changes[0].tier_before)
        tier = max(codes, key=lambda code: tiers.rank(ladder, code))
        if tiers.rank(ladder, tier) >= tiers.rank(ladder, account.tier_code):
            return
        table = table_of(Account)
        transaction.execute(
            sa.update(table).where(table.c.member_id == undoing.member_id).values(tier_code=tier)
        )
        row = {"tier_before": account.tier_code, "tier_after": tier, "reason": kind}
        transaction.execute(
            insert(TierChange).values(**row, member_id=undoing.member_id, changed_at=undoing.now)
        )
