"""Drafts of tier rules: written, looked at, published; a version takes effect once, whole."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.errors import (
    BaseTierFixed,
    Malformed,
    NotFound,
    TierRuleOutdated,
    TierRulePublished,
    TierTaken,
)
from mall.idempotency import Answer, Key
from mall.tiers.ladder import BASE, ladder, named
from mall.tiers.rules import row_in_force
from models import Tier, TierRule, db
from models.base import insert, table_of

TUNED = (
    "growth_per_yuan",
    "growth_per_visit",
    "min_amount_fen",
    "activities",
    "spend_weight_percent",
    "visit_weight_percent",
    "activity_weight_percent",
    "window_kind",
    "window_days",
    "grace_days",
    "review_policy",
)
MOMENTS = ("created_at", "published_at", "effective_at", "applied_at", "settled_at")
PARKED = 10**12  # thresholds step aside to here while they change places


def view(rule: Any) -> dict[str, Any]:
    names = ("id", "version", *TUNED, "recount", "note", "created_by", "published_by")
    shown = {name: getattr(rule, name) for name in names}
    thresholds = sorted(rule.thresholds.items(), key=lambda each: each[1])
    shown["thresholds"] = [{"tier": tier, "growth_min": least} for tier, least in thresholds]
    moments = {name: getattr(rule, name) for name in MOMENTS}
    return {**shown, **{n: clock.rfc3339(at) if at else None for n, at in moments.items()}}


def _row_of(values: dict[str, Any], staff_id: int | None, now: datetime) -> dict[str, Any]:
    """A draft's row: what is not said is as the version in force has it."""
    kept = row_in_force()
    tuned = {name: getattr(kept, name) for name in TUNED}
    marks = {"recount": False, "thresholds": {}, "note": "", "after_member_id": 0}
    return {**tuned, **marks, **values, "created_by": staff_id, "created_at": now}


def draft(values: dict[str, Any], *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Write a draft, which changes nothing before it is published."""
    with atomic() as transaction:
        key.claim(now=now)
        _check(values.get("thresholds", {}))
        row = _row_of(values, staff_id, now)
        statement = insert(TierRule).values(**row).returning(TierRule.id)
        id_ = transaction.execute(statement).scalar_one()
        return key.store(201, view(db.session.get_one(TierRule, id_)))


def redraft(rule_id: int, values: dict[str, Any]) -> TierRule:
    """Change a draft; what is published stays what it is."""
    with atomic() as transaction:
        _check(values.get("thresholds", {}))
        table = table_of(TierRule)
        changed = transaction.execute(
            sa.update(table)
            .where(table.c.id == rule_id, table.c.version.is_(None))
            .values(**values, id=rule_id)
        )
        rule = find(rule_id)
        if changed.rowcount == 0:
            raise TierRulePublished(version=rule.version)
    return rule


def find(rule_id: int) -> TierRule:
    rule = db.session.get(TierRule, rule_id, populate_existing=True)
    if rule is None:
        raise NotFound()
    return rule


def _check(thresholds: dict[str, int]) -> None:
    """Refuse thresholds of tiers that aren't there, of the base, and two that are the same."""
    tiers = ladder()
    for code in thresholds:
        named(tiers, code)
    if thresholds.get(BASE):
        raise BaseTierFixed()
    wanted = {tier.code: tier.growth_min for tier in tiers} | thresholds
    for value in wanted.values():
        if list(wanted.values()).count(value) > 1:
            raise TierTaken(growth_min=value)


def publish(
    rule_id: int, *, effective_at: datetime | None, staff_id: int, key: Key, now: datetime
) -> Answer:
    """Publish a draft as the next version; from its moment on it counts, at once if none is said."""
    at = effective_at or now
    if at < now:
        raise Malformed(errors={"effective_at": ["a moment to come"]})
    with atomic():
        key.claim(now=now)
        rule = find(rule_id)
        _publish(rule_id, rule.version, at, staff_id, now)
        take_effect(now=now)
        return key.store(200, view(find(rule_id)))


def _publish(
    rule_id: int, version: int | None, at: datetime, staff_id: int | None, now: datetime
) -> None:
    if version is not None:
        raise TierRulePublished(version=version)
    table = table_of(TierRule)
    newest = sa.select(table.c.version, table.c.effective_at).where(table.c.version.is_not(None))
    with atomic() as transaction:
        last = transaction.execute(newest.order_by(table.c.version.desc()).limit(1)).one_or_none()
        if last is not None and at < last.effective_at:
            when = clock.rfc3339(last.effective_at)
            raise TierRuleOutdated(version=last.version, effective_at=when)
        number = last.version + 1 if last else 1
        published = {"version": number, "published_by": staff_id, "published_at": now}
        done = transaction.execute(
            sa.update(table)
            .where(table.c.id == rule_id, table.c.version.is_(None))
            .values(**published, effective_at=at)
        )
        if done.rowcount == 0:
            raise TierRulePublished(version=find(rule_id).version)


def set_thresholds(thresholds: dict[str, int], *, staff_id: int | None, now: datetime) -> None:
    """Put thresholds in force as a version of its own, which has all else from the one before."""
    with atomic() as transaction:
        _check(thresholds)
        row = _row_of({"thresholds": thresholds}, staff_id, now)
        statement = insert(TierRule).values(**row).returning(TierRule.id)
        id_ = transaction.execute(statement).scalar_one()
        _publish(id_, None, now, staff_id, now)
        take_effect(now=now)


def take_effect(*, now: datetime) -> int:
    """Put published versions whose moment has come in force, oldest first; answers how many."""
    table = table_of(TierRule)
    due = (
        sa.select(table.c.id, table.c.thresholds)
        .where(table.c.effective_at <= now, table.c.applied_at.is_(None))
        .order_by(table.c.version)
    )
    with atomic() as transaction:
        rows = transaction.execute(due).all()
        for row in rows:
            mark = sa.update(table).where(table.c.id == row.id, table.c.applied_at.is_(None))
            if transaction.execute(mark.values(applied_at=now)).rowcount:
                _move_thresholds(row.thresholds)
    return len(rows)


def _move_thresholds(thresholds: dict[str, int]) -> None:
    table = table_of(Tier)
    step = sa.update(table).where(table.c.code == sa.bindparam("tier"))
    codes = sorted(thresholds)
    if not codes:
        return
    aside = [{"tier": code, "to": PARKED + number} for number, code in enumerate(codes)]
    there = [{"tier": code, "to": thresholds[code]} for code in codes]
    with atomic() as transaction:
        for places in (aside, there):
            transaction.execute(step.values(growth_min=sa.bindparam("to")), places)
        db.session.expire_all()
