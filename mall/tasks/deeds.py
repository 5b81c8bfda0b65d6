"""Deeds: what members did, as it stands, and how much of a step it is.

A fact only says where to look. What is found there is what counts: a receipt with the money that is
left of it, a redemption that was not cancelled, a friend who has bought and not given it all back. So
a fact told twice or late changes nothing, and undoing needs no arithmetic of its own.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mall import receipts
from mall.events import (
    CheckedIn,
    Fact,
    Joined,
    ProfileChanged,
    Purchased,
    Redeemed,
    RedemptionCancelled,
    Refunded,
    ReviewApproved,
    Undone,
    VoucherUsed,
)
from mall.tasks.rules import Only, Step

FRIENDLY = {"friend_joined", "friend_bought", "friend_checked_in", "friend_acted"}
COUNTED_BY: dict[str, set[type[Fact]]] = {  # facts after which a step has to look again
    "purchase_count": {Purchased, Refunded, Undone},
    "purchase_amount": {Purchased, Refunded, Undone},
    "check_in": {CheckedIn},
    "profile_completed": {ProfileChanged},
    "review_approved": {ReviewApproved, Refunded, Undone},
    "friend_joined": {Joined},
    "friend_bought": {Purchased, Refunded, Undone},
    "friend_checked_in": {CheckedIn},
    "friend_acted": {Purchased, CheckedIn, Refunded, Undone},
    "redemption": {Redeemed, RedemptionCancelled},
    "voucher_used": {VoucherUsed, Undone},
}


@dataclass(frozen=True, order=True)
class Ref:
    """Where to look, and whose progress it is."""

    member_id: int
    kind: str
    id: str


@dataclass(frozen=True)
class Deed:
    """Something a member did, at a moment, that steps of some kinds count."""

    ref: Ref
    counts: frozenset[str]
    at: datetime
    store_id: int | None = None
    reward_id: int | None = None
    category: str | None = None

    def worth(self, step: Step) -> int:
        """How much of a step it is: times, or fen; 0 where the step does not count it."""
        only = step.only
        fits = (
            step.counts in self.counts
            and (not only.stores or self.store_id in only.stores)
            and (not only.rewards or self.reward_id in only.rewards)
        )
        return self._amount(step) if fits else 0

    def _amount(self, step: Step) -> int:
        categories = step.only.categories
        return int(not categories or self.category in categories)


@dataclass(frozen=True)
class Bought(Deed):
    """A receipt, with the money of each line that is left of it."""

    row: Any = None
    gone: dict[str, int] = field(default_factory=dict)

    def _amount(self, step: Step) -> int:
        fen = self._fen(step.only)
        if fen < max(step.only.min_amount_fen, 1):
            return 0
        return fen if step.counts == "purchase_amount" else 1

    @property
    def left_fen(self) -> int:
        row = self.row
        return 0 if row.undone_at is not None else int(row.amount_fen - row.refunded_fen)

    def _fen(self, only: Only) -> int:
        if not (only.categories or only.skus):
            return self.left_fen
        places = {n for n, item in enumerate(self.row.items) if _is_of(item, only)}
        return receipts.read(self.row).fen_kept(places, self.gone, self.left_fen)

    def fen_of_line(self, line_no: int) -> int:
        """Money that is left of one of its lines, the first being 1; without items it is all one."""
        if not self.row.items:
            return self.left_fen
        return receipts.read(self.row).fen_kept({line_no - 1}, self.gone, self.left_fen)


def _is_of(item: dict[str, Any], only: Only) -> bool:
    return (not only.categories or item.get("category") in only.categories) and (
        not only.skus or item["sku"] in only.skus
    )
