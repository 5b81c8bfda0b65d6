"""The way up, as its member sees it: now, next, how much is needed, and what keeps the tier."""

from datetime import datetime
from typing import Any

from mall import clock
from mall.tiers.grants import best_of
from mall.tiers.ladder import above, ladder, named, rank
from mall.tiers.moves import Standing, counted, standings
from mall.tiers.perks import all_perks, contact_of, view
from mall.tiers.rules import EVER, Rules, in_force
from models import Account, Tier, db


def growth_of(account: Account, *, now: datetime) -> dict[str, Any]:
    """The growth that counts now, the next tier, and what is needed to reach it."""
    rules, tiers = in_force(), ladder()
    value = _value(account, rules, now)
    following = _next(tiers, account.tier_code, value)
    return {
        "value": value,
        "next_tier": following,
        "to_next": max(0, following.growth_min - value) if following else None,
    }


def _value(account: Account, rules: Rules, now: datetime) -> int:
    opens_at = rules.window.opens_at(now)
    if opens_at is None:
        return account.growth_value
    return counted([account.member_id], since=opens_at)[account.member_id]


def _next(tiers: list[Tier], code: str, value: int) -> Tier | None:
    """The tier to reach: above the one that is held, and above what growth has reached."""
    held = named(tiers, code)
    return above(tiers, max(held.growth_min, value))


def path(member_id: int, *, now: datetime) -> dict[str, Any]:
    """All that a member's tier page shows."""
    account = db.session.get_one(Account, member_id, populate_existing=True)
    tiers, rules, perks = ladder(), in_force(), all_perks()
    held = named(tiers, account.tier_code)
    standing = standings([member_id]).get(member_id)
    value = _value(account, rules, now)
    following = _next(tiers, held.code, value)
    opens_at = rules.window.opens_at(now)
    place = rank(tiers, held.code)
    return {
        "now": view(held, perks[held.code]),
        "held_since": clock.rfc3339(standing.held_since) if standing else None,
        "growth": {
            "value": value,
            "counted_from": clock.rfc3339(opens_at) if opens_at else None,
            "window": rules.window.kind,
        },
        "next": _shown(following, value) if following else None,
        "keep": _keep(account, standing, tiers, rules, now),
        "tiers": [
            {**view(tier, perks[tier.code]), "reached": number <= place}
            for number, tier in enumerate(tiers)
        ],
        "contact": contact_of(held.code, perks),
    }


def _shown(tier: Tier, value: int) -> dict[str, Any]:
    need = max(0, tier.growth_min - value)
    return {"code": tier.code, "name": tier.name, "growth_min": tier.growth_min, "need": need}


def _keep(
    account: Account, standing: Standing | None, tiers: list[Tier], rules: Rules, now: datetime
) -> dict[str, Any] | None:
    """Until when the tier is kept and what growth keeps it; None where it is not reviewed."""
    by_hand = best_of(account.member_id, now=now)
    if by_hand is not None and by_hand.tier_code == account.tier_code:
        last = clock.last_day_before(by_hand.ends_at).isoformat() if by_hand.ends_at else None
        blank = {"need": 0, "value": 0, "growth_min": 0, "in_grace": False}
        return {**blank, "by": last, "for_life": last is None, "granted": True}
    if standing is None or standing.review_at is None or rules.window.kind == EVER:
        return None
    ends_at = standing.grace_ends_at or standing.review_at
    since = rules.window.reviewed_from(standing.review_at)
    value = counted([account.member_id], since=since, until=ends_at)[account.member_id]
    growth_min = named(tiers, standing.tier_code).growth_min
    return {
        "by": clock.last_day_before(ends_at).isoformat(),
        "growth_min": growth_min,
        "value": value,
        "need": max(0, growth_min - value),
        "in_grace": standing.grace_ends_at is not None,
        "for_life": False,
        "granted": False,
    }
