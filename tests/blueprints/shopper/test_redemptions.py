"""Points traded for rewards, and the trade taken back."""

import re
from datetime import timedelta

import pytest

from mall import clock

DAY = timedelta(days=1)
ADDRESS = {"name": "小明", "phone": "13800000001", "region": "上海市", "detail": "人民路 1 号"}
REDEEMED = {
    "id",
    "reward_id",
    "quantity",
    "points_paid",
    "balance_after",
    "state",
    "voucher",
}
CODE = re.compile(r"([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]")


def ask(shopper, reward, quantity: int = 1, **more):
    body = {"reward_id": reward.id, "quantity": quantity, **more}
    return shopper.post("/me/redemptions", body)


def available(shopper) -> int:
    return shopper.get("/me/card").json["points"]["available"]


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


@pytest.mark.covers("E2", "C3")
def test_points_are_traded_for_a_reward_and_a_code(as_shopper, a_reward, grant_points):
    shopper, reward = as_shopper("one"), a_reward(price_points=100, units=3)
    grant_points(shopper, 300)

    answer = ask(shopper, reward, 2)

    assert answer.status_code == 201
    assert set(answer.json) == REDEEMED
    assert {k: v for k, v in answer.json.items() if k not in ("id", "voucher")} == {
        "reward_id": reward.id,
        "quantity": 2,
        "points_paid": 200,
        "balance_after": 100,
        "state": "issued",
    }
    assert CODE.fullmatch(answer.json["voucher"]["code"])
    assert answer.json["voucher"]["expires_at"].endswith("T00:00:00+08:00")
    assert available(shopper) == 100
    assert shopper.get(f"/rewards/{reward.id}").json["units_left"] == 1


@pytest.mark.covers("E10")
@pytest.mark.parametrize(
    ("kind", "more", "with_code"),
    [
        ("pickup", {}, True),
        ("virtual", {}, True),
        ("coupon", {}, True),
        ("delivery", {"address": ADDRESS}, False),
    ],
)
def test_what_is_fetched_has_a_code_and_what_is_sent_has_none(
    kind, more, with_code, as_shopper, a_reward
):
    answer = ask(as_shopper("one"), a_reward(kind=kind, price_points=0), **more)

    assert answer.status_code == 201
    assert (answer.json["voucher"] is not None) == with_code


@pytest.mark.covers("E10")
def test_a_delivery_needs_an_address(as_shopper, a_reward):
    shopper, reward = as_shopper("one"), a_reward(kind="delivery", price_points=0)

    answers = [ask(shopper, reward), ask(shopper, reward, address={})]
    partial = [ask(shopper, reward, address={**ADDRESS, name: None}) for name in ADDRESS]

    assert [refused(answer) for answer in answers] == [(409, "address_needed"), (400, "malformed")]
    assert {refused(answer) for answer in partial} == {(400, "malformed")}


@pytest.mark.parametrize("kind", ["pickup", "virtual", "coupon"])
def test_what_is_not_sent_takes_no_address(kind, as_shopper, a_reward):
    shopper, reward = as_shopper("one"), a_reward(kind=kind, price_points=0)

    answer = ask(shopper, reward, address=ADDRESS)

    assert refused(answer) == (400, "address_not_needed")


