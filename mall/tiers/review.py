"""The review: what a member has earned is kept, or not, when its window ends.

Growth of the window against the tier's threshold. Who is short has the days of grace, in which
growth counts too; then one step down, or to where the growth is, as the rules say. Each review is
judged by its own moments, so a job that runs late, or twice, decides the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.tiers.drafts import take_effect
from mall.tiers.grants import end_due
from mall.tiers.grow import rise_many
from mall.tiers.ladder import BASE, highest, ladder, rank, reached
from mall.tiers.moves import (
    Move,
    Standing,
    counted,
    granted,
    lock,
    move_many,
    standings,
    write_standings,
)
from mall.tiers.rules import ONE_STEP, Rules, in_force
from mall.tiers.settle import settle_next
from models import Tier, TierStanding
from models.base import table_of

REVIEWED_AT_ONCE = 500


def apply_rules(*, now: datetime) -> int:
    """Put new rules in force, then carry them to the next members; 0 where all is done."""
    return take_effect(now=now) or settle_next(now=now)


def review(*, now: datetime) -> int:
    """Do the next bounded piece of what is due; 0 where nothing is.

    New rules first, then members under them, grants that end, and last the reviews.
    """
    return apply_rules(now=now) or end_due(now=now) or review_due(now=now)


def review_due(*, now: datetime) -> int:
    """Review a bounded batch of members whose window or grace has ended; answers how many."""
    rules = in_force()
    with atomic() as transaction:
        due = transaction.execute(_due(now)).scalars().all()
        accounts = {row.member_id: row for row in lock(due)} if due else {}
        held = standings(accounts)  # read again, under the locks
        judged = [each for each in held.values() if _is_due(each, now)]
        after = _judge(judged, rules)
        lowered = _move(after, held, accounts, rules, now)
        write_standings(after)
        if lowered:  # who has grown since the window ended rises again, had the review been in time
            rise_many(lock(lowered), rules, reason="review", now=now)
        _let_go(set(due) - set(accounts))
    return len(due)


def _due(now: datetime) -> sa.Select[Any]:
    table = table_of(TierStanding).c
    over = sa.or_(
        table.grace_ends_at <= now, (table.review_at <= now) & table.grace_ends_at.is_(None)
    )
    return sa.select(table.member_id).where(over).order_by(table.member_id).limit(REVIEWED_AT_ONCE)


def _is_due(standing: Standing, now: datetime) -> bool:
    ends_at = standing.grace_ends_at or standing.review_at
    return ends_at is not None and ends_at <= now


def _let_go(member_ids: set[int]) -> None:
    """Nobody reviews those who left."""
    table = table_of(TierStanding)
    if member_ids:
        with atomic() as transaction:
            gone = sa.update(table).where(table.c.member_id.in_(member_ids))
            transaction.execute(gone.values(review_at=None, grace_ends_at=None))


def _judge(judged: Sequence[Standing], rules: Rules) -> list[Standing]:
    """What each holds after the review; those of one window are counted together."""
    tiers, after = ladder(), []
    by_window: dict[tuple[datetime, datetime], list[Standing]] = {}
    for standing in judged:
        assert standing.review_at is not None
        until = standing.grace_ends_at or standing.review_at
        by_window.setdefault((standing.review_at, until), []).append(standing)
    for (review_at, until), group in by_window.items():
        since = rules.window.reviewed_from(review_at)
        values = counted([each.member_id for each in group], since=since, until=until)
        after += [_after(each, values[each.member_id], until, rules, tiers) for each in group]
    return after


def _after(
    standing: Standing, value: int, until: datetime, rules: Rules, tiers: Sequence[Tier]
) -> Standing:
    """What somebody holds whose growth in the window was so much."""
    earned = reached(tiers, value).code
    kept = rank(tiers, earned) >= rank(tiers, standing.tier_code)
    if not kept and standing.grace_ends_at is None and rules.grace_days:
        day = clock.business_day(until) + timedelta(days=rules.grace_days)
        return replace(standing, grace_ends_at=clock.start_of_day(day))
    code = standing.tier_code
    if not kept:
        below = tiers[rank(tiers, code) - 1].code
        code = highest(tiers, [below, earned]) if rules.review_policy == ONE_STEP else earned
    moved: dict[str, Any] = {} if kept else {"held_since": until}
    return replace(
        standing,
        tier_code=code,
        review_at=None if code == BASE else rules.window.review_again(until),
        grace_ends_at=None,
        change_id=None,
        rule_version=rules.version,
        **moved,
    )


def _move(
    after: Sequence[Standing],
    held: dict[int, Standing],
    accounts: dict[int, Any],
    rules: Rules,
    now: datetime,
) -> list[int]:
    """Put members where the review put them; answers who was lowered."""
    tiers, by_hand = ladder(), granted(held, now=now)
    moves = []
    for standing in after:
        before = accounts[standing.member_id].tier_code
        to = highest(tiers, [standing.tier_code, *by_hand.get(standing.member_id, [])])
        if to != before:
            named = (standing.member_id, before, to, rules.review_policy, "review")
            moves.append(Move(*named, rules.version))
    move_many(moves, tiers, now=now)
    return [
        standing.member_id
        for standing in after
        if rank(tiers, standing.tier_code) < rank(tiers, held[standing.member_id].tier_code)
    ]
