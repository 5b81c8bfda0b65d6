"""Progress: pure arithmetic over the marks of one member in one period.

Where steps have an order, a step counts only what was done after all those before it were finished;
what finished one does not count for the next. So progress is a function of the marks alone, and a
mark that goes takes with it exactly what it had made possible.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from mall.atomic import read
from mall.tasks.rules import Step, Version
from models import TaskMark
from models.base import table_of

MONEY = "purchase_amount"
Key = tuple[int, int, str]  # member, task, period


@dataclass(frozen=True)
class Mark:
    """So much done for a step at a moment; marks of one cause share its name."""

    step: str
    amount: int
    done_at: datetime
    cause: tuple[str, str]


@dataclass(frozen=True)
class Done:
    """How far a step is."""

    step: Step
    counted: int

    @property
    def shown(self) -> int:
        return min(self.counted, self.step.target)

    @property
    def is_done(self) -> bool:
        return self.counted >= self.step.target


@dataclass(frozen=True)
class Progress:
    """How far a task is, step by step."""

    steps: Sequence[Done]

    @property
    def is_done(self) -> bool:
        return all(step.is_done for step in self.steps)

    @property
    def target(self) -> int:
        """Of one step its own; of several how many times in all, a step of money being once."""
        return sum(self._whole(each) for each in self.steps)

    @property
    def reached(self) -> int:
        return sum(int(each.is_done) if self._is_once(each) else each.shown for each in self.steps)

    def _is_once(self, each: Done) -> bool:
        return len(self.steps) > 1 and each.step.counts == MONEY

    def _whole(self, each: Done) -> int:
        return 1 if self._is_once(each) else each.step.target


def progress(steps: Sequence[Step], ordered: bool, marks: Iterable[Mark]) -> Progress:
    """What marks come to."""
    counted = _in_order(steps, marks) if ordered else _added_up(marks)
    return Progress([Done(step, counted[step.code]) for step in steps])


def _added_up(marks: Iterable[Mark]) -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    for mark in marks:
        counted[mark.step] += mark.amount
    return counted


def _in_order(steps: Sequence[Step], marks: Iterable[Mark]) -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    places = {step.code: place for place, step in enumerate(steps)}
    by_moment = sorted(marks, key=lambda mark: (mark.done_at, mark.cause))
    open_place = 0
    for _, same in groupby(by_moment, key=lambda mark: (mark.done_at, mark.cause)):
        for mark in same:
            if places.get(mark.step, len(steps)) <= open_place:
                counted[mark.step] += mark.amount
        while open_place < len(steps) and (
            counted[steps[open_place].code] >= steps[open_place].target
        ):
            open_place += 1
    return counted


def progress_of(wanted: dict[Key, Version]) -> dict[Key, Progress]:
    """How far some members are in some periods, by the version that is to judge them."""
    marks = {key: list[Mark]() for key in wanted}
    for ordered in (False, True):
        keys = [key for key, version in wanted.items() if version.ordered is ordered]
        for row in _rows(keys, ordered=ordered):
            mark = Mark(row.step, int(row.amount), row.done_at, (row.ref_kind, row.ref_id))
            marks[row.member_id, row.task_id, row.period].append(mark)
    return {
        key: progress(version.steps, version.ordered, marks[key]) for key, version in wanted.items()
    }


def _rows(keys: Sequence[Key], *, ordered: bool) -> Sequence[Any]:
    """Marks one by one where their order says what they count, else added up by step."""
    if not keys:
        return []
    mark = table_of(TaskMark).c
    place = (mark.member_id, mark.task_id, mark.period)
    named = sa.tuple_(*place).in_(keys)
    if ordered:
        columns = (*place, mark.step, mark.amount, mark.done_at, mark.ref_kind, mark.ref_id)
        return read(sa.select(*columns).where(named, mark.amount > 0))
    total = sa.func.sum(mark.amount).label("amount")
    last = sa.func.max(mark.done_at).label("done_at")
    nothing = (sa.literal("").label("ref_kind"), sa.literal("").label("ref_id"))
    sums = sa.select(*place, mark.step, total, last, *nothing).where(named)
    return read(sums.group_by(*place, mark.step))
