"""Counting: facts become marks, and marks are corrected as what they stand for changes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, points
from mall.atomic import Contended, atomic, read
from mall.events import Fact, Merged, TierChanged
from mall.tasks import rules
from mall.tasks.audience import Chosen
from mall.tasks.deeds import Deed, Ref
from mall.tasks.facts import (
    BACK,
    COUNTED_BY,
    friends_of,
    profiles_told_at,
    refs_of,
    takes_off,
)
from mall.tasks.look import find
from mall.tasks.periods import key_of
from mall.tasks.progress import Key
from mall.tasks.rules import Step, Version
from mall.tasks.settle import settle
from models import TaskMark
from models.base import insert, table_of

LOOKED_AT: set[type[Fact]] = {fact for facts in COUNTED_BY.values() for fact in facts}
FACTS: list[type[Fact]] = sorted({*LOOKED_AT, Merged}, key=lambda fact: fact.kind)
SETTLED_AT_ONCE = 2_000  # years of daily tasks, where two members became one
FOR_EVER = "profile"  # counts once, whatever is changed later
_marks = table_of(TaskMark)


def kinds(*, now: datetime) -> set[str]:
    """The kinds of facts that some task looks at."""
    versions = rules.in_force(now=now)
    if not versions:
        return set()
    counted = {step.counts for version in versions if version.active for step in version.steps}
    forth = {fact.kind for counts in counted for fact in COUNTED_BY[counts]}
    always: list[type[Fact]] = [*BACK, TierChanged, Merged]
    return forth | {fact.kind for fact in always}


def concerned(facts: Iterable[Fact]) -> set[int]:
    """Whose progress facts of others may change; whoever tells many locks them sorted."""
    return {ref.member_id for ref in friends_of(facts)}


def advance_tasks(fact: Fact, *, now: datetime) -> None:
    """Count what a fact says, take off what it undoes, and give or take back what follows."""
    advance_many([fact], now=now)


def advance_many(facts: Sequence[Fact], *, only: int | None = None, now: datetime) -> None:
    """Count what facts say, for all whose progress it is at once, or for one of them."""
    versions = rules.in_force(now=now)
    counted = {step.counts for version in versions for step in version.steps}
    fresh = refs_of([fact for fact in facts if not takes_off(fact)], counted)
    known = refs_of([fact for fact in facts if takes_off(fact)], counted)
    if only is not None:
        fresh, known = ({ref for ref in refs if ref.member_id == only} for refs in (fresh, known))
    merged = {fact.member_id for fact in facts if isinstance(fact, Merged)}
    look_again(fresh, known, merged, profiles_told_at(facts), now=now)


def look_again(
    fresh: Collection[Ref],
    known: Collection[Ref] = (),
    merged: Collection[int] = (),
    told_at: Mapping[int, datetime] | None = None,
    *,
    now: datetime,
) -> None:
    """Count what stands of some deeds now.

    Of `fresh` marks are made; of those that are only `known` the marks there are corrected, so that
    a refund counts nothing that did not count before. `merged` are members all of whose periods are
    judged again.
    """
    refs = {*fresh, *known}
    members = {ref.member_id for ref in refs} | set(merged)
    if not members:
        return
    with atomic():
        book = points.open_book(members, now=now, lots=True)
        if missing := members - set(book.accounts):
            raise Contended(members=sorted(missing))
        found, marks = find(refs, told_at or {}, now=now), _known(refs)
        new = [deed for deed in found if deed.ref in fresh]
        touched = _correct(marks, found) | _add(new, marks, now)
        keys = sorted(touched | _all_of(merged))
        for first in range(0, len(keys), SETTLED_AT_ONCE):
            settle(keys[first : first + SETTLED_AT_ONCE], book=book, now=now)
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
        ref = self.deed.ref
        return ref.member_id, self.version.task_id, key_of(self.version, day, ref.id)

    @property
    def cause(self) -> tuple[Ref, int, str]:
        return self.deed.ref, self.version.task_id, self.step.code


def _add(found: Sequence[Deed], known: Sequence[Any], now: datetime) -> set[Key]:
    """Make marks of what counts for the first time; answers what that touches."""
    if not found:
        return set()
    there = {(_ref(mark), mark.task_id, mark.step) for mark in known}
    wanted = [new for new in _candidates(found, now) if new.cause not in there]
    bought = [int(deed.ref.id) for deed in found if deed.ref.kind == "purchase"]
    chosen = Chosen({new.key[0] for new in wanted}, without=bought)
    able: dict[tuple[Ref, int, str], _New] = {}  # of one day at two stores the first counts
    for new in wanted:
        if chosen.may(new.version, new.key, new.deed.at):
            able.setdefault(new.cause, new)
    if able:
        with atomic() as transaction:
            transaction.execute(insert(TaskMark), [_row(new, now) for new in able.values()])
    return {new.key for new in able.values()}


def _candidates(found: Sequence[Deed], now: datetime) -> list[_New]:
    """What deeds are worth to the tasks that were in force when they were done."""
    tasks = rules.since(min(deed.at for deed in found), now=now)
    wanted = []
    for versions in tasks.values():
        for deed in found:
            version = rules.at(versions, deed.at)
            for step in version.steps if version and version.active else ():
                if version and (amount := deed.worth(step)):
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
