"""Tiers when two members become one, and when what was done at a till is undone."""

import pytest

from mall import benefits, merges, refunds, tiers, undo
from mall.purchases import Receipt, record_one
from models import GrowthCount, TierStanding, TillAction
from tests.makers import a_key
from tests.mall.books import clerk, one, rows, said, wrong
from tests.mall.tier_books import changes, day, days, growth, shop, tier

__all__ = ["shop"]
JAN = day("2027-01-10")
ROLLING = {"window_kind": "rolling", "window_days": 30}
VISITS = {"growth_per_yuan": 1, "growth_per_visit": 10}
TRIAL = {"code": "trial", "name": "新品试用", "uses": 2, "period": "month"}


def join(from_id, into_id, at):
    key = a_key(route="merge")
    merges.merge(into_id, from_id, "同一人", actor="staff:1", key=key, now=at)


@pytest.fixture
def rolling(shop):
    shop.rules(at=JAN, **ROLLING)
    shop.review(JAN)
    return shop


# two become one


@pytest.mark.covers("B2")
def test_growth_of_a_merged_member_counts_in_the_window_it_was_earned_in(a_member, rolling):
    old, new = a_member(), a_member()
    rolling.buy(old, 900, at=JAN)
    rolling.buy(new, 500, at=JAN + days(40))

    join(old, new, JAN + days(40))

    assert (growth(new), growth(old), tier(new)) == (1_400, 0, "base")
    rolling.buy(new, 500, at=JAN + days(41))
    assert tier(new) == "silver" and wrong() == []


def test_a_tier_that_both_reach_together_is_reached_at_once(a_member, rolling):
    one_, other = a_member(), a_member()
    for member in (one_, other):
        rolling.buy(member, 600, at=JAN)

    join(one_, other, JAN)

    assert tier(other) == "silver" and changes(other) == [("base", "silver", "merge")]


@pytest.mark.covers("B5")
def test_the_higher_tier_stays_until_its_own_day(a_member, rolling):
    gold, base = a_member(), a_member()
    rolling.buy(gold, 5000, at=JAN)
    until = one(TierStanding.review_at, TierStanding.member_id == gold)

    join(gold, base, JAN + days(10))

    assert tier(base) == "gold"
    assert rows(TierStanding.member_id, TierStanding.review_at) == [(base, until)]
    rolling.review(until)
    assert tier(base) == "silver" and wrong() == []


def test_a_tier_by_hand_goes_along_and_ends_when_it_was_to_end(a_member, rolling):
    granted, into = a_member(), a_member()
    rolling.grant(granted, "diamond", JAN + days(5), at=JAN)

    join(granted, into, JAN + days(1))

    assert tier(into) == "diamond"
    rolling.review(JAN + days(5))
    assert tier(into) == "base"


def test_a_refund_after_the_merge_takes_what_its_receipt_gave(a_member, rolling):
    old, new = a_member(), a_member()
    receipt = rolling.buy(old, 1500, at=JAN)
    join(old, new, JAN)

    rolling.refund(receipt, 1500, at=JAN)

    assert growth(new) == 0 and wrong() == []


def test_counting_anew_finds_nothing_to_correct_after_a_merge(a_member, shop):
    old, new = a_member(), a_member()
    shop.rules(at=JAN, **VISITS)
    shop.review(JAN)
    shop.buy(old, 100, at=JAN)
    shop.buy(new, 50, at=JAN + days(1))
    join(old, new, JAN + days(2))

    shop.rules(at=JAN + days(3), recount=True, **VISITS, note="again")
    shop.review(JAN + days(3))

    assert growth(new) == 170 and wrong() == []


def test_uses_of_both_can_be_used_by_the_one_who_is_left(a_member, shop):
    old, new = a_member(), a_member()
    version = tiers.perks.find("base")["version"]
    quotas, who = {"quotas": [TRIAL]}, {"staff_id": shop.admin, "now": JAN}
    tiers.perks.change("base", quotas, version=version, **who)
    for member in (old, new):
        benefits.usable(member, now=JAN)

    join(old, new, JAN)

    assert [each["uses_left"] for each in benefits.usable(new, now=JAN)] == [4] and wrong() == []


# undone


@pytest.fixture
def till(shop, hired):
    shop.rules(at=JAN, **VISITS)
    shop.review(JAN)
    by = clerk(hired["clerk-a"])

    class Till:
        def buy(self, member, receipt_no):
            receipt = Receipt(shop.store, receipt_no, member, 100_000, JAN, staff_id=by.id)
            return said(record_one(receipt, key=a_key(route="buy"), now=JAN))["id"]

        def refund(self, purchase, fen):
            key = a_key(route="refund")
            return said(refunds.refund(purchase, fen, clerk=by, key=key, now=JAN))["id"]

        def undo(self, kind, ref_id):
            where = [TillAction.kind == kind, TillAction.ref_id == ref_id]
            action = rows(TillAction.id, where=where)[0][0]
            undo.undo(action, "录错了", staff=by, key=a_key(route="undo"), now=JAN)

    return Till()


@pytest.mark.covers("B2", "G4")
def test_an_undone_receipt_leaves_neither_growth_nor_visit_nor_tier(a_member, till):
    member = a_member()
    bought = till.buy(member, "R1")
    assert (growth(member), tier(member)) == (1_010, "silver")

    till.undo("purchase", bought)

    assert (growth(member), tier(member)) == (0, "base")
    assert rows(GrowthCount.times, GrowthCount.growth_value) == [(0, 0)] and wrong() == []


def test_a_visit_stays_as_long_as_a_receipt_of_the_day_does(a_member, till):
    member = a_member()
    first, second = (till.buy(member, number) for number in ("R1", "R2"))

    till.undo("purchase", first)
    left = growth(member)
    till.undo("purchase", second)

    assert (left, growth(member)) == (1_010, 0) and wrong() == []


def test_an_undone_refund_gives_growth_visit_and_tier_again(a_member, till):
    member = a_member()
    bought = till.buy(member, "R1")
    for fen in (30_000, 70_000):
        last = till.refund(bought, fen)
    assert (growth(member), tier(member)) == (0, "base")

    till.undo("refund", last)

    assert growth(member) == 710 and one(GrowthCount.times) == 1
    till.undo("refund", one_refund(bought))
    assert (growth(member), tier(member)) == (1_010, "silver") and wrong() == []
    till.refund(bought, 100_000)
    assert (growth(member), one(GrowthCount.times)) == (0, 0)


def one_refund(purchase):
    where = [TillAction.kind == "refund", TillAction.undone_at.is_(None)]
    return rows(TillAction.ref_id, where=where)[0][0]


def test_a_visit_that_another_receipt_made_meanwhile_is_not_given_twice(a_member, till):
    member = a_member()
    bought = till.buy(member, "R1")
    refund = till.refund(bought, 100_000)
    till.buy(member, "R2")

    till.undo("refund", refund)

    assert growth(member) == 2_010 and one(GrowthCount.times) == 2 and wrong() == []
