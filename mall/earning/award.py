"""What receipts earn, for many at once: the engine with what it needs to know of members."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock, shop, tiers
from mall.atomic import atomic
from mall.earning import engine
from mall.earning.engine import Bill, Buyer, Line, Used
from mall.earning.rules import (
    CATEGORY,
    ITEM,
    LATER,
    MULTIPLY,
    NOW,
    PICKUP,
    PURCHASE,
    Rule,
    in_force,
    in_order,
    period_of,
)
from mall.earning.shares import share_out
from mall.points import Book
from models import EarningCounter, Member
from models.base import insert

TIER = "tier:"  # begins the code of what a tier multiplies; no rule of the shop has a colon
SHOWN_BESIDE = {"excluded", "below_minimum"}  # told even where others earned


@dataclass(frozen=True)
class Awarded:
    """What a receipt earned: every line, and when its points come."""

    lines: Sequence[Line]
    moment: str = NOW
    after_days: int = 0
    shares: Sequence[int] = ()  # of its points, part by part of the bill

    @property
    def points(self) -> int:
        return engine.total(self.lines)

    @property
    def main(self) -> Rule | None:
        """The rule that an entry names: the one that gave most."""
        paid = [line for line in self.lines if line.points]
        return max(paid, key=lambda line: line.points).rule if paid else None

    def due_at(self, now: datetime) -> datetime | None:
        """When its points come; None for at once, or when what was bought is picked up."""
        return now + timedelta(days=self.after_days) if self.moment == LATER else None

    def told(self) -> list[dict[str, Any]]:
        """The lines as they are kept: those that had a say, or all where nothing was earned."""
        said = [line for line in self.lines if line.points or line.why in ("capped", *SHOWN_BESIDE)]
        return [_kept(line) for line in (said if self.points else self.lines)]


def _kept(line: Line) -> dict[str, Any]:
    rule = line.rule
    return {
        "rule": rule.label,
        "code": rule.code,
        "version": rule.version,
        "kind": rule.kind,
        "points": line.points,
        "why": line.why,
        "numbers": dict(line.numbers),
    }


@dataclass
class Meter:
    """Points of rules with caps, counted through a batch and written down at its end."""

    had: dict[int, dict[tuple[str, str], int]] = field(default_factory=lambda: defaultdict(dict))
    more: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))

    def used(self, member_id: int) -> Used:
        return Used(self.had[member_id])

    def count(self, member_id: int, lines: Iterable[Line], day: date) -> None:
        for line in lines:
            for period in _periods(line.rule, day) if line.points else ():
                key = (line.rule.code, period)
                self.had[member_id][key] = self.had[member_id].get(key, 0) + line.points
                self.more[member_id, *key] += line.points

    def write(self) -> None:
        rows = [
            {"member_id": member, "rule_code": code, "period": period, "points": points}
            for (member, code, period), points in sorted(self.more.items())
        ]
        if not rows:
            return
        statement = insert(EarningCounter)
        total = EarningCounter.points + statement.excluded.points
        keys = ["member_id", "rule_code", "period"]
        with atomic() as transaction:
            transaction.execute(
                statement.on_conflict_do_update(index_elements=keys, set_={"points": total}), rows
            )


def _periods(rule: Rule, day: date) -> set[str]:
    caps = rule.caps
    kinds = {"day"} if caps.day is not None else set()
    kinds |= {caps.period_kind} if caps.period is not None else set()
    return {period_of(kind, day) for kind in kinds}


def meter(rules: Sequence[Rule], wanted: Collection[tuple[int, date]]) -> Meter:
    """A meter that knows what members have had so far; under their accounts' locks."""
    found = Meter()
    keys = {
        (member_id, rule.code, period)
        for rule in rules
        if rule.caps.day is not None or rule.caps.period is not None
        for member_id, day in wanted
        for period in _periods(rule, day)
    }
    if keys:
        counter = EarningCounter
        named = sa.tuple_(counter.member_id, counter.rule_code, counter.period).in_(sorted(keys))
        columns = (counter.member_id, counter.rule_code, counter.period, counter.points)
        with atomic() as transaction:
            for row in transaction.execute(sa.select(*columns).where(named)):
                found.had[row.member_id][row.rule_code, row.period] = row.points
    return found


def buyers(member_ids: Iterable[int], held: Mapping[int, str]) -> dict[int, Buyer]:
    """What rules ask of members; their tiers are the caller's word."""
    columns = (Member.id, Member.joined_at, Member.birthday)
    query = sa.select(*columns).where(Member.id.in_(set(member_ids)))
    with atomic() as transaction:
        return {
            row.id: Buyer(held[row.id], clock.business_day(row.joined_at), row.birthday)
            for row in transaction.execute(query)
        }


def of_receipts(receipts: Sequence[tuple[int, Bill]], book: Book) -> tuple[list[Awarded], Meter]:
    """What receipts earn, in order, by the rules in force; the meter is to be written with them."""
    rules = in_force(now=book.now, triggers=(PURCHASE, ITEM, CATEGORY))
    held = {member_id: book.account(member_id).tier_code for member_id, _ in receipts}
    known = buyers(held, held)
    counted = meter(rules, {(member_id, bill.day) for member_id, bill in receipts})
    policy, of_tier = shop.setting("multiplier_stacking"), with_tiers(rules)
    awarded = []
    for member_id, bill in receipts:
        who = known[member_id]
        mine = of_tier.get(who.tier_code, rules)
        made = decide(bill, who, mine, counted.used(member_id), policy)
        counted.count(member_id, made.lines, bill.day)
        awarded.append(made)
    return awarded, counted


def with_tiers(rules: Sequence[Rule]) -> dict[str, list[Rule]]:
    """For tiers that multiply points: the rules with that multiplier among them."""
    return {
        code: in_order([*rules, tier_rule(code, *told)])
        for code, told in tiers.multipliers().items()
    }


def tier_rule(code: str, name: str, percent: int, version: int) -> Rule:
    """What a tier multiplies, as a rule: it stacks with others as the shop's policy says."""
    return Rule(0, f"{TIER}{code}", version, name, kind=MULTIPLY, percent=percent)


def decide(bill: Bill, buyer: Buyer, rules: Sequence[Rule], used: Used, policy: str) -> Awarded:
    """What one receipt earns; what multiplies and adds comes when its base points do."""
    lines = engine.award(bill, buyer, rules, used=used, policy=policy)
    shares = share_out(bill, lines, rules)
    paid = [line.rule for line in lines if line.points]
    if bill.awaits_pickup and any(rule.award == PICKUP for rule in paid):
        return Awarded(lines, PICKUP, shares=shares)
    slow = [rule.award_after_days for rule in paid if rule.award == LATER]
    return Awarded(lines, LATER, max(slow), shares) if slow else Awarded(lines, shares=shares)
