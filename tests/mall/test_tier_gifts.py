"""The gift of a tier: once for each tier that is reached, not on keeping it, back with a refund."""

import pytest

from mall import bundles, rewards, tier_gifts, tiers
from models import GivenBundle
from tests.makers import a_key
from tests.mall.books import balance, count, rows, said, wrong
from tests.mall.tier_books import day, days, shop, tier

__all__ = ["shop"]
JAN = day("2027-01-10")
END = day("2027-02-10", 0)


@pytest.fixture
def gifted(shop):
    """A shop whose silver and gold tiers give points; tiers are kept for thirty days."""
    for code, points in (("silver", 11), ("gold", 22)):
        parts = {"code": f"to-{code}", "name": "升级礼", "points": points}
        values = {"growth_value": 0, "rewards": [], "benefits": [], **parts}
        who = {"staff_id": shop.admin, "key": a_key(route="bundles")}
        said(bundles.publish(values, **who, now=JAN))
        tune(shop, code, gift_bundle=f"to-{code}")
    shop.rules(at=JAN, window_kind="rolling", window_days=30)
    shop.review(JAN)
    return shop


def tune(shop, code, **values):
    version = tiers.perks.find(code)["version"]
    tiers.perks.change(code, values, version=version, staff_id=shop.admin, now=JAN)


def gifts(member):
    gift = GivenBundle
    return rows(gift.state, where=[gift.member_id == member], order=gift.id)


@pytest.mark.covers("B12")
def test_an_upgrade_gives_its_gift_once_however_often_it_is_told(a_member, gifted):
    member = a_member()
    gifted.buy(member, 1000, at=JAN)

    gifted.drain(JAN)
    gifted.drain(JAN)

    assert gifts(member) == [("given",)] and balance(member) == 1011 and wrong() == []


@pytest.mark.covers("B12")
def test_a_jump_gives_the_gift_of_each_tier_that_was_passed(a_member, gifted):
    member = a_member()
    gifted.buy(member, 20_000, at=JAN)  # diamond has no gift

    gifted.drain(JAN)

    assert balance(member) == 20_000 + 11 + 22


@pytest.mark.covers("B12")
@pytest.mark.parametrize(("each_time", "given"), [(False, 1), (True, 2)])
def test_keeping_gives_none_and_coming_back_gives_what_the_tier_says(
    a_member, gifted, each_time, given
):
    member = a_member()
    tune(gifted, "silver", gift_each_time=each_time)
    gifted.buy(member, 1000, at=JAN)
    gifted.buy(member, 1000, at=JAN + days(1))
    gifted.review(END)  # kept
    gifted.drain(END)
    assert tier(member) == "silver" and len(gifts(member)) == 1
    gifted.review(END + days(30))  # lost
    assert tier(member) == "base"

    gifted.buy(member, 1000, at=END + days(40))
    gifted.drain(END + days(40))

    assert tier(member) == "silver" and len(gifts(member)) == given


@pytest.mark.covers("B12")
def test_a_refund_takes_back_the_gift_of_the_rise_it_undid_and_the_next_rise_gives_it(
    a_member, gifted
):
    member = a_member()
    bought = gifted.buy(member, 5000, at=JAN)
    gifted.drain(JAN)
    assert balance(member) == 5033

    gifted.refund(bought, 4000, at=JAN)
    gifted.drain(JAN)
    assert (tier(member), balance(member)) == ("silver", 1011)
    gifted.refund(bought, 1000, at=JAN)
    gifted.drain(JAN)

    assert (tier(member), balance(member)) == ("base", 0)
    gifted.buy(member, 1000, at=JAN)
    gifted.drain(JAN)
    assert balance(member) == 1011 and wrong() == []


def test_a_tier_without_a_gift_gives_none(a_member, shop):
    member = a_member()
    shop.buy(member, 1000, at=JAN)

    shop.drain(JAN)

    assert tier(member) == "silver" and count(GivenBundle) == 0


# what was sold out


@pytest.fixture
def a_cup(a_reward, gifted):
    """A cup that silver gives, of which there are none yet; answers what stocks it."""
    cup = a_reward(units=0)
    parts = {"code": "cup", "name": "升级礼", "points": 0, "growth_value": 0, "benefits": []}
    values = {**parts, "rewards": [{"reward_id": cup.id, "quantity": 1}]}
    bundles.publish(values, staff_id=gifted.admin, key=a_key(route="bundles"), now=JAN)
    tune(gifted, "silver", gift_bundle="cup")

    def stock(units):
        move = {"quantity": units, "reason": "purchase", "note": "", "unit_cost_fen": None}
        rewards.move_stock(cup.id, move, staff_id=gifted.admin, key=a_key(), now=JAN)

    return stock


@pytest.mark.covers("B12")
def test_a_gift_that_was_sold_out_comes_when_it_is_there_and_once(a_member, gifted, a_cup):
    member = a_member()
    gifted.buy(member, 1000, at=JAN)
    gifted.drain(JAN)
    early = tier_gifts.catch_up(now=JAN + days(1)), gifts(member)

    a_cup(5)
    late = [tier_gifts.catch_up(now=JAN + days(n)) for n in (2, 3)]

    assert (early, late, gifts(member)) == ((0, []), [1, 0], [("given",)]) and wrong() == []


@pytest.mark.parametrize("why", ["undone", "lost", "late"])
def test_who_no_longer_has_the_tier_or_rose_long_ago_is_given_nothing(a_member, gifted, a_cup, why):
    member = a_member()
    bought = gifted.buy(member, 1000, at=JAN)
    gifted.drain(JAN)
    a_cup(5)
    if why == "undone":
        gifted.refund(bought, 1000, at=JAN)
    elif why == "lost":
        gifted.review(END)

    at = {"undone": JAN, "lost": END, "late": JAN + days(8)}[why]

    assert tier_gifts.catch_up(now=at) == 0 and gifts(member) == []


def test_a_gift_that_was_taken_back_is_not_given_again(a_member, gifted):
    member = a_member()
    bought = gifted.buy(member, 1000, at=JAN)
    gifted.drain(JAN)
    gifted.refund(bought, 1000, at=JAN)
    gifted.drain(JAN)

    assert tier_gifts.catch_up(now=JAN + days(1)) == 0 and gifts(member) == [("taken_back",)]
