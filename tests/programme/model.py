"""A shop as simple as can be: receipts, days, trades in lists; growth, tiers and tasks added up anew.

Points are tests/mall/model.py's lots. What only follows (growth, tier, progress) is kept nowhere: it is
computed from what stands whenever somebody asks, by other arithmetic than the shop's.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from tests.mall.model import ModelAccount, ModelLot

FEN_PER_POINT = 100
CAP_POINTS = 700  # what receipts of a day give at most, without what a tier multiplies
EXTRA_PERCENT = {"silver": 50, "gold": 100}
SIGN_POINTS = 3
TIERS = (("base", 0), ("silver", 1_000), ("gold", 5_000), ("diamond", 20_000))
Taken = list[tuple[ModelLot, int]]


@dataclass
class ModelTask:
    """What a task asks for and gives; `id` is the shop's name for it."""

    id: int
    counts: str
    target: int
    points: int
    automatic: bool
    period: str

    def key(self, day: date) -> str:
        if self.period == "daily":
            return day.isoformat()
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}" if self.period == "weekly" else day.isoformat()[:7]


@dataclass
class Bought:
    """A receipt and what was given back of it: for each refund its money and where it took points.

    `base` is what its money earned under the cap, `extra` what its member's tier made of it.
    """

    name: str
    fen: int
    day: date
    base: int
    extra: int
    refunds: list[tuple[int, int, Taken, int]] = field(default_factory=list)
    undone: bool = False

    @property
    def left_fen(self) -> int:
        return 0 if self.undone else self.fen - sum(refund[1] for refund in self.refunds)

    @property
    def points(self) -> int:
        return self.base + self.extra

    def kept(self) -> int:
        """Points that stay: each unit of money carries its share of the whole."""
        return self.points * self.left_fen // self.fen

    def growth(self) -> int:
        """Growth that stays, which knows neither cap nor tier."""
        return self.fen // FEN_PER_POINT * self.left_fen // self.fen

    def capped(self) -> int:
        """What still counts towards the cap: less the share of the points that are gone."""
        if not self.points:
            return 0
        return self.base - self.base * (self.points - self.kept()) // self.points


@dataclass
class Trade:
    """A redemption, and the lots that paid for it."""

    id: int
    day: date
    taken: Taken
    cancelled: bool = False


@dataclass
class Person:
    """A member, and all they did."""

    account: ModelAccount = field(default_factory=ModelAccount)
    receipts: dict[int, Bought] = field(default_factory=dict)
    days: set[date] = field(default_factory=set)
    trades: list[Trade] = field(default_factory=list)
    claims: dict[tuple[int, str], str] = field(default_factory=dict)  # the claim's lot by period
    lost: set[tuple[int, str]] = field(default_factory=set)  # taken back once: given again if done

    @property
    def growth(self) -> int:
        return sum(each.growth() for each in self.receipts.values())

    def buy(self, name: str, fen: int, day: date) -> Bought:
        """A receipt, with what it earns at this moment."""
        used = sum(each.capped() for each in self.receipts.values() if each.day == day)
        earned = fen // FEN_PER_POINT
        extra = earned * EXTRA_PERCENT.get(self.tier, 0) // 100
        return Bought(name, fen, day, min(earned, max(0, CAP_POINTS - used)), extra)

    @property
    def tier(self) -> str:
        return [code for code, least in TIERS if least <= self.growth][-1]

    def progress(self, task: ModelTask) -> Counter[str]:
        """By period, how much of a task stands."""
        found = Counter[str]()
        for each in self.receipts.values():
            if task.counts == "purchase_amount":
                found[task.key(each.day)] += each.left_fen
            elif task.counts == "purchase_count":
                found[task.key(each.day)] += each.left_fen > 0
        if task.counts == "check_in":
            found.update(task.key(day) for day in self.days)
        if task.counts == "redemption":
            found.update(task.key(each.day) for each in self.trades if not each.cancelled)
        return found

    def settle(self, tasks: list[ModelTask], ends: Any, now: datetime) -> None:
        """What follows when the worker has told everything: take back first, then give."""
        seen = {task.id: self.progress(task) for task in tasks}
        by_id = {task.id: task for task in tasks}
        for place, lot in sorted(self.claims.items()):
            task = by_id[place[0]]
            if seen[task.id][place[1]] < task.target:
                self.account.take_back(lot, task.points, now)
                del self.claims[place]
                self.lost.add(place)
        for automatic in (True, False):
            for place in sorted((task, period) for task in seen for period in seen[task]):
                task = by_id[place[0]]
                gives = task.automatic is automatic and (automatic or place in self.lost)
                if gives and seen[task.id][place[1]] >= task.target and place not in self.claims:
                    self.claim(task, place[1], ends, now)

    def claim(self, task: ModelTask, period: str, ends: Any, now: datetime) -> None:
        name = f"claim {task.id} {period} {len(self.account.lots)}"
        self.account.grant(name, task.points, ends(now))
        self.claims[task.id, period] = name
