"""Referrals: one referrer for life, one level only, paid when the friend really joins or buys."""

from datetime import datetime, timedelta

from mall import touches
from mall.referrals.bind import bind, invite, not_bound, touch
from mall.referrals.progress import progress, told
from mall.referrals.review import STATES, is_held, listed, review, view
from mall.referrals.rules import in_force, publish, write
from mall.referrals.rules import view as rule_view
from mall.referrals.settling import concerned, reward_due, settle, settle_by_fact
from mall.referrals.words import REASONS


def forget_marks(*, now: datetime) -> int:
    """Forget devices, addresses and touches as the rule in force says; answers how many."""
    terms = in_force()
    seen_before = now - timedelta(days=terms.holds.keep_days)
    touched_before = now - timedelta(days=max(terms.attribution_days, terms.holds.keep_days))
    return touches.forget(seen_before=seen_before, touched_before=touched_before)


__all__ = [
    "REASONS",
    "STATES",
    "bind",
    "concerned",
    "forget_marks",
    "in_force",
    "invite",
    "listed",
    "not_bound",
    "progress",
    "publish",
    "is_held",
    "review",
    "reward_due",
    "rule_view",
    "settle",
    "settle_by_fact",
    "told",
    "touch",
    "view",
    "write",
]
