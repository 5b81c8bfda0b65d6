"""What a receipt earns: pure arithmetic over rules, with a line for each that had a say.

1. Each part of the bill (an item, or the rest) earns by one base rule: the first, by priority, that
   matches it. A rule's parts are added up before its rate is applied once.
2. What multiplies does so with the base points of the parts it matches. Where several match, the
   shop's policy decides: `max` the strongest alone, `sum` the extras of each, `product` one after the
   other by priority.
3. What adds is added at last. Caps cut what a rule gives to what is left, and say so.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from mall.earning.rules import (
    ADD,
    BASE,
    CATEGORY,
    ITEM,
    MULTIPLY,
    PURCHASE,
    WHOLE,
    Rule,
    period_of,
)

MAX, SUM, PRODUCT = "max", "sum", "product"
EARNED, MULTIPLIED, ADDED = "earned", "multiplied", "added"
TOO_SMALL = "too_small"
TODAY = "day"


@dataclass(frozen=True)
class Part:
    """A piece of a bill: an item, or what is left of the bill beside them."""

    amount_fen: int
    sku: str | None = None
    category: str | None = None
    place: int = 0


@dataclass(frozen=True)
class Bill:
    """What was paid, where and on which business day."""

    amount_fen: int
    day: date
    store_id: int | None = None
    items: Sequence[Mapping[str, Any]] = ()
    awaits_pickup: bool = False

    @property
    def parts(self) -> list[Part]:
        items = [
            Part(each["amount_fen"], each["sku"], each.get("category"), place)
            for place, each in enumerate(self.items)
        ]
        rest = self.amount_fen - sum(item.amount_fen for item in items)
        return [*items, Part(rest, place=len(items))] if rest > 0 or not items else items


@dataclass(frozen=True)
class Buyer:
    """What rules ask of a member."""

    tier_code: str
    joined_on: date
    birthday: date | None = None


@dataclass(frozen=True)
class Line:
    """What a rule gave, or why it gave nothing; `numbers` are those behind the reason."""

    rule: Rule
    why: str
    points: int = 0
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Used:
    """Points that a member has had by rules with caps: by (code, period)."""

    points: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def of(self, rule: Rule, period: str) -> int:
        return self.points.get((rule.code, period), 0)


def award(
    bill: Bill, buyer: Buyer, rules: Sequence[Rule], *, used: Used | None = None, policy: str = MAX
) -> list[Line]:
    """The lines of a receipt. Rules come in order, those of high priority first."""
    refused = [(rule, _refusal(rule, bill, buyer)) for rule in rules]
    open_ones = [rule for rule, line in refused if line is None]
    shares, excluded = _shares(bill, [rule for rule in open_ones if rule.kind == BASE])
    multipliers = [rule for rule in open_ones if rule.kind == MULTIPLY]
    lines = [*_base_lines(shares), *_multiplied(shares, multipliers, policy)]
    lines += [_added(rule, bill) for rule in open_ones if rule.kind == ADD]
    earned = _capped(lines, bill.day, used or Used())
    reasons = [line for _, line in refused if line is not None]
    return [*earned, *excluded, *reasons]


def _refusal(rule: Rule, bill: Bill, buyer: Buyer) -> Line | None:
    """Why a rule has no say over a bill; None where it has."""
    audience = rule.audience
    if rule.trigger != PURCHASE and not any(matches(rule, part) for part in bill.parts):
        return Line(rule, "nothing_of_it", numbers={"trigger": rule.trigger})
    if not rule.window.holds(bill.day, buyer.birthday):
        return Line(rule, "not_then", numbers={"day": bill.day.isoformat()})
    if audience.tiers and buyer.tier_code not in audience.tiers:
        return Line(rule, "not_for_tier", numbers={"tiers": sorted(audience.tiers)})
    if audience.stores and bill.store_id not in audience.stores:
        return Line(rule, "not_at_store", numbers={"stores": sorted(audience.stores)})
    days = audience.new_member_days
    if days is not None and bill.day >= buyer.joined_on + timedelta(days=days):
        return Line(rule, "no_longer_new", numbers={"days": days})
    if bill.amount_fen < rule.min_amount_fen:
        short = rule.min_amount_fen - bill.amount_fen
        numbers = {"min_amount_fen": rule.min_amount_fen, "short_by_fen": short}
        return Line(rule, "below_minimum", numbers=numbers)
    return None


def matches(rule: Rule, part: Part) -> bool:
    """Whether a rule is about a part of a bill, exclusions apart."""
    if rule.trigger == ITEM:
        return part.sku in rule.matches
    return part.category in rule.matches if rule.trigger == CATEGORY else True


def _is_excluded(rule: Rule, part: Part) -> bool:
    return part.category in rule.excluded_categories or part.sku in rule.excluded_skus


@dataclass
class _Share:
    """The parts that earn by one base rule, and the base points of each."""

    rule: Rule
    parts: list[Part] = field(default_factory=list)

    @property
    def amount_fen(self) -> int:
        return sum(part.amount_fen for part in self.parts)

    @property
    def points(self) -> int:
        return self.rule.rate.of(self.amount_fen) if self.parts else 0

    def spread(self) -> list[int]:
        """Base points part by part: whole ones, so that they add up."""
        total, before, done = self.points, 0, 0
        spread = []
        for part in self.parts:
            before += part.amount_fen
            upto = total * before // self.amount_fen if self.amount_fen else 0
            spread.append(upto - done)
            done = upto
        return spread


def _shares(bill: Bill, rules: Sequence[Rule]) -> tuple[list[_Share], list[Line]]:
    """Give each part to the first rule that takes it; answers too what was shut out, by rule."""
    shares = {rule.code: _Share(rule) for rule in rules}
    out: dict[str, int] = defaultdict(int)
    for part in bill.parts:
        for rule in rules:
            if not matches(rule, part):
                continue
            if _is_excluded(rule, part):
                out[rule.code] += part.amount_fen
                break  # what a rule shuts out earns by no other either
            shares[rule.code].parts.append(part)
            break
    by_code = {rule.code: rule for rule in rules}
    excluded = [
        Line(by_code[code], "excluded", numbers={"amount_fen": amount})
        for code, amount in out.items()
    ]
    return [share for share in shares.values() if share.parts], excluded


def _base_lines(shares: Iterable[_Share]) -> list[Line]:
    return [_base_line(share) for share in shares]


def _base_line(share: _Share) -> Line:
    """What a share earned; one too small for a point says how much is missing."""
    rate, fen = share.rule.rate, share.amount_fen
    if share.points or not fen:
        return Line(share.rule, EARNED, share.points, {"amount_fen": fen})
    numbers = {"amount_fen": fen, "least_fen": rate.least_fen, "short_by_fen": rate.least_fen - fen}
    return Line(share.rule, TOO_SMALL, 0, numbers)


def _multiplied(shares: Iterable[_Share], rules: Sequence[Rule], policy: str) -> list[Line]:
    """What multipliers add to base points, by the shop's policy."""
    extra: dict[str, int] = defaultdict(int)
    pools: dict[tuple[str, ...], int] = defaultdict(int)
    by_code = {rule.code: rule for rule in rules}
    for share in shares:
        for part, points in zip(share.parts, share.spread(), strict=True):
            fits = [r.code for r in rules if matches(r, part) and not _is_excluded(r, part)]
            pools[tuple(fits)] += points
    for codes, points in pools.items():
        for code, more in _stack([by_code[code] for code in codes], points, policy):
            extra[code] += more
    return [
        Line(r, MULTIPLIED, extra[r.code], {"percent": r.percent}) for r in rules if r.code in extra
    ]


