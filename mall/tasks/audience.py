"""For whom a task is: tiers and segments, newcomers for so many days, and whoever has begun."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from functools import cached_property

import sqlalchemy as sa

from mall.atomic import read
from mall.segments import audience
from mall.tasks.periods import Span, span_of
from mall.tasks.progress import Key
from mall.tasks.rules import Version
from models import Account, Member, TaskMark, TierChange
from models.base import table_of


class Chosen:
    """Which of some members a task is for; each question to the database is asked once for all.

    `without` are receipts that are being counted: who was in a segment before them still is.
    """

    def __init__(self, member_ids: Collection[int], *, without: Collection[int] = ()) -> None:
        self.member_ids = sorted(member_ids)
        self.without = without
        self._fit: dict[int, set[int]] = {}
        self._begun: dict[tuple[int, str], set[int]] = {}

    @cached_property
    def joined_at(self) -> dict[int, datetime]:
        query = sa.select(Member.id, Member.joined_at).where(Member.id.in_(self.member_ids))
        return {row.id: row.joined_at for row in read(query)}

    def _has_begun(self, key: Key) -> bool:
        """Whether a member has done something of a task in a period."""
        _, task_id, period = key
        if (task_id, period) not in self._begun:
            mark = table_of(TaskMark).c
            query = sa.select(mark.member_id).where(
                mark.member_id.in_(self.member_ids),
                mark.task_id == task_id,
                mark.period == period,
                mark.amount > 0,
            )
            self._begun[task_id, period] = {row.member_id for row in read(query)}
        return key[0] in self._begun[task_id, period]

    def span(self, version: Version, key: Key) -> Span:
        """When a member can do a task in a period."""
        return span_of(version, key[2], self.joined_at[key[0]])

    def is_for(self, version: Version, key: Key, moment: datetime | None = None) -> bool:
        """Whether a member is in a task's audience (at a moment, or now), or was when they began."""
        if not version.segment or self._has_begun(key):
            return True
        filters = dict(version.segment)
        tiers = filters.pop("tiers", None)
        if version.id not in self._fit:
            mine = audience(filters, without=self.without).where(Member.id.in_(self.member_ids))
            self._fit[version.id] = {row[0] for row in read(mine)}
        fits = key[0] in self._fit[version.id]
        return fits and (tiers is None or self._tier(key[0], moment) in tiers)

    def _tier(self, member_id: int, moment: datetime | None) -> str:
        """The tier somebody had before what they did at a moment, which may have changed it."""
        changes = self._changes[member_id] if moment else []
        before = (tier for at, tier in changes if moment is not None and at >= moment)
        return next(before, self._tiers[member_id])

    @cached_property
    def _tiers(self) -> dict[int, str]:
        account = table_of(Account).c
        query = sa.select(account.member_id, account.tier_code)
        rows = read(query.where(account.member_id.in_(self.member_ids)))
        return {row.member_id: row.tier_code for row in rows}

    @cached_property
    def _changes(self) -> dict[int, list[tuple[datetime, str]]]:
        """When members' tiers changed, and from which, in order."""
        change = table_of(TierChange).c
        query = sa.select(change.member_id, change.changed_at, change.tier_before)
        found: dict[int, list[tuple[datetime, str]]] = defaultdict(list)
        for row in read(query.where(change.member_id.in_(self.member_ids)).order_by(change.id)):
            found[row.member_id].append((row.changed_at, row.tier_before))
        return found

    def may(self, version: Version, key: Key, moment: datetime) -> bool:
        """Whether what a member did at a moment counts towards a task."""
        return self.span(version, key).holds(moment) and self.is_for(version, key, moment)
