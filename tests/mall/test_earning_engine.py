"""What a receipt earns: arithmetic alone, rule by rule, cap by cap, for every pair that can meet."""

from datetime import date, timedelta
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mall.earning.engine import Bill, Buyer, Used, award, total
from mall.earning.rules import (
    Audience,
    Caps,
    Rate,
    Rule,
    Window,
    birthday_in,
    in_order,
    is_birthday,
    period_of,
)

DAY = date(2027, 3, 8)  # a Monday
BUYER = Buyer("base", date(2027, 1, 1), date(1990, 3, 8))
BASE = Rule(1, "base", 1, "消费积分")


def a_rule(code="extra", **terms):
    return Rule(2, code, 1, code, **{"kind": "base", **terms})


def times(code, percent, **terms):
    return a_rule(code, kind="multiply", percent=percent, **terms)


def earn(amount_fen, *rules, buyer=BUYER, day=DAY, items=(), used=None, policy="max", store=1):
    bill = Bill(amount_fen, day, store, items)
    return award(bill, buyer, in_order(rules), used=used, policy=policy)


def points(*args, **kwargs):
    return total(earn(*args, **kwargs))


def why(*args, **kwargs):
    return {line.rule.code: line.why for line in earn(*args, **kwargs)}


def item(amount_fen, sku="x", category=None):
    return {"sku": sku, "category": category, "amount_fen": amount_fen, "quantity": 1}


# rates


@pytest.mark.covers("C1")
@pytest.mark.parametrize(
    ("rate", "amount_fen", "expected"),
    [
        (Rate(1), 19_990, 199),
        (Rate(2), 199, 2),
        (Rate(2, 100, "floor"), 199, 3),
        (Rate(12, 1_000, "floor"), 999, 11),
        (Rate(12, 1_000, "half_up"), 999, 12),
        (Rate(1, 100, "half_up"), 149, 1),
        (Rate(1, 100, "half_up"), 150, 2),
        (Rate(1, 100, "ceiling"), 101, 2),
        (Rate(1, 100, "ceiling"), 100, 1),
        (Rate(5, 1_000), 2_999, 10),
    ],
)
def test_a_rate_rounds_as_it_says(rate, amount_fen, expected):
    assert rate.of(amount_fen) == expected


@pytest.mark.covers("C1")
@pytest.mark.parametrize("rounding", ["full_units", "floor", "half_up", "ceiling"])
@pytest.mark.parametrize(("points", "per_fen"), [(1, 100), (3, 100), (7, 10), (2, 333), (500, 7)])
def test_the_least_amount_earns_and_a_fen_less_does_not(rounding, points, per_fen):
    rate = Rate(points, per_fen, rounding)

    assert rate.of(rate.least_fen) > 0
    assert rate.least_fen == 1 or rate.of(rate.least_fen - 1) == 0


# which base rule


def test_a_part_of_the_bill_earns_by_the_first_rule_that_takes_it():
    tea = a_rule("tea", trigger="category", matches=frozenset({"茶"}), rate=Rate(3), priority=1)
    items = [item(1_000, category="茶"), item(500, category="饼")]

    lines = earn(2_000, BASE, tea, items=items)

    assert {line.rule.code: line.points for line in lines} == {"tea": 30, "base": 10}


def test_parts_of_one_rule_are_added_up_before_they_are_rounded():
    assert points(300, BASE, items=[item(150), item(150)]) == 3


def test_an_item_has_a_rule_of_its_own():
    cup = a_rule("cup", trigger="item", matches=frozenset({"cup"}), rate=Rate(10), priority=1)

    assert points(300, BASE, cup, items=[item(100, sku="cup"), item(200, sku="plate")]) == 12
    assert why(300, BASE, cup)["cup"] == "nothing_of_it"


