"""Reviews: of what one bought, one a line, held until the shop has read them, paid once."""

import pytest

from mall import reviews
from mall.errors import LineUnknown, NotFound, ReviewDecided, ReviewKnown, ReviewTooShort
from models import Review
from tests.makers import a_key
from tests.mall.books import balance, count, said, wrong
from tests.mall.task_books import MONDAY, claims, later, shop, step
from tests.mall.together import together

__all__ = ["shop"]
TEXT = "手冲咖啡很香，下次还来这家店"
ITEMS = [
    {"sku": "tea", "category": "饮品", "quantity": 2, "amount_fen": 3_000},
    {"sku": "bag", "category": "周边", "quantity": 1, "amount_fen": 7_000},
]


def write(member, purchase, line_no=1, text=TEXT):
    key = a_key(member, route="review")
    return said(reviews.write(member, purchase, line_no, 5, text, key=key, now=MONDAY))


@pytest.fixture
def decide(shop):
    def call(review, *, approved=True, note="", at=MONDAY):
        who = {"staff_id": shop.hired["admin"], "key": a_key(route="decide")}
        done = said(reviews.decide(review["id"], approved=approved, note=note, **who, now=at))
        shop.drain(at)
        return done

    return call


@pytest.mark.covers("D6")
def test_a_review_pays_when_it_is_approved_and_not_before(a_member, shop, decide):
    member = a_member()
    task = shop.task("review", step("review_approved"), period="daily", automatic=True)
    purchase = shop.buy(member, 100, items=ITEMS)

    held = write(member, purchase)
    before = shop.seen(member, task)
    decide(held)

    assert (held["state"], before) == ("held", ("todo", 0, 1))
    assert shop.seen(member, task) == ("claimed", 1, 1)
    assert balance(member) == 110


@pytest.mark.covers("D6")
def test_each_line_of_ones_own_receipt_is_reviewed_once(a_member, shop, decide):
    member, other = a_member(), a_member()
    purchase = shop.buy(member, 100, items=ITEMS)
    write(member, purchase, 1)
    write(member, purchase, 2)

    for refusal, who, line in (
        (ReviewKnown, member, 1),
        (LineUnknown, member, 3),
        (NotFound, other, 1),
    ):
        with pytest.raises(refusal):
            write(who, purchase, line)
    with pytest.raises(NotFound):
        write(member, 404)
    with pytest.raises(ReviewTooShort) as refused:
        write(other, shop.buy(other, 5), text="好 喝")
    assert refused.value.sentence() == "评价至少 10 个字，还差 8 个字"
    assert count(Review) == 2


@pytest.mark.covers("D6")
def test_a_line_pays_once_whoever_decides_how_often(a_member, shop, decide):
    member = a_member()
    shop.task("review", step("review_approved"), period="daily", automatic=True)
    held = write(member, shop.buy(member, 100))
    decide(held)

    with pytest.raises(ReviewDecided):
        decide(held)
    with pytest.raises(ReviewDecided):
        decide(held, approved=False, note="改变主意", at=later(1))

    assert claims(member) == ["claimed"]


def test_a_rejected_review_pays_nothing_and_makes_room_for_another(a_member, shop, decide):
    member = a_member()
    task = shop.task("review", step("review_approved"), automatic=True)
    purchase = shop.buy(member, 100)

    rejected = decide(write(member, purchase), approved=False, note="与商品无关")
    unpaid = shop.seen(member, task)
    decide(write(member, purchase))

    assert (rejected["state"], rejected["note"]) == ("rejected", "与商品无关")
    assert (unpaid, shop.seen(member, task)) == (("todo", 0, 1), ("claimed", 1, 1))


def test_many_reviews_of_a_line_at_the_same_moment_are_one(app, a_member, shop):
    member = a_member()
    purchase = shop.buy(member, 100)

    outcomes = together(app, [lambda: write(member, purchase)] * 6)

    assert sum(isinstance(each, ReviewKnown) for each in outcomes) == 5
    assert count(Review) == 1


@pytest.mark.covers("D6")
@pytest.mark.parametrize("how", ["whole", "line", "undone"])
def test_what_a_review_paid_is_taken_back_with_the_line_it_is_about(a_member, shop, decide, how):
    member = a_member()
    task = shop.task("review", step("review_approved"), automatic=True)
    purchase = shop.buy(member, 100, items=ITEMS)
    decide(write(member, purchase, 1))

    if how == "whole":
        shop.refund(purchase)
    elif how == "line":
        shop.refund(purchase, items=[{"sku": "tea", "quantity": 2}])
    else:
        shop.undo("purchase", purchase)

    assert (shop.seen(member, task), claims(member)) == (("todo", 0, 1), ["taken_back"])
    assert balance(member) == {"whole": 0, "line": 70, "undone": 0}[how] and wrong() == []


def test_a_review_of_another_line_stays(a_member, shop, decide):
    member = a_member()
    task = shop.task("review", step("review_approved"), automatic=True)
    purchase = shop.buy(member, 100, items=ITEMS)
    decide(write(member, purchase, 2))

    shop.refund(purchase, items=[{"sku": "tea", "quantity": 2}])

    assert shop.seen(member, task) == ("claimed", 1, 1)
