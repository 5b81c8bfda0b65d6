"""Rules written and put in force. A version is never changed after that; a referral keeps its own."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic, read
from mall.errors import ChangedMeanwhile, Malformed, NotFound, RulePublished
from mall.idempotency import Answer, Key
from mall.referrals import terms as reading
from mall.referrals.terms import Terms
from models import Bundle, ReferralRule
from models.base import db, insert, table_of


def in_force() -> Terms:
    """The newest version that is published."""
    query = (
        sa.select(ReferralRule.version, ReferralRule.terms)
        .where(ReferralRule.published_at.is_not(None))
        .order_by(ReferralRule.version.desc())
        .limit(1)
    )
    (row,) = read(query)
    return reading.read(row.version, row.terms)


def of_versions(versions: Collection[int]) -> dict[int, Terms]:
    query = sa.select(ReferralRule.version, ReferralRule.terms).where(
        ReferralRule.version.in_(versions)
    )
    return {row.version: reading.read(row.version, row.terms) for row in read(query)}


def write(
    terms: dict[str, Any],
    *,
    note: str,
    publish: bool,
    staff_id: int | None,
    key: Key,
    now: datetime,
) -> Answer:
    """Write a new version, as a draft or in force at once."""
    with atomic() as transaction:
        key.claim(now=now)
        _check(terms)
        last = sa.select(sa.func.max(ReferralRule.version))
        version = (transaction.execute(last).scalar() or 0) + 1
        row = {
            "version": version,
            "terms": terms,
            "note": note,
            "written_by": staff_id,
            "created_at": now,
            "published_by": staff_id if publish else None,
            "published_at": now if publish else None,
        }
        statement = insert(ReferralRule).values(**row).on_conflict_do_nothing()
        added = transaction.execute(statement.returning(ReferralRule.id)).scalar()
        if added is None:
            raise ChangedMeanwhile(version=version)
        return key.store(201, view(ReferralRule(id=added, **row)))


def publish(rule_id: int, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Put a draft in force for referrals from now on; refused where a newer version is."""
    table = table_of(ReferralRule)
    with atomic() as transaction:
        key.claim(now=now)
        rule = db.session.get(ReferralRule, rule_id)
        if rule is None:
            raise NotFound()
        newest = sa.select(sa.func.max(table.c.version)).where(table.c.published_at.is_not(None))
        version = transaction.execute(newest).scalar() or 0
        done = transaction.execute(
            sa.update(table)
            .where(table.c.id == rule_id, table.c.published_at.is_(None), table.c.version > version)
            .values(published_at=now, published_by=staff_id)
        )
        if done.rowcount == 0:
            raise RulePublished(version=version)
        db.session.refresh(rule)
        return key.store(200, view(rule))


def _check(terms: dict[str, Any]) -> None:
    """Refuse a ladder out of order, and bundles that are not there."""
    errors: dict[str, list[str]] = {}
    steps = [each["friends"] for each in terms["ladder"]]
    if steps != sorted(set(steps)):
        errors["ladder"] = ["steps rise, each number of friends once"]
    wanted = reading.bundles_in(terms)
    query = sa.select(Bundle.code).where(Bundle.code.in_(wanted)).distinct()
    unknown = wanted - {row.code for row in read(query)}
    if unknown:
        errors["bundle"] = [f"no such bundle: {', '.join(sorted(unknown))}"]
    if errors:
        raise Malformed(errors=errors)


def view(rule: ReferralRule) -> dict[str, Any]:
    names = ("id", "version", "terms", "note", "written_by", "published_by")
    published = rule.published_at
    return {
        **{name: getattr(rule, name) for name in names},
        "state": "published" if published else "draft",
        "created_at": clock.rfc3339(rule.created_at),
        "published_at": clock.rfc3339(published) if published else None,
    }
