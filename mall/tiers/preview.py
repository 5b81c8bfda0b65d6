"""What a draft would do to the members: who would rise at once, who would fall at a review."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.tiers.drafts import find
from mall.tiers.ladder import highest, ladder, rank, reached
from mall.tiers.moves import counted, granted, standings
from mall.tiers.recount import totals
from mall.tiers.rules import EVER, ONE_STEP, Rules, of_row
from models import Account, Tier
from models.base import table_of

LOOKED_AT_ONCE = 1000
MAX_LOOKS = 10_000  # of so many members at once
SAMPLES = 20


@dataclass
class Preview:
    """How many members stand where, and would."""

    members: int = 0
    up: int = 0
    down: int = 0
    now: Counter[str] = field(default_factory=Counter)
    then: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, member_id: int, before: str, after: str, value: int, direction: str) -> None:
        self.members += 1
        self.now[before] += 1
        self.then[after] += 1
        if direction == "same":
            return
        self.up += direction == "up"
        self.down += direction == "down"
        if len([each for each in self.samples if each["direction"] == direction]) < SAMPLES:
            who = {"member_id": member_id, "tier_before": before, "tier_after": after}
            self.samples.append({**who, "growth_value": value, "direction": direction})


def preview(rule_id: int, *, now: datetime) -> dict[str, Any]:
    """Count who would rise and fall under a draft, as things stand; nothing is changed."""
    row = find(rule_id)
    rules, tiers = of_row(row), _with_thresholds(row.thresholds)
    seen, after = Preview(), 0
    for _ in range(MAX_LOOKS):
        accounts = _next_accounts(after)
        if not accounts:
            break
        after = accounts[-1].member_id
        _look(accounts, rules, tiers, seen, recounted=row.recount, now=now)
    by_tier = [
        {
            "tier": tier.code,
            "members_now": seen.now[tier.code],
            "members_then": seen.then[tier.code],
        }
        for tier in tiers
    ]
    counts = {"members": seen.members, "up": seen.up, "down": seen.down}
    return {**counts, "by_tier": by_tier, "samples": seen.samples}


def _with_thresholds(thresholds: dict[str, int]) -> list[Tier]:
    """The ladder as it would be, lowest first."""
    tiers = [
        Tier(code=each.code, name=each.name, growth_min=thresholds.get(each.code, each.growth_min))
        for each in ladder()
    ]
    return sorted(tiers, key=lambda tier: tier.growth_min)


def _next_accounts(after: int) -> Sequence[Any]:
    account = table_of(Account).c
    query = sa.select(account.member_id, account.tier_code, account.growth_value).where(
        account.member_id > after, account.state != "closed"
    )
    with atomic() as transaction:
        found = query.order_by(account.member_id).limit(LOOKED_AT_ONCE)
        return transaction.execute(found).all()


def _look(
    accounts: Sequence[Any],
    rules: Rules,
    tiers: Sequence[Tier],
    seen: Preview,
    *,
    recounted: bool,
    now: datetime,
) -> None:
    ids = [account.member_id for account in accounts]
    held, by_hand = standings(ids), granted(ids, now=now)
    since = rules.window.opens_at(now)
    values = totals(ids, rules, now=now) if recounted else counted(ids, since=since)
    for account in accounts:
        member_id, before = account.member_id, account.tier_code
        own = held[member_id].tier_code if member_id in held else before
        then = _then(own, reached(tiers, values[member_id]).code, rules, tiers)
        after = highest(tiers, [then, *by_hand.get(member_id, [])])
        step = rank(tiers, after) - rank(tiers, before)
        direction = "up" if step > 0 else "down" if step < 0 else "same"
        seen.add(member_id, before, after, values[member_id], direction)


def _then(own: str, earned: str, rules: Rules, tiers: Sequence[Tier]) -> str:
    """Where somebody would be: risen at once, or lowered by the next review if there is one."""
    if rank(tiers, earned) >= rank(tiers, own):
        return earned
    if rules.window.kind == EVER:
        return own
    below = tiers[rank(tiers, own) - 1].code
    return highest(tiers, [below, earned]) if rules.review_policy == ONE_STEP else earned
