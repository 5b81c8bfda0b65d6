"""Lives of lots: which acts keep points alive that inactivity would end.

An act moves the end of such lots to so many of the shop's days after it, in the act's own
transaction. A lot whose end has come is dead, whether or not it has been written off.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.expiry_policies import Life
from mall.expiry_policies.terms import bits
from mall.points.account import AccountInBook, LotInBook
from models import Lot
from models.base import table_of

SPENT = ("redeem", "make_up", "transfer_out", "pay")  # kinds of entries by which members spend
UNEARNED = ("adjust", "campaign")  # given by hand: no act of the member's


def lot_of(life: Life, points: int) -> LotInBook:
    """A lot that lives so."""
    return LotInBook(
        *(None, None, life.expires_at, points),
        idle_days=life.idle_days,
        kept_by=life.kept_by,
        policy_version=life.policy_version,
    )


def end_after(now: datetime, idle_days: int) -> datetime:
    """When points end if nothing is done any more."""
    return clock.end_of_day(clock.business_day(now) + timedelta(days=idle_days))


def move_ends(
    accounts: Mapping[int, AccountInBook], acts: Mapping[int, Collection[str]], now: datetime
) -> None:
    """Move the ends of lots that a book holds, in memory; they are written with the book."""
    for member_id, done in acts.items():
        for lot in accounts[member_id].lots:
            if lot.idle_days is None or lot.is_due(now) or not lot.kept_by & bits(done):
                continue
            lot.expires_at = max(lot.expires_at or now, end_after(now, lot.idle_days))


def move_ends_unread(
    acts: Mapping[int, Collection[str]], idle_days: Collection[int], now: datetime
) -> None:
    """Move the ends of lots that a book has not read: a statement for each set of acts and term."""
    table = table_of(Lot)
    members: dict[int, list[int]] = {}
    for member_id, done in acts.items():
        members.setdefault(bits(done), []).append(member_id)
    for done_bits, member_ids in sorted(members.items()):
        for days in sorted(idle_days):
            until = end_after(now, days)
            mine = (
                table.c.member_id.in_(sorted(member_ids)),
                table.c.points_left > 0,
                table.c.idle_days == days,
                table.c.kept_by.op("&")(done_bits) != 0,
                table.c.expires_at > now,
                table.c.expires_at < until,
            )
            with atomic() as transaction:
                transaction.execute(sa.update(table).where(*mine).values(expires_at=until))
