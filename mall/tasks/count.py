"""Counting: facts become marks, and marks are corrected as what they stand for changes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, points
from mall.atomic import Contended, atomic, read
from mall.events import Fact, Merged
from mall.tasks import deeds, rules
from mall.tasks.audience import Chosen
from mall.tasks.deeds import COUNTED_BY, Deed, Ref
from mall.tasks.periods import key_of
from mall.tasks.progress import Key
from mall.tasks.rules import Step, Version
from mall.tasks.settle import settle
from models import TaskMark
from models.base import insert, table_of

LOOKED_AT: set[type[Fact]] = {fact for facts in COUNTED_BY.values() for fact in facts}
FACTS: list[type[Fact]] = sorted({*LOOKED_AT, Merged}, key=lambda fact: fact.kind)
FOR_EVER = "profile"  # counts once, whatever is changed later
_marks = table_of(TaskMark)


def kinds(*, now: datetime) -> set[str]:
    """The kinds of facts that some task looks at."""
    versions = rules.in_force(now=now)
    if not versions:
        return set()
    counted = {step.counts for version in versions if version.active for step in version.steps}
    forth = {fact.kind for counts in counted for fact in COUNTED_BY[counts]}
    return forth | {"refunded", "undone", "redemption_cancelled", "merged"}


def concerned(facts: Iterable[Fact]) -> set[int]:
    """Whose progress facts of others may change; whoever tells many locks them sorted."""
    return {ref.member_id for ref in deeds.friends_of(facts)}


def advance_tasks(fact: Fact, *, now: datetime) -> None:
    """Count what a fact says, take off what it undoes, and give or take back what follows."""
    advance_many([fact], now=now)


def advance_many(facts: Sequence[Fact], *, now: datetime) -> None:
    """Count what facts say, for all their members at once."""
    versions = rules.in_force(now=now)
    counted = {step.counts for version in versions for step in version.steps}
    refs = deeds.refs_of(facts, counted)
    merged = {fact.member_id for fact in facts if isinstance(fact, Merged)}
    look_again(refs, merged, deeds.profiles_told_at(facts), now=now)


def look_again(
    refs: Collection[Ref],
    merged: Collection[int] = (),
    told_at: Mapping[int, datetime] | None = None,
    *,
    now: datetime,
) -> None:
    """Count what stands of some deeds now; `merged` are members all of whose periods are judged."""
    members = {ref.member_id for ref in refs} | set(merged)
    if not members:
        return
    with atomic():
        book = points.open_book(members, now=now, lots=True)
        if missing := members - set(book.accounts):
            raise Contended(members=sorted(missing))
        found, marks = deeds.find(refs, dict(told_at or {}), now=now), _known(refs)
        touched = _correct(marks, found) | _add(found, marks, now)
        settle(touched | _all_of(merged), book=book, now=now)
        book.write()


def _known(refs: Collection[Ref]) -> Sequence[Any]:
    place = (_marks.c.member_id, _marks.c.ref_kind, _marks.c.ref_id)
    named = [(ref.member_id, ref.kind, ref.id) for ref in sorted(refs)]
    return read(sa.select(_marks).where(sa.tuple_(*place).in_(named))) if named else []


def _ref(mark: Any) -> Ref:
    return Ref(mark.member_id, mark.ref_kind, mark.ref_id)


def _correct(known: Sequence[Any], found: Sequence[Deed]) -> set[Key]:
    """Set the marks that are there to what stands of their deeds; answers what that touches."""
    marks = [mark for mark in known if mark.ref_kind != FOR_EVER]
    steps, standing = _steps(marks), defaultdict[Ref, list[Deed]](list)
    for deed in found:
        standing[deed.ref].append(deed)
    changed = []
    for mark in marks:
        step = steps[mark.version_id, mark.step]
        amount = max((deed.worth(step) for deed in standing[_ref(mark)]), default=0)
        if amount != mark.amount:
            changed.append((mark, amount))
    if changed:
        rows = [{"mark": mark.id, "worth": amount} for mark, amount in changed]
        with atomic() as transaction:
            transaction.execute(
                sa.update(_marks)
                .where(_marks.c.id == sa.bindparam("mark"))
                .values(amount=sa.bindparam("worth")),
                rows,
            )
    return {(mark.member_id, mark.task_id, mark.period) for mark, _ in changed}


def _steps(marks: Sequence[Any]) -> dict[tuple[int, str], Step]:
    """Steps as the versions say by which marks were counted."""
    of_tasks = rules.of_tasks({mark.task_id for mark in marks}) if marks else {}
    return {
        (version.id, step.code): step
        for versions in of_tasks.values()
        for version in versions
        for step in version.steps
    }


@dataclass(frozen=True)
class _New:
    """A mark that may be made."""

    deed: Deed
    version: Version
    step: Step
    amount: int

    @property
    def key(self) -> Key:
        day = clock.business_day(self.deed.at)
        return self.deed.ref.member_id, self.version.task_id, key_of(self.version, day)


def _add(found: Sequence[Deed], known: Sequence[Any], now: datetime) -> set[Key]:
    """Make marks of what counts for the first time; answers what that touches."""
    if not found:
        return set()
    there = {(_ref(mark), mark.task_id, mark.step) for mark in known}
    wanted = [
        new
        for new in _candidates(found, now)
        if (new.deed.ref, new.version.task_id, new.step.code) not in there
    ]
    bought = [int(deed.ref.id) for deed in found if deed.ref.kind == "purchase"]
    chosen = Chosen({new.key[0] for new in wanted}, without=bought)
    able = [new for new in wanted if chosen.may(new.version, new.key, new.deed.at)]
    if able:
        with atomic() as transaction:
            transaction.execute(insert(TaskMark), [_row(new, now) for new in able])
    return {new.key for new in able}


def _candidates(found: Sequence[Deed], now: datetime) -> list[_New]:
    """What deeds are worth to the tasks that were in force when they were done."""
    tasks = rules.since(min(deed.at for deed in found), now=now)
    wanted = []
    for versions in tasks.values():
        for deed in found:
            version = rules.at(versions, deed.at)
            for step in version.steps if version.active else ():
                amount = deed.worth(step)
                if amount:
                    wanted.append(_New(deed, version, step, amount))
    return wanted


def _row(new: _New, now: datetime) -> dict[str, Any]:
    member_id, task_id, period = new.key
    return {
        "member_id": member_id,
        "task_id": task_id,
        "step": new.step.code,
        "period": period,
        "ref_kind": new.deed.ref.kind,
        "ref_id": new.deed.ref.id,
        "amount": new.amount,
        "version_id": new.version.id,
        "done_at": new.deed.at,
        "counted_at": now,
    }


def _all_of(member_ids: Collection[int]) -> set[Key]:
    """Every period in which some members have done something."""
    if not member_ids:
        return set()
    place = (_marks.c.member_id, _marks.c.task_id, _marks.c.period)
    rows = read(sa.select(*place).where(_marks.c.member_id.in_(member_ids)).distinct())
    return {(row.member_id, row.task_id, row.period) for row in rows}
