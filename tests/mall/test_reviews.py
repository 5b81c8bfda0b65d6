"""Reviews: of what was bought, one a line, held until the shop has read them; each pays once."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import merges, reviews
from mall.errors import LineUnknown, NotFound, ReviewDecided, ReviewKnown, ReviewTooShort
from models import Event, Review
from tests.makers import a_key
from tests.mall.books import by_hand, count, one, rows, said, wrong
from tests.mall.task_books import MON, SUN, a_step, claims, paid, shop
from tests.mall.together import together

__all__ = ["shop"]
ITEMS = [
    {"sku": "tea", "category": "茶", "quantity": 2, "amount_fen": 6_000},
    {"sku": "cup", "category": "杯", "quantity": 1, "amount_fen": 4_000},
]
WORDS = "茶很香，杯子也好看，下次还来"


@pytest.fixture
def paying(shop):
    """Each approved review brings ten points."""
    shop.publish(a_step("review_approved"), period="each", automatic=True)
    return shop


def write(member, purchase, line=1, text=WORDS, at=SUN):
    key = a_key(member, route="reviews")
    return said(reviews.write(member, purchase, line, 5, text, key=key, now=at))["id"]


def decide(shop, review, approved=True, note="", at=SUN):
    key = a_key(route="decision")
    who = {"staff_id": shop.admin, "key": key}
    answer = reviews.decide(review, approved=approved, note=note, **who, now=at)
    shop.drain(at)
    return said(answer)


@pytest.mark.covers("D6")
def test_a_review_without_a_purchase_is_refused(a_member, shop):
    member = a_member()
    others = shop.buy(a_member(), at=SUN)

    for purchase in (others, others + 1):
        with pytest.raises(NotFound):
            write(member, purchase)

    assert rows(Review.id) == []


@pytest.mark.covers("D6")
def test_a_review_pays_when_it_is_approved_and_not_before(a_member, paying):
    member = a_member()
    review = write(member, paying.buy(member, at=SUN))
    paying.drain(SUN)
    held = paid(member)

    decided = decide(paying, review)

    assert (held, paid(member), decided["state"]) == ([], [10], "approved") and wrong() == []


@pytest.mark.covers("D6")
def test_each_line_pays_once(a_member, paying):
    member = a_member()
    bought = paying.buy(member, 100, at=SUN, items=ITEMS)
    for line in (1, 2):
        decide(paying, write(member, bought, line))

    with pytest.raises(ReviewKnown):
        write(member, bought, 1)

    assert paid(member) == [10, 10] and paying.seen(member, SUN) == (0, 1, "todo")


@pytest.mark.covers("D6")
def test_what_a_review_brought_goes_with_the_refund_of_its_line(a_member, paying):
    member = a_member()
    bought = paying.buy(member, 100, at=SUN, items=ITEMS)
    for line in (1, 2):
        decide(paying, write(member, bought, line))

    paying.refund(bought, items=[{"sku": "tea", "quantity": 1}], at=MON)
    half = paid(member)
    refund = paying.refund(bought, items=[{"sku": "tea", "quantity": 1}], at=MON)
    gone = paid(member)
    paying.undo("refund", refund, at=MON)

    assert (half, gone) == ([10, 10], [10, 10, -10]) and paid(member) == [10, 10, -10, 10]
    assert claims(member) == ["taken_back", "claimed", "claimed"] and wrong() == []


@pytest.mark.parametrize("how", ["refund", "undo"])
def test_what_reviews_brought_goes_with_the_whole_receipt(a_member, paying, how):
    member = a_member()
    bought = paying.buy(member, 100, at=SUN)
    decide(paying, write(member, bought))

    if how == "refund":
        paying.refund(bought, at=SUN)
    else:
        paying.undo("purchase", bought, at=SUN)

    assert paid(member) == [10, -10] and wrong() == []


def test_a_rejected_review_says_why_pays_nothing_and_makes_room(a_member, paying):
    member = a_member()
    bought = paying.buy(member, at=SUN)

    decided = decide(paying, write(member, bought), approved=False, note="与商品无关")
    nothing = paid(member)
    told = count(Event, Event.kind == "review_approved")
    decide(paying, write(member, bought))

    assert (decided["state"], decided["note"], nothing) == ("rejected", "与商品无关", [])
    assert (told, paid(member)) == (0, [10])


def test_a_review_is_decided_once(a_member, paying):
    member = a_member()
    review = write(member, paying.buy(member, at=SUN))
    decide(paying, review)

    with pytest.raises(ReviewDecided):
        decide(paying, review, approved=False, note="不当")
    with pytest.raises(NotFound):
        decide(paying, review + 1)

    assert one(Review.state) == "approved" and paid(member) == [10]


def test_a_review_is_long_enough_blanks_not_counted(a_member, shop, tune):
    tune("review_min_chars", 5)
    member = a_member()
    bought = shop.buy(member, at=SUN)

    with pytest.raises(ReviewTooShort) as refusal:
        write(member, bought, text="很 好 喝  的")

    assert refusal.value.details == {"min_chars": 5, "short_by": 1}
    assert write(member, bought, text="非 常 好 喝 的")


def test_a_line_that_is_not_on_the_receipt_is_refused(a_member, shop):
    member = a_member()
    bought, plain = shop.buy(member, 100, at=SUN, items=ITEMS), shop.buy(member, at=SUN)

    for purchase, line in ((bought, 3), (plain, 2)):
        with pytest.raises(LineUnknown):
            write(member, purchase, line)


def test_an_undone_receipt_can_not_be_reviewed(a_member, shop):
    member = a_member()
    bought = shop.buy(member, at=SUN)
    shop.undo("purchase", bought, at=SUN)

    with pytest.raises(NotFound):
        write(member, bought)


def test_of_two_reviews_of_a_line_at_once_one_stands(app, a_member, shop):
    member = a_member()
    bought = shop.buy(member, at=SUN)

    told = together(app, [lambda: write(member, bought)] * 3)

    assert sum(isinstance(each, int) for each in told) == 1
    assert sum(isinstance(each, ReviewKnown) for each in told) == 2


def test_the_database_refuses_a_second_review_and_one_rejected_without_reason(a_member, shop):
    member = a_member()
    write(member, shop.buy(member, at=SUN))
    columns = [each for each in Review.__table__.columns if each.name != "id"]
    names = [each.name for each in columns]

    with pytest.raises(IntegrityError):
        by_hand(sa.insert(Review).from_select(names, sa.select(*columns)))
    with pytest.raises(IntegrityError):
        by_hand(sa.update(Review).values(state="rejected", decided_at=SUN))


def test_reviews_follow_a_member_who_becomes_part_of_another(a_member, paying):
    source, target = a_member(), a_member()
    bought = paying.buy(source, at=SUN)
    decide(paying, write(source, bought))

    merges.merge(target, source, "同一人", actor="staff:1", key=a_key(route="m"), now=SUN)
    paying.refund(bought, at=SUN)

    assert one(Review.member_id) == target and paid(target) == [-10] and wrong() == []
