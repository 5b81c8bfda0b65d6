"""Points as cash: how many a bill takes, why no more, and what a refund gives back to which lot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mall import payments, purchases, refunds, shop
from mall.errors import (
    AccountFrozen,
    BillTooSmall,
    MoreThanShare,
    NotEnoughPoints,
    NotFound,
    NotInSteps,
    PaymentReturned,
    PaymentsOff,
    ReceiptOfAnother,
    ReceiptPaid,
    ReceiptRecorded,
    ShareTooSmall,
    StepNotWhole,
)
from mall.idempotency import Replayed
from mall.payments import Bill
from mall.payments.give_back import spread
from mall.purchases import Receipt
from mall.refunds import Asked
from models import Account, PaymentReturn, PointsPayment, Refund
from tests.makers import a_key
from tests.mall.books import (
    DAY,
    balance,
    by_hand,
    clerk,
    count,
    entries,
    give,
    left,
    lots,
    one,
    rows,
    said,
    spend,
    wrong,
)
from tests.mall.together import together

ROUTE = "POST /api/v1/clerk/points-payments"
RULES = {"active": True, "rate_points": 100, "rate_fen": 100, "min_bill_fen": 0}
MORE = {"max_percent": 30, "step_points": 100, "most_points": None, "note": ""}
ITEMS = (
    {"sku": "tea", "quantity": 2, "amount_fen": 4_000},
    {"sku": "cup", "quantity": 1, "amount_fen": 1_000},
)


@pytest.fixture
def rule(app, now):
    def publish(**changes):
        values = {**RULES, **MORE, **changes}
        payments.publish(values, staff_id=None, key=a_key(route="rules"), now=now)

    return publish


@pytest.fixture
def pay(rule, hired, stores, now):
    """Pay a bill of store A by the mission's rule: 100 points a yuan, 30 % at most."""
    rule()

    def take(member, bill_fen, wanted=None, receipt_no="R1", *, key=None, **more):
        bill = Bill(stores["A"], hired["clerk-a"], member, receipt_no, bill_fen)
        asked = key or a_key(route=ROUTE)
        return payments.pay(bill, wanted, **{"key": asked, "now": now, **more})

    return take


@pytest.fixture
def buy(stores, now):
    def record(member, amount_fen=5_000, receipt_no="R1", items=ITEMS):
        receipt = Receipt(stores["A"], receipt_no, member, amount_fen, now, items=items)
        return purchases.record_receipts([receipt], now=now)[0].id

    return record


@pytest.fixture
def give_back(hired, now):
    def refund(purchase, amount_fen=None, *, at=now, **items):
        asked = Asked(amount_fen, [{"sku": s, "quantity": q} for s, q in items.items()])
        who = clerk(hired["clerk-a"])
        return said(refunds.refund(purchase, asked, clerk=who, key=a_key(route="r"), now=at))

    return refund


@pytest.mark.covers("C4")
def test_a_bill_of_fifty_yuan_at_thirty_percent_takes_fifteen_hundred_points(a_member, pay):
    member = a_member(points=2_000)

    paid = said(pay(member, 5_000))

    numbers = (paid["points"], paid["paid_fen"], paid["to_pay_fen"], paid["balance_after"])
    assert numbers == (1_500, 1_500, 3_500, 500)
    assert (paid["cap"], paid["most_points"], balance(member)) == ("share", 1_500, 500)
    assert entries(member)[-1] == ("pay", -1_500, 500) and wrong() == []


@pytest.mark.covers("C4")
@pytest.mark.parametrize(
    ("bill_fen", "wanted", "refusal", "numbers"),
    [
        (5_000, 1_600, MoreThanShare, {"limit": 1_500, "max_percent": 30, "cap": "share"}),
        (5_000, 150, NotInSteps, {"step": 100, "fits": 100}),
        (5_000, 1_000, NotEnoughPoints, {"short_by": 100}),
        (333, 100, ShareTooSmall, {"max_percent": 30, "step": 100, "bill_fen": 333}),
    ],
)
def test_what_can_not_be_paid_so_is_refused_with_its_numbers(
    a_member, pay, bill_fen, wanted, refusal, numbers
):
    member = a_member(points=900)

    with pytest.raises(refusal) as refused:
        pay(member, bill_fen, wanted)

    assert refused.value.details == numbers
    assert (balance(member), count(PointsPayment)) == (900, 0)


@pytest.mark.covers("C4")
def test_a_bill_under_the_minimum_says_what_is_missing(a_member, pay, rule):
    member = a_member(points=900)
    rule(min_bill_fen=2_000)

    with pytest.raises(BillTooSmall) as refused:
        pay(member, 1_999)

    assert refused.value.details["short_by_fen"] == 1
    assert said(pay(member, 2_000))["points"] == 600