@pytest.mark.covers("C1")
def test_what_is_shut_out_earns_nothing_and_says_so():
    rule = a_rule("base", excluded_categories=frozenset({"烟"}), rate=Rate(1))
    items = [item(1_000, category="烟"), item(500)]

    lines = earn(1_500, rule, items=items)

    assert [(line.why, line.points) for line in lines] == [("earned", 5), ("excluded", 0)]
    assert lines[1].numbers == {"amount_fen": 1_000}
    assert points(1_000, rule, items=items[:1]) == 0


def test_what_one_rule_shuts_out_earns_by_no_other():
    first = a_rule("first", excluded_skus=frozenset({"x"}), rate=Rate(1), priority=1)

    assert points(1_000, BASE, first, items=[item(1_000, sku="x")]) == 0


def test_below_the_least_it_says_what_is_missing():
    rule = a_rule(min_amount_fen=5_000, rate=Rate(1))

    (line,) = earn(4_999, rule)

    assert (line.why, line.points) == ("below_minimum", 0)
    assert line.numbers == {"min_amount_fen": 5_000, "short_by_fen": 1}
    assert points(5_000, rule) == 50


# for whom and when


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"audience": Audience(tiers=frozenset({"gold"}))}, "not_for_tier"),
        ({"audience": Audience(stores=frozenset({2}))}, "not_at_store"),
        ({"audience": Audience(new_member_days=66)}, "no_longer_new"),
        ({"window": Window(starts_on=DAY + timedelta(days=1))}, "not_then"),
        ({"window": Window(ends_on=DAY - timedelta(days=1))}, "not_then"),
        ({"window": Window(weekdays=frozenset({2, 7}))}, "not_then"),
        ({"window": Window(month_days=frozenset({18, 28}))}, "not_then"),
    ],
)
def test_a_rule_that_is_not_meant_says_why(terms, reason):
    lines = earn(1_000, BASE, times("extra", 200, **terms))

    assert total(lines) == 10 and {line.rule.code: line.why for line in lines}["extra"] == reason


@pytest.mark.covers("H4", "C6")
@pytest.mark.parametrize(
    "terms",
    [
        {"audience": Audience(frozenset({"base", "gold"}), frozenset({1}), 67)},
        {"window": Window(DAY, DAY, frozenset({1}), frozenset({8, 18, 28}), "day")},
        {"window": Window(birthday="week")},
        {"window": Window(birthday="month")},
    ],
)
def test_a_rule_that_is_meant_doubles(terms):
    assert points(1_000, BASE, times("extra", 200, **terms)) == 20


@pytest.mark.covers("H2")
def test_a_birthday_on_the_29th_of_february_is_on_the_28th_in_other_years():
    born = date(2000, 2, 29)

    assert birthday_in(2028, born) == date(2028, 2, 29)
    assert is_birthday(date(2027, 2, 28), born, "day")
    assert not is_birthday(date(2028, 2, 28), born, "day")
    assert is_birthday(date(2027, 2, 22), born, "week")
    assert not is_birthday(date(2027, 3, 1), born, "week")
    assert is_birthday(date(2027, 12, 30), date(1990, 1, 2), "week"), "over the year's end"
    assert not is_birthday(DAY, None, "month")


# what multiplies


FACTORS = {"new": 200, "tier": 150, "happy": 300, "member_day": 250}


@pytest.mark.covers("C6", "B7")
@pytest.mark.parametrize(("one", "other"), list(combinations(FACTORS, 2)))
@pytest.mark.parametrize("policy", ["max", "sum", "product"])
def test_each_pair_of_multipliers_stacks_by_the_shops_policy(one, other, policy):
    first, second = FACTORS[one], FACTORS[other]
    factor = {
        "max": Fraction(max(first, second), 100),
        "sum": 1 + Fraction(first - 100 + second - 100, 100),
        "product": Fraction(first, 100) * Fraction(second, 100),
    }[policy]

    earned = points(40_000, BASE, times(one, first), times(other, second), policy=policy)

    assert earned == 400 * factor


