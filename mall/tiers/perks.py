"""What a tier looks like and is good for: the rows other parts of the mall read and admins tune."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.errors import BaseTierFixed, ChangedMeanwhile, NotFound, TierTaken
from mall.idempotency import Answer, Key
from mall.tiers.drafts import set_thresholds
from mall.tiers.ladder import BASE, ladder
from models import Tier, TierPerks, TierQuota, db
from models.base import insert, table_of

WHOLE = 100  # per cent


@dataclass(frozen=True)
class Quota:
    """A benefit that can be used so many times a day, month, year or ever."""

    code: str
    name: str
    uses: int
    period: str


@dataclass(frozen=True)
class Perks:
    """A tier's look and benefits. `points_percent` 200 is twice the base points."""

    tier_code: str
    colour: str = ""
    skin_url: str = ""
    discount_percent: int = 0
    points_percent: int = 100
    early_access_hours: int = 0
    contact_name: str = ""
    contact_phone: str = ""
    contact_wechat: str = ""
    gift_bundle: str | None = None
    gift_each_time: bool = False
    version: int = 0
    quotas: tuple[Quota, ...] = ()

    @property
    def early(self) -> timedelta:
        return timedelta(hours=self.early_access_hours)

    @property
    def contact(self) -> dict[str, str] | None:
        named = {
            "name": self.contact_name,
            "phone": self.contact_phone,
            "wechat": self.contact_wechat,
        }
        return named if any(named.values()) else None


TUNED = tuple(
    each.name for each in fields(Perks) if each.name not in ("tier_code", "version", "quotas")
)


def all_perks() -> dict[str, Perks]:
    """What each tier is good for, by its code; two small tables."""
    quotas: dict[str, list[Quota]] = {}
    with atomic() as transaction:
        for row in transaction.execute(
            sa.select(TierQuota.__table__).order_by(TierQuota.tier_code, TierQuota.code)
        ):
            quota = Quota(row.code, row.name, row.uses, row.period)
            quotas.setdefault(row.tier_code, []).append(quota)
        rows = transaction.execute(sa.select(TierPerks.__table__)).all()
    found = {
        row.tier_code: Perks(**row._asdict(), quotas=tuple(quotas.get(row.tier_code, ())))
        for row in rows
    }
    return {tier.code: found.get(tier.code, Perks(tier.code)) for tier in ladder()}


def multipliers() -> dict[str, tuple[str, int, int]]:
    """Tiers that multiply points: name, per cent and version of each, by its code."""
    query = (
        sa.select(Tier.code, Tier.name, TierPerks.points_percent, TierPerks.version)
        .join(TierPerks, TierPerks.tier_code == Tier.code)
        .where(TierPerks.points_percent > WHOLE)
    )
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    return {row.code: (row.name, row.points_percent, row.version) for row in rows}


def benefits(tier_code: str) -> Perks:
    """What one tier is good for."""
    return all_perks()[tier_code]


def contact_of(tier_code: str, perks: dict[str, Perks]) -> dict[str, str] | None:
    """Whom a tier's members turn to: their own person, else the general one of the base."""
    return perks[tier_code].contact or perks[BASE].contact


def view(tier: Tier, perks: Perks) -> dict[str, Any]:
    return {
        "code": tier.code,
        "name": tier.name,
        "growth_min": tier.growth_min,
        **{name: getattr(perks, name) for name in TUNED},
        "quotas": [vars(quota) for quota in perks.quotas],
        "version": perks.version,
    }


def views() -> list[dict[str, Any]]:
    """Every tier with what it is good for, lowest first."""
    perks = all_perks()
    return [view(tier, perks[tier.code]) for tier in ladder()]


def find(code: str) -> dict[str, Any]:
    found = next((each for each in views() if each["code"] == code), None)
    if found is None:
        raise NotFound()
    return found


def add(values: dict[str, Any], *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Add a tier to the ladder; who has its growth already rises, by the worker."""
    code, growth_min = values["code"], values["growth_min"]
    with atomic() as transaction:
        key.claim(now=now)
        row = {"code": code, "name": values["name"], "growth_min": growth_min}
        statement = insert(Tier).values(**row).on_conflict_do_nothing().returning(Tier.code)
        if transaction.execute(statement).scalar() is None:
            raise TierTaken(growth_min=growth_min)
        db.session.expire_all()
        _tune(code, values)
        set_thresholds({code: growth_min}, staff_id=staff_id, now=now)
        return key.store(201, find(code))


def change(
    code: str, values: dict[str, Any], *, version: int, staff_id: int, now: datetime
) -> dict[str, Any]:
    """Change a tier that nobody has changed since it was read; a new threshold is a new version
    of the tier rules."""
    with atomic() as transaction:
        before = find(code)
        if before["version"] != version:
            raise ChangedMeanwhile(version=before["version"])
        if code == BASE and values.get("growth_min"):
            raise BaseTierFixed()
        if "name" in values:
            table = table_of(Tier)
            named = sa.update(table).where(table.c.code == code)
            transaction.execute(named.values(name=values["name"]))
        _tune(code, values)
        db.session.expire_all()
        if values.get("growth_min", before["growth_min"]) != before["growth_min"]:
            set_thresholds({code: values["growth_min"]}, staff_id=staff_id, now=now)
        return find(code)


def _tune(code: str, values: dict[str, Any]) -> None:
    """Write a tier's look and benefits, and count the version on."""
    blank = {name: getattr(Perks(code), name) for name in TUNED}
    said = {name: values[name] for name in TUNED if name in values}
    statement = insert(TierPerks).values(tier_code=code, **{**blank, **said}, version=1)
    counted = {**said, "version": table_of(TierPerks).c.version + 1}
    with atomic() as transaction:
        transaction.execute(
            statement.on_conflict_do_update(index_elements=["tier_code"], set_=counted)
        )
        if "quotas" in values:
            table = table_of(TierQuota)
            transaction.execute(sa.delete(table).where(table.c.tier_code == code))
            rows = [{"tier_code": code, **quota} for quota in values["quotas"]]
            if rows:
                transaction.execute(insert(TierQuota), rows)
