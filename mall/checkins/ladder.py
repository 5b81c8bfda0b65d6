"""The ladder: what each day of a streak pays. Publishing adds a version; what was paid keeps its own."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.errors import ChangedMeanwhile, NotFound
from mall.idempotency import Answer, Key
from mall.points import Cause
from models import CheckInLadder, CheckInRule, db
from models.base import insert

MAX_STEPS = 366
MAX_STEP_POINTS = 1_000_000


@dataclass(frozen=True)
class Step:
    """What one day of the ladder pays: every day its points, a milestone its bonus too."""

    points: int
    bonus_points: int


@dataclass(frozen=True)
class Ladder:
    """A version of the ladder. A streak longer than it goes on and climbs it from day 1 again."""

    version: int
    steps: tuple[Step, ...]

    def step(self, streak_days: int) -> Step:
        return self.steps[(streak_days - 1) % len(self.steps)] if self.steps else Step(0, 0)

    def next_bonus(self, streak_days: int) -> dict[str, int] | None:
        """How many more days until a day with a bonus, and how much that is; None without one."""
        for in_days in range(1, len(self.steps) + 1):
            bonus = self.step(streak_days + in_days).bonus_points
            if bonus:
                return {"in_days": in_days, "points": bonus}
        return None

    def cause(self, kind: str, ref: tuple[str, str], streak_days: int, actor: str) -> Cause:
        """Why a streak of so many days is paid, by this version."""
        return Cause(
            kind,
            *ref,
            actor,
            rule=f"连签第{streak_days}天 v{self.version}",
            rule_version=self.version,
        )


def in_force() -> Ladder:
    """The newest version; one that pays nothing where a shop has none."""
    newest = sa.select(sa.func.max(CheckInLadder.version)).scalar_subquery()
    query = (
        sa.select(CheckInLadder.version, CheckInRule.points, CheckInRule.bonus_points)
        .outerjoin(CheckInRule, CheckInRule.version == CheckInLadder.version)
        .where(CheckInLadder.version == newest)
        .order_by(CheckInRule.streak_day)
    )
    rows = db.session.execute(query).all()
    steps = tuple(Step(row.points, row.bonus_points) for row in rows if row.points is not None)
    return Ladder(rows[0].version if rows else 0, steps)


def publish(items: Iterable[dict[str, int]], *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Put a new ladder in force, from day 1; days signed so far keep what they were paid.

    Of two that are published at the same moment the second is refused: its author has not seen
    the first.
    """
    steps = [Step(**item) for item in items]
    with atomic() as transaction:
        key.claim(now=now)
        version = in_force().version + 1
        ladder = insert(CheckInLadder).values(
            version=version, published_by=staff_id, published_at=now
        )
        added = ladder.on_conflict_do_nothing().returning(CheckInLadder.version)
        if transaction.execute(added).scalar() is None:
            raise ChangedMeanwhile()
        rules = [
            {"version": version, "streak_day": day, **vars(step)}
            for day, step in enumerate(steps, start=1)
        ]
        if rules:
            transaction.execute(insert(CheckInRule), rules)
        return key.store(201, _view(version, staff_id, now, rules))


def rules_of(version: int | None = None) -> dict[str, Any]:
    """A version as the console shows it, day by day; the newest where none is named."""
    ladders = sa.select(CheckInLadder).order_by(CheckInLadder.version.desc()).limit(1)
    if version is not None:
        ladders = ladders.where(CheckInLadder.version == version)
    found = db.session.scalar(ladders)
    if found is None:
        if version is not None:
            raise NotFound()
        return _view(0, None, None, [])
    days = sa.select(CheckInRule).where(CheckInRule.version == found.version)
    rules = [
        {"streak_day": rule.streak_day, "points": rule.points, "bonus_points": rule.bonus_points}
        for rule in db.session.scalars(days.order_by(CheckInRule.streak_day))
    ]
    return _view(found.version, found.published_by, found.published_at, rules)


def _view(
    version: int, staff_id: int | None, at: datetime | None, rules: list[dict[str, int]]
) -> dict[str, Any]:
    names = ("streak_day", "points", "bonus_points")
    return {
        "version": version,
        "published_by": staff_id,
        "published_at": clock.rfc3339(at) if at else None,
        "items": [{name: rule[name] for name in names} for rule in rules],
        "next_cursor": None,
    }
