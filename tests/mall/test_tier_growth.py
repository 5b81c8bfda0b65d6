"""Growth by the formula: money, visits, activities; and the rises it makes, and a refund undoes."""

import pytest
import sqlalchemy as sa

from mall import checkins, clock, redemptions, tiers
from mall.atomic import atomic
from mall.events import TierChanged
from mall.tiers import Growth
from models import Account, Event, GrowthCount, GrowthEntry, Purchase, TierStanding
from tests.makers import a_key
from tests.mall.books import ask, by_hand, count, entries, rows, said, spend, wrong
from tests.mall.tier_books import changes, day, days, growth, shop, tier
from tests.mall.together import together

__all__ = ["shop"]
JAN = day("2027-01-10")
MIXED = {
    "growth_per_yuan": 2,
    "growth_per_visit": 10,
    "activities": [{"kind": "check_in", "growth": 3, "daily_cap": 3}],
    "spend_weight_percent": 50,
    "visit_weight_percent": 200,
    "activity_weight_percent": 100,
}


def grow(member, value, *, at, kind="adjust", ref="1"):
    with atomic():
        tiers.grow_many([Growth(member, value, kind, "test", ref)], now=at)


def facts(kind="tier_changed"):
    return rows(Event.payload, where=[Event.kind == kind], order=Event.id)


# the formula


@pytest.mark.covers("B2")
def test_growth_is_the_weighted_sum_of_money_visits_and_activities(a_member, shop):
    member = a_member()
    shop.rules(at=JAN, **MIXED)

    shop.buy(member, 101, at=JAN)  # 101 × 2 × 50 % + a visit: 10 × 200 %
    shop.buy(member, 50, at=JAN)  # 50 × 2 × 50 %, the same visit
    shop.buy(member, 1, at=JAN + days(1))  # 1 + another visit
    checkins.check_in(member, key=a_key(text=None), now=JAN)  # 3
    shop.drain(JAN)

    assert growth(member) == 101 + 20 + 50 + 1 + 20 + 3
    assert wrong() == []


@pytest.mark.covers("B2")
def test_another_weight_counts_what_happened_anew_where_the_version_says_so(a_member, shop):
    member = a_member()
    first = shop.buy(member, 100, at=JAN)
    shop.buy(member, 33, at=JAN)
    shop.buy(member, 10, at=JAN + days(1))
    shop.refund(first, 50, at=JAN + days(2))
    assert growth(member) == 100 + 33 + 10 - 50

    shop.rules(at=JAN + days(3), recount=True, **{**MIXED, "growth_per_yuan": 4})
    shop.review(JAN + days(3))
    after = growth(member)
    again = shop.review(JAN + days(4))

    # what is left of 100, 33 and 10 at 4 × 50 % each, and two days of visits at 20
    assert after == 100 + 66 + 20 + 40 and again == 0
    assert wrong() == []
    shop.refund(first, 50, at=JAN + days(5))  # the 33 of that day keep its visit
    assert growth(member) == 66 + 20 + 40 and wrong() == []


def test_without_recounting_entries_keep_what_their_version_gave(a_member, shop):
    member = a_member()
    shop.buy(member, 100, at=JAN)

    shop.rules(at=JAN + days(1), growth_per_yuan=3)
    shop.review(JAN + days(1))
    shop.buy(member, 100, at=JAN + days(2))

    assert rows(GrowthEntry.delta_value, GrowthEntry.rule_version, order=GrowthEntry.id) == [
        (100, 1),
        (300, 2),
    ]


def test_an_activity_gives_up_to_the_cap_of_its_day(a_member, a_shelf, redeem, shop):
    member, cup = a_member(points=99), a_shelf(units=9)
    now = clock.now()
    activity = {"kind": "redeem", "growth": 4, "daily_cap": 10}
    shop.rules(at=now, activities=[activity])

    for _ in range(4):
        redeem(member, cup)
    shop.drain(now)

    assert rows(GrowthEntry.delta_value, order=GrowthEntry.id) == [(4,), (4,), (2,)]
    assert rows(GrowthCount.times, GrowthCount.growth_value) == [(4, 10)] and wrong() == []


def test_an_activity_that_is_undone_gives_back_what_it_gave(a_member, a_shelf, shop):
    member, cup = a_member(points=99), a_shelf(units=9)
    now = clock.now()
    shop.rules(at=now, activities=[{"kind": "redeem", "growth": 4, "daily_cap": 6}])
    trades = [said(redemptions.redeem(ask(member, cup), now=now))["id"] for _ in range(2)]
    shop.drain(now)
    assert growth(member) == 6

    redemptions.cancel(member, trades[1], key=a_key(member), now=now)
    shop.drain(now)

    assert growth(member) == 4 and wrong() == []


