"""What an inviter sees: how their invitations have done, the ladder, and what the rule pays."""

from typing import Any

import sqlalchemy as sa

from mall.atomic import read
from mall.referrals import rules
from mall.referrals.states import OPEN
from mall.referrals.terms import JOIN, PURCHASE, Terms
from models import Referral, ReferralStep


def progress(inviter_id: int) -> dict[str, Any]:
    """Counts of friends by state, the steps of the ladder, and the rule in force."""
    columns = (Referral.state, Referral.capped, sa.func.count().label("friends"))
    query = sa.select(*columns).where(Referral.inviter_id == inviter_id)
    rows = read(query.group_by(Referral.state, Referral.capped))
    by_state: dict[str, int] = {}
    for row in rows:
        by_state[row.state] = by_state.get(row.state, 0) + row.friends
    counted = sum(row.friends for row in rows if row.state == "rewarded" and not row.capped)
    terms = rules.in_force()
    return {
        "invited": sum(by_state.values()),
        "rewarded": by_state.get("rewarded", 0),
        "pending": by_state.get("qualified", 0),
        "ladder": _ladder(inviter_id, counted, terms),
        "rule": _figures(terms),
    }


def _ladder(inviter_id: int, counted: int, terms: Terms) -> list[dict[str, Any]]:
    query = sa.select(ReferralStep.friends).where(ReferralStep.inviter_id == inviter_id)
    paid = {row.friends for row in read(query)}
    return [
        {
            "friends": step.friends,
            "points": step.gain.points,
            "bundle": step.gain.bundle,
            "paid": step.friends in paid,
            "missing": 0 if step.friends in paid else max(0, step.friends - counted),
        }
        for step in terms.ladder
    ]


def _figures(terms: Terms) -> dict[str, Any]:
    def stage(name: str) -> dict[str, Any]:
        found = terms.stages[name]
        return {
            "inviter_points": found.inviter.points,
            "inviter_bundle": found.inviter.bundle,
            "friend_points": found.friend.points,
            "friend_bundle": found.friend.bundle,
            "pending_days": found.pending_days,
        }

    return {
        "version": terms.version,
        "join": stage(JOIN),
        "purchase": stage(PURCHASE),
        "min_amount_fen": terms.stages[PURCHASE].min_amount_fen,
        "per_day": terms.caps.per_day,
        "for_life": terms.caps.for_life,
        "attribution_days": terms.attribution_days,
    }


def told(referral: Referral) -> tuple[str, str]:
    """State and reason of a friend as their inviter sees them."""
    held = referral.held_at and not referral.reviewed_at and referral.state in OPEN
    return referral.state, "in_review" if held else referral.reason
