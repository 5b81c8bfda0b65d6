"""A new version of the rules is carried to the members, in bounded batches, ascending.

Who reaches a higher tier rises; nobody falls before a review. Where the window is another than
before, keep-by dates start anew from the moment the version took effect.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.tiers.grow import rise_many
from mall.tiers.ladder import BASE
from mall.tiers.moves import Standing, lock, standings, write_standings
from mall.tiers.recount import recount
from mall.tiers.rules import Rules, Window, of_row, row_in_force
from models import Account, TierRule
from models.base import table_of

SETTLED_AT_ONCE = 500


def settle_next(*, now: datetime) -> int:
    """Carry the version in force to the next members; 0 where all of them have it."""
    row = row_in_force()
    if row is None or row.settled_at is not None:
        return 0
    rules = of_row(row)
    with atomic():
        members = _next_members(row.after_member_id)
        accounts = lock(members) if members else []
        if row.recount and accounts:
            ids = [account.member_id for account in accounts]
            recount(ids, rules, since=rules.window.opens_at(row.effective_at), now=now)
            accounts = lock(ids)
        rise_many(accounts, rules, reason="new_rules", source="rule", now=now)
        _renew([account.member_id for account in accounts], rules, row.effective_at)
        _advance(row.id, members, now)
    return 1


def _next_members(after_member_id: int) -> Sequence[int]:
    account = table_of(Account).c
    query = sa.select(account.member_id).where(account.member_id > after_member_id)
    with atomic() as transaction:
        found = query.order_by(account.member_id).limit(SETTLED_AT_ONCE)
        return transaction.execute(found).scalars().all()


def _renew(member_ids: Sequence[int], rules: Rules, effective_at: datetime) -> None:
    """Give those above the base a keep-by date by the window of these rules."""
    held, windows, written = standings(member_ids), _windows(), []
    for account in lock(member_ids) if member_ids else ():
        standing = held.get(account.member_id)
        if standing is None:
            if account.tier_code == BASE or rules.window.kind == "ever":
                continue
            standing = Standing(account.member_id, account.tier_code, effective_at)
        if windows.get(standing.rule_version, Window()) == rules.window:
            continue
        at = rules.window.review_after(effective_at) if standing.tier_code != BASE else None
        dates: dict[str, Any] = {"review_at": at, "grace_ends_at": None}
        written.append(replace(standing, **dates, rule_version=rules.version))
    write_standings(written)


def _windows() -> dict[int, Window]:
    """The window of each version."""
    rule = table_of(TierRule).c
    query = sa.select(rule.version, rule.window_kind, rule.window_days)
    with atomic() as transaction:
        rows = transaction.execute(query.where(rule.version.is_not(None))).all()
    return {row.version: Window(row.window_kind, row.window_days) for row in rows}


def _advance(rule_id: int, members: Sequence[int], now: datetime) -> None:
    """Write down how far it has come; a batch that is not full was the last."""
    table = table_of(TierRule)
    reached: dict[str, Any] = {"after_member_id": members[-1]} if members else {}
    done = {"settled_at": now} if len(members) < SETTLED_AT_ONCE else {}
    with atomic() as transaction:
        transaction.execute(sa.update(table).where(table.c.id == rule_id).values(reached | done))
