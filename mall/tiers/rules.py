"""The growth formula and the window it is counted in, by the version in force.

Growth = money × its weight + visits × theirs + activities × theirs, each part a whole number,
rounded down. A version that is published is never changed; what it made names it.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock
from models import TierRule, db

FEN_PER_YUAN = 100
PERCENT = 100
EVER, ROLLING, YEAR = "ever", "rolling", "year"
ONE_STEP, RECOMPUTE = "one_step", "recompute"


@dataclass(frozen=True)
class Activity:
    """What one kind of activity gives each time, and at most in a day; no cap is None."""

    growth: int
    daily_cap: int | None


@dataclass(frozen=True)
class Window:
    """Which growth counts: all of it, the last N whole days, or a calendar year's."""

    kind: str = EVER
    days: int = 365

    def opens_at(self, now: datetime) -> datetime | None:
        """From when on growth counts that leads up at a moment; None where all of it does."""
        today = clock.business_day(now)
        if self.kind == EVER:
            return None
        if self.kind == YEAR:
            return clock.start_of_day(date(today.year, 1, 1))
        return clock.start_of_day(today - timedelta(days=self.days - 1))

    def review_after(self, moment: datetime) -> datetime | None:
        """When a tier that is held from a moment on is reviewed; None for never.

        Rolling: after N whole days, not counting the day it was reached. Year: at the year's end.
        """
        today = clock.business_day(moment)
        if self.kind == EVER:
            return None
        if self.kind == YEAR:
            return clock.start_of_day(date(today.year + 1, 1, 1))
        return clock.start_of_day(today + timedelta(days=self.days + 1))

    def review_again(self, ended_at: datetime) -> datetime | None:
        """When the review after one that ended at a midnight is; the next window starts there."""
        if self.kind != ROLLING:
            return self.review_after(ended_at)
        return clock.start_of_day(clock.business_day(ended_at) + timedelta(days=self.days))

    def reviewed_from(self, review_at: datetime) -> datetime:
        """From when on growth counts for the review of a moment."""
        last = clock.last_day_before(review_at)
        if self.kind == YEAR:
            return clock.start_of_day(date(last.year, 1, 1))
        return clock.start_of_day(last - timedelta(days=self.days - 1))


@dataclass(frozen=True)
class Rules:
    """A version's numbers, apart from its row."""

    version: int = 0
    growth_per_yuan: int = 0
    growth_per_visit: int = 0
    min_amount_fen: int = 0
    activities: dict[str, Activity] = field(default_factory=dict)
    spend_weight_percent: int = PERCENT
    visit_weight_percent: int = PERCENT
    activity_weight_percent: int = PERCENT
    window: Window = Window()
    grace_days: int = 0
    review_policy: str = ONE_STEP
    thresholds: dict[str, int] = field(default_factory=dict)

    def of_spend(self, amount_fen: int) -> int:
        """Growth for a bill: whole yuan, and none below the least."""
        if amount_fen < self.min_amount_fen:
            return 0
        yuan = amount_fen // FEN_PER_YUAN
        return yuan * self.growth_per_yuan * self.spend_weight_percent // PERCENT

    def of_visit(self) -> int:
        """Growth for a day on which something was bought."""
        return self.growth_per_visit * self.visit_weight_percent // PERCENT

    def of_activity(self, kind: str, given: int) -> int:
        """Growth for doing something once more on a day that has given so much for it."""
        activity = self.activities.get(kind)
        if activity is None:
            return 0
        once = activity.growth * self.activity_weight_percent // PERCENT
        if activity.daily_cap is None:
            return once
        return max(0, min(once, activity.daily_cap - given))

    def of_activities(self, kind: str, times: int) -> int:
        """Growth for doing something so many times on one day."""
        given = 0
        for _ in range(times if kind in self.activities else 0):
            given += self.of_activity(kind, given)
        return given


def of_row(row: Any) -> Rules:
    """The numbers of a row, published or a draft."""
    return Rules(
        version=row.version or 0,
        growth_per_yuan=row.growth_per_yuan,
        growth_per_visit=row.growth_per_visit,
        min_amount_fen=row.min_amount_fen,
        activities={
            each["kind"]: Activity(each["growth"], each["daily_cap"]) for each in row.activities
        },
        spend_weight_percent=row.spend_weight_percent,
        visit_weight_percent=row.visit_weight_percent,
        activity_weight_percent=row.activity_weight_percent,
        window=Window(row.window_kind, row.window_days),
        grace_days=row.grace_days,
        review_policy=row.review_policy,
        thresholds=dict(row.thresholds),
    )


def row_in_force() -> Any:
    """The newest version that has taken effect; None in a shop that has not opened."""
    query = sa.select(TierRule.__table__).where(TierRule.applied_at.is_not(None))
    return db.session.execute(query.order_by(TierRule.version.desc()).limit(1)).one_or_none()


def in_force() -> Rules:
    """The rules that count now; a shop that has none gives no growth."""
    row = row_in_force()
    return Rules() if row is None else of_row(row)
