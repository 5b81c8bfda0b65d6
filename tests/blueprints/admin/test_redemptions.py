"""Parcels that leave the mall."""

import pytest

from tests.makers import grant

ADDRESS = {"name": "小明", "phone": "13800000001", "region": "上海市", "detail": "人民路 1 号"}
PARCEL = {"carrier": "顺丰", "tracking_no": "SF123456"}


@pytest.fixture
def parcel(as_shopper, a_reward):
    """A shopper and the redemption of something to be sent."""
    shopper, reward = as_shopper("far-away"), a_reward(kind="delivery", price_points=50)
    grant(shopper.id, 100)
    body = {"reward_id": reward.id, "quantity": 1, "address": ADDRESS}
    return shopper, shopper.post("/me/redemptions", body).json


@pytest.mark.covers("E10")
def test_a_parcel_leaves_with_its_number_and_the_shopper_sees_it(parcel, as_staff):
    shopper, redeemed = parcel

    shipped = as_staff("admin").post(f"/admin/redemptions/{redeemed['id']}/shipment", PARCEL)

    assert (shipped.status_code, shipped.json["state"]) == (200, "shipped")
    assert shipped.json["address"] == ADDRESS and shipped.json["tracking_no"] == "SF123456"
    assert shopper.get(f"/me/redemptions/{redeemed['id']}").json["state"] == "shipped"


def test_what_has_left_can_not_be_cancelled(parcel, as_staff):
    shopper, redeemed = parcel
    as_staff("admin").post(f"/admin/redemptions/{redeemed['id']}/shipment", PARCEL)

    refused = shopper.post(f"/me/redemptions/{redeemed['id']}/cancellation")

    assert (refused.status_code, refused.json["code"]) == (409, "already_used")


def test_what_was_cancelled_does_not_leave(parcel, as_staff):
    shopper, redeemed = parcel
    shopper.post(f"/me/redemptions/{redeemed['id']}/cancellation")

    refused = as_staff("admin").post(f"/admin/redemptions/{redeemed['id']}/shipment", PARCEL)

    assert (refused.status_code, refused.json["code"]) == (409, "already_cancelled")


def test_what_is_fetched_is_not_sent(as_shopper, a_reward, as_staff):
    shopper, reward = as_shopper("near"), a_reward(kind="pickup", price_points=0)
    redeemed = shopper.post("/me/redemptions", {"reward_id": reward.id, "quantity": 1}).json

    refused = as_staff("admin").post(f"/admin/redemptions/{redeemed['id']}/shipment", PARCEL)

    assert (refused.status_code, refused.json["code"]) == (409, "not_a_delivery")


def test_the_list_is_filtered_by_state_reward_and_day(parcel, as_staff):
    _, redeemed = parcel
    admin = as_staff("admin")
    day = redeemed and admin.get("/admin/redemptions").json["items"][0]["created_at"][:10]

    def found(query: str) -> list[int]:
        return [row["id"] for row in admin.get(f"/admin/redemptions?{query}").json["items"]]

    assert found(f"state=issued&day={day}&reward_id={redeemed['reward_id']}") == [redeemed["id"]]
    assert found("state=shipped") == found("day=2020-01-01") == found("reward_id=999") == []


def test_a_filter_that_can_not_be_read_is_refused(as_staff):
    admin = as_staff("admin")
    wrong = ["state=gone", "state=", "reward_id=0", f"reward_id={2**63}", f"store_id={'9' * 30}"]
    wrong += ["store_id=x", "reward_id=1.0", "day=0001-01-01", "day=9999-12-31", "day=2026-02-30"]
    wrong += ["reward_id=%D9%A3", "store_id=1_0", "state=issued&state=used", "unknown=1&unknown=1"]

    answers = [admin.get(f"/admin/redemptions?{query}") for query in wrong]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(400, "malformed")] * len(wrong)


def test_a_parcel_has_a_carrier_and_a_number(parcel, as_staff):
    _, redeemed = parcel
    path = f"/admin/redemptions/{redeemed['id']}/shipment"
    bodies = [
        {},
        {"carrier": "顺丰"},
        {**PARCEL, "carrier": ""},
        {**PARCEL, "tracking_no": "x" * 65},
    ]

    answers = [as_staff("admin").post(path, body) for body in bodies]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(400, "malformed")] * 4
