"""Claiming by hand: once a period, in its period only."""

import logging
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, points, profiles
from mall.atomic import atomic, read
from mall.errors import NotFound, TaskClaimed, TaskGiftGone, TaskMissed, TaskUnfinished, Unavailable
from mall.events import read as read_fact
from mall.idempotency import Answer, Key
from mall.tasks import rules
from mall.tasks.count import FACTS, advance_many, kinds, look_again
from mall.tasks.deeds import Ref
from mall.tasks.give import Wanted, give
from mall.tasks.periods import Span, before, end_of
from mall.tasks.progress import progress_of
from mall.tasks.settle import live
from mall.tasks.view import CLAIMABLE, CLAIMED, MISSED, Standing, standings, view
from models import Event, Member, TaskMark, db

log = logging.getLogger(__name__)

CAUGHT_UP_AT_ONCE = 200
WHOLE = 100  # per cent


def listed(member_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """The tasks of a member. What they have done is counted first, though the worker is behind."""
    try:
        catch_up(member_id, now=now)
    except Unavailable:  # others are writing: the list says what has been counted
        log.info("member %s sees their tasks as they were counted last", member_id)
    return view(member_id, now=now)


def catch_up(member_id: int, *, now: datetime) -> None:
    """Count what a member has done and the worker has not told yet, for themself only.

    Others' accounts are not locked here. Told again by the worker it changes nothing. A profile that was complete before its task was
    published counts when its owner looks.
    """
    wanted = kinds(now=now)
    if not wanted:
        return
    waiting = (
        sa.select(Event)
        .where(Event.done_at.is_(None), Event.member_id == member_id, Event.kind.in_(wanted))
        .order_by(Event.id)
        .limit(CAUGHT_UP_AT_ONCE)
    )
    known = {fact.kind for fact in FACTS}
    facts = [read_fact(event) for event in db.session.scalars(waiting) if event.kind in known]
    if facts:
        advance_many(facts, only=member_id, now=now)
    if "profile_changed" in wanted and _is_complete_unnoticed(member_id, now):
        look_again([Ref(member_id, "profile", str(member_id))], now=now)


def _is_complete_unnoticed(member_id: int, now: datetime) -> bool:
    """Whether a complete profile has not counted for some task that asks for one."""
    member = db.session.get(Member, member_id, populate_existing=True)
    if member is None or profiles.completeness_percent(member) < WHOLE:
        return False
    asking = {
        version.task_id
        for version in rules.in_force(now=now)
        if any(step.counts == "profile_completed" for step in version.steps)
    }
    marked = sa.select(TaskMark.task_id).where(
        TaskMark.member_id == member_id, TaskMark.ref_kind == "profile"
    )
    return not asking <= {row.task_id for row in read(marked)}


def claim(
    task_id: int, member_id: int, *, period_key: str | None = None, key: Key, now: datetime
) -> Answer:
    """Give a member what a task gives that they have done; `period_key` is the period they saw."""
    with atomic():
        key.claim(now=now)
        catch_up(member_id, now=now)
        book = points.open_book([member_id], now=now)
        standing = _find(task_id, member_id, now)
        _check(standing, period_key, now)
        given = give([Wanted(standing.key, standing.version)], automatic=False, book=book, now=now)
        if not given:
            raise TaskGiftGone()
        book.write()
        gift = given[0].gift
        said = {
            "points_awarded": given[0].points,
            "balance_after": book.account(member_id).balance_points,
            "gift": {"name": gift.name, "units": gift.units} if gift else None,
        }
        return key.store(201, said)


def _find(task_id: int, member_id: int, now: datetime) -> Standing:
    """How a member stands with a task; one that is not for them is not there."""
    versions = [each for each in rules.in_force(now=now) if each.task_id == task_id]
    found = standings(member_id, versions, now=now)
    if not found:
        raise NotFound()
    return found[0]


def _check(standing: Standing, period_key: str | None, now: datetime) -> None:
    """Raise where there is nothing to claim, with the reason."""
    if period_key is not None and period_key != standing.key[2]:
        raise _passed(standing, period_key, now)
    if standing.state == CLAIMED:
        raise TaskClaimed(claimed_at=clock.rfc3339(standing.claim.claimed_at))
    if standing.state == MISSED or not standing.version.active:
        raise _missed(standing.span, now)
    if standing.state != CLAIMABLE:
        _check_last(standing)
        progress = standing.progress
        figures = {"progress": progress.reached, "target": progress.target}
        raise TaskUnfinished(**figures, short_by=progress.target - progress.reached)


def _missed(span: Span, now: datetime) -> TaskMissed:
    return TaskMissed(ended_at=clock.rfc3339(span.closes_at or now))


def _passed(standing: Standing, period_key: str, now: datetime) -> Exception:
    """The refusal of another period than the one there is: the last was missed, others are not there."""
    if period_key != before(standing.version, standing.key[2]):
        return NotFound()
    place = (*standing.key[:2], period_key)
    claimed = live([place]).get(place)
    if claimed is not None:
        return TaskClaimed(claimed_at=clock.rfc3339(claimed.claimed_at))
    ended = end_of(standing.version, period_key)
    return TaskMissed(ended_at=clock.rfc3339(ended or now))


def _check_last(standing: Standing) -> None:
    """Raise where it is the period before that was done and never claimed."""
    last = before(standing.version, standing.key[2])
    if last is None:
        return
    place = (*standing.key[:2], last)
    if progress_of({place: standing.version})[place].is_done and not live([place]):
        ended = end_of(standing.version, last)
        assert ended is not None
        raise TaskMissed(ended_at=clock.rfc3339(ended))
