"""Tasks as they are in force: rows with versions, read into words.

Of each task the newest published version is in force; an inactive one ends the task. What counts is
decided by the version that was in force when it was done.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import read
from models import Task, TaskVersion
from models.base import table_of

NEWCOMER = "new_member_days"
_tasks, _versions = table_of(Task), table_of(TaskVersion)


@dataclass(frozen=True)
class Only:
    """What a step is restricted to; what is empty restricts nothing."""

    stores: frozenset[int] = frozenset()
    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    rewards: frozenset[int] = frozenset()
    tiers: frozenset[str] = frozenset()
    min_amount_fen: int = 0


@dataclass(frozen=True)
class Step:
    """What is to be done how often, or for how much money."""

    code: str
    title: str
    title_en: str
    counts: str
    target: int
    only: Only = field(default_factory=Only)


@dataclass(frozen=True)
class Version:
    """A version of a task that was published."""

    id: int
    task_id: int
    code: str
    period: str
    version: int
    title: str
    title_en: str
    steps: Sequence[Step]
    ordered: bool
    audience: Mapping[str, Any]
    starts_on: date | None
    ends_on: date | None
    points: int
    bundle_code: str
    automatic: bool
    active: bool
    sort: int
    published_at: datetime

    @property
    def label(self) -> str:
        return f"{self.title}@{self.version}"

    @property
    def new_member_days(self) -> int | None:
        return self.audience.get(NEWCOMER)

    @property
    def segment(self) -> dict[str, Any]:
        """The filters of `mall.segments` that its audience must meet."""
        return {name: value for name, value in self.audience.items() if name != NEWCOMER}

    def step(self, code: str) -> Step | None:
        return next((step for step in self.steps if step.code == code), None)


def _read(row: Any) -> Version:
    values = {name: getattr(row, name) for name in Version.__dataclass_fields__}
    return Version(**{**values, "steps": [step(each) for each in row.steps]})


def step(row: Mapping[str, Any]) -> Step:
    """The step of a row."""
    only = dict(row.get("only", {}))
    minimum = only.pop("min_amount_fen", 0)
    sets = {name: frozenset(values) for name, values in only.items()}
    names = {name: row[name] for name in ("code", "title", "title_en", "counts", "target")}
    return Step(**names, only=Only(**sets, min_amount_fen=minimum))


def _published() -> sa.Select[Any]:
    columns = [column for column in _versions.c if column.name != "id"]
    return (
        sa.select(_versions.c.id, *columns, _tasks.c.code, _tasks.c.period)
        .join(_tasks, _tasks.c.id == _versions.c.task_id)
        .where(_versions.c.published_at.is_not(None))
        .order_by(_versions.c.task_id, _versions.c.version)
    )


def since(moment: datetime, *, now: datetime) -> dict[int, list[Version]]:
    """Of each task the versions that were in force at some time since a moment, oldest first."""
    other = _versions.alias()
    last = (
        sa.select(sa.func.max(other.c.version))
        .where(other.c.task_id == _versions.c.task_id, other.c.published_at <= moment)
        .scalar_subquery()
    )
    late = _versions.c.version >= sa.func.coalesce(last, 0)
    return _by_task(_published().where(late, _versions.c.published_at <= now))


def in_force(*, now: datetime) -> list[Version]:
    """The newest version of each task, also of those that it ended."""
    return [versions[-1] for versions in since(now, now=now).values()]


def of_tasks(task_ids: Collection[int]) -> dict[int, list[Version]]:
    """Every version of some tasks, oldest first."""
    return _by_task(_published().where(_versions.c.task_id.in_(task_ids)))


def _by_task(query: sa.Select[Any]) -> dict[int, list[Version]]:
    found: dict[int, list[Version]] = {}
    for row in read(query):
        found.setdefault(row.task_id, []).append(_read(row))
    return found


def at(versions: Sequence[Version], moment: datetime) -> Version | None:
    """The version in force at a moment; before the first was published there is none."""
    return next((each for each in reversed(versions) if each.published_at <= moment), None)
