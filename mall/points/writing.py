"""Writing: a book's changes as a handful of set-based statements."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.points.account import AccountInBook, LotInBook, Posting
from models import Account, DebtEntry, LedgerEntry, Lot, LotUse
from models.base import insert, table_of

_lots, _accounts = table_of(Lot), table_of(Account)
_LOT_CHANGED = (
    sa.update(_lots)
    .where(_lots.c.id == sa.bindparam("lot"), _lots.c.points_left == sa.bindparam("left_before"))
    .values(points_left=sa.bindparam("left_now"), expires_at=sa.bindparam("until"))
)
_ACCOUNT_CHANGED = (
    sa.update(_accounts)
    .where(
        _accounts.c.member_id == sa.bindparam("member"),
        _accounts.c.entries == sa.bindparam("entries_before"),
        _accounts.c.debt_points == sa.bindparam("debt_before"),
    )
    .values(
        balance_points=_accounts.c.balance_points + sa.bindparam("delta"),
        held_points=_accounts.c.held_points + sa.bindparam("held_delta"),
        debt_points=sa.bindparam("debt_now"),
        entries=sa.bindparam("entries_now"),
    )
)


def write_entries(postings: Sequence[Posting], now: datetime) -> None:
    """Insert entries, the lots they make and what they took from which lot."""
    if not postings:
        return
    with atomic() as transaction:
        ids = transaction.execute(
            insert(LedgerEntry).returning(LedgerEntry.id, sort_by_parameter_order=True),
            [posting.values for posting in postings],
        ).scalars()
        pairs = list(zip(ids, postings, strict=True))
        _add_lots(pairs, now)
        uses = [
            {"entry_id": entry, "lot_id": lot.id, "points": points}
            for entry, posting in pairs
            for lot, points in posting.uses
        ]
        if uses:
            transaction.execute(insert(LotUse), uses)


def _add_lots(pairs: Sequence[tuple[int, Posting]], now: datetime) -> None:
    """Insert new lots; their ids are asked for only where the same book took from one."""
    made = [(entry, posting, posting.lot) for entry, posting in pairs if posting.lot]
    if not made:
        return
    rows = [
        {
            "member_id": posting.values["member_id"],
            "entry_id": entry,
            "points_earned": posting.values["delta_points"],
            "points_left": lot.points_left,
            "earned_at": now,
            "expires_at": lot.expires_at,
            "policy_version": lot.policy_version,
            "idle_days": lot.idle_days,
            "kept_by": lot.kept_by,
        }
        for entry, posting, lot in made
    ]
    fresh = {lot for _, _, lot in made}
    with atomic() as transaction:
        if not any(lot in fresh for _, posting in pairs for lot, _ in posting.uses):
            transaction.execute(insert(Lot), rows)
            return
        statement = insert(Lot).returning(Lot.id, sort_by_parameter_order=True)
        for id_, (entry, _, lot) in zip(
            transaction.execute(statement, rows).scalars(), made, strict=True
        ):
            lot.id, lot.entry_id = id_, entry
            lot.written_left, lot.written_expires_at = lot.points_left, lot.expires_at


def write_lots(accounts: Iterable[AccountInBook]) -> None:
    """Update the lots that were there before and have changed."""
    changed = [lot for account in accounts for lot in account.lots if lot.changed]
    _update_all(_LOT_CHANGED, [_lot_values(lot) for lot in sorted(changed, key=LotInBook.place)])


def _lot_values(lot: LotInBook) -> dict[str, Any]:
    return {
        "lot": lot.id,
        "left_before": lot.written_left,
        "left_now": lot.points_left,
        "until": lot.expires_at,
    }


def change_hands(from_id: int, into_id: int) -> None:
    """Let lots be another member's, the empty ones too: a cancellation may fill them again."""
    with atomic() as transaction:
        transaction.execute(
            sa.update(_lots).where(_lots.c.member_id == from_id).values(member_id=into_id)
        )


def write_debts(rows: Sequence[dict[str, Any]]) -> None:
    """Insert what changed of somebody's debt."""
    if rows:
        with atomic() as transaction:
            transaction.execute(insert(DebtEntry), list(rows))


def write_accounts(accounts: Iterable[AccountInBook]) -> None:
    """Update the accounts that have changed, each from the state it was locked in."""
    changed = [
        {
            "member": account.member_id,
            "delta": account.balance_points - account.written_balance,
            "held_delta": account.held_points - account.written_held,
            "entries_now": account.entries,
            "entries_before": account.written_entries,
            "debt_now": account.debt_points,
            "debt_before": account.written_debt,
        }
        for account in accounts
        if account.changed
    ]
    _update_all(_ACCOUNT_CHANGED, changed)


def _update_all(statement: sa.Update, rows: list[dict[str, Any]]) -> None:
    """Update a row for each set of parameters; a row that was not as the lock showed it is a bug."""
    if not rows:
        return
    with atomic() as transaction:
        changed = transaction.execute(statement, rows).rowcount
    assert changed == len(rows), f"{len(rows) - changed} rows changed under their lock"
