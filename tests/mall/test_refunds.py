"""Refunds: points and growth go back in proportion, whatever the parts, and only once."""

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from mall import clock, purchases, receipts, refunds, shop
from mall.errors import NotFound, RefundTooLarge
from mall.idempotency import Replayed
from mall.purchases import Receipt
from models import Account, Event, Purchase, Refund
from tests.makers import a_key, grant
from tests.mall.books import balance, clerk, count, one, rows, said, spend, wrong
from tests.mall.together import together

ROUTE = "POST /api/v1/clerk/purchases/1/refunds"


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def bought(a_member, hired, stores, now):
    """A receipt of store A; answers (member, purchase id)."""

    def buy(amount_fen=10_000, receipt_no="R1"):
        member = a_member()
        receipt = Receipt(stores["A"], receipt_no, member, amount_fen, now)
        (recorded,) = purchases.record_receipts([receipt], now=now)
        return member, recorded.id

    return buy


@pytest.fixture
def give_back(hired, now):
    def refund(purchase, amount_fen, key=None, by="clerk-a"):
        asked = key or a_key(route=ROUTE)
        return refunds.refund(purchase, amount_fen, clerk=clerk(hired[by]), key=asked, now=now)

    return refund


def growth(member):
    return one(Account.growth_value, Account.member_id == member)


@pytest.mark.covers("C12", "B3")
def test_a_part_takes_its_share_and_the_whole_takes_all(bought, give_back):
    member, purchase = bought(10_000)

    part, rest = give_back(purchase, 2_500), give_back(purchase, 7_500)

    assert (part.status, rest.status) == (201, 201)
    assert [said(each)["points_taken"] for each in (part, rest)] == [25, 75]
    assert (said(part)["refundable_fen"], said(rest)["refundable_fen"]) == (7_500, 0)
    assert (balance(member), growth(member)) == (0, 0) and wrong() == []
    assert count(Event, Event.kind == "refunded") == 2


@pytest.mark.covers("C12")
def test_points_spent_meanwhile_are_owed(bought, give_back):
    member, purchase = bought(10_000)
    spend(member, 60, "spent")

    answer = said(give_back(purchase, 10_000))

    assert (answer["points_taken"], answer["debt_points"]) == (40, 60)
    assert one(Account.debt_points, Account.member_id == member) == 60 and wrong() == []


@pytest.mark.covers("C12")
def test_where_other_lots_are_left_alone_they_stay(bought, give_back, tune):
    member, purchase = bought(10_000)
    spend(member, 60, "spent")
    grant(member, 500)
    tune("take_back_from_other_lots", False)

    answer = said(give_back(purchase, 10_000))

    assert (answer["points_taken"], answer["debt_points"], balance(member)) == (40, 60, 500)


@pytest.mark.covers("C12")
def test_the_same_refund_again_is_answered_and_takes_nothing(bought, give_back):
    member, purchase = bought(10_000)
    key = a_key(route=ROUTE)
    first = give_back(purchase, 4_000, key)

    with pytest.raises(Replayed) as replay:
        give_back(purchase, 4_000, key)

    assert replay.value.answer.body == first.body
    assert (balance(member), count(Refund)) == (60, 1)


@pytest.mark.covers("C12")
def test_no_more_goes_back_than_was_paid(bought, give_back):
    _, purchase = bought(10_000)
    give_back(purchase, 9_999)

    with pytest.raises(RefundTooLarge) as refusal:
        give_back(purchase, 2)

    assert refusal.value.details == {"left_fen": 1, "left_yuan": "0.01"}
    assert one(Purchase.refunded_fen) == 9_999 and wrong() == []


def test_another_stores_receipt_is_nobodys(bought, give_back):
    _, purchase = bought()

    with pytest.raises(NotFound):
        give_back(purchase, 1, by="clerk-b")
    with pytest.raises(NotFound):
        give_back(purchase + 1, 1)


def test_a_receipt_that_earned_nothing_takes_nothing(bought, give_back):
    member, purchase = bought(99)

    answer = said(give_back(purchase, 99))

    assert (answer["points_taken"], answer["debt_points"], answer["growth_taken"]) == (0, 0, 0)
    assert wrong() == []


def test_refunds_that_start_together_take_no_more_than_there_is(app, bought, hired, now):
    member, purchase = bought(10_000)

    def back():
        asked = a_key(route=ROUTE)
        return refunds.refund(purchase, 3_000, clerk=clerk(hired["clerk-a"]), key=asked, now=now)

    answers = together(app, [back] * 8)

    refused = [each for each in answers if isinstance(each, RefundTooLarge)]
    assert len(refused) == 5, answers
    assert (balance(member), one(Purchase.refunded_fen)) == (10, 9_000) and wrong() == []


@given(parts=st.lists(st.integers(1, 3_000), min_size=1, max_size=8), awarded=st.integers(0, 999))
@settings(max_examples=200, deadline=None)
def test_however_it_is_cut_the_parts_add_up_to_the_whole(parts, awarded):
    total = left = sum(parts)
    lost = 0
    for part in parts:
        receipt = receipts.Receipt(total, awarded, awarded)
        lost += receipt.points_kept({}, left) - receipt.points_kept({}, left - part)
        left -= part
        assert 0 <= lost <= awarded

    assert lost == awarded


def test_the_policy_is_a_setting_of_the_shop(app):
    assert shop.setting("take_back_from_other_lots") is True
    assert rows(sa.func.count(Refund.id)) == [(0,)]
