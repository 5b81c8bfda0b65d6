"""My tier: the way up, what keeps it, what it opens; early access and locks on rewards."""

import itertools
from datetime import timedelta

import pytest

from mall import clock, jobs, purchases
from mall.purchases import Receipt
from models import Store, db

_count = itertools.count(1)
EARLY = {"early_access_hours": 24}


def bought(shopper, yuan: int) -> None:
    """A receipt of today, as the till would show it."""
    store = db.session.query(Store.id).order_by(Store.id).limit(1).scalar()
    now = clock.now()
    number = f"tier-{next(_count)}"
    purchases.record_receipts([Receipt(store, number, shopper.id, yuan * 100, now)], now=now)


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


@pytest.fixture
def tune(admin):
    def change(code: str, **values) -> None:
        version = admin.get(f"/admin/tiers/{code}").json["version"]
        headers = {"If-Match": f'"{version}"'}
        assert admin.patch(f"/admin/tiers/{code}", values, headers=headers).status_code == 200

    return change


@pytest.fixture
def publish(admin):
    def put_in_force(**values) -> None:
        drafted = admin.post("/admin/tier-rules", values).json["id"]
        assert admin.post(f"/admin/tier-rules/{drafted}/publication").status_code == 200
        jobs.review_tiers()

    return put_in_force


@pytest.mark.covers("B6")
def test_the_way_up_is_what_the_rules_themselves_count(as_shopper, publish):
    shopper = as_shopper("one")
    publish(window_kind="rolling", window_days=30)
    bought(shopper, 1234)
    today = clock.business_day(clock.now())

    seen = shopper.get("/me/tier").json
    card = shopper.get("/me/card").json["growth"]

    assert (seen["now"]["code"], seen["growth"]["value"]) == ("silver", 1234)
    assert seen["next"] == {"code": "gold", "name": "金卡会员", "growth_min": 5000, "need": 3766}
    assert (card["value"], card["to_next"]) == (1234, 3766)
    assert seen["keep"] == {
        "by": (today + timedelta(days=30)).isoformat(),
        "growth_min": 1000,
        "value": 0,
        "need": 1000,
        "in_grace": False,
        "granted": False,
        "for_life": False,
    }
    bought(shopper, 3765)
    assert shopper.get("/me/tier").json["now"]["code"] == "silver"
    bought(shopper, 1)
    assert shopper.get("/me/tier").json["now"]["code"] == "gold"


@pytest.mark.covers("B6")
def test_the_keep_by_date_and_need_are_those_the_review_goes_by(app, as_shopper, publish):
    shopper = as_shopper("one")
    publish(window_kind="rolling", window_days=10, grace_days=5)
    bought(shopper, 1000)
    app.config["CLOCK_OFFSET_S"] = 86_400
    bought(shopper, 400)

    def keep():
        return as_shopper("one").get("/me/tier").json["keep"]  # tokens don't last for days

    kept = keep()
    app.config["CLOCK_OFFSET_S"] = 86_400 * 11
    jobs.review_tiers()
    in_grace = keep()
    bought(shopper, in_grace["need"])
    kept_up = keep()
    app.config["CLOCK_OFFSET_S"] = 86_400 * 16
    jobs.review_tiers()

    assert (kept["value"], kept["need"], kept["in_grace"]) == (400, 600, False)
    assert (in_grace["need"], in_grace["in_grace"], kept_up["need"]) == (600, True, 0)
    assert in_grace["by"] > kept["by"]
    assert as_shopper("one").get("/me/tier").json["now"]["code"] == "silver"


def test_where_nothing_is_reviewed_nothing_has_to_be_kept(as_shopper, stores):
    shopper = as_shopper("one")
    bought(shopper, 20_000)

    seen = shopper.get("/me/tier").json

    assert (seen["keep"], seen["next"], seen["now"]["code"]) == (None, None, "diamond")
    assert [each["reached"] for each in seen["tiers"]] == [True] * 4
    changes = shopper.get("/me/tier/changes").json["items"]
    assert [(each["tier_before"], each["tier_after"]) for each in changes] == [("base", "diamond")]


@pytest.mark.covers("B7", "B11")
def test_benefits_are_compared_by_tier_and_mine_can_be_used(as_shopper, tune):
    shopper = as_shopper("one")
    trial = {"code": "trial", "name": "新品试用", "uses": 2, "period": "month"}
    tune("silver", points_percent=150, discount_percent=5, quotas=[trial])
    bought(shopper, 1000)

    seen = shopper.get("/me/tier").json
    mine = shopper.get("/me/benefits").json["items"]

    compared = [(e["code"], e["points_percent"], e["reached"]) for e in seen["tiers"][:3]]
    assert compared == [("base", 100, True), ("silver", 150, True), ("gold", 100, False)]
    assert seen["now"]["quotas"] == [trial]
    assert [(each["code"], each["uses_left"]) for each in mine] == [("trial", 2)]
    assert as_shopper("two").get("/me/benefits").json["items"] == []


