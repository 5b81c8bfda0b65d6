"""The proof: entries = balances = lots, and stock and vouchers add up. It changes nothing."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from mall.ledger.checks import CHECKS
from models import Account, CheckIn, LedgerEntry, Lot, Redemption, Reward, Voucher, db

COUNTED = {
    "accounts": Account,
    "entries": LedgerEntry,
    "lots": Lot,
    "rewards": Reward,
    "redemptions": Redemption,
    "vouchers": Voucher,
    "checkins": CheckIn,
}
SYSTEM_ACCOUNTS = {  # where points of a kind come from or go to; what is not named is issuance
    "redeem": "redemption",
    "cancel": "redemption",
    "expire": "expiry",
    "adjust": "adjustment",
    "transfer_out": "transfer",
    "transfer_in": "transfer",
    "merge_out": "transfer",
    "merge_in": "transfer",
    "closure": "expiry",
    "hold": "hold",
    "hold_void": "hold",
    "refund": "refund",
    "pay_debt": "refund",
    "undo_refund": "refund",
    "pay": "payment",
    "pay_back": "payment",
    "pay_again": "payment",
}
ISSUANCE = "issuance"


def verify() -> dict[str, Any]:
    """Run every check.

    `{checked: {rows by kind}, trial_balance: {account: points}, mismatches: [{check, subject, id,
    expected, actual}]}`, where every mismatch is named, however many there are.
    """
    mismatches = [found for kind, check in CHECKS for found in _run(kind, check)]
    checked = {
        name: db.session.scalar(sa.select(sa.func.count()).select_from(model))
        for name, model in COUNTED.items()
    }
    return {"checked": checked, "trial_balance": trial_balance(), "mismatches": mismatches}


def _run(kind: str, check: Callable[[], sa.Select[Any]]) -> list[dict[str, Any]]:
    rows = db.session.execute(check().order_by("id"))
    return [
        {
            "check": check.__name__,
            "subject": kind,
            "id": row.id,
            "expected": str(row.expected),
            "actual": str(row.actual),
        }
        for row in rows
    ]


def trial_balance() -> dict[str, int]:
    """The double-entry view: each entry posts against a system account, so all of them add up to 0.

    `members` is what accounts say they hold, the others what entries say where it came from.
    """
    totals = dict.fromkeys([ISSUANCE, *SYSTEM_ACCOUNTS.values()], 0)
    query = sa.select(LedgerEntry.kind, sa.func.sum(LedgerEntry.delta_points))
    for kind, points in db.session.execute(query.group_by(LedgerEntry.kind)):
        totals[SYSTEM_ACCOUNTS.get(kind, ISSUANCE)] -= int(points)
    held = db.session.scalar(sa.select(sa.func.coalesce(sa.func.sum(Account.balance_points), 0)))
    return {**totals, "members": int(held or 0)}