@pytest.mark.covers("B7")
def test_twice_is_exactly_twice_whatever_the_bill():
    for amount_fen in (1, 99, 100, 12_345, 99_999):
        assert points(amount_fen, BASE, times("gold", 200)) == 2 * points(amount_fen, BASE)


def test_only_the_parts_that_match_are_multiplied():
    tea = times("tea", 300, trigger="category", matches=frozenset({"茶"}))
    items = [item(1_000, category="茶"), item(500, category="饼")]

    assert points(1_500, BASE, tea, items=items) == 10 * 3 + 5


def test_what_adds_comes_on_top_and_is_not_multiplied():
    gift = a_rule("gift", kind="add", points=7)

    assert points(1_000, BASE, gift, times("double", 200)) == 27


# caps


@pytest.mark.covers("C2")
@pytest.mark.parametrize(
    ("caps", "used", "left", "named"),
    [
        (Caps(transaction=8), {}, 8, "transaction"),
        (Caps(day=8), {("base", "2027-03-08"): 3}, 5, "day"),
        (Caps(day=8), {("base", "2027-03-08"): 9}, 0, "day"),
        (Caps(period=8, period_kind="week"), {("base", "2027-W10"): 1}, 7, "week"),
        (Caps(period=8), {("base", "2027-03"): 8}, 0, "month"),
        (Caps(period=8, period_kind="year"), {("base", "2027"): 2}, 6, "year"),
        (Caps(period=8, period_kind="ever"), {("base", "ever"): 4}, 4, "ever"),
        (Caps(9, 8, 4), {("base", "2027-03"): 1}, 3, "month"),
    ],
)
def test_a_cap_cuts_to_what_is_left_and_is_named(caps, used, left, named):
    rule = Rule(1, "base", 1, "消费积分", caps=caps)

    (line,) = earn(1_000, rule, used=Used(used))

    assert (line.why, line.points, line.numbers["cap"]) == ("capped", left, named)
    assert line.numbers["without_cap"] == 10


def test_a_cap_that_is_not_reached_cuts_nothing():
    rule = Rule(1, "base", 1, "消费积分", caps=Caps(10, 10, 10))

    (line,) = earn(1_000, rule, used=Used({("other", "2027-03"): 99}))

    assert (line.why, line.points) == ("earned", 10)


def test_periods_are_the_shops():
    day = date(2027, 1, 2)

    kinds = ("day", "week", "month", "year", "ever")
    assert [period_of(kind, day) for kind in kinds] == [
        "2027-01-02",
        "2026-W53",
        "2027-01",
        "2027",
        "ever",
    ]


# whatever the bill


AMOUNTS = st.integers(1, 10**7)


@given(
    amounts=st.lists(AMOUNTS, min_size=1, max_size=6),
    rest=st.integers(0, 10**6),
    percents=st.lists(st.integers(101, 500), max_size=3),
    policy=st.sampled_from(["max", "sum", "product"]),
)
def test_lines_add_up_and_no_point_is_lost_between_the_parts(amounts, rest, percents, policy):
    items = [item(amount, category="茶" if n % 2 else "饼") for n, amount in enumerate(amounts)]
    rules = [times(f"m{n}", percent, priority=n) for n, percent in enumerate(percents)]
    bill = sum(amounts) + rest

    lines = earn(bill, BASE, *rules, items=items, policy=policy)

    base = bill // 100
    extras = [line.points for line in lines if line.rule.kind == "multiply"]
    assert next(line.points for line in lines if line.rule.code == "base") == base
    assert all(extra >= 0 for extra in extras)
    ordered = sorted(rules, key=lambda rule: -rule.priority)
    assert base + sum(extras) == _by_hand(base, [rule.percent for rule in ordered], policy)


def _by_hand(base: int, percents: list[int], policy: str) -> int:
    if policy == "max":
        return base + base * (max(percents, default=100) - 100) // 100
    if policy == "sum":
        return base + sum(base * (percent - 100) // 100 for percent in percents)
    running = base
    for percent in percents:
        running += running * (percent - 100) // 100
    return running
