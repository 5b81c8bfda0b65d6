"""The list of tasks a member sees, and what each of them is in at this moment."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import read
from mall.tasks import rules
from mall.tasks.audience import Chosen
from mall.tasks.periods import ONE_DAY, Span, key_of
from mall.tasks.progress import MONEY, Key, Progress, progress_of
from mall.tasks.rules import Version
from mall.tasks.settle import live
from models import Bundle
from models.base import table_of

TODO, CLAIMABLE, CLAIMED, MISSED = "todo", "claimable", "claimed", "missed"
ORDER = (CLAIMABLE, TODO, CLAIMED, MISSED)
SHOWN_AFTER = timedelta(days=7)  # what is over stays on the list so long


@dataclass(frozen=True)
class Standing:
    """How a member stands with a task in one of its periods."""

    version: Version
    key: Key
    span: Span
    progress: Progress
    claim: Any
    state: str


def standings(member_id: int, versions: Iterable[Version], *, now: datetime) -> list[Standing]:
    """How a member stands with tasks in the periods of this moment, or the last there was."""
    chosen = Chosen([member_id])
    spans: dict[Key, tuple[Version, Span]] = {}
    for version in versions:
        key = _latest(version, chosen, member_id, now)
        span = chosen.span(version, key)
        if span.opens_at <= now and not _is_empty(span) and chosen.is_for(version, key):
            spans[key] = (version, span)
    done = progress_of({key: version for key, (version, _) in spans.items()})
    claims = live(spans) if spans else {}
    return [
        Standing(
            *(version, key, span, done[key], claims.get(key)),
            state=_state(done[key], claims.get(key), span, now),
        )
        for key, (version, span) in spans.items()
    ]


def _latest(version: Version, chosen: Chosen, member_id: int, now: datetime) -> Key:
    """The period of today, or that of the last day on which the task could be done."""
    today = clock.business_day(now)
    key = (member_id, version.task_id, key_of(version, today))
    last = chosen.span(version, key).closes_at
    if last is not None and last <= now:
        key = (member_id, version.task_id, key_of(version, clock.business_day(last) - ONE_DAY))
    return key


def _is_empty(span: Span) -> bool:
    return span.closes_at is not None and span.closes_at <= span.opens_at


def _state(progress: Progress, claim: Any, span: Span, now: datetime) -> str:
    if claim is not None:
        return CLAIMED
    if span.is_over(now):
        return MISSED
    return CLAIMABLE if progress.is_done else TODO


def view(member_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """The tasks of a member: what can be claimed first, what is over last and only for a while."""
    active = [version for version in rules.in_force(now=now) if version.active]
    shown = [
        each
        for each in standings(member_id, active, now=now)
        if not each.span.is_over(now - SHOWN_AFTER)
    ]
    shown.sort(key=lambda each: (ORDER.index(each.state), each.version.sort, each.version.task_id))
    names = _bundle_names({each.version.bundle_code for each in shown} - {""})
    return [_shown(each, names) for each in shown]


def _bundle_names(codes: Collection[str]) -> dict[str, str]:
    """What bundles are called now."""
    bundle = table_of(Bundle).c
    query = sa.select(bundle.code, bundle.name).where(bundle.code.in_(codes))
    rows = read(query.order_by(bundle.version)) if codes else []
    return {row.code: row.name for row in rows}


def _shown(each: Standing, names: Mapping[str, str]) -> dict[str, Any]:
    version, progress, ends_at = each.version, each.progress, each.span.closes_at
    return {
        "id": version.task_id,
        "code": version.code,
        "title": version.title,
        "title_en": version.title_en,
        "period": version.period,
        "period_key": each.key[2],
        "target": progress.target,
        "progress": progress.reached,
        "unit": "fen" if _is_money(version) else "times",
        "ordered": version.ordered,
        "steps": [
            {
                "code": done.step.code,
                "title": done.step.title,
                "title_en": done.step.title_en,
                "counts": done.step.counts,
                "target": done.step.target,
                "progress": done.shown,
                "done": done.is_done,
            }
            for done in progress.steps
        ],
        "points": version.points,
        "gift": names.get(version.bundle_code),
        "automatic": version.automatic,
        "state": each.state,
        "note": each.claim.note or None if each.claim else None,
        "ends_at": clock.rfc3339(ends_at) if ends_at else None,
    }


def _is_money(version: Version) -> bool:
    return len(version.steps) == 1 and version.steps[0].counts == MONEY
