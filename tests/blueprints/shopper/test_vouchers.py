"""A shopper's vouchers: usable, used, expired."""

import pytest

VOUCHER = {
    "id",
    "title",
    "quantity",
    "state",
    "code",
    "expires_at",
    "redemption_id",
    "store",
    "used_at",
    "used_store",
    "used_by",
}


@pytest.mark.covers("E14")
def test_a_used_voucher_shows_where_by_whom_and_when(as_shopper, as_staff, a_reward, redeem):
    shopper = as_shopper("one")
    redeemed = redeem(shopper, a_reward(price_points=0, title="杯子"), quantity=2)
    as_staff("clerk-b").post(f"/clerk/vouchers/{redeemed['voucher']['code']}/use")

    (seen,) = shopper.get("/me/vouchers").json["items"]

    assert set(seen) == VOUCHER
    assert (seen["title"], seen["quantity"], seen["state"]) == ("杯子", 2, "used")
    assert (seen["used_store"], seen["used_by"], seen["code"]) == ("B店", "clerk-b", None)
    assert seen["used_at"].endswith("+08:00")
    assert seen["redemption_id"] == redeemed["id"]


@pytest.mark.covers("E14")
def test_a_usable_voucher_shows_its_code_and_nobody_who_used_it(as_shopper, a_reward, redeem):
    shopper = as_shopper("one")
    redeemed = redeem(shopper, a_reward(price_points=0))

    (seen,) = shopper.get("/me/vouchers").json["items"]

    assert (seen["state"], seen["code"]) == ("issued", redeemed["voucher"]["code"])
    assert [seen[name] for name in ("used_at", "used_store", "used_by", "store")] == [None] * 4


@pytest.mark.covers("E14")
def test_a_voucher_past_its_end_is_expired_and_no_longer_counted(app, as_shopper, a_reward, redeem):
    shopper = as_shopper("one")
    redeem(shopper, a_reward(price_points=0, voucher_lasts_days=1))
    before = shopper.get("/me/card").json["vouchers"]
    app.config["CLOCK_OFFSET_S"] = 3 * 86_400

    later = as_shopper("one")

    assert (before, later.get("/me/card").json["vouchers"]) == (1, 0)
    assert [row["state"] for row in later.get("/me/vouchers").json["items"]] == ["expired"]