def test_without_a_number_as_many_as_are_there_in_whole_steps(a_member, pay):
    poor, none = a_member(points=777), a_member(points=99)

    paid = said(pay(poor, 100_000))

    assert (paid["points"], paid["cap"], paid["most_points"]) == (700, "available", 30_000)
    with pytest.raises(NotEnoughPoints) as refused:
        pay(none, 100_000, receipt_no="R2")
    assert refused.value.details == {"short_by": 1}


def test_a_bill_may_have_a_most_of_its_own(a_member, pay, rule):
    member = a_member(points=9_000)
    rule(most_points=450)

    assert said(pay(member, 100_000))["points"] == 400
    with pytest.raises(MoreThanShare):
        pay(member, 100_000, 500, "R2")


@pytest.mark.covers("C4")
def test_a_dry_run_says_the_same_and_changes_nothing(a_member, pay):
    member = a_member(points=2_000)

    seen = said(pay(member, 5_000, dry_run=True))

    assert (seen["id"], seen["dry_run"]) == (None, True)
    assert (balance(member), count(PointsPayment)) == (2_000, 0)
    done = said(pay(member, 5_000))
    changed = {name for name in done if done[name] != seen[name]}
    assert changed == {"id", "dry_run"}


def test_the_same_again_is_answered_and_takes_nothing(a_member, pay):
    member, key = a_member(points=2_000), a_key(route=ROUTE)
    first = pay(member, 5_000, key=key)

    with pytest.raises(Replayed) as replay:
        pay(member, 5_000, key=key)

    assert replay.value.answer.body == first.body and balance(member) == 500


def test_a_receipt_is_paid_once_and_only_by_its_member(app, a_member, pay, buy):
    member, other = a_member(points=2_000), a_member(points=2_000)
    buy(other, receipt_no="R2")

    answers = together(app, [lambda: pay(member, 5_000, 500)] * 4)

    assert sum(isinstance(each, ReceiptPaid) for each in answers) == 3
    for dry_run in (True, False):
        with pytest.raises(ReceiptPaid):
            pay(other, 5_000, 500, dry_run=dry_run)
    with pytest.raises(ReceiptOfAnother):
        pay(member, 5_000, 500, "R2")
    assert (balance(member), wrong()) == (1_500, [])


def test_two_members_at_two_tills_pay_one_receipt_once(app, a_member, pay):
    members = [a_member(points=2_000) for _ in range(3)]

    answers = together(app, [lambda m=m: pay(m, 5_000, 500) for m in members])

    assert sum(isinstance(each, ReceiptPaid) for each in answers) == 2, answers
    assert sorted(balance(m) for m in members) == [1_500, 2_000, 2_000] and wrong() == []


def test_a_shop_without_a_rule_or_with_one_that_ended_takes_none(
    a_member, hired, stores, now, rule
):
    bill = Bill(stores["A"], hired["clerk-a"], a_member(points=900), "R1", 5_000)
    for make in (lambda: None, lambda: rule(active=False)):
        make()
        with pytest.raises(PaymentsOff):
            payments.pay(bill, None, key=a_key(route=ROUTE), now=now)


def test_a_frozen_account_pays_nothing_not_even_in_a_dry_run(a_member, pay):
    member = a_member(points=900)
    by_hand(Account.__table__.update().values(state="frozen"))

    for dry_run in (True, False):
        with pytest.raises(AccountFrozen):
            pay(member, 5_000, dry_run=dry_run)


def test_a_step_is_worth_whole_fen(rule):
    with pytest.raises(StepNotWhole):
        rule(rate_points=3, rate_fen=1, step_points=100)


# what goes back


@pytest.mark.covers("C4", "C12")
def test_a_refund_gives_points_back_to_the_very_lots_in_proportion(
    a_member, pay, buy, give_back, now
):
    member = a_member()
    give(member, 600, "soon", expires_at=now + 5 * DAY, now=now)
    give(member, 900, "late", expires_at=now + 9 * DAY, now=now)
    pay(member, 5_000)
    purchase = buy(member)
    assert left(member) == [0, 0, 50]

    half = give_back(purchase, tea=1)
    rest = give_back(purchase)

    assert (half["amount_fen"], half["points_returned"], half["points_taken"]) == (2_000, 600, 20)
    assert (rest["amount_fen"], rest["points_returned"], rest["points_taken"]) == (3_000, 900, 30)
    assert [part for (part,) in rows(PaymentReturn.points, order=PaymentReturn.points)] == [
        *(240, 360),
        *(360, 540),
    ]
    assert lots(member)[:2] == [(600, now + 5 * DAY), (900, now + 9 * DAY)]
    assert left(member) == [600, 900, 0] and wrong() == []


