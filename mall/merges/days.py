"""Check-ins of two become one calendar: the days of both, counted anew, nothing paid twice."""

from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from mall.atomic import atomic
from mall.checkins.runs import ONE_DAY
from models import CheckIn, MilestonePaid
from models.base import table_of


def join_days(from_id: int, into_id: int) -> list[date]:
    """Move the days the other has not signed; answers all days of the one who is left.

    A day both signed stays where it is as well: it was paid twice, and that is history. Nothing is
    paid for a run that grew together; milestones go along, so that no level of it is paid again.
    """
    days = table_of(CheckIn)
    theirs = sa.select(days.c.day).where(days.c.member_id == into_id)
    with atomic() as transaction:
        transaction.execute(
            sa.update(days)
            .where(days.c.member_id == from_id, days.c.day.not_in(theirs))
            .values(member_id=into_id)
        )
    _move_milestones(from_id, into_id)
    _count_anew(from_id)
    return _count_anew(into_id)


def _move_milestones(from_id: int, into_id: int) -> None:
    paid, same = table_of(MilestonePaid), aliased(MilestonePaid)
    there = sa.exists().where(
        same.member_id == into_id,
        same.ladder_version == paid.c.ladder_version,
        same.level == paid.c.level,
        same.paid_day == paid.c.paid_day,
    )
    with atomic() as transaction:
        transaction.execute(
            sa.update(paid).where(paid.c.member_id == from_id, ~there).values(member_id=into_id)
        )


def _count_anew(member_id: int) -> list[date]:
    table = table_of(CheckIn)
    query = sa.select(table.c.day, table.c.streak_days).where(table.c.member_id == member_id)
    with atomic() as transaction:
        rows = transaction.execute(query.order_by(table.c.day)).all()
        changed: list[dict[str, Any]] = []
        counted: dict[date, int] = {}
        for row in rows:
            counted[row.day] = counted.get(row.day - ONE_DAY, 0) + 1
            if counted[row.day] != row.streak_days:
                changed.append({"on": row.day, "streak": counted[row.day]})
        if changed:
            transaction.execute(
                sa.update(table)
                .where(table.c.member_id == member_id, table.c.day == sa.bindparam("on"))
                .values(streak_days=sa.bindparam("streak")),
                changed,
            )
    return list(counted)
