"""Who is in a segment. Every filter narrows it; none is everybody whose account is open."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa

from mall import clock
from models import Account, Member, Purchase


def audience(filters: Mapping[str, Any], *, without: Collection[int] = ()) -> sa.Select[Any]:
    """Ids of members who meet all filters; days are the shop's, both ends included.

    `tiers`, `joined_from`, `joined_until`, `last_purchase_from`, `last_purchase_until`, `store_id`
    (bought there), `city`, `gender`, `birthday_month`. Receipts that were undone are none, and so are
    those named in `without`: who they were before these.
    """
    query = (
        sa.select(Member.id)
        .join(Account, Account.member_id == Member.id)
        .where(Account.state == "open")
    )
    if "tiers" in filters:
        query = query.where(Account.tier_code.in_(filters["tiers"]))
    query = _between(query, Member.joined_at, filters, "joined")
    for name in ("city", "gender"):
        if name in filters:
            query = query.where(getattr(Member, name) == filters[name])
    if "birthday_month" in filters:
        month = sa.extract("month", Member.birthday)
        query = query.where(month == filters["birthday_month"])
    return _bought(query, filters, without)


def _bought(
    query: sa.Select[Any], filters: Mapping[str, Any], without: Collection[int]
) -> sa.Select[Any]:
    stands = Purchase.undone_at.is_(None) & Purchase.id.not_in(without)
    if "store_id" in filters:
        there = sa.select(Purchase.member_id)
        there = there.where(Purchase.store_id == filters["store_id"], stands)
        query = query.where(Member.id.in_(there))
    if {"last_purchase_from", "last_purchase_until"} & set(filters):
        last = sa.func.max(Purchase.paid_at).label("last_at")
        lasts = sa.select(Purchase.member_id, last).where(stands)
        found = lasts.group_by(Purchase.member_id).subquery()
        query = query.join(found, found.c.member_id == Member.id)
        query = _between(query, found.c.last_at, filters, "last_purchase")
    return query


def _between(
    query: sa.Select[Any], moment: Any, filters: Mapping[str, Any], name: str
) -> sa.Select[Any]:
    if f"{name}_from" in filters:
        first = clock.start_of_day(date.fromisoformat(filters[f"{name}_from"]))
        query = query.where(moment >= first)
    if f"{name}_until" in filters:
        last = clock.end_of_day(date.fromisoformat(filters[f"{name}_until"]))
        query = query.where(moment < last)
    return query
