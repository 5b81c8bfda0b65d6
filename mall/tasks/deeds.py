"""Deeds: what members did, as far as it stands, and how much of a step it is worth."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mall import receipts
from mall.tasks.rules import Only, Step


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
    tiers: frozenset[str] = frozenset()

    def worth(self, step: Step) -> int:
        """How much of a step it is: times, or fen; 0 where the step does not count it."""
        only = step.only
        fits = (
            step.counts in self.counts
            and (not only.stores or self.store_id in only.stores)
            and (not only.rewards or self.reward_id in only.rewards)
            and (not only.tiers or bool(self.tiers & only.tiers))
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

    def _fen(self, only: Only) -> int:
        left_fen = fen_left(self.row)
        if not (only.categories or only.skus):
            return left_fen
        places = {n for n, item in enumerate(self.row.items) if _is_of(item, only)}
        return receipts.read(self.row).fen_kept(places, self.gone, left_fen)


def fen_left(row: Any) -> int:
    """The money that is left of a receipt."""
    return 0 if row.undone_at is not None else int(row.amount_fen - row.refunded_fen)


def _is_of(item: dict[str, Any], only: Only) -> bool:
    return (not only.categories or item.get("category") in only.categories) and (
        not only.skus or item["sku"] in only.skus
    )
