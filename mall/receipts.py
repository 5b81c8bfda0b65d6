"""What a receipt keeps while it is refunded by item, by amount or whole. Pure arithmetic.

What stays of its points is a function of what has been refunded so far, not of the order: each item
keeps the share of the units that stay, and what was refunded by amount alone lowers all of them in
proportion to the money that is left. Every figure is rounded down once, and is 0 where no money is
left; so the parts of any sequence of refunds add up to the whole.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mall.errors import ItemsNotOnReceipt

Items = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Sold:
    """A line of a receipt: units, their money, their points."""

    sku: str
    quantity: int
    amount_fen: int
    points: int


@dataclass(frozen=True)
class Receipt:
    """A receipt as it was, its points shared out to its items."""

    amount_fen: int
    points: int
    growth: int
    sold: Sequence[Sold] = ()

    def fen_of(self, gone: Mapping[str, int]) -> int:
        """The money of units that have been refunded, by sku, those of the first lines first."""
        return sum(_part(line.amount_fen, line, units) for line, units in self._units(gone))

    def points_kept(self, gone: Mapping[str, int], left_fen: int) -> int:
        """Points that stay where so many units are gone and so much money is left."""
        items_left_fen = self.amount_fen - self.fen_of(gone)
        if not items_left_fen:
            return 0
        lost = sum(_part(line.points, line, units) for line, units in self._units(gone))
        return (self.points - lost) * left_fen // items_left_fen

    def fen_kept(self, places: Collection[int], gone: Mapping[str, int], left_fen: int) -> int:
        """Money that stays of the lines at some places, where so much of all of it is left."""
        items_left_fen = self.amount_fen - self.fen_of(gone)
        if not items_left_fen:
            return 0
        kept = sum(
            line.amount_fen - _part(line.amount_fen, line, units)
            for place, (line, units) in enumerate(self._units(gone))
            if place in places
        )
        return kept * left_fen // items_left_fen

    def has_line(self, number: int, gone: Mapping[str, int]) -> bool:
        """Whether units stay of a line; the first is 1, and what has no items is one line."""
        units = self._units(gone)
        return not units or units[number - 1][1] < units[number - 1][0].quantity

    def growth_kept(self, left_fen: int) -> int:
        """Growth comes by money, so it goes by money."""
        return self.growth * left_fen // self.amount_fen

    def check(self, wanted: Mapping[str, int], gone: Mapping[str, int]) -> None:
        """Raise where more units are to be refunded than are left of the receipt."""
        sold = Counter[str]()
        for line in self.sold:
            sold[line.sku] += line.quantity
        for sku, quantity in wanted.items():
            left = sold[sku] - gone.get(sku, 0)
            if quantity > left:
                raise ItemsNotOnReceipt(sku=sku, left=left, quantity=quantity)

    def _units(self, gone: Mapping[str, int]) -> list[tuple[Sold, int]]:
        """How many units of each line are gone."""
        rest = Counter(gone)
        found = []
        for line in self.sold:
            units = min(line.quantity, rest[line.sku])
            rest[line.sku] -= units
            found.append((line, units))
        return found


def _part(total: int, line: Sold, units: int) -> int:
    """The share of so many units in a figure of their line; all of it for all units."""
    return total * units // line.quantity


def read(purchase: Any) -> Receipt:
    """The receipt of a row. One that knows no shares has its points shared out by money."""
    items, points = purchase.items, purchase.points_awarded
    shares = purchase.shares or by_money(points, items, purchase.amount_fen)
    sold = [
        Sold(item["sku"], item["quantity"], item["amount_fen"], share)
        for item, share in zip(
            items, shares, strict=False
        )  # what is left of a bill has a share too
    ]
    return Receipt(purchase.amount_fen, points, purchase.growth_awarded, sold)


def by_money(points: int, items: Items, amount_fen: int) -> list[int]:
    before, done, shares = 0, 0, []
    for item in items:
        before += item["amount_fen"]
        upto = points * before // amount_fen
        shares.append(upto - done)
        done = upto
    return shares


def counted(items: Items) -> dict[str, int]:
    """Units by sku."""
    units = Counter[str]()
    for item in items:
        units[item["sku"]] += item["quantity"]
    return dict(units)
