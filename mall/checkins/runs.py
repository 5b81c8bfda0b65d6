"""Runs: days in a row. A day that is added in the past joins them, and what they reach is paid once.

Everything here happens under the lock of the members' accounts, for a batch of members at once.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from mall import points
from mall.atomic import atomic
from mall.checkins.ladder import Ladder
from mall.points import Cause
from models import CheckIn, MilestonePaid, Outage, db
from models.base import UTCDateTime, insert, table_of

ONE_DAY = timedelta(days=1)
REPAIRED_DAYS = 31  # how far back a day of outage may lie


@dataclass(frozen=True)
class Milestone:
    """A level that a run has reached, and the day on which it did."""

    member_id: int
    level: int
    day: date


def find(member_id: int, day: date) -> CheckIn | None:
    return db.session.get(CheckIn, (member_id, day), populate_existing=True)


def near(member_id: int, day: date) -> dict[date, CheckIn]:
    """The day itself and its two neighbours, those that are there."""
    query = (
        sa.select(CheckIn)
        .where(CheckIn.member_id == member_id, CheckIn.day.between(day - ONE_DAY, day + ONE_DAY))
        .execution_options(populate_existing=True)
    )
    return {row.day: row for row in db.session.scalars(query)}


def lift(member_ids: Collection[int], day: date) -> None:
    """Count on through the days that follow one just added: they were a run of their own.

    That run began at 1 the day after, and ends before the next day that counts 1.
    """
    table, here, later = table_of(CheckIn), aliased(CheckIn), aliased(CheckIn)
    before = (
        sa.select(here.streak_days)
        .where(here.member_id == table.c.member_id, here.day == day)
        .scalar_subquery()
    )
    next_run = (
        sa.select(sa.func.min(later.day))
        .where(
            later.member_id == table.c.member_id,
            later.day > day + ONE_DAY,
            later.streak_days == 1,
        )
        .scalar_subquery()
    )
    with atomic() as transaction:
        transaction.execute(
            sa.update(table)
            .where(
                table.c.member_id.in_(member_ids),
                table.c.day > day,
                sa.or_(next_run.is_(None), table.c.day < next_run),
            )
            .values(streak_days=table.c.streak_days + before)
        )
    db.session.expire_all()


def fill_outages(member_ids: Collection[int], day: date, *, now: datetime) -> dict[date, set[int]]:
    """Mark the days of outage from `day` on for those who had signed the day before and not then.

    Answers who was marked on which day. Days of outage in a row are marked one after the other.
    """
    filled = {}
    for each in _outages_in_a_row(day):
        marked = _mark(member_ids, each, now)
        if marked:
            lift(marked, each)
            filled[each] = marked
    return filled


def _outages_in_a_row(day: date) -> list[date]:
    query = sa.select(Outage.day).where(Outage.day >= day).order_by(Outage.day)
    days = db.session.scalars(query.limit(REPAIRED_DAYS)).all()
    return [each for n, each in enumerate(days) if each == day + n * ONE_DAY]


def _mark(member_ids: Collection[int], day: date, now: datetime) -> set[int]:
    before = sa.select(
        CheckIn.member_id,
        sa.literal(day, sa.Date),
        sa.literal("outage"),
        CheckIn.streak_days + 1,
        sa.literal(0),
        sa.literal(0),
        sa.literal(now, UTCDateTime()),
    ).where(CheckIn.member_id.in_(member_ids), CheckIn.day == day - ONE_DAY)
    names = ["member_id", "day", "kind", "streak_days", "points_awarded", "bonus_points"]
    statement = insert(CheckIn).from_select([*names, "created_at"], before)
    statement = statement.on_conflict_do_nothing()
    with atomic() as transaction:
        marked = set(transaction.execute(statement.returning(CheckIn.member_id)).scalars())
        count_marked(day, len(marked))
    return marked


def count_marked(day: date, members: int) -> None:
    """Add to the members whom an outage's repair has marked."""
    with atomic() as transaction:
        transaction.execute(
            sa.update(table_of(Outage))
            .where(Outage.day == day)
            .values(members_marked=Outage.members_marked + members)
        )


