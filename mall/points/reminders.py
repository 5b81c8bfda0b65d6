"""Reminders: what ends soon is written down once for each lot and step, for the outbox to send.

Of the steps whose day has come only the nearest is told: who was not told thirty days before and
has five left is told that of seven. A lot that was not yet there on a step's day skips that step.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock, expiry_policies
from mall.atomic import atomic
from mall.events import PointsReminded, record_many
from mall.points.account import read_accounts
from models import Account, Lot, PointsReminder, RemindedLot
from models.base import insert

REMINDED_AT_ONCE = 1_000  # members: each batch passes over those that were told before it


def remind_due(*, now: datetime) -> int:
    """Write reminders for a bounded batch of members whose points end soon; answers how many."""
    policies = expiry_policies.in_force()
    for step_days, day in _days(policies.remind_days, clock.business_day(now)):
        ending = _ending(step_days, day, now)
        with atomic() as transaction:
            members = transaction.execute(
                ending.with_only_columns(Lot.member_id)
                .distinct()
                .order_by(Lot.member_id)
                .limit(REMINDED_AT_ONCE)
            ).scalars()
            held = read_accounts(sorted(members), lots=False)
            if held:
                mine = ending.where(Lot.member_id.in_(list(held)))
                lots = transaction.execute(mine.order_by(Lot.member_id, Lot.id)).all()
                if made := _remind(lots, step_days, day, policies.version, now):
                    return made
    return 0


def _days(remind_days: Sequence[int], today: date) -> Iterator[tuple[int, date]]:
    """Each step with the last days it is for: those further away than the next smaller step."""
    nearest = 0
    for step_days in sorted(set(remind_days)):
        for ahead in range(nearest, step_days + 1):
            yield step_days, today + timedelta(days=ahead)
        nearest = step_days + 1


def _ending(step_days: int, day: date, now: datetime) -> sa.Select[Any]:
    """Lots whose last day is `day`, which were there on the step's day and are not reminded of."""
    told = sa.exists().where(
        RemindedLot.lot_id == Lot.id,
        RemindedLot.step_days == step_days,
        RemindedLot.expires_on == day,
    )
    lots: Any = sa.select(Lot.id, Lot.member_id, Lot.points_left)
    found: sa.Select[Any] = lots.join(Account, Account.member_id == Lot.member_id).where(
        Lot.points_left > 0,
        Lot.expires_at > max(now, clock.start_of_day(day)),
        Lot.expires_at <= clock.end_of_day(day),
        Lot.earned_at < clock.end_of_day(day - timedelta(days=step_days)),
        Account.state != "closed",
        ~told,
    )
    return found


def _remind(lots: Sequence[Any], step_days: int, day: date, version: int, now: datetime) -> int:
    """A reminder for each member, and which lots it is about. Their accounts are under lock."""
    by_member: dict[int, list[Any]] = defaultdict(list)
    for lot in lots:
        by_member[lot.member_id].append(lot)
    rows = [
        {
            "member_id": member_id,
            "points": sum(lot.points_left for lot in mine),
            "lots": len(mine),
            "expires_on": day,
            "step_days": step_days,
            "policy_version": version,
            "state": "waiting",
            "created_at": now,
        }
        for member_id, mine in by_member.items()
    ]
    if not rows:
        return 0
    statement = insert(PointsReminder).returning(PointsReminder.id, sort_by_parameter_order=True)
    with atomic() as transaction:
        ids = transaction.execute(statement, rows).scalars().all()
        about = [
            {
                "lot_id": lot.id,
                "step_days": step_days,
                "expires_on": day,
                "reminder_id": id_,
                "points": lot.points_left,
            }
            for id_, mine in zip(ids, by_member.values(), strict=True)
            for lot in mine
        ]
        transaction.execute(insert(RemindedLot), about)
        facts = [PointsReminded(row["member_id"], id_) for id_, row in zip(ids, rows, strict=True)]
        record_many(facts, now=now)
    return len(rows)
