"""Two members who become one: their growth, standings and grants."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.tiers.grants import remember_what_was_earned, settle
from mall.tiers.grow import Growth, rise_many, write_entries
from mall.tiers.ladder import ladder, rank
from mall.tiers.moves import (
    MERGE_IN,
    MERGE_OUT,
    Standing,
    lock,
    standings,
    write_standings,
)
from mall.tiers.rules import in_force
from models import GrowthCount, TierGrant, TierStanding
from models.base import insert, table_of

MERGE = "merge"


def join(from_id: int, into_id: int, *, actor: str, now: datetime) -> None:
    """Let one member have the growth of both, and stand where the better of them stood.

    Each entry of growth keeps counting at its own moment (`holder_of`). A tier that is reached with
    both is reached at once. Needs both locks, and the row of the merge.
    """
    accounts = lock([from_id, into_id])
    remember_what_was_earned(accounts, now)
    _join_standings(from_id, into_id)
    _join_days(from_id, into_id)
    growth = next(row.growth_value for row in accounts if row.member_id == from_id)
    if growth:
        ref = (MERGE, str(from_id))
        growths = [
            Growth(from_id, -growth, MERGE_OUT, *ref),
            Growth(into_id, growth, MERGE_IN, *ref),
        ]
        write_entries(growths, in_force().version, now=now)
    table = table_of(TierGrant)
    with atomic() as transaction:
        theirs = sa.update(table).where(table.c.member_id == from_id)
        transaction.execute(theirs.values(member_id=into_id))
    settle(lock([into_id]), reason=MERGE, actor=actor, now=now, source=MERGE)
    rise_many(lock([into_id]), in_force(), reason=MERGE, now=now, source=MERGE)


def _join_standings(from_id: int, into_id: int) -> None:
    """The higher tier stays, of two alike the one that is kept longer; no refund undoes it."""
    tiers, held = ladder(), standings([from_id, into_id])

    def place(each: Standing) -> tuple[int, bool, float]:
        until = each.grace_ends_at or each.review_at
        return rank(tiers, each.tier_code), until is None, until.timestamp() if until else 0.0

    theirs, own = held[from_id], held[into_id]
    if place(theirs) > place(own):
        kept = {**vars(theirs), "member_id": into_id, "change_id": None}
        write_standings([Standing(**kept)])
    table = table_of(TierStanding)
    with atomic() as transaction:
        transaction.execute(sa.delete(table).where(table.c.member_id == from_id))


def _join_days(from_id: int, into_id: int) -> None:
    """What both did on a day counts as done by one, with what it gave."""
    table, statement = table_of(GrowthCount), insert(GrowthCount)
    c = table.c
    theirs = sa.select(sa.literal(into_id), c.day, c.kind, c.times, c.growth_value).where(
        c.member_id == from_id
    )
    more: Any = statement.excluded
    total = {"times": c.times + more.times, "growth_value": c.growth_value + more.growth_value}
    columns = ["member_id", "day", "kind", "times", "growth_value"]
    with atomic() as transaction:
        transaction.execute(
            statement.from_select(columns, theirs).on_conflict_do_update(
                index_elements=columns[:3], set_=total
            )
        )
        transaction.execute(sa.delete(table).where(c.member_id == from_id))