def test_what_was_cancelled_before_it_was_told_gives_nothing(a_member, a_shelf, shop):
    member, cup = a_member(points=99), a_shelf(units=9)
    now = clock.now()
    shop.rules(at=now, activities=[{"kind": "redeem", "growth": 4, "daily_cap": None}])
    trade = said(redemptions.redeem(ask(member, cup), now=now))["id"]
    redemptions.cancel(member, trade, key=a_key(member), now=now)

    shop.drain(now)

    assert growth(member) == 0 and count(GrowthEntry) == 0


@pytest.mark.covers("B3")
def test_points_that_are_spent_lower_no_growth_and_a_refund_lowers_both(a_member, shop):
    member = a_member()
    bought = shop.buy(member, 300, at=JAN)
    spend(member, 100, "cup", now=JAN)
    assert growth(member) == 300

    back = shop.refund(bought, 100, at=JAN)

    assert (back["points_taken"], back["growth_taken"]) == (100, 100)
    assert (growth(member), entries(member)[-1][1]) == (200, -100) and wrong() == []


def test_a_day_is_a_visit_until_its_last_receipt_is_refunded(a_member, shop):
    member = a_member()
    shop.rules(at=JAN, growth_per_visit=10)
    first, second = shop.buy(member, 5, at=JAN), shop.buy(member, 7, at=JAN)

    shop.refund(first, 5, at=JAN)
    with_one = growth(member)
    shop.refund(second, 3, at=JAN)
    in_part = growth(member)
    shop.refund(second, 4, at=JAN)
    gone = growth(member)
    shop.buy(member, 1, at=JAN)

    assert (with_one, in_part, gone, growth(member)) == (17, 14, 0, 11) and wrong() == []


def test_many_receipts_of_one_day_at_once_are_one_visit(app, a_member, shop):
    member = a_member()
    shop.rules(at=JAN, growth_per_visit=10)

    together(app, [lambda: shop.buy(member, 1, at=JAN)] * 8)

    assert growth(member) == 8 + 10 and count(Purchase) == 8 and wrong() == []


# rising


@pytest.mark.covers("B4", "A9")
def test_reaching_a_threshold_tells_one_fact_and_writes_one_row(a_member, shop):
    member = a_member()

    shop.buy(member, 6000, at=JAN)
    shop.buy(member, 1, at=JAN)

    assert changes(member) == [("base", "gold", "growth")]
    told = [payload for (payload,) in facts()]
    assert [(each["tier_before"], each["tier_after"]) for each in told] == [("base", "gold")]
    assert told[0]["direction"] == "up" and TierChanged.kind == "tier_changed"


