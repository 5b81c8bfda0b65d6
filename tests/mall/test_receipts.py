"""What a receipt keeps: any sequence of refunds by item and by amount adds up to the whole."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mall.earning.engine import Bill, Buyer, award, total
from mall.earning.rules import Rate, Rule
from mall.earning.shares import share_out
from mall.errors import ItemsNotOnReceipt
from mall.receipts import Receipt, Sold, by_money, counted

lines = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(1, 7), st.integers(1, 5_000), st.integers(0, 900)
    ),
    min_size=1,
    max_size=5,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("item"), st.sampled_from("abc"), st.integers(1, 4)),
        st.tuples(st.just("amount"), st.integers(1, 3_000)),
    ),
    max_size=12,
)


def a_receipt(sold, rest_fen, rest_points, growth):
    rows = [Sold(*line) for line in sold]
    amount = sum(row.amount_fen for row in rows) + rest_fen
    points = sum(row.points for row in rows) + rest_points
    return Receipt(amount, points, growth, rows)


@pytest.mark.covers("C12")
@given(lines, st.integers(0, 4_000), st.integers(0, 500), st.integers(0, 9_999), steps)
def test_whatever_the_order_parts_add_up_to_the_whole_and_none_is_below_zero(
    sold, rest_fen, rest_points, growth, steps
):
    receipt = a_receipt(sold, rest_fen, rest_points, growth)
    gone, left, taken, grown = {}, receipt.amount_fen, 0, 0

    for kind, *what in [*steps, ("all",)]:
        after, less = dict(gone), left
        if kind == "item":
            try:
                receipt.check({what[0]: what[1]}, gone)
            except ItemsNotOnReceipt:
                continue
            after[what[0]] = after.get(what[0], 0) + what[1]
            less = left - (receipt.fen_of(after) - receipt.fen_of(gone))
        elif kind == "amount":
            less = left - what[0]
        else:
            less = 0
        if less < 0:
            continue
        lost = receipt.points_kept(gone, left) - receipt.points_kept(after, less)
        lost_growth = receipt.growth_kept(left) - receipt.growth_kept(less)
        assert lost >= 0 and lost_growth >= 0
        gone, left, taken, grown = after, less, taken + lost, grown + lost_growth

    assert (left, taken, grown) == (0, receipt.points, receipt.growth)


@given(lines, st.permutations(range(6)))
def test_units_back_in_any_order_are_all_of_the_items_money_and_points(sold, order):
    receipt = a_receipt(sold, 0, 0, 0)
    units = [line.sku for line in receipt.sold for _ in range(line.quantity)]
    units = [units[place] for place in order if place < len(units)] + units[6:]
    gone, left = {}, receipt.amount_fen

    for sku in units:
        after = {**gone, sku: gone.get(sku, 0) + 1}
        left -= receipt.fen_of(after) - receipt.fen_of(gone)
        gone = after

    assert left == 0 and receipt.points_kept(gone, left) == 0
    assert receipt.fen_of(gone) == receipt.amount_fen


@pytest.mark.covers("C12")
def test_an_item_takes_back_what_it_earned_and_no_more():
    cigarettes, tea = Sold("烟", 1, 10_000, 0), Sold("茶", 4, 10_000, 200)
    receipt = Receipt(20_000, 200, 200, [cigarettes, tea])

    assert receipt.points_kept({"烟": 1}, 10_000) == 200
    assert receipt.points_kept({"茶": 1}, 17_500) == 150
    assert receipt.points_kept({"茶": 4}, 10_000) == 0


def test_no_more_units_go_back_than_were_sold():
    receipt = Receipt(300, 3, 3, [Sold("a", 2, 200, 2), Sold("a", 1, 100, 1)])

    receipt.check({"a": 3}, {})
    for wanted, gone in (({"a": 4}, {}), ({"a": 1}, {"a": 3}), ({"b": 1}, {})):
        with pytest.raises(ItemsNotOnReceipt):
            receipt.check(wanted, gone)
    assert counted([{"sku": "a", "quantity": 2}, {"sku": "a", "quantity": 1}]) == {"a": 3}


@given(points=st.integers(0, 999), amounts=st.lists(st.integers(1, 999), min_size=1, max_size=6))
def test_a_receipt_without_shares_has_its_points_by_money(points, amounts):
    items = [{"amount_fen": each} for each in amounts]

    assert sum(by_money(points, items, sum(amounts))) == points
    assert min(by_money(points, items, sum(amounts))) >= 0


# shares, as the engine makes them


DAY = date(2026, 1, 1)


def a_rule(code, **terms):
    return Rule(1, code, 1, code, **terms)


@given(
    amounts=st.lists(st.integers(1, 9_000), min_size=1, max_size=5),
    rest=st.integers(0, 9_000),
    percent=st.integers(101, 900),
    added=st.integers(1, 99),
    skus=st.lists(st.sampled_from("abx"), min_size=5, max_size=5),
)
def test_shares_add_up_to_what_the_receipt_earned(amounts, rest, percent, added, skus):
    items = [
        {"sku": sku, "quantity": 1, "amount_fen": fen, "category": None}
        for sku, fen in zip(skus, amounts, strict=False)
    ]
    bill = Bill(sum(amounts) + rest, DAY, None, items)
    base = a_rule("base", kind="base", rate=Rate(1, 100), excluded_skus=frozenset("x"))
    times = a_rule(
        "times", kind="multiply", trigger="item", matches=frozenset("a"), percent=percent
    )
    more = a_rule("more", kind="add", points=added)

    rules = [base, times, more]
    made = award(bill, Buyer("base", DAY), rules)
    shares = share_out(bill, made, rules)

    assert sum(shares) == total(made) and min(shares) >= 0 and len(shares) == len(bill.parts)
    only = share_out(bill, [line for line in made if line.rule.code != "more"], rules)
    assert [only[n] for n, item in enumerate(items) if item["sku"] == "x"] == [0] * sum(
        item["sku"] == "x" for item in items
    )
