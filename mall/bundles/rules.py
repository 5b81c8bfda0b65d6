"""What is in a bundle: versions, the newest in force. One that was given stays what it was."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.errors import ChangedMeanwhile, Malformed
from mall.idempotency import Answer, Key
from models import Bundle, Reward
from models.base import db, insert

GIVABLE = ("pickup", "virtual", "coupon")  # what is sent needs an address that nobody asked for


def publish(values: dict[str, Any], *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Put a bundle in force, or a new version of it; of two at the same moment the second is refused."""
    with atomic() as transaction:
        key.claim(now=now)
        _check(values)
        last = sa.select(sa.func.max(Bundle.version)).where(Bundle.code == values["code"])
        version = (transaction.execute(last).scalar() or 0) + 1
        row = {**values, "version": version, "published_by": staff_id, "published_at": now}
        statement = insert(Bundle).values(**row).on_conflict_do_nothing().returning(Bundle.id)
        added = transaction.execute(statement).scalar()
        if added is None:
            raise ChangedMeanwhile(version=version)
        return key.store(201, view(Bundle(id=added, **row)))


def _check(values: dict[str, Any]) -> None:
    """Refuse an empty bundle, and rewards that can't be given."""
    items, benefits = values["rewards"], values["benefits"]
    if not (values["points"] or values["growth_value"] or items or benefits):
        needs = "a bundle needs points, growth, rewards or benefits"
        raise Malformed(errors={"points": [needs]})
    if len({each["code"] for each in benefits}) != len(benefits):
        raise Malformed(errors={"benefits": ["each benefit once"]})
    ids = [item["reward_id"] for item in items]
    givable = (Reward.kind.in_(GIVABLE), ~Reward.stock_by_store)
    query = sa.select(Reward.id).where(Reward.id.in_(ids), *givable)
    with atomic() as transaction:
        known = set(transaction.execute(query).scalars())
    if len(set(ids)) != len(ids) or known != set(ids):
        kinds = f"each reward once, of a kind in {', '.join(GIVABLE)}, and not stocked by store"
        raise Malformed(errors={"rewards": [kinds]})


def view(bundle: Bundle) -> dict[str, Any]:
    names = ("id", "code", "version", "name", "points", "growth_value", "rewards", "benefits")
    shown = {name: getattr(bundle, name) for name in (*names, "published_by")}
    return {**shown, "published_at": clock.rfc3339(bundle.published_at)}


def in_force(codes: Collection[str]) -> dict[str, Bundle]:
    """The newest version of each bundle that is there."""
    newest = (
        sa.select(Bundle.code, sa.func.max(Bundle.version).label("version"))
        .where(Bundle.code.in_(codes))
        .group_by(Bundle.code)
        .subquery()
    )
    same = (newest.c.code == Bundle.code) & (newest.c.version == Bundle.version)
    return {each.code: each for each in db.session.scalars(sa.select(Bundle).join(newest, same))}