@pytest.mark.covers("E4", "E2")
def test_each_rule_refuses_by_its_own_code_with_its_numbers(as_shopper, a_reward, grant_points):
    shopper, now = as_shopper("one"), clock.now()
    grant_points(shopper, 150)
    opens_at = now + DAY
    cases = {
        "sold_out": (a_reward(units=0), {"units_left": 0}),
        "not_enough_points": (a_reward(price_points=200), {"short_by": 50}),
        "limit_reached": (
            a_reward(price_points=0, per_member_limit=1, limit_period="day"),
            {"limit": 1, "period": "day"},
        ),
        "not_open_yet": (a_reward(opens_at=opens_at), {"opens_at": clock.rfc3339(opens_at)}),
        "closed": (a_reward(closes_at=now - DAY), {}),
        "tier_too_low": (a_reward(tier_min="gold"), {"tier": "gold", "tier_name": "金卡会员"}),
        "payment_needed": (a_reward(price_fen=100), {"price_fen": 100}),
    }
    ask(shopper, cases["limit_reached"][0])

    answers = {code: ask(shopper, reward) for code, (reward, _) in cases.items()}

    assert {code: refused(answer) for code, answer in answers.items()} == {
        code: (409, code) for code in cases
    }
    for code, (_, numbers) in cases.items():
        assert answers[code].json.items() >= numbers.items()
    assert available(shopper) == 150


@pytest.mark.covers("E3")
@pytest.mark.parametrize(
    ("units", "zh", "en"),
    [(2, "库存不足，仅剩 2 件", "Only 2 left."), (0, "已兑完", "Sold out.")],
)
def test_too_large_a_quantity_is_told_what_is_left(units, zh, en, as_shopper, a_reward):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, units=units)
    body = {"reward_id": reward.id, "quantity": 3}

    said = [
        shopper.post("/me/redemptions", body, headers={"Accept-Language": language})
        for language in ("zh", "en")
    ]

    assert [refused(answer) for answer in said] == [(409, "sold_out")] * 2
    assert [answer.json["detail"] for answer in said] == [zh, en]
    assert {answer.json["units_left"] for answer in said} == {units}


def test_a_refusal_leaves_no_trace(as_shopper, as_staff, a_reward, grant_points):
    shopper, reward = as_shopper("one"), a_reward(price_points=100, units=2)
    grant_points(shopper, 99)

    answer = ask(shopper, reward)

    assert refused(answer) == (409, "not_enough_points")
    assert shopper.get("/me/redemptions").json["items"] == []
    stock = as_staff("admin").get(f"/admin/rewards/{reward.id}/stock").json
    assert (stock["units_left"], stock["gate"]["units_left"], stock["gate"]["leases"]) == (2, 2, 0)


@pytest.mark.covers("E4")
def test_a_reward_taken_off_the_shelf_is_not_there(as_shopper, as_staff, a_reward):
    shopper, reward, admin = as_shopper("one"), a_reward(price_points=0), as_staff("admin")
    path = f"/admin/rewards/{reward.id}"
    admin.patch(path, {"published": False}, headers={"If-Match": admin.get(path).headers["ETag"]})

    answer = ask(shopper, reward)

    assert refused(answer) == refused(shopper.get(f"/rewards/{reward.id}")) == (404, "not_found")


@pytest.mark.covers("E4")
def test_a_window_opens_and_closes_by_the_clock(app, as_shopper, a_reward):
    now = clock.now()
    reward = a_reward(price_points=0, opens_at=now + DAY, closes_at=now + 2 * DAY)
    tried = []

    for after in (DAY - timedelta(minutes=1), DAY, 2 * DAY + timedelta(minutes=1)):
        app.config["CLOCK_OFFSET_S"] = int(after.total_seconds())
        tried.append(ask(as_shopper("one"), reward).json.get("code"))

    assert tried == ["not_open_yet", None, "closed"]


@pytest.mark.covers("E4")
def test_a_limit_counts_units_over_all_redemptions(as_shopper, a_reward):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, per_member_limit=3)

    answers = [ask(shopper, reward, quantity) for quantity in (2, 2, 1, 1)]

    assert [answer.status_code for answer in answers] == [201, 409, 201, 409]
    assert ask(as_shopper("two"), reward, 3).status_code == 201


def test_a_quantity_is_from_one_to_ninety_nine(as_shopper, a_reward):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, units=200)

    answers = [ask(shopper, reward, quantity).status_code for quantity in (0, 1, 99, 100)]

    assert answers == [400, 201, 201, 400]


