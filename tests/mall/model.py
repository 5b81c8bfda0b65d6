"""A ledger as simple as can be, to hold the real one against: lists in memory, no locks, no SQL."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

GRACE = timedelta(days=7)


@dataclass
class ModelLot:
    name: str
    points: int
    expires_at: datetime | None

    def order(self, number: int) -> tuple[bool, float, int]:
        ends = self.expires_at.timestamp() if self.expires_at else 0.0
        return self.expires_at is None, ends, number


@dataclass
class ModelAccount:
    """Lots in the order they were made, what is owed, what is held."""

    lots: list[ModelLot] = field(default_factory=list)
    debt: int = 0
    held: int = 0

    @property
    def balance(self) -> int:
        return sum(lot.points for lot in self.lots)

    def available(self, now: datetime) -> int:
        return sum(lot.points for lot in self.lots if not _ended(lot, now))

    def grant(self, name: str, points: int, expires_at: datetime | None) -> None:
        paid = min(self.debt, points)
        self.debt -= paid
        self.lots.append(ModelLot(name, points - paid, expires_at))

    def expire(self, now: datetime) -> None:
        for lot in self.lots:
            if _ended(lot, now):
                lot.points = 0

    def spend(self, points: int, now: datetime) -> list[tuple[ModelLot, int]] | None:
        """What was taken from which lot; None where there is not enough."""
        if self.available(now) < points:
            return None
        self.expire(now)
        return self._take(self.lots, points)

    def _take(self, lots: list[ModelLot], points: int) -> list[tuple[ModelLot, int]]:
        taken = []
        numbered = [(lot.order(self.lots.index(lot)), lot) for lot in lots]
        for _, lot in sorted(numbered, key=lambda pair: pair[0]):
            part = min(lot.points, points)
            if part:
                lot.points -= part
                points -= part
                taken.append((lot, part))
        return taken

    def give_back(self, taken: list[tuple[ModelLot, int]], now: datetime) -> None:
        self.expire(now)
        back = []
        for lot, part in taken:
            if _ended(lot, now):
                lot.expires_at = now + GRACE
            lot.points += part
            back.append(lot)
        paid = min(self.debt, sum(lot.points for lot in back))
        self._take(back, paid)
        self.debt -= paid

    def take_back(self, name: str, points: int, now: datetime) -> None:
        self.expire(now)
        own = [lot for lot in self.lots if lot.name == name]
        left = points - sum(part for _, part in self._take(own, points))
        left -= sum(part for _, part in self._take(self.lots, left))
        self.debt += left


def _ended(lot: ModelLot, now: datetime) -> bool:
    return lot.expires_at is not None and lot.expires_at <= now