@pytest.mark.covers("B8")
def test_gold_sees_redeem_where_base_sees_when_it_opens(as_shopper, a_reward, tune, grant_points):
    gold, base = as_shopper("gold"), as_shopper("base")
    tune("gold", early_access_hours=24)
    bought(gold, 5000)
    grant_points(base, 500)
    opens_at = clock.now() + timedelta(hours=23)
    reward = a_reward(opens_at=opens_at)

    seen = [each.get(f"/rewards/{reward.id}").json for each in (gold, base)]
    body = {"reward_id": reward.id, "quantity": 1}
    answers = [each.post("/me/redemptions", body) for each in (gold, base)]

    assert [each["locked_reason"] for each in seen] == [None, "尚未开始"]
    assert seen[1]["opens_at"] == clock.rfc3339(opens_at)
    assert seen[0]["opens_at"] == clock.rfc3339(opens_at - timedelta(hours=24))
    assert [each.status_code for each in answers] == [201, 409]
    assert (answers[1].json["code"], answers[1].json["opens_at"]) == (
        "not_open_yet",
        clock.rfc3339(opens_at),
    )


@pytest.mark.covers("B8")
def test_early_access_is_no_earlier_than_it_says(as_shopper, a_reward, tune):
    gold = as_shopper("gold")
    tune("gold", early_access_hours=24)
    bought(gold, 5000)
    reward = a_reward(opens_at=clock.now() + timedelta(hours=25))

    answer = gold.post("/me/redemptions", {"reward_id": reward.id, "quantity": 1})

    assert (answer.status_code, answer.json["code"]) == (409, "not_open_yet")
    assert gold.get(f"/rewards/{reward.id}").json["locked_reason"] == "尚未开始"


@pytest.mark.covers("B10")
def test_a_locked_reward_names_the_tier_that_opens_it(as_shopper, a_reward, grant_points):
    silver, base = as_shopper("silver"), as_shopper("base")
    bought(silver, 1000)
    grant_points(base, 500)
    reward = a_reward(tier_min="silver")

    seen = [each.get(f"/rewards/{reward.id}").json for each in (silver, base)]
    refused = base.post("/me/redemptions", {"reward_id": reward.id, "quantity": 1})

    assert [each["locked_reason"] for each in seen] == [None, "银卡会员及以上会员专享"]
    assert seen[1]["tier_min"] == "silver"
    assert (refused.json["code"], refused.json["tier"]) == ("tier_too_low", "silver")


@pytest.mark.covers("B9")
def test_a_tier_has_its_own_person_to_turn_to_and_the_base_a_general_one(as_shopper, tune):
    gold, silver = as_shopper("gold"), as_shopper("silver")
    tune("base", contact_name="客服", contact_phone="4000000000")
    tune("gold", contact_name="小金", contact_wechat="xiaojin")
    bought(gold, 5000)
    bought(silver, 1000)

    contacts = [each.get("/me/tier").json["contact"] for each in (gold, silver)]

    assert contacts == [
        {"name": "小金", "phone": "", "wechat": "xiaojin"},
        {"name": "客服", "phone": "4000000000", "wechat": ""},
    ]


@pytest.mark.covers("B10")
def test_a_member_price_is_seen_and_paid_by_its_tier_and_those_above(
    as_shopper, as_staff, a_reward, grant_points
):
    silver, gold, base = (as_shopper(name) for name in ("silver", "gold", "base"))
    bought(silver, 1000)
    bought(gold, 5000)
    grant_points(base, 90)
    admin, cup = as_staff("admin"), a_reward(price_points=100)
    etag = admin.get(f"/admin/rewards/{cup.id}").headers["ETag"]
    prices = {"tier_prices": {"silver": 80, "diamond": 10}}
    path = f"/admin/rewards/{cup.id}"
    changed = admin.patch(path, prices, headers={"If-Match": etag})

    seen = [each.get(f"/rewards/{cup.id}").json for each in (silver, gold, base)]
    lists = [
        [row["id"] for row in each.get("/rewards?affordable=true").json["items"]]
        for each in (silver, base)
    ]
    body = {"reward_id": cup.id, "quantity": 2}
    paid = [each.post("/me/redemptions", body) for each in (silver, gold, base)]

    assert changed.status_code == 200 and changed.json["tier_prices"] == prices["tier_prices"]
    assert [each["price_points"] for each in seen] == [80, 80, 100]
    assert {each["list_price_points"] for each in seen} == {100}
    assert lists == [[cup.id], []]
    assert [answer.json.get("points_paid") for answer in paid] == [160, 160, None]
    assert paid[2].json["code"] == "not_enough_points"
    back = silver.post(f"/me/redemptions/{paid[0].json['id']}/cancellation").json
    assert silver.get("/me/card").json["points"]["available"] == 1000, back


def test_a_price_of_a_tier_that_is_not_there_is_refused(as_staff):
    cup = {"title": "杯", "kind": "pickup", "price_points": 1, "tier_prices": {"tin": 1}}

    assert as_staff("admin").post("/admin/rewards", cup).status_code == 400