def pay_milestones(
    book: points.Book,
    member_ids: Collection[int],
    day: date,
    rules: Ladder,
    *,
    actor: str | None = None,
) -> dict[int, int]:
    """Grant the bonuses that runs have newly reached by the day just added; answers points by member.

    A level is paid only if nothing was paid for it inside the run as it is now, by whatever
    version: two runs of seven that are glued together do not earn day 7 again. Levels from `day`
    on count more than the days before it, so only what was paid from `day` on can be the same.
    """
    reached, ends = _reached(member_ids, day, rules)
    paid = _paid(member_ids, day, ends) if reached else set()
    fresh = [each for each in reached if (each.member_id, each.level) not in paid]
    granted = defaultdict[int, int](int)
    for each in fresh:
        bonus = rules.step(each.level).bonus_points
        cause = _cause(each, rules, actor or f"member:{each.member_id}")
        book.earn(each.member_id, bonus, cause)
        granted[each.member_id] += bonus
    _remember(fresh, rules)
    _note_bonuses(granted, day)
    return granted


def _reached(
    member_ids: Collection[int], day: date, rules: Ladder
) -> tuple[list[Milestone], dict[int, date]]:
    """Days with a bonus from `day` to the end of each member's run, and where those runs end."""
    query = (
        sa.select(CheckIn.member_id, CheckIn.day, CheckIn.streak_days)
        .where(CheckIn.member_id.in_(member_ids), CheckIn.day >= day)
        .order_by(CheckIn.member_id, CheckIn.day)
    )
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    ends: dict[int, date] = {}
    found = []
    for row in rows:
        if row.day == ends.get(row.member_id, day - ONE_DAY) + ONE_DAY:
            ends[row.member_id] = row.day
            if rules.step(row.streak_days).bonus_points:
                found.append(Milestone(row.member_id, row.streak_days, row.day))
    return found, ends


def _paid(member_ids: Collection[int], day: date, ends: dict[int, date]) -> set[tuple[int, int]]:
    query = sa.select(MilestonePaid.member_id, MilestonePaid.level, MilestonePaid.paid_day).where(
        MilestonePaid.member_id.in_(member_ids), MilestonePaid.paid_day >= day
    )
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    return {(row.member_id, row.level) for row in rows if row.paid_day <= ends[row.member_id]}


def _cause(each: Milestone, rules: Ladder, actor: str) -> Cause:
    name = f"{each.member_id}:{each.day}:{each.level}"
    return rules.cause("check_in_bonus", ("milestone", name), each.level, actor)


def _remember(fresh: Iterable[Milestone], rules: Ladder) -> None:
    rows = [
        {
            "member_id": each.member_id,
            "ladder_version": rules.version,
            "level": each.level,
            "paid_day": each.day,
            "points": rules.step(each.level).bonus_points,
        }
        for each in fresh
    ]
    if rows:
        with atomic() as transaction:
            transaction.execute(insert(MilestonePaid), rows)


def _note_bonuses(granted: dict[int, int], day: date) -> None:
    """Write on the added day what it brought."""
    table = table_of(CheckIn)
    rows: list[dict[str, Any]] = [{"member": m, "bonus": bonus} for m, bonus in granted.items()]
    if rows:
        with atomic() as transaction:
            transaction.execute(
                sa.update(table)
                .where(table.c.member_id == sa.bindparam("member"), table.c.day == day)
                .values(bonus_points=sa.bindparam("bonus")),
                rows,
            )


def last_of_run(member_id: int, day: date) -> int:
    """How long the run is that a day belongs to, counted at its end."""
    query = (
        sa.select(CheckIn.day, CheckIn.streak_days)
        .where(CheckIn.member_id == member_id, CheckIn.day >= day)
        .order_by(CheckIn.day)
    )
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    in_a_row = [row.streak_days for n, row in enumerate(rows) if row.day == day + n * ONE_DAY]
    return int(in_a_row[-1])
