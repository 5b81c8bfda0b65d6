"""Growth: its ledger, and the rises it causes in the same transaction.

Growth is never spent. Whoever's growth of the window reaches a threshold rises at once; nobody is
lowered by time here, that is the review's. What a refund takes also takes the rise that it alone
had made: the rise is judged again with what is left of the growth it was made of.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.tiers.ladder import highest, ladder, rank, reached
from mall.tiers.moves import (
    Move,
    Standing,
    counted,
    granted,
    move_many,
    standings,
    write_standings,
)
from mall.tiers.rules import Rules, in_force
from models import Account, GrowthEntry, Tier, TierChange
from models.base import insert, table_of


@dataclass(frozen=True)
class Growth:
    """A change of a member's growth value, and its cause; a cause counts once.

    `earned_at` is the moment it counts at, where that is another than now.
    """

    member_id: int
    value: int
    kind: str
    ref_kind: str
    ref_id: str
    earned_at: datetime | None = None


def grow_many(growths: Sequence[Growth], *, now: datetime) -> None:
    """Change growth values and, in the same transaction, the tiers they reach.

    The caller holds the accounts' locks (an open book).
    """
    growths = [growth for growth in growths if growth.value]
    if not growths:
        return
    with atomic():
        rules = in_force()
        rows = write_entries(growths, rules.version, now=now)
        rise_many(rows, rules, reason=growths[0].kind, now=now)
        lost = {growth.member_id for growth in growths if growth.value < 0}
        if lost:
            fall_many(lost, rules, reason=growths[0].kind, now=now)


def write_entries(growths: Sequence[Growth], version: int, *, now: datetime) -> Sequence[Any]:
    """Write growth and nothing else; answers the accounts as they are then."""
    accounts = table_of(Account)
    query = sa.select(accounts.c.member_id, accounts.c.growth_value, accounts.c.tier_code)
    mine = query.where(accounts.c.member_id.in_({growth.member_id for growth in growths}))
    with atomic() as transaction:
        values = {row.member_id: row.growth_value for row in transaction.execute(mine)}
        before = dict(values)
        entries = []
        for growth in growths:
            values[growth.member_id] += growth.value
            entries.append(_entry(growth, values[growth.member_id], version, now))
        transaction.execute(insert(GrowthEntry), entries)
        add = sa.update(accounts).where(accounts.c.member_id == sa.bindparam("member"))
        transaction.execute(
            add.values(growth_value=accounts.c.growth_value + sa.bindparam("delta")),
            [{"member": who, "delta": value - before[who]} for who, value in values.items()],
        )
        return transaction.execute(mine.order_by(accounts.c.member_id)).all()


def _entry(growth: Growth, value_after: int, version: int, now: datetime) -> dict[str, Any]:
    return {
        "member_id": growth.member_id,
        "kind": growth.kind,
        "delta_value": growth.value,
        "value_after": value_after,
        "ref_kind": growth.ref_kind,
        "ref_id": growth.ref_id,
        "rule_version": version,
        "earned_at": growth.earned_at,
        "created_at": now,
    }


def rise_many(
    rows: Sequence[Any], rules: Rules, *, reason: str, now: datetime, source: str = "growth"
) -> int:
    """Raise those whose growth reaches a higher tier than they have earned; answers how many.

    `rows` are accounts under lock: `member_id`, `growth_value`, `tier_code`.
    """
    tiers = ladder()
    values = _values(rows, rules, now)
    risen = {row.member_id: reached(tiers, values[row.member_id]).code for row in rows}
    maybe = [row for row in rows if rank(tiers, risen[row.member_id])]
    held = standings([row.member_id for row in maybe]) if maybe else {}
    moves, written = [], {}
    for row in maybe:
        member_id, code = row.member_id, risen[row.member_id]
        old = held.get(member_id)
        earned = old.tier_code if old else row.tier_code
        if rank(tiers, code) <= rank(tiers, earned):
            continue
        written[member_id] = Standing(
            *(member_id, code, now, rules.window.review_after(now)), rule_version=rules.version
        )
        if rank(tiers, code) > rank(tiers, row.tier_code):
            named = (member_id, row.tier_code, code, reason, source, rules.version)
            kept: dict[str, Any] = {"replaced_code": earned}
            if old is not None:
                kept |= {"replaced_id": old.change_id, "replaced_review_at": old.review_at}
            moves.append(Move(*named, **kept))
    ids = move_many(moves, tiers, now=now)
    write_standings([replace(each, change_id=ids.get(who)) for who, each in written.items()])
    return len(written)


def _values(rows: Sequence[Any], rules: Rules, now: datetime) -> dict[int, int]:
    """The growth of each account that counts at a moment."""
    opens_at = rules.window.opens_at(now)
    if opens_at is None:
        return {row.member_id: row.growth_value for row in rows}
    return counted([row.member_id for row in rows], since=opens_at)


def fall_many(member_ids: Collection[int], rules: Rules, *, reason: str, now: datetime) -> None:
    """Undo the last rises of those who have lost the growth that these were made of.

    Each rise is undone by itself, the last first; none was made by what is under it.
    """
    tiers = ladder()
    held = {who: each for who, each in standings(member_ids).items() if each.change_id}
    rises = _rises(held.values())
    rows = {row.member_id: row for row in _accounts(rises)}
    values, by_hand = _values(list(rows.values()), rules, now), granted(rows, now=now)
    moves, written = [], []
    for member_id, rise in rises.items():
        standing = held[member_id]
        best = max(values[member_id], _at_rise(standing, rise, rules))
        fallen = _fallen(standing, rise, reached(tiers, best).code, tiers)
        if fallen is None:
            continue
        written.append(fallen)
        before = rows[member_id].tier_code
        after = highest(tiers, [fallen.tier_code, *by_hand.get(member_id, [])])
        if after != before:
            named = (member_id, before, after, reason, "refund", rules.version)
            moves.append(Move(*named, undoes_id=rise.id))
    move_many(moves, tiers, now=now)
    write_standings(written)
    if again := [each.member_id for each in written if each.change_id]:
        fall_many(again, rules, reason=reason, now=now)  # at most once a tier: each falls further


def _rises(held: Iterable[Standing]) -> dict[int, Any]:
    """The rise that made each standing, by member."""
    change = table_of(TierChange)
    query = sa.select(change).where(change.c.id.in_([each.change_id for each in held]))
    with atomic() as transaction:
        return {row.member_id: row for row in transaction.execute(query)}


def _accounts(member_ids: Iterable[int]) -> Sequence[Any]:
    account = table_of(Account).c
    query = sa.select(account.member_id, account.growth_value, account.tier_code)
    with atomic() as transaction:
        return transaction.execute(query.where(account.member_id.in_(list(member_ids)))).all()


def _at_rise(standing: Standing, rise: Any, rules: Rules) -> int:
    """What is left of the growth that a rise was made of."""
    entry = table_of(GrowthEntry).c
    at = sa.func.coalesce(entry.earned_at, entry.created_at)
    query = sa.select(sa.func.coalesce(sa.func.sum(entry.delta_value), 0)).where(
        entry.member_id == standing.member_id, at <= rise.changed_at
    )
    opens_at = rules.window.opens_at(rise.changed_at)
    if opens_at is not None:
        query = query.where(at >= opens_at)
    with atomic() as transaction:
        return int(transaction.execute(query).scalar_one())


def _fallen(standing: Standing, rise: Any, code: str, tiers: Sequence[Tier]) -> Standing | None:
    """What is held without a rise; None where it stands as it was."""
    after = highest(tiers, [code, rise.replaced_code])
    if rank(tiers, after) >= rank(tiers, standing.tier_code):
        return None
    if after != rise.replaced_code:  # a jump falls part of its way
        return replace(standing, tier_code=after)
    kept: dict[str, Any] = {"change_id": rise.replaced_id, "review_at": rise.replaced_review_at}
    return replace(standing, tier_code=after, **kept)
