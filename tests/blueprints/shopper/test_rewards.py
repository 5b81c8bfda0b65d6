"""The mall's shelf, as one shopper sees it."""

from datetime import timedelta

import pytest

from mall import clock

REWARD = {
    "id",
    "title",
    "description",
    "kind",
    "category",
    "price_points",
    "list_price_points",
    "price_fen",
    "stock_state",
    "units_left",
    "stock_by_store",
    "per_member_limit",
    "limit_period",
    "tier_min",
    "opens_at",
    "closes_at",
    "affordable",
    "short_by",
    "locked_reason",
    "image_url",
}
DAY = timedelta(days=1)


def shown(shopper, reward, **headers: str) -> dict:
    return shopper.get(f"/rewards/{reward.id}", headers=headers).json


@pytest.mark.covers("E1")
def test_a_reward_tells_all_the_contract_says(as_shopper, a_reward):
    reward = a_reward(
        title="杯子", price_points=100, units=6, category="家居", image_url="/cup.png"
    )

    seen = shown(as_shopper("one"), reward)

    assert set(seen) == REWARD
    assert seen == {
        "id": reward.id,
        "title": "杯子",
        "description": "",
        "kind": "pickup",
        "category": "家居",
        "price_points": 100,
        "list_price_points": 100,
        "price_fen": 0,
        "stock_state": "plenty",
        "units_left": 6,
        "stock_by_store": False,
        "per_member_limit": None,
        "limit_period": "ever",
        "tier_min": None,
        "opens_at": None,
        "closes_at": None,
        "affordable": False,
        "short_by": 100,
        "locked_reason": None,
        "image_url": "/cup.png",
    }


@pytest.mark.covers("E1")
def test_what_a_shopper_can_pay_for_is_marked(as_shopper, a_reward, grant_points):
    shopper = as_shopper("one")
    grant_points(shopper, 100)
    prices = [0, 100, 101]
    rewards = [a_reward(price_points=price) for price in prices]

    seen = [shown(shopper, reward) for reward in rewards]

    assert [(r["affordable"], r["short_by"]) for r in seen] == [(True, 0), (True, 0), (False, 1)]


@pytest.mark.covers("E1")
def test_the_shelf_can_be_narrowed_to_what_one_can_or_can_not_pay_for(
    as_shopper, a_reward, grant_points
):
    shopper = as_shopper("one")
    grant_points(shopper, 100)
    cheap, dear = a_reward(price_points=100), a_reward(price_points=101)

    def ids(query: str) -> list[int]:
        return [row["id"] for row in shopper.get(f"/rewards?{query}").json["items"]]

    assert ids("affordable=true") == [cheap.id]
    assert ids("affordable=false") == [dear.id]
    assert ids("") == [cheap.id, dear.id]


@pytest.mark.covers("E1")
def test_the_shelf_can_be_narrowed_to_a_category(as_shopper, a_reward):
    cup, _tea = a_reward(category="家居"), a_reward(category="饮料")
    shopper = as_shopper("one")

    answers = [shopper.get(f"/rewards?category={c}") for c in ("家居", "书")]

    assert [[row["id"] for row in a.json["items"]] for a in answers] == [[cup.id], []]


def test_a_filter_that_can_not_be_read_is_refused(as_shopper):
    shopper = as_shopper("one")
    wrong = ["affordable=maybe", "affordable=", "category=", f"category={'x' * 33}", "category=%00"]

    answers = [shopper.get(f"/rewards?{query}") for query in wrong]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(400, "malformed")] * len(wrong)


@pytest.mark.covers("E3")
def test_stock_is_plenty_low_or_sold_out(as_shopper, a_reward):
    shopper = as_shopper("one")
    rewards = [a_reward(units=units, low_stock_units=3) for units in (4, 3, 0)]

    seen = [shown(shopper, reward) for reward in rewards]

    assert [(r["stock_state"], r["units_left"]) for r in seen] == [
        ("plenty", 4),
        ("low", 3),
        ("sold_out", 0),
    ]
    assert [r["locked_reason"] for r in seen] == [None, None, "已兑完"]


@pytest.mark.covers("E4", "B10")
def test_why_a_reward_is_locked_is_told_in_both_languages(as_shopper, a_reward, redeem):
    shopper, now = as_shopper("one"), clock.now()
    taken = a_reward(price_points=0, per_member_limit=1)
    redeem(shopper, taken)
    rewards = {
        ("银卡会员及以上会员专享", "For 银卡会员 members and above"): a_reward(tier_min="silver"),
        ("尚未开始", "Not open yet"): a_reward(opens_at=now + DAY),
        ("已结束", "No longer on offer"): a_reward(closes_at=now - DAY),
        ("需到门店加价购买", "Also has a price in money"): a_reward(price_fen=1),
        ("已达每人限兑数量", "You have had your share"): taken,
        ("已兑完", "Sold out"): a_reward(units=0),
    }

    told = [
        (
            shown(shopper, reward)["locked_reason"],
            shown(shopper, reward, **{"Accept-Language": "en"})["locked_reason"],
        )
        for reward in rewards.values()
    ]

    assert told == list(rewards)


@pytest.mark.covers("E4")
def test_a_days_share_is_unlocked_the_day_after(app, as_shopper, a_reward, redeem):
    shopper, reward = (
        as_shopper("one"),
        a_reward(price_points=0, per_member_limit=1, limit_period="day"),
    )
    redeem(shopper, reward)

    today = shown(shopper, reward)
    app.config["CLOCK_OFFSET_S"] = 86_400
    tomorrow = shown(as_shopper("one"), reward)

    assert (today["limit_period"], today["locked_reason"]) == ("day", "已达每人限兑数量")
    assert tomorrow["locked_reason"] is None


@pytest.mark.covers("E4")
def test_a_reward_off_the_shelf_is_not_there_and_a_closed_one_not_on_the_list(as_shopper, a_reward):
    shopper, now = as_shopper("one"), clock.now()
    hidden, closed = a_reward(published=False), a_reward(closes_at=now - DAY)
    coming, here = a_reward(opens_at=now + DAY), a_reward(closes_at=now + DAY)

    listed = [row["id"] for row in shopper.get("/rewards").json["items"]]

    assert listed == [coming.id, here.id]
    assert shopper.get(f"/rewards/{hidden.id}").json["code"] == "not_found"
    assert shown(shopper, closed)["closes_at"] == clock.rfc3339(now - DAY)
    assert shown(shopper, coming)["opens_at"] == clock.rfc3339(now + DAY)


def test_points_that_are_over_pay_for_nothing(app, as_shopper, a_reward, grant_points):
    reward = a_reward(price_points=100)
    grant_points(as_shopper("one"), 100)
    app.config["CLOCK_OFFSET_S"] = 366 * 86_400

    seen = shown(as_shopper("one"), reward)

    assert (seen["affordable"], seen["short_by"]) == (False, 100)
