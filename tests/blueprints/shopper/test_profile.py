"""Profile, phone and card."""

import pytest

CARD = {"card_no", "nickname", "tier", "points", "growth", "vouchers", "code"}


@pytest.mark.covers("A3")
def test_a_profile_fills_up_field_by_field(as_shopper):
    shopper = as_shopper("one")
    steps = [{"nickname": "小明"}, {"gender": "male"}, {"birthday": "1990-02-28"}, {"city": "上海"}]

    percents = [shopper.patch("/me", step).json["completeness_percent"] for step in steps]
    shopper.post("/me/phone", {"code": "phone-13812345678"})

    assert percents == [20, 40, 60, 80]
    assert shopper.get("/me").json["completeness_percent"] == 100
    assert shopper.get("/me").json["phone_masked"] == "138****5678"
    assert {k: shopper.get("/me").json[k] for s in steps for k in s} == {
        "nickname": "小明",
        "gender": "male",
        "birthday": "1990-02-28",
        "city": "上海",
    }


@pytest.mark.covers("A3")
def test_a_birthday_is_set_once(as_shopper):
    shopper = as_shopper("one")
    shopper.patch("/me", {"birthday": "1990-02-28"})

    same = shopper.patch("/me", {"birthday": "1990-02-28"})
    other = shopper.patch("/me", {"birthday": "1990-03-01", "nickname": "小明"})

    assert same.status_code == 200
    assert (other.status_code, other.json["code"]) == (409, "birthday_fixed")
    assert (shopper.get("/me").json["birthday"], shopper.get("/me").json["nickname"]) == (
        "1990-02-28",
        "",
    )


def test_a_birthday_is_a_day_that_was(app, as_shopper):
    shopper = as_shopper("one")
    wrong = [
        "2999-01-01",
        "1899-12-31",
        "0001-01-01",
        "1990-02-30",
        "28.2.1990",
        "1990",
        "",
        19900228,
    ]

    answers = [shopper.patch("/me", {"birthday": day}) for day in [*wrong, None]]

    assert {(a.status_code, a.json["code"]) for a in answers} == {(400, "malformed")}
    assert shopper.get("/me").json["birthday"] is None


def test_a_gender_is_one_of_three(as_shopper):
    shopper = as_shopper("one")

    answers = [
        shopper.patch("/me", {"gender": g}) for g in ("female", "unknown", "other", None, "")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 400, 400, 400]


def test_what_a_member_may_not_change_of_himself_is_refused(as_shopper):
    shopper = as_shopper("one")
    fields = {
        "id": 2,
        "card_no": "1",
        "phone": "13800000000",
        "joined_at": "2020-01-01",
        "points": 9,
    }

    answers = [shopper.patch("/me", {name: value}) for name, value in fields.items()]

    assert {answer.status_code for answer in answers} == {400}


def test_a_change_of_nothing_changes_nothing(as_shopper):
    shopper = as_shopper("one")
    before = shopper.get("/me").json

    answer = shopper.patch("/me", {})

    assert (answer.status_code, answer.json) == (200, before)


@pytest.mark.covers("A4")
def test_a_phone_is_bound_by_wechats_word_and_only_shown_masked(as_shopper):
    shopper = as_shopper("one")

    bound = shopper.post("/me/phone", {"code": "phone-13812345678"})

    assert (bound.status_code, bound.json) == (200, {"phone_masked": "138****5678"})
    assert shopper.get("/me").json["phone_masked"] == "138****5678"


@pytest.mark.covers("A4")
def test_a_phone_of_another_member_is_refused(as_shopper):
    one, two = as_shopper("one"), as_shopper("two")
    one.post("/me/phone", {"code": "phone-13812345678"})

    refused = two.post("/me/phone", {"code": "phone-13812345678"})
    again = one.post("/me/phone", {"code": "phone-13812345678"})

    assert (refused.status_code, refused.json["code"]) == (409, "phone_taken")
    assert again.status_code == 200
    assert two.get("/me").json["phone_masked"] is None


def test_a_phone_code_that_wechat_refuses_binds_nothing(as_shopper):
    shopper = as_shopper("one")

    refused = shopper.post("/me/phone", {"code": "stale"})

    assert (refused.status_code, refused.json["code"]) == (400, "phone_code_invalid")
    assert refused.json["detail"] == "手机号授权已失效，请重新点击授权"
    assert shopper.get("/me").json["phone_masked"] is None


@pytest.mark.covers("A2", "A5")
def test_a_card_tells_all_that_its_owner_has(as_shopper, grant_points, a_reward, redeem):
    shopper = as_shopper("one")
    shopper.patch("/me", {"nickname": "小明"})
    grant_points(shopper, 300)
    redeem(shopper, a_reward(price_points=100))

    card = shopper.get("/me/card").json

    assert set(card) == CARD
    assert card["card_no"] == shopper.get("/me").json["card_no"]
    assert (card["nickname"], card["vouchers"]) == ("小明", 1)
    assert card["tier"] == {"code": "base", "name": "普通会员"}
    assert card["points"]["available"] == 200 and card["points"]["pending"] == 0
    assert [each["points"] for each in card["points"]["expiring"]] == [200]
    assert card["growth"] == {
        "value": 0,
        "next_tier": {"code": "silver", "name": "银卡会员"},
        "to_next": 1000,
    }


@pytest.mark.covers("B6")
def test_at_the_top_there_is_no_next_tier(as_shopper, as_staff):
    shopper, clerk = as_shopper("rich"), as_staff("clerk-a")
    receipt = {"member_id": shopper.id, "receipt_no": "R1", "amount_fen": 2_000_000}
    clerk.post("/clerk/purchases", receipt)

    card = shopper.get("/me/card").json

    assert card["tier"]["code"] == "diamond"
    assert card["growth"] == {"value": 20_000, "next_tier": None, "to_next": None}


@pytest.mark.covers("A2")
def test_a_code_is_fresh_each_time_and_for_at_most_half_a_minute(as_shopper):
    shopper = as_shopper("one")

    codes = [shopper.get("/me/card").json["code"] for _ in range(3)]

    assert len({code["payload"] for code in codes}) == 3
    assert all(1 <= code["expires_in_s"] <= 30 for code in codes)


@pytest.mark.covers("C9")
def test_points_that_have_expired_are_no_longer_shown(app, as_shopper, grant_points):
    shopper = as_shopper("one")
    grant_points(shopper, 300)
    app.config["CLOCK_OFFSET_S"] = 366 * 86_400

    card = as_shopper("one").get("/me/card").json

    assert card["points"] == {
        "available": 0,
        "pending": 0,
        "held": 0,
        "debt": 0,
        "expiring": [],
    }
