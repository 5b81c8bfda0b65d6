"""Policies with their versions, and what members said to them: the last word counts."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic, read
from mall.errors import PolicyUnknown
from mall.idempotency import Answer, Key
from models import Consent, Policy
from models.base import insert, table_of

KINDS = ("privacy", "terms", "marketing")
TEXTS = ("title_zh", "body_zh", "title_en", "body_en")

_policies, _consents = table_of(Policy), table_of(Consent)


def publish(kind: str, texts: dict[str, str], *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Put another version of a policy in force; who agreed to the one before is asked anew."""
    with atomic() as transaction:
        key.claim(now=now)
        latest = sa.select(sa.func.coalesce(sa.func.max(_policies.c.version), 0))
        version = transaction.execute(latest.where(_policies.c.kind == kind)).scalar_one() + 1
        row = {"kind": kind, "version": version, "published_by": staff_id, "published_at": now}
        made = insert(Policy).values(**row, **texts).returning(_policies)
        return key.store(201, policy_view(transaction.execute(made).one()))


def policy_view(policy: Any) -> dict[str, Any]:
    names = ("id", "kind", "version", *TEXTS, "published_by")
    shown = {name: getattr(policy, name) for name in names}
    return {**shown, "published_at": clock.rfc3339(policy.published_at)}


def policies(kind: str | None = None) -> sa.Select[Any]:
    """Every version, of one kind or of all."""
    query = sa.select(Policy)
    return query if kind is None else query.where(Policy.kind == kind)


def in_force() -> list[Any]:
    """The version in force of each kind that the shop has written."""
    newest = sa.select(_policies.c.kind, sa.func.max(_policies.c.version).label("version"))
    newest_ = newest.group_by(_policies.c.kind).subquery()
    same = (_policies.c.kind == newest_.c.kind) & (_policies.c.version == newest_.c.version)
    return list(read(sa.select(_policies).join(newest_, same).order_by(_policies.c.id)))


def consent(
    member_id: int, kind: str, version: int, granted: bool, *, key: Key, now: datetime
) -> Answer:
    """Note what a member says to the version in force; an old one was perhaps never read."""
    with atomic() as transaction:
        key.claim(now=now)
        found = {policy.kind: policy.version for policy in in_force()}
        if found.get(kind) != version:
            raise PolicyUnknown()
        row = {"member_id": member_id, "kind": kind, "version": version, "granted": granted}
        transaction.execute(insert(Consent).values(**row, said_at=now))
        (stands,) = [each for each in said_by(member_id) if each["kind"] == kind]
        return key.store(201, stands)


def said_by(member_id: int) -> list[dict[str, Any]]:
    """Each kind in force with the last word a member said of it; `needed` where none or outdated."""
    last = sa.select(sa.func.max(_consents.c.id)).where(_consents.c.member_id == member_id)
    rows = read(sa.select(_consents).where(_consents.c.id.in_(last.group_by(_consents.c.kind))))
    words = {row.kind: row for row in rows}
    return [_stands(policy, words.get(policy.kind)) for policy in in_force()]


def _stands(policy: Any, word: Any) -> dict[str, Any]:
    return {
        "kind": policy.kind,
        "version": policy.version,
        "title_zh": policy.title_zh,
        "title_en": policy.title_en,
        "granted": bool(word and word.granted),
        "said_version": word.version if word else None,
        "said_at": clock.rfc3339(word.said_at) if word else None,
        "needed": word is None or word.version != policy.version,
    }
