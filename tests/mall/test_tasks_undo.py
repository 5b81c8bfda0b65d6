"""Refunds and undo: what a task gave for what is gone goes too, as far as it is not used."""

import pytest

from mall import merges, tasks, vouchers
from mall.errors import TaskClaimed, TaskUnfinished
from mall.events import Refunded, record
from models import Redemption, TaskClaim, Voucher
from tests.makers import a_key
from tests.mall.books import balance, count, one, rows, units_left, wrong
from tests.mall.task_books import MON, SUN, a_step, claims, days, marks, paid, shop

__all__ = ["shop"]
WINDOW = {"period": "window", "starts_on": SUN.date(), "ends_on": (SUN + days(6)).date()}
ITEMS = [
    {"sku": "tea", "category": "茶", "quantity": 2, "amount_fen": 80_000},
    {"sku": "cup", "category": "杯", "quantity": 1, "amount_fen": 20_000},
]
AFTER = SUN + days(20)


@pytest.fixture
def cup(a_shelf):
    return a_shelf(units=5)


@pytest.fixture
def gift(shop, cup):
    """For a thousand yuan within the window there is a cup."""
    shop.bundle(rewards=[{"reward_id": cup, "quantity": 1}])
    step = a_step("purchase_amount", 1_000_00)
    return shop.publish(step, **WINDOW, points=0, bundle_code="gift", automatic=True, title="满千")


def use_voucher(shop, member, at):
    ((voucher,),) = rows(Voucher, where=[Voucher.member_id == member])
    code = vouchers.code_of(voucher)
    vouchers.use(code, clerk=shop.clerk, key=a_key(route="use"), now=at)


@pytest.mark.covers("D7")
def test_a_thousand_yuan_in_the_window_bring_the_gift_once(a_member, shop, gift, cup):
    member = a_member()
    shop.buy(member, 999, at=SUN)
    none = count(Voucher)

    for _ in range(3):
        shop.buy(member, 1, at=MON)

    assert (none, count(Voucher), units_left(cup)) == (0, 1, 4)
    assert claims(member) == ["claimed"] and wrong() == []


@pytest.mark.covers("D7")
def test_a_refund_below_the_target_takes_back_the_gift_that_is_not_used(a_member, shop, gift, cup):
    member = a_member()
    bought = shop.buy(member, 1_000, at=SUN)

    shop.refund(bought, 1, at=MON)

    assert rows(Voucher.state) == [("void",)] and rows(Redemption.state) == [("cancelled",)]
    assert claims(member) == ["taken_back"] and units_left(cup) == 5 and wrong() == []
    assert shop.seen(member, MON) == (999_00, 1_000_00, "todo")


@pytest.mark.covers("D7")
def test_a_gift_that_was_used_stays_and_no_second_one_is_given(a_member, shop, gift, cup):
    member = a_member()
    bought = shop.buy(member, 1_000, at=SUN)
    use_voucher(shop, member, SUN)

    shop.refund(bought, at=MON)
    kept = rows(TaskClaim.state, TaskClaim.note)
    shop.buy(member, 1_000, at=MON)

    assert kept == [("kept", "gift_used")] and claims(member) == ["claimed"]
    assert count(Voucher) == 1 and units_left(cup) == 4 and wrong() == []


@pytest.mark.covers("D7")
def test_a_refund_that_leaves_enough_takes_nothing(a_member, shop, gift):
    member = a_member()
    bought = shop.buy(member, 1_200, at=SUN)

    shop.refund(bought, 200, at=AFTER)

    assert claims(member) == ["claimed"] and marks(member) == [("s", "2027-01-10", 1_000_00)]


def test_a_refund_after_the_window_counts_as_well(a_member, shop, gift):
    member = a_member()
    bought = shop.buy(member, 1_000, at=SUN)

    shop.refund(bought, 500, at=AFTER)

    assert claims(member) == ["taken_back"] and rows(Voucher.state) == [("void",)]


def test_an_undone_refund_gives_the_gift_again(a_member, shop, gift, cup):
    member = a_member()
    refund = shop.refund(shop.buy(member, 1_000, at=SUN), 500, at=SUN)

    shop.undo("refund", refund, at=SUN)

    assert claims(member) == ["taken_back", "claimed"] and units_left(cup) == 4
    assert count(Voucher, Voucher.state == "issued") == 1 and wrong() == []


def test_an_undone_receipt_takes_back_all_it_led_to(a_member, shop, gift, cup):
    member = a_member()
    bought = shop.buy(member, 1_000, at=SUN)

    shop.undo("purchase", bought, at=SUN)

    assert claims(member) == ["taken_back"] and units_left(cup) == 5
    assert marks(member) == [("s", "2027-01-10", 0)] and wrong() == []


