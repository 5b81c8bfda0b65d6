"""What rules would do: one receipt looked at, or the shop's own past played again under a draft.

A back-test plays every receipt of a time twice, with the rules in force and with the drafts in their
place, each with counters of its own. Tiers and what they multiply are those of today; refunds are
left out. Growth has rules of its own: who would change tier is asked of a draft of those.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, shop, tiers
from mall.atomic import atomic, end_reading
from mall.earning.award import Meter, buyers, decide, with_tiers
from mall.earning.engine import Bill, Buyer
from mall.earning.rules import EVENT, Rule, in_force, in_order, read
from mall.earning.words import told
from mall.errors import NotFound, TooManyReceipts
from mall.idempotency import Answer, Key
from models import Account, EarningRule, Purchase
from models.base import db

READ_AT_ONCE = 5_000
MOST_RECEIPTS = 500_000
NAMED = 10  # winners and losers


def with_drafts(draft_ids: Sequence[int], *, now: datetime) -> list[Rule]:
    """The rules in force with some versions in the place of their own."""
    query = sa.select(EarningRule.__table__).where(EarningRule.id.in_(draft_ids))
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    if len(rows) != len(set(draft_ids)):
        raise NotFound()
    codes = {row.code for row in rows}
    kept = [rule for rule in in_force(now=now) if rule.code not in codes]
    drafts = [read(row) for row in rows if row.active]
    return in_order(rule for rule in (*kept, *drafts) if rule.trigger != EVENT)


def dry_run(
    member_id: int, bill: Bill, draft_ids: Sequence[int], *, key: Key, now: datetime
) -> Answer:
    """What a receipt would earn at this moment; changes nothing, counters are not asked."""
    state = sa.select(Account.tier_code).where(Account.member_id == member_id)
    with atomic() as transaction:
        tier = transaction.execute(state).scalar()
    if tier is None:
        raise NotFound()
    rules = with_drafts(draft_ids, now=now)
    who = buyers([member_id], {member_id: tier})[member_id]
    how = shop.setting("multiplier_stacking")
    mine = with_tiers(rules).get(who.tier_code, rules)
    made = decide(bill, who, mine, Meter().used(member_id), how)
    due_at = made.due_at(now)
    told_lines = [told(line) for line in made.told()]
    until = clock.rfc3339(due_at) if due_at and made.points else None
    body = {
        "points": made.points,
        "growth": tiers.in_force().of_spend(bill.amount_fen),
        "pending_until": until,
    }
    return _keep({**body, "lines": told_lines}, key, now)


def _keep(body: dict[str, Any], key: Key, now: datetime) -> Answer:
    """Keep what a trial found: no lock was held while it ran."""
    with atomic():
        key.claim(now=now)
        return key.store(200, body)


@dataclass
class Tally:
    """What one set of rules gave over a time."""

    of_tier: dict[str, list[Rule]]
    points: int = 0
    by_member: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    by_rule: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    meter: Meter = field(default_factory=Meter)

    def play(self, member_id: int, bill: Bill, who: Buyer, rules: Sequence[Rule], how: str) -> None:
        mine = self.of_tier.get(who.tier_code, rules)
        made = decide(bill, who, mine, self.meter.used(member_id), how)
        self.meter.count(member_id, made.lines, bill.day)
        self.points += made.points
        self.by_member[member_id] += made.points
        for line in made.lines:
            if line.points:
                self.by_rule[line.rule.label] += line.points


def back_test(
    draft_ids: Sequence[int],
    first: date,
    last: date,
    *,
    tier_rule_id: int | None = None,
    key: Key,
    now: datetime,
) -> Answer:
    """Play the receipts paid from one day to another again, under drafts and as it is.

    With a draft of the tier rules: who would rise and fall under it, as things stand.
    """
    today = [rule for rule in in_force(now=now) if rule.trigger != EVENT]
    drafts, how = with_drafts(draft_ids, now=now), shop.setting("multiplier_stacking")
    before, after = Tally(with_tiers(today)), Tally(with_tiers(drafts))
    receipts, known = 0, dict[int, Buyer]()
    for chunk in _receipts(first, last):
        _learn({row.member_id for row in chunk} - set(known), known)
        for row in chunk:
            bill = Bill(row.amount_fen, clock.business_day(row.paid_at), row.store_id, row.items)
            who = known[row.member_id]
            before.play(row.member_id, bill, who, today, how)
            after.play(row.member_id, bill, who, drafts, how)
        receipts += len(chunk)
    moved = _tier_moves(tier_rule_id, now)
    return _keep({"receipts": receipts, **_compared(before, after), "tiers": moved}, key, now)


def _receipts(first: date, last: date) -> Iterator[Sequence[Any]]:
    """Receipts by moment, a bounded number at a time."""
    within = (
        Purchase.paid_at >= clock.start_of_day(first),
        Purchase.paid_at < clock.end_of_day(last),
        Purchase.undone_at.is_(None),
    )
    columns = (Purchase.id, Purchase.member_id, Purchase.store_id, Purchase.amount_fen)
    query = sa.select(*columns, Purchase.paid_at, Purchase.items).where(*within)
    with atomic() as transaction:
        count = sa.select(sa.func.count()).select_from(Purchase).where(*within)
        total = transaction.execute(count).scalar_one()
    if total > MOST_RECEIPTS:
        raise TooManyReceipts(receipts=total, limit=MOST_RECEIPTS)
    place = sa.tuple_(Purchase.paid_at, Purchase.id)
    reached: Any = None
    while True:
        part = query if reached is None else query.where(place > reached)
        rows = db.session.execute(part.order_by(Purchase.paid_at, Purchase.id).limit(READ_AT_ONCE))
        found = rows.all()
        end_reading()
        if not found:
            return
        yield found
        reached = sa.tuple_(sa.literal(found[-1].paid_at, Purchase.paid_at.type), found[-1].id)


def _learn(member_ids: set[int], known: dict[int, Buyer]) -> None:
    if not member_ids:
        return
    query = sa.select(Account.member_id, Account.tier_code)
    with atomic() as transaction:
        rows = transaction.execute(query.where(Account.member_id.in_(member_ids))).all()
    known |= buyers(member_ids, {row.member_id: row.tier_code for row in rows})


def _compared(before: Tally, after: Tally) -> dict[str, Any]:
    changes = {m: after.by_member[m] - before.by_member[m] for m in after.by_member}
    up = sorted((m for m in changes if changes[m] > 0), key=lambda m: -changes[m])
    down = sorted((m for m in changes if changes[m] < 0), key=lambda m: changes[m])
    return {
        "members": len(changes),
        "points_before": before.points,
        "points_after": after.points,
        "cost_fen": (after.points - before.points) * shop.setting("point_cost_fen_per_100") // 100,
        "rules_before": dict(before.by_rule),
        "rules_after": dict(after.by_rule),
        "winners": {"members": len(up), "most": [_named(m, changes) for m in up[:NAMED]]},
        "losers": {"members": len(down), "most": [_named(m, changes) for m in down[:NAMED]]},
    }


def _named(member_id: int, changes: dict[int, int]) -> dict[str, int]:
    return {"member_id": member_id, "points": changes[member_id]}


def _tier_moves(tier_rule_id: int | None, now: datetime) -> dict[str, int]:
    """Members who would be in another tier; earning rules alone move nobody."""
    if tier_rule_id is None:
        return {"up": 0, "down": 0}
    seen = tiers.preview(tier_rule_id, now=now)
    return {"up": seen["up"], "down": seen["down"]}
