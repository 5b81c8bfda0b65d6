"""An account under lock, and what is about to be written of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from models import Account, LedgerEntry, Lot, LotUse, Merge


@dataclass(frozen=True)
class Cause:
    """Why points move. (kind, ref_kind, ref_id) is unique for ever: one cause moves points once.

    `rule` and `rule_version` name the rule that said how many; version 0 is nobody's rule.
    """

    kind: str
    ref_kind: str
    ref_id: str
    actor: str
    rule: str = ""
    rule_version: int = 0
    reason: str = ""
    store_id: int | None = None


@dataclass(eq=False)
class LotInBook:
    """A lot as it will be written. `id` and `entry_id` are None until a new one is."""

    id: int | None
    entry_id: int | None
    expires_at: datetime | None
    points_left: int
    written_left: int = 0
    written_expires_at: datetime | None = None
    idle_days: int | None = None
    kept_by: int = 0
    policy_version: int = 0

    @property
    def life(self) -> str:
        """The lot and its end: one that came back with grace can end a second time."""
        return f"{self.id}@{self.expires_at.timestamp():.6f}" if self.expires_at else str(self.id)

    @property
    def changed(self) -> bool:
        left = self.points_left != self.written_left
        return self.id is not None and (left or self.expires_at != self.written_expires_at)

    def is_due(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def place(self) -> tuple[bool, float, bool, int]:
        """Where it stands in the order of spending: first-expiring first, then the older."""
        ends = self.expires_at.timestamp() if self.expires_at else 0.0
        return self.expires_at is None, ends, self.id is None, self.id or 0


@dataclass
class AccountInBook:
    """An account under lock; what it will be once the book is written."""

    member_id: int
    balance_points: int
    held_points: int
    debt_points: int
    entries: int
    state: str
    tier_code: str
    growth_value: int
    written_balance: int
    written_held: int
    written_debt: int
    written_entries: int
    lots: list[LotInBook] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return (self.entries, self.debt_points, self.held_points) != (
            self.written_entries,
            self.written_debt,
            self.written_held,
        )

    def spendable(self, now: datetime) -> int:
        """Points in lots that have not come to their end."""
        return sum(lot.points_left for lot in self.lots if not lot.is_due(now))

    def lot(self, row: Any) -> LotInBook:
        """The lot of a row, which joins the book if it had no points left before."""
        found = next((lot for lot in self.lots if lot.id == row.id), None)
        if found is None:
            found = _lot(row)
            self.lots.append(found)
        return found


@dataclass(eq=False)
class Posting:
    """An entry to be written, with the lot it makes or the lots it takes from."""

    values: dict[str, Any]
    lot: LotInBook | None = None
    uses: list[tuple[LotInBook, int]] = field(default_factory=list)


def take(lots: Iterable[LotInBook], points: int) -> list[tuple[LotInBook, int]]:
    """Take at most `points` from lots, first-expiring first; answers what each of them gave."""
    uses = []
    for lot in sorted(lots, key=LotInBook.place):
        part = min(lot.points_left, points)
        if part:
            lot.points_left -= part
            points -= part
            uses.append((lot, part))
    return uses


def read_accounts(member_ids: Sequence[int], *, lots: bool) -> dict[int, AccountInBook]:
    """Lock accounts, ascending, and read them; with their lots where points will be taken."""
    query = (
        sa.select(
            Account.member_id,
            Account.balance_points,
            Account.held_points,
            Account.debt_points,
            Account.entries,
            Account.state,
            Account.tier_code,
            Account.growth_value,
        )
        .where(Account.member_id.in_(member_ids))
        .order_by(Account.member_id)
        .with_for_update(key_share=True)
    )
    with atomic() as transaction:
        rows = transaction.execute(query).all()
        accounts = {row.member_id: _account(row) for row in rows}
        if lots:
            _read_lots(accounts)
    return accounts


def _account(row: Any) -> AccountInBook:
    return AccountInBook(
        **row._asdict(),
        written_balance=row.balance_points,
        written_held=row.held_points,
        written_debt=row.debt_points,
        written_entries=row.entries,
    )


LOT_COLUMNS = (
    *(Lot.id, Lot.entry_id, Lot.expires_at, Lot.points_left),
    *(Lot.idle_days, Lot.kept_by, Lot.policy_version),
)


def _read_lots(accounts: dict[int, AccountInBook]) -> None:
    query = sa.select(Lot.member_id, *LOT_COLUMNS).where(
        Lot.member_id.in_(list(accounts)), Lot.points_left > 0
    )
    with atomic() as transaction:
        for row in transaction.execute(query):
            accounts[row.member_id].lots.append(_lot(row))


def _lot(row: Any) -> LotInBook:
    left, expires_at = row.points_left, row.expires_at
    kept = (row.idle_days, row.kept_by, row.policy_version)
    return LotInBook(row.id, row.entry_id, expires_at, left, left, expires_at, *kept)


def uses_of(entry_id: int) -> Sequence[Any]:
    """What an entry took: rows of a lot and `points`."""
    query = (
        sa.select(*LOT_COLUMNS, LotUse.points)
        .join(Lot, Lot.id == LotUse.lot_id)
        .where(LotUse.entry_id == entry_id)
        .order_by(LotUse.lot_id)
    )
    with atomic() as transaction:
        return transaction.execute(query).all()


def paid_debts(member_id: int, since: datetime) -> Sequence[Any]:
    """What debts were paid with since a moment, the last first: rows of a lot and `points`."""
    merged = sa.select(Merge.from_member_id).where(Merge.holder_id == member_id)
    query = (
        sa.select(*LOT_COLUMNS, Lot.points_earned, LotUse.points)
        .join(Lot, Lot.id == LotUse.lot_id)
        .join(LedgerEntry, LedgerEntry.id == LotUse.entry_id)
        .where(
            LedgerEntry.kind == "pay_debt",
            sa.or_(LedgerEntry.member_id == member_id, LedgerEntry.member_id.in_(merged)),
            LedgerEntry.created_at >= since,
            Lot.member_id == member_id,
        )
        .order_by(LedgerEntry.id.desc(), LotUse.lot_id.desc())
    )
    with atomic() as transaction:
        return transaction.execute(query).all()
