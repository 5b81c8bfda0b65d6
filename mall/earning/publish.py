"""Rules written, looked at and put in force. A version is never changed after that."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.earning.rules import ADD, BASE, CATEGORY, EVENT, ITEM, LATER, MULTIPLY, WHOLE
from mall.errors import ChangedMeanwhile, Malformed, NotFound, RulePublished
from mall.events import KINDS
from mall.idempotency import Answer, Key
from models import EarningRule, Store, Tier
from models.base import db, insert, table_of

OWN_COLUMNS = ("code", "name", "kind", "priority", "active")


def write(
    values: dict[str, Any], *, publish: bool, staff_id: int, key: Key, now: datetime
) -> Answer:
    """Write a new version of a rule, as a draft or in force at once."""
    with atomic() as transaction:
        key.claim(now=now)
        _check(values)
        last = sa.select(sa.func.max(EarningRule.version)).where(EarningRule.code == values["code"])
        version = (transaction.execute(last).scalar() or 0) + 1
        row = {
            **{name: values[name] for name in OWN_COLUMNS},
            "trigger_kind": values["trigger"],
            "terms": _terms(values),
            "version": version,
            "created_at": now,
            "published_by": staff_id if publish else None,
            "published_at": now if publish else None,
        }
        statement = insert(EarningRule).values(**row).on_conflict_do_nothing()
        added = transaction.execute(statement.returning(EarningRule.id)).scalar()
        if added is None:
            raise ChangedMeanwhile(version=version)
        return key.store(201, view(EarningRule(id=added, **row)))


def publish(rule_id: int, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Put a draft in force; refused where it is in force, or where a newer version is."""
    table = table_of(EarningRule)
    with atomic() as transaction:
        key.claim(now=now)
        rule = db.session.get(EarningRule, rule_id)
        if rule is None:
            raise NotFound()
        newer = sa.select(sa.func.max(EarningRule.version)).where(
            EarningRule.code == rule.code, EarningRule.published_at.is_not(None)
        )
        version = transaction.execute(newer).scalar() or 0
        done = transaction.execute(
            sa.update(table)
            .where(table.c.id == rule_id, table.c.published_at.is_(None), table.c.version > version)
            .values(published_at=now, published_by=staff_id)
        )
        if done.rowcount == 0:
            raise RulePublished(version=version)
        db.session.refresh(rule)
        return key.store(200, view(rule))


def _terms(values: dict[str, Any]) -> dict[str, Any]:
    """What only this kind of rule says; what is empty is left out."""
    names = ("matches", "rate", "points", "percent", "min_amount_fen", "caps", "award")
    more = ("excluded_categories", "excluded_skus", "audience", "window", "award_after_days")
    kept = {name: values[name] for name in (*names, *more) if values.get(name)}
    window = kept.get("window", {})
    days = {n: window[n].isoformat() for n in ("starts_on", "ends_on") if window.get(n)}
    if window:
        kept["window"] = {**window, **days}
    return kept


def _check(values: dict[str, Any]) -> None:
    """Refuse a rule that could never pay, or that names what is not there."""
    errors = {**_wrong_kind(values), **_wrong_window(values.get("window") or {})}
    audience = values.get("audience") or {}
    with atomic() as transaction:
        tiers = set(transaction.execute(sa.select(Tier.code)).scalars())
        stores = set(transaction.execute(sa.select(Store.id)).scalars())
    if set(audience.get("tiers", ())) - tiers:
        errors["audience"] = [f"tiers: one of {', '.join(sorted(tiers))}"]
    if set(audience.get("stores", ())) - stores:
        errors["audience"] = ["stores: no such store"]
    if errors:
        raise Malformed(errors=errors)


def _wrong_kind(values: dict[str, Any]) -> dict[str, list[str]]:
    kind, trigger = values["kind"], values["trigger"]
    errors: dict[str, list[str]] = {}
    if kind == BASE and not values.get("rate"):
        errors["rate"] = ["a base rule needs a rate"]
    if kind == MULTIPLY and (values.get("percent") or 0) <= WHOLE:
        errors["percent"] = [f"a rule that multiplies needs more than {WHOLE}"]
    if kind == ADD and not values.get("points"):
        errors["points"] = ["a rule that adds needs points"]
    if trigger in (ITEM, CATEGORY, EVENT) and not values.get("matches"):
        errors["matches"] = [f"what a rule of {trigger} is about"]
    if trigger == EVENT and (kind != ADD or set(values.get("matches", ())) - set(KINDS)):
        errors["matches"] = [f"an event adds points; one of {', '.join(sorted(KINDS))}"]
    if values.get("award") == LATER and not values.get("award_after_days"):
        errors["award_after_days"] = ["how many days later"]
    return errors


def _wrong_window(window: dict[str, Any]) -> dict[str, list[str]]:
    starts, ends = window.get("starts_on"), window.get("ends_on")
    if starts and ends and starts > ends:
        return {"window": ["ends_on is before starts_on"]}
    return {}


def view(rule: EarningRule) -> dict[str, Any]:
    names = ("id", "version", *OWN_COLUMNS, "terms", "published_by")
    published = rule.published_at
    return {
        **{name: getattr(rule, name) for name in names},
        "trigger": rule.trigger_kind,
        "state": "published" if published else "draft",
        "created_at": clock.rfc3339(rule.created_at),
        "published_at": clock.rfc3339(published) if published else None,
    }
