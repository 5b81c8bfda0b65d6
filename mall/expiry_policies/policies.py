"""Policies: versions of how long points live, of which the highest is in force.

Points keep the version they were earned under. Where inactivity ends them, each act that counts
moves their end; an end that has come is never moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.errors import ChangedMeanwhile, Malformed
from mall.expiry_policies.terms import MONTH, ROLLING, Terms, read
from mall.idempotency import Answer, Key
from models import ExpiryPolicy, Tier
from models.base import db, insert

REMIND_DAYS = (30, 7, 1)
A_YEAR = Terms(ROLLING, lasts=12, unit=MONTH, round_up_to=MONTH)


@dataclass(frozen=True)
class Life:
    """How long some points live, and by which version."""

    expires_at: datetime | None
    policy_version: int = 0
    idle_days: int | None = None
    kept_by: int = 0


@dataclass(frozen=True)
class Policies:
    """The version in force, with what matters of those before it."""

    version: int = 0
    terms: Terms = A_YEAR
    by_tier: Mapping[str, Terms] = field(default_factory=dict)
    remind_days: tuple[int, ...] = REMIND_DAYS
    idle_days: frozenset[int] = frozenset()  # of every version: their points are still there

    def of(self, tier_code: str) -> Terms:
        return self.by_tier.get(tier_code, self.terms)

    def life(self, tier_code: str, earned_at: datetime) -> Life:
        """How long points live that somebody of a tier earns at a moment."""
        terms = self.of(tier_code)
        last = terms.last_day(clock.business_day(earned_at))
        expires_at = None if last is None else clock.end_of_day(last)
        return Life(expires_at, self.version, terms.idle_days, terms.kept_by)


def in_force() -> Policies:
    """The newest version; a shop without one has points that live twelve months."""
    query = sa.select(ExpiryPolicy.__table__).order_by(ExpiryPolicy.version.desc())
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    if not rows:
        return Policies()
    idle = {days for row in rows for days in _idle_days(row)}
    return _read(rows[0], frozenset(idle))


def _read(row: Any, idle_days: frozenset[int]) -> Policies:
    by_tier = {code: read(terms) for code, terms in row.by_tier.items()}
    return Policies(row.version, read(row.terms), by_tier, tuple(row.remind_days), idle_days)


def _idle_days(row: Any) -> list[int]:
    found = [read(terms).idle_days for terms in (row.terms, *row.by_tier.values())]
    return [days for days in found if days is not None]


def draft(values: Mapping[str, Any]) -> Policies:
    """What somebody has written, as if it were in force."""
    by_tier = {code: read(terms) for code, terms in values["by_tier"].items()}
    return Policies(0, read(values["terms"]), by_tier, tuple(values["remind_days"]))


def publish(values: dict[str, Any], *, staff_id: int | None, key: Key, now: datetime) -> Answer:
    """Put a version in force for what is earned from now on; of two at a moment the second is refused."""
    with atomic() as transaction:
        key.claim(now=now)
        check(values)
        last = sa.select(sa.func.max(ExpiryPolicy.version))
        version = (transaction.execute(last).scalar() or 0) + 1
        row = {**values, "version": version, "published_by": staff_id, "published_at": now}
        statement = insert(ExpiryPolicy).values(**row).on_conflict_do_nothing()
        added = transaction.execute(statement.returning(ExpiryPolicy.version)).scalar()
        if added is None:
            raise ChangedMeanwhile(version=version)
        return key.store(201, view(ExpiryPolicy(**row)))


def check(values: Mapping[str, Any]) -> None:
    """Refuse terms for tiers that are not there."""
    tiers = set(db.session.scalars(sa.select(Tier.code)))
    if set(values["by_tier"]) - tiers:
        raise Malformed(errors={"by_tier": [f"one of {', '.join(sorted(tiers))}"]})


def view(policy: ExpiryPolicy) -> dict[str, Any]:
    names = ("version", "terms", "by_tier", "remind_days", "note", "published_by")
    shown = {name: getattr(policy, name) for name in names}
    return {**shown, "published_at": clock.rfc3339(policy.published_at)}