@pytest.mark.covers("K9")
def test_a_pickup_may_be_bound_to_a_store_that_there_is(as_shopper, as_staff, a_reward, stores):
    shopper, reward = as_shopper("one"), a_reward(price_points=0)

    anywhere, at_b, nowhere = (
        ask(shopper, reward),
        ask(shopper, reward, store_id=stores["B"]),
        ask(shopper, reward, store_id=999),
    )

    assert (anywhere.status_code, at_b.status_code) == (201, 201)
    assert refused(nowhere) == (404, "not_found")
    seen = shopper.get("/me/redemptions").json["items"]
    assert [row["store_id"] for row in seen] == [stores["B"], None]
    assert [row["voucher"]["store"] for row in seen] == ["B店", None]


@pytest.mark.covers("E2", "E14")
def test_a_redemption_can_be_looked_at_again_with_its_code(as_shopper, a_reward, redeem):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, title="杯子")
    redeemed = redeem(shopper, reward)

    seen = shopper.get(f"/me/redemptions/{redeemed['id']}").json

    assert shopper.get("/me/redemptions").json["items"] == [seen]
    assert (seen["title"], seen["state"], seen["quantity"]) == ("杯子", "issued", 1)
    assert seen["voucher"]["code"] == redeemed["voucher"]["code"]
    assert seen["voucher"]["redemption_id"] == redeemed["id"]


@pytest.mark.covers("E10", "E3")
def test_a_cancellation_gives_back_points_unit_limit_and_takes_the_voucher(
    as_shopper, as_staff, a_reward, redeem, grant_points
):
    shopper, reward = as_shopper("one"), a_reward(price_points=100, units=1, per_member_limit=1)
    grant_points(shopper, 100)
    redeemed = redeem(shopper, reward)

    answer = shopper.post(f"/me/redemptions/{redeemed['id']}/cancellation")

    assert (answer.status_code, answer.json) == (
        200,
        {
            "id": redeemed["id"],
            "state": "cancelled",
            "points_returned": 100,
            "balance_after": 100,
            "grace_days": 7,
        },
    )
    seen = shopper.get(f"/me/redemptions/{redeemed['id']}").json
    assert (seen["state"], seen["voucher"]["state"], seen["voucher"]["code"]) == (
        "cancelled",
        "void",
        None,
    )
    used = as_staff("clerk-a").post(f"/clerk/vouchers/{redeemed['voucher']['code']}/use")
    assert refused(used) == (409, "voucher_void")
    assert ask(shopper, reward).status_code == 201


@pytest.mark.covers("E10")
def test_what_was_handed_over_or_cancelled_can_not_be_cancelled(
    as_shopper, as_staff, a_reward, redeem
):
    shopper, reward = as_shopper("one"), a_reward(price_points=0)
    used, cancelled = redeem(shopper, reward), redeem(shopper, reward)
    as_staff("clerk-a").post(f"/clerk/vouchers/{used['voucher']['code']}/use")
    shopper.post(f"/me/redemptions/{cancelled['id']}/cancellation")

    answers = [shopper.post(f"/me/redemptions/{r['id']}/cancellation") for r in (used, cancelled)]

    assert [refused(answer) for answer in answers] == [
        (409, "already_used"),
        (409, "already_cancelled"),
    ]


@pytest.mark.covers("E10")
def test_what_has_expired_is_shown_so_and_can_not_be_cancelled(app, as_shopper, a_reward, redeem):
    redeemed = redeem(as_shopper("one"), a_reward(price_points=0, voucher_lasts_days=1))
    app.config["CLOCK_OFFSET_S"] = 3 * 86_400
    shopper, path = as_shopper("one"), f"/me/redemptions/{redeemed['id']}"

    answer = shopper.post(f"{path}/cancellation")

    assert refused(answer) == (409, "voucher_expired")
    seen = shopper.get(path).json
    assert (seen["state"], seen["voucher"]["state"], seen["voucher"]["code"]) == (
        "expired",
        "expired",
        None,
    )
