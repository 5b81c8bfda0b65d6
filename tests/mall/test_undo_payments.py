"""A refund undone: points that it gave back pay the bill again, from the very lots."""

import pytest

from mall import payments, purchases, refunds, undo
from mall.errors import ReceiptPaid
from mall.payments import Bill
from mall.purchases import Receipt
from models import Account, PaymentReturn, PointsPayment, TillAction
from tests.makers import a_key
from tests.mall.books import (
    DAY,
    balance,
    clerk,
    give,
    left,
    lots,
    one,
    rows,
    said,
    spend,
    wrong,
)

ITEMS = (
    {"sku": "tea", "quantity": 2, "amount_fen": 4_000},
    {"sku": "cup", "quantity": 1, "amount_fen": 1_000},
)
RULE = {"active": True, "rate_points": 100, "rate_fen": 100, "min_bill_fen": 0}
RULE |= {"max_percent": 30, "step_points": 100, "most_points": None, "note": ""}


@pytest.fixture
def till(hired, stores, now):
    """Store A's till: pay with points, record a receipt, refund it, undo the last refund."""
    payments.publish(RULE, staff_id=None, key=a_key(route="rules"), now=now)
    by = clerk(hired["clerk-a"])

    class Till:
        def pay(self, member, wanted=None, receipt_no="R1"):
            bill = Bill(stores["A"], by.id, member, receipt_no, 5_000)
            return payments.pay(bill, wanted, key=a_key(route="pay"), now=now)

        def buy(self, member):
            receipt = Receipt(*(stores["A"], "R1", member, 5_000, now), staff_id=by.id, items=ITEMS)
            return said(purchases.record_one(receipt, key=a_key(route="buy"), now=now))["id"]

        def refund(self, purchase, fen=None, *items):
            asked = refunds.Asked(fen, items)
            return said(
                refunds.refund(purchase, asked, clerk=by, key=a_key(route="refund"), now=now)
            )

        def undo(self, refund):
            where = [TillAction.kind == "refund", TillAction.ref_id == refund["id"]]
            ((action,),) = rows(TillAction.id, where=where)
            return undo.undo(action, "录错了", staff=by, key=a_key(route="undo"), now=now)

    return Till()


@pytest.fixture
def paid(a_member, till, now):
    """A member whose two lots paid a bill of 50 yuan; answers who and the receipt."""
    member = a_member()
    give(member, 600, "soon", expires_at=now + 5 * DAY, now=now)
    give(member, 900, "late", expires_at=now + 9 * DAY, now=now)
    till.pay(member)
    return member, till.buy(member)


@pytest.mark.covers("C4", "C12")
def test_points_that_went_back_pay_again_and_go_back_again(paid, till):
    member, purchase = paid
    before = lots(member)
    refund = till.refund(purchase, 2_000)
    assert (refund["points_returned"], left(member)) == (600, [240, 360, 30])

    till.undo(refund)

    assert lots(member) == before and one(PointsPayment.returned_points) == 0
    assert sum(part for (part,) in rows(PaymentReturn.points)) == 0
    assert till.refund(purchase)["points_returned"] == 1_500
    assert left(member) == [600, 900, 0] and wrong() == []


def test_what_is_spent_of_them_by_then_is_owed(paid, till):
    member, purchase = paid
    refund = till.refund(purchase)
    spend(member, 1_400, "gone")

    till.undo(refund)

    owed = one(Account.debt_points, Account.member_id == member)
    assert balance(member) - owed == 50 - 1_400 and wrong() == []


def test_a_unit_whose_refund_was_undone_can_go_back_again(paid, till):
    _, purchase = paid
    both = {"sku": "tea", "quantity": 2}
    till.undo(till.refund(purchase, None, both))

    again = till.refund(purchase, None, both)

    assert (again["amount_fen"], again["points_returned"]) == (4_000, 1_200) and wrong() == []


def test_a_bill_that_is_paid_with_other_points_by_then_keeps_its_refund(paid, till):
    member, purchase = paid
    refund = till.refund(purchase)
    till.pay(member, 100)

    with pytest.raises(ReceiptPaid):
        till.undo(refund)

    assert one(PointsPayment.returned_points, PointsPayment.points == 1_500) == 1_500
    assert wrong() == []
