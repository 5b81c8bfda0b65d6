"""Referrals that are still to be decided, read under the locks of their members' accounts."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from models import Referral
from models.base import table_of

OPEN = ("joined", "qualified")
_table = table_of(Referral)


@dataclass
class Open:
    """A referral on its way, changed in memory; `save` writes what is new."""

    invitee_id: int
    inviter_id: int
    state: str
    reason: str
    points: int
    joined_at: datetime
    due_at: datetime | None
    rewarded_at: datetime | None
    rule_version: int
    purchase_id: int | None
    join_due_at: datetime | None
    join_paid_at: datetime | None
    counted_on: date | None
    capped: str
    holds: list[str]
    held_at: datetime | None
    reviewed_at: datetime | None

    @property
    def is_held(self) -> bool:
        return self.held_at is not None and self.reviewed_at is None

    def hold(self, reasons: Collection[str], now: datetime) -> None:
        self.holds = sorted({*self.holds, *reasons})
        self.held_at = self.held_at or now


NAMES = [field.name for field in fields(Open)]


def people(friend_ids: Collection[int]) -> set[int]:
    """The friends whose referrals are open, with their inviters: whose accounts are locked."""
    columns = (_table.c.invitee_id, _table.c.inviter_id)
    query = sa.select(*columns).where(
        _table.c.invitee_id.in_(sorted(friend_ids)), _table.c.state.in_(OPEN)
    )
    with atomic() as transaction:
        return {member for row in transaction.execute(query) for member in row}


def load(friend_ids: Collection[int]) -> list[Open]:
    """Open referrals, their rows locked in order; the caller holds the accounts."""
    query = (
        sa.select(*(_table.c[name] for name in NAMES))
        .where(_table.c.invitee_id.in_(sorted(friend_ids)), _table.c.state.in_(OPEN))
        .order_by(_table.c.invitee_id)
        .with_for_update()
    )
    with atomic() as transaction:
        return [Open(**row._mapping) for row in transaction.execute(query).all()]


def save(referral: Open, before: dict[str, Any]) -> None:
    """Write what has changed since `before`."""
    values = {name: value for name, value in asdict(referral).items() if before[name] != value}
    if values:
        mine = _table.c.invitee_id == referral.invitee_id
        with atomic() as transaction:
            transaction.execute(sa.update(_table).where(mine).values(**values))
