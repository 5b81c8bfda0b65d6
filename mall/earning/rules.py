"""Earning rules: rows with versions, of which the newest published of each code is in force.

A rule says what sets it off, how much it pays, and for whom, when and up to how much. `terms` hold
what only some rules need; what is absent there means no restriction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock
from models import EarningRule, db

BASE, MULTIPLY, ADD = "base", "multiply", "add"
PURCHASE, ITEM, CATEGORY, EVENT = "purchase", "item", "category", "event"
FULL_UNITS, FLOOR, HALF_UP, CEILING = "full_units", "floor", "half_up", "ceiling"
NOW, LATER, PICKUP = "now", "later", "pickup"  # when points come
WHOLE = 100  # per cent


@dataclass(frozen=True)
class Rate:
    """So many points for so many fen, rounded in one of four ways.

    `full_units` counts full portions of `per_fen` first, so that no bill earns for part of one.
    """

    points: int
    per_fen: int = 100
    rounding: str = FULL_UNITS

    def of(self, amount_fen: int) -> int:
        if self.rounding == FULL_UNITS:
            return amount_fen // self.per_fen * self.points
        whole, rest = divmod(amount_fen * self.points, self.per_fen)
        up = {FLOOR: False, HALF_UP: 2 * rest >= self.per_fen, CEILING: rest > 0}
        return whole + up[self.rounding]

    @property
    def least_fen(self) -> int:
        """The smallest amount that earns a point."""
        if self.rounding == FULL_UNITS:
            return self.per_fen
        halves = {FLOOR: 2, HALF_UP: 1, CEILING: 0}[self.rounding]
        return max(-(-self.per_fen * halves // (2 * self.points)), 1)


@dataclass(frozen=True)
class Caps:
    """The most a member gets by a rule: of one receipt, of a day, of a longer period."""

    transaction: int | None = None
    day: int | None = None
    period: int | None = None
    period_kind: str = "month"  # week, month, year, ever


@dataclass(frozen=True)
class Audience:
    """For whom: tiers, stores, and members of at most so many days."""

    tiers: frozenset[str] = frozenset()
    stores: frozenset[int] = frozenset()
    new_member_days: int | None = None


@dataclass(frozen=True)
class Window:
    """When: between two days, on some days of the week (1 Monday) or month, around a birthday."""

    starts_on: date | None = None
    ends_on: date | None = None
    weekdays: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    birthday: str | None = None  # day, week, month

    def holds(self, day: date, birthday: date | None) -> bool:
        if (self.starts_on and day < self.starts_on) or (self.ends_on and day > self.ends_on):
            return False
        if self.weekdays and day.isoweekday() not in self.weekdays:
            return False
        if self.month_days and day.day not in self.month_days:
            return False
        return self.birthday is None or is_birthday(day, birthday, self.birthday)


@dataclass(frozen=True)
class Rule:
    """A version of a rule."""

    id: int
    code: str
    version: int
    name: str
    kind: str = BASE
    trigger: str = PURCHASE
    matches: frozenset[str] = frozenset()
    priority: int = 0
    rate: Rate = field(default_factory=lambda: Rate(1))
    points: int = 0  # of a rule that adds, or of an event
    percent: int = WHOLE  # of a rule that multiplies
    min_amount_fen: int = 0
    caps: Caps = field(default_factory=Caps)
    excluded_categories: frozenset[str] = frozenset()
    excluded_skus: frozenset[str] = frozenset()
    audience: Audience = field(default_factory=Audience)
    window: Window = field(default_factory=Window)
    award: str = NOW
    award_after_days: int = 0

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


def is_birthday(day: date, birthday: date | None, span: str) -> bool:
    """Whether a day is in the week (Monday to Sunday) or month of a birthday, or the day itself.

    Who was born on 29 February has it on the 28th in other years.
    """
    if birthday is None:
        return False
    if span == "month":
        return day.month == birthday.month
    if span == "day":
        return day == birthday_in(day.year, birthday)
    monday = day - timedelta(days=day.weekday())
    week = {monday + timedelta(days=n) for n in range(7)}
    return any(birthday_in(each.year, birthday) == each for each in week)


def birthday_in(year: int, birthday: date) -> date:
    leap = (birthday.month, birthday.day) == (2, 29)
    try:
        return birthday.replace(year=year)
    except ValueError:
        assert leap
        return date(year, 2, 28)


def in_force(*, now: datetime, triggers: Iterable[str] = ()) -> list[Rule]:
    """Rules in force, those of high priority first; only of some triggers where they are named."""
    newest = (
        sa.select(EarningRule.code, sa.func.max(EarningRule.version).label("version"))
        .where(EarningRule.published_at <= now)
        .group_by(EarningRule.code)
        .subquery()
    )
    same = (newest.c.code == EarningRule.code) & (newest.c.version == EarningRule.version)
    query = sa.select(EarningRule.__table__).join(newest, same).where(EarningRule.active)
    wanted = list(triggers)
    if wanted:
        query = query.where(EarningRule.trigger_kind.in_(wanted))
    return in_order(read(row) for row in db.session.execute(query))


def in_order(rules: Iterable[Rule]) -> list[Rule]:
    return sorted(rules, key=lambda rule: (-rule.priority, rule.code))


def read(row: Any) -> Rule:
    """The rule of a row."""
    terms: Mapping[str, Any] = row.terms
    rate = terms.get("rate")
    return Rule(
        *(row.id, row.code, row.version, row.name, row.kind, row.trigger_kind),
        matches=frozenset(terms.get("matches", ())),
        priority=row.priority,
        rate=Rate(**rate) if rate else Rate(0),
        points=terms.get("points", 0),
        percent=terms.get("percent", WHOLE),
        min_amount_fen=terms.get("min_amount_fen", 0),
        caps=Caps(**terms.get("caps", {})),
        excluded_categories=frozenset(terms.get("excluded_categories", ())),
        excluded_skus=frozenset(terms.get("excluded_skus", ())),
        audience=_audience(terms.get("audience", {})),
        window=_window(terms.get("window", {})),
        award=terms.get("award", NOW),
        award_after_days=terms.get("award_after_days", 0),
    )


def _audience(terms: Mapping[str, Any]) -> Audience:
    return Audience(
        frozenset(terms.get("tiers", ())),
        frozenset(terms.get("stores", ())),
        terms.get("new_member_days"),
    )


def _window(terms: Mapping[str, Any]) -> Window:
    days = {name: terms.get(name) for name in ("starts_on", "ends_on")}
    return Window(
        **{name: date.fromisoformat(day) if day else None for name, day in days.items()},
        weekdays=frozenset(terms.get("weekdays", ())),
        month_days=frozenset(terms.get("month_days", ())),
        birthday=terms.get("birthday"),
    )


def period_of(kind: str, day: date) -> str:
    """The period of a cap that a business day falls in."""
    if kind == "day":
        return day.isoformat()
    if kind == "week":
        return f"{day:%G-W%V}"
    return {"month": f"{day:%Y-%m}", "year": f"{day:%Y}", "ever": "ever"}[kind]


def business_day(moment: datetime) -> date:
    return clock.business_day(moment)