@pytest.mark.parametrize(
    ("only", "kept"),
    [({"skus": ["tea"]}, 40_000), ({"categories": ["杯"]}, 20_000), ({}, 60_000)],
)
def test_a_refund_of_an_item_takes_off_what_that_item_counted(a_member, shop, only, kept):
    member = a_member()
    shop.publish(a_step("purchase_amount", 10**8, **only))
    bought = shop.buy(member, 1_000, at=SUN, items=ITEMS)

    shop.refund(bought, items=[{"sku": "tea", "quantity": 1}], at=SUN)

    assert marks(member) == [("s", "once", kept)]


def test_a_receipt_below_its_minimum_after_a_refund_counts_no_more(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count", 9, min_amount_fen=100_00))
    bought = shop.buy(member, 100, at=SUN)

    shop.refund(bought, 1, at=SUN)

    assert shop.seen(member, SUN) == (0, 9, "todo")


def test_points_go_back_though_they_are_spent_and_the_rest_is_owed(a_member, shop):
    member, task = a_member(), shop.publish(a_step("purchase_count"), points=500)
    bought = shop.buy(member, 100, at=SUN)
    shop.claim(member, task, SUN)

    shop.refund(bought, at=SUN)

    assert paid(member) == [500, -500] and balance(member) == 0 and wrong() == []
    with pytest.raises(TaskUnfinished):
        shop.claim(member, task, SUN)


def test_what_was_claimed_by_hand_is_there_again_where_the_refund_is_undone(a_member, shop):
    member, task = a_member(), shop.publish(a_step("purchase_count"), period="daily")
    bought = shop.buy(member, at=SUN)
    shop.claim(member, task, SUN)
    refund = shop.refund(bought, at=SUN)

    shop.undo("refund", refund, at=SUN)

    assert paid(member) == [10, -10, 10] and one(TaskClaim.id, TaskClaim.state == "claimed")
    with pytest.raises(TaskClaimed):
        shop.claim(member, task, SUN)


def test_an_undone_refund_gives_again_to_whom_the_member_became_part_of(a_member, shop):
    source, target = a_member(), a_member()
    task = shop.publish(a_step("purchase_count"))
    bought = shop.buy(source, at=SUN)
    shop.claim(source, task, SUN)
    refund = shop.refund(bought, at=SUN)
    merges.merge(target, source, "同一人", actor="staff:1", key=a_key(route="m"), now=SUN)

    shop.undo("refund", refund, at=SUN)

    assert (paid(source), paid(target)) == ([10, -10], [10]) and wrong() == []


def test_what_nobody_claimed_is_not_given_by_an_undone_refund(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count"))
    refund = shop.refund(shop.buy(member, at=SUN), at=SUN)

    shop.undo("refund", refund, at=SUN)

    assert paid(member) == [] and shop.seen(member, SUN) == (1, 1, "claimable")


def test_a_refund_told_twice_takes_back_once(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count"), automatic=True)
    bought = shop.buy(member, at=SUN)
    shop.refund(bought, at=SUN)

    record(Refunded(member, bought, 100_00, 0), now=SUN)
    shop.drain(SUN)

    assert paid(member) == [10, -10] and wrong() == []


def test_what_an_ordered_step_made_possible_goes_with_it(a_member, shop):
    member = a_member()
    steps = (a_step("purchase_count", code="buy"), a_step("check_in", code="in"))
    shop.publish(*steps, ordered=True, automatic=True)
    bought = shop.buy(member, at=SUN)
    shop.check_in(member, at=SUN + days(1) / 24)

    shop.refund(bought, at=SUN + days(1) / 12)

    assert paid(member) == [10, -10] and shop.seen(member, SUN + days(1) / 12)[0] == 0


def test_a_task_that_was_ended_still_takes_back(a_member, shop):
    member, version = a_member(), shop.write(a_step("purchase_count"), automatic=True)
    bought = shop.buy(member, at=SUN)
    who = {"staff_id": shop.admin, "key": a_key(route="retire")}
    tasks.retire(version["id"], **who, now=MON)

    shop.refund(bought, at=MON)

    assert paid(member) == [10, -10]


def test_a_receipt_that_was_refunded_before_it_was_told_counts_when_the_refund_is_undone(
    a_member, shop
):
    member = a_member()
    shop.publish(a_step("purchase_count", 2))
    receipt = shop.buy(member, at=SUN, told=False)
    refund = shop.refund(receipt, at=SUN)
    before = shop.seen(member, SUN)

    shop.undo("refund", refund, at=SUN)

    assert (before, shop.seen(member, SUN)) == ((0, 2, "todo"), (1, 2, "todo"))
