"""The ladder of tiers: every tier, the lowest first."""

from collections.abc import Sequence

import sqlalchemy as sa

from mall.errors import UnknownTier
from models import Tier
from models.base import db

BASE = "base"


def ladder() -> list[Tier]:
    """Every tier, the lowest first."""
    return list(db.session.scalars(sa.select(Tier).order_by(Tier.growth_min)))


def reached(tiers: Sequence[Tier], value: int) -> Tier:
    """The highest tier whose threshold a growth value meets."""
    return [tier for tier in tiers if tier.growth_min <= value][-1]


def above(tiers: Sequence[Tier], value: int) -> Tier | None:
    """The next tier to reach; None at the top."""
    return next((tier for tier in tiers if tier.growth_min > value), None)


def rank(tiers: Sequence[Tier], code: str) -> int:
    """A tier's place from below, 0 for the base."""
    return [tier.code for tier in tiers].index(code)


def highest(tiers: Sequence[Tier], codes: Sequence[str]) -> str:
    """The highest of some tiers."""
    return max(codes, key=lambda code: rank(tiers, code))


def named(tiers: Sequence[Tier], code: str) -> Tier:
    """The tier of a code; raises UnknownTier."""
    found = next((tier for tier in tiers if tier.code == code), None)
    if found is None:
        raise UnknownTier(tier=code)
    return found