def _stack(rules: Sequence[Rule], points: int, policy: str) -> list[tuple[str, int]]:
    """How much each of some multipliers adds to the base points they share."""
    if policy == MAX:
        strongest = max(rules, key=lambda rule: rule.percent, default=None)
        rules = [strongest] if strongest else []
    found, running = [], points
    for rule in rules:
        on = running if policy == PRODUCT else points
        more = on * (rule.percent - WHOLE) // WHOLE
        running += more
        found.append((rule.code, more))
    return found


def _added(rule: Rule, bill: Bill) -> Line:
    return Line(rule, ADDED, rule.points, {"amount_fen": bill.amount_fen})


def _capped(lines: Iterable[Line], day: date, used: Used) -> list[Line]:
    """Cut what rules give to what their caps leave; the first cap that cuts is named."""
    capped = []
    for line in lines:
        left, name = line.points, None
        for cap, limit, before in _limits(line.rule, day, used):
            if max(limit - before, 0) < left:
                left, name, most = max(limit - before, 0), cap, limit
        if name is None:
            capped.append(line)
        else:
            numbers = {**line.numbers, "cap": name, "limit": most, "without_cap": line.points}
            capped.append(replace(line, why="capped", points=left, numbers=numbers))
    return capped


def _limits(rule: Rule, day: date, used: Used) -> list[tuple[str, int, int]]:
    """(cap, limit, points had before) of each cap of a rule."""
    caps = rule.caps
    found = [("transaction", caps.transaction, 0)]
    found.append((TODAY, caps.day, used.of(rule, period_of(TODAY, day))))
    kind = caps.period_kind
    found.append((kind, caps.period, used.of(rule, period_of(kind, day))))
    return [(name, limit, before) for name, limit, before in found if limit is not None]


def total(lines: Iterable[Line]) -> int:
    return sum(line.points for line in lines)