def test_where_the_rise_fails_the_purchase_is_not_in_the_books(a_member, shop, monkeypatch):
    member = a_member()
    monkeypatch.setattr("mall.tiers.grow.move_many", lambda *_, **__: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        shop.buy(member, 1000, at=JAN)

    assert (growth(member), tier(member), count(Purchase)) == (0, "base", 0)


def test_only_growth_of_the_window_leads_up(a_member, shop):
    member = a_member()
    shop.rules(at=JAN, window_kind="rolling", window_days=30)
    shop.buy(member, 999, at=JAN)

    shop.buy(member, 1, at=JAN + days(30))
    late = tier(member)
    shop.buy(member, 998, at=JAN + days(59))
    short = tier(member)
    shop.buy(member, 1, at=JAN + days(59))

    assert (late, short, tier(member)) == ("base", "base", "silver")


def test_a_receipt_counts_on_the_day_it_was_paid(a_member, shop):
    member = a_member()
    shop.rules(at=JAN, window_kind="year")

    shop.buy(member, 5000, at=JAN, paid_at=day("2026-12-31", 23))
    last_year = tier(member)
    shop.buy(member, 1000, at=JAN, paid_at=day("2027-01-01", 0))

    assert (last_year, tier(member), growth(member)) == ("base", "silver", 6000)


# falling with a refund


@pytest.mark.covers("B3", "B4")
def test_a_refund_takes_the_rise_that_only_it_had_made(a_member, shop):
    member = a_member()
    shop.rules(at=JAN, window_kind="rolling", window_days=365)
    shop.buy(member, 1000, at=JAN)
    kept = rows(TierStanding.tier_code, TierStanding.review_at)
    big = shop.buy(member, 4000, at=JAN + days(3))
    assert tier(member) == "gold"

    shop.refund(big, 1, at=JAN + days(4))

    assert tier(member) == "silver" and rows(TierStanding.tier_code, TierStanding.review_at) == kept
    assert changes(member)[1:] == [("silver", "gold", "growth"), ("gold", "silver", "refund")]
    assert wrong() == []


def test_refunds_of_several_rises_undo_them_one_after_the_other(a_member, shop):
    """Whatever the order: when all money is back, nothing is left of what it made."""
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        member = a_member()
        bought = [shop.buy(member, yuan, at=JAN) for yuan in (1000, 4000, 15_000)]
        assert tier(member) == "diamond" and len(changes(member)) == 3

        for number in order:
            shop.refund(bought[number], (1000, 4000, 15_000)[number], at=JAN)

        assert (tier(member), growth(member)) == ("base", 0)
        assert len([each for each in changes(member) if each[2] == "refund"]) == 3


def test_one_refund_can_undo_two_rises(a_member, shop):
    member = a_member()
    first = shop.buy(member, 4000, at=JAN)
    shop.buy(member, 2000, at=JAN)
    assert [each[1] for each in changes(member)] == ["silver", "gold"]

    shop.refund(first, 3500, at=JAN)
    partly = tier(member)
    shop.refund(first, 500, at=JAN)

    assert (partly, tier(member), growth(member)) == ("silver", "silver", 2000)


def test_a_refund_of_what_did_not_matter_takes_no_tier(a_member, shop):
    member = a_member()
    small = shop.buy(member, 500, at=JAN)
    shop.buy(member, 1000, at=JAN)

    shop.refund(small, 500, at=JAN + days(1))

    assert tier(member) == "silver"


def test_growth_that_came_after_the_rise_keeps_what_a_refund_would_take(a_member, shop):
    member = a_member()
    first = shop.buy(member, 1000, at=JAN)
    shop.buy(member, 1000, at=JAN + days(1))

    shop.refund(first, 1000, at=JAN + days(2))

    assert (tier(member), len(changes(member))) == ("silver", 1)


def test_what_time_took_from_the_window_a_small_refund_does_not_cost(a_member, shop):
    """The rise was made of growth that is still there; that the window went on is the review's."""
    member = a_member()
    shop.rules(at=JAN, window_kind="rolling", window_days=30)
    shop.buy(member, 1000, at=JAN)
    later = shop.buy(member, 10, at=JAN + days(29))

    shop.refund(later, 10, at=JAN + days(30))

    assert tier(member) == "silver"


def test_a_refund_does_not_lower_below_a_tier_given_by_hand(a_member, shop):
    member = a_member()
    shop.grant(member, "silver", at=JAN)
    bought = shop.buy(member, 5000, at=JAN)
    assert tier(member) == "gold"

    shop.refund(bought, 5000, at=JAN)

    assert (tier(member), growth(member)) == ("silver", 0)


def test_a_tier_that_is_kept_by_its_term_is_what_a_refund_falls_back_to(a_member, shop):
    member = a_member()
    shop.rules(at=JAN, window_kind="rolling", window_days=30)
    shop.buy(member, 1000, at=JAN)
    bought = shop.buy(member, 5000, at=JAN + days(30))  # alone in the window by then
    assert tier(member) == "gold"

    shop.refund(bought, 5000, at=JAN + days(30))

    assert tier(member) == "silver"
    assert rows(TierStanding.review_at) == [(day("2027-02-10", 0),)]


def test_a_grant_whose_end_has_come_holds_nobody_though_no_job_has_run(a_member, shop):
    member = a_member()
    shop.grant(member, "silver", JAN + days(1), at=JAN)
    bought = shop.buy(member, 5000, at=JAN)

    shop.refund(bought, 5000, at=JAN + days(1))

    assert tier(member) == "base"


def test_a_jump_over_two_falls_as_far_as_the_growth_that_is_left(a_member, shop):
    member = a_member()
    bought = shop.buy(member, 5000, at=JAN)

    shop.refund(bought, 3000, at=JAN)
    part = tier(member)
    shop.refund(bought, 2000, at=JAN)

    assert (part, tier(member), growth(member)) == ("silver", "base", 0)


def test_growth_of_a_version_that_has_no_numbers_is_none(app, a_member, shop):
    member = a_member()
    shop.rules(at=JAN, growth_per_yuan=0)

    shop.buy(member, 100, at=JAN)
    grow(member, 0, at=JAN)

    assert growth(member) == 0 and count(GrowthEntry) == 0


def test_a_tier_that_was_set_past_the_rules_is_what_was_earned(a_member, shop):
    member = a_member()
    by_hand(sa.update(Account).values(tier_code="gold"))

    shop.buy(member, 1000, at=JAN)

    assert tier(member) == "gold" and changes(member) == []