def test_no_lot_gets_back_more_than_it_gave_however_uneven_the_cuts(
    a_member, pay, buy, give_back, now
):
    member, gave = a_member(), [33, 33, 34]
    for number, amount in enumerate(gave):
        give(member, amount, f"lot {number}", expires_at=now + (9 + number) * DAY, now=now)
    pay(member, 5_000)
    purchase = buy(member)

    returned = [give_back(purchase, fen)["points_returned"] for fen in (2_500, 1_700, 800)]

    assert returned == [50, 34, 16] and left(member)[:3] == gave and wrong() == []


@pytest.mark.covers("C4")
def test_a_lot_that_died_meanwhile_comes_back_with_grace(a_member, pay, buy, give_back, now):
    member, later = a_member(), now + 20 * DAY
    give(member, 500, "soon", expires_at=now + 5 * DAY, now=now)
    pay(member, 5_000)
    purchase = buy(member)

    back = give_back(purchase, at=later)

    grace = shop.setting("give_back_grace_days")
    assert back["points_returned"] == 500
    assert lots(member)[0] == (500, later + grace * DAY) and wrong() == []


def test_a_payment_that_came_after_the_receipt_goes_back_with_it_too(a_member, pay, buy, give_back):
    member = a_member(points=1_500)
    purchase = buy(member)
    pay(member, 5_000, 1_000)

    assert give_back(purchase, 1)["points_returned"] == 1
    assert give_back(purchase, 4_999)["points_returned"] == 999
    assert balance(member) == 1_500 and wrong() == []


def test_a_bill_that_was_not_settled_is_cancelled_once_and_may_be_paid_anew(
    a_member, pay, hired, now
):
    member = a_member(points=2_000)
    payment = said(pay(member, 5_000))["id"]

    def cancel(by="clerk-a"):
        who = clerk(hired[by])
        return said(payments.cancel(payment, clerk=who, key=a_key(route="c"), now=now))

    with pytest.raises(NotFound):
        cancel("clerk-b")
    assert cancel() == {"id": payment, "points_returned": 1_500, "balance_after": 2_000}
    with pytest.raises(PaymentReturned):
        cancel()
    assert said(pay(member, 5_000, 500))["balance_after"] == 1_500 and wrong() == []


def test_a_receipt_that_is_recorded_is_refunded_not_cancelled(a_member, pay, buy, hired, now):
    member = a_member(points=2_000)
    payment = said(pay(member, 5_000))["id"]
    buy(member)

    with pytest.raises(ReceiptRecorded):
        who = clerk(hired["clerk-a"])
        payments.cancel(payment, clerk=who, key=a_key(route="c"), now=now)


@given(
    weights=st.lists(st.integers(0, 500), min_size=1, max_size=6).filter(sum),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_lots_get_back_what_they_gave_however_it_is_cut(weights, cuts):
    missing, total = list(weights), 0

    for cut in [*cuts, sum(weights)]:
        part = min(cut, sum(missing))
        if not part:
            continue
        parts = spread(part, missing)
        assert sum(parts) == part and all(0 <= p <= m for p, m in zip(parts, missing, strict=True))
        missing = [m - p for p, m in zip(parts, missing, strict=True)]
        total += part

    assert missing == [0] * len(weights) and total == sum(weights)


# refunds


@pytest.mark.covers("C12")
@pytest.mark.parametrize("policy", ["debt", "forgive"])
def test_what_is_spent_by_then_is_owed_or_forgiven_as_the_shop_says(
    policy, a_member, buy, give_back, tune
):
    member = a_member()
    tune("refund_shortfall", policy)
    purchase = buy(member, 10_000, items=())
    spend(member, 60, "spent")

    back = give_back(purchase)

    owed, forgiven = (60, 0) if policy == "debt" else (0, 60)
    told = (back["points_taken"], back["debt_points"], back["forgiven_points"])
    assert told == (40, owed, forgiven)
    assert one(Account.debt_points, Account.member_id == member) == owed
    assert (balance(member), one(Refund.forgiven_points)) == (0, forgiven) and wrong() == []
    buy(member, 10_000, "R2", items=())
    assert balance(member) == 100 - owed


@pytest.mark.covers("C12", "B3")
def test_items_amounts_and_the_rest_take_all_that_was_earned(a_member, buy, give_back):
    member = a_member()
    purchase = buy(member, 5_555)

    parts = [
        give_back(purchase, tea=1),
        give_back(purchase, 333),
        give_back(purchase, cup=1),
        give_back(purchase),
    ]

    assert [each["amount_fen"] for each in parts] == [2_000, 333, 1_000, 2_222]
    assert sum(each["points_taken"] for each in parts) == 55
    assert sum(each["growth_taken"] for each in parts) == 55
    growth = one(Account.growth_value, Account.member_id == member)
    assert (balance(member), growth) == (0, 0) and wrong() == []
