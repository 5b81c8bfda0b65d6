"""A reward that each store has units of its own of, seen by admin, shopper and clerk."""

import pytest

CUP = {"title": "杯子", "kind": "pickup", "price_points": 10, "stock_by_store": True}


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


@pytest.fixture
def cup(admin, stores):
    """Its id; three lie in store A, six in store B."""
    made = admin.post("/admin/rewards", {**CUP, "low_stock_units": 3}).json["id"]
    for name, units in (("A", 3), ("B", 6)):
        move = {"quantity": units, "reason": "purchase", "store_id": stores[name]}
        assert admin.post(f"/admin/rewards/{made}/stock-moves", move).status_code == 201
    return made


def refused(answer):
    return answer.status_code, answer.json["code"]


@pytest.mark.covers("K9")
def test_a_shopper_sees_which_store_has_it_and_chooses_one(as_shopper, grant_points, cup, stores):
    shopper = as_shopper("one")
    grant_points(shopper, 100)

    assert shopper.get(f"/rewards/{cup}").json["stock_by_store"] is True
    seen = shopper.get(f"/rewards/{cup}/stores").json["items"]
    assert [(row["name"], row["units_left"], row["stock_state"]) for row in seen] == [
        ("A店", 3, "low"),
        ("B店", 6, "plenty"),
    ]
    wish = {"reward_id": cup, "quantity": 1}
    unsaid = shopper.post("/me/redemptions", wish)
    many = shopper.post("/me/redemptions", {**wish, "quantity": 4, "store_id": stores["A"]})
    bought = shopper.post("/me/redemptions", {**wish, "store_id": stores["A"]})

    assert refused(unsaid) == (409, "store_needed") and unsaid.json["detail"] == "请选择门店"
    assert refused(many) == (409, "sold_out") and many.json["detail"] == "A店库存不足，仅剩 3 件"
    assert bought.status_code == 201
    assert shopper.get(f"/rewards/{cup}/stores").json["items"][0]["units_left"] == 2


@pytest.mark.covers("K9")
def test_it_is_handed_over_at_that_store_alone(as_shopper, grant_points, as_staff, cup, stores):
    shopper = as_shopper("one")
    grant_points(shopper, 100)
    wish = {"reward_id": cup, "quantity": 1, "store_id": stores["A"]}
    code = shopper.post("/me/redemptions", wish).json["voucher"]["code"]

    there = as_staff("clerk-b").post(f"/clerk/vouchers/{code}/use")
    here = as_staff("clerk-a").post(f"/clerk/vouchers/{code}/use")

    assert refused(there) == (404, "not_found") and here.status_code == 200


@pytest.mark.covers("K9")
def test_an_admin_sees_each_stores_units_and_brings_some_to_another(
    admin, as_shopper, grant_points, cup, stores
):
    shopper = as_shopper("one")
    grant_points(shopper, 100)
    wish = {"reward_id": cup, "quantity": 2, "store_id": stores["A"]}
    assert shopper.post("/me/redemptions", wish).status_code == 201
    path, a, b = f"/admin/rewards/{cup}", stores["A"], stores["B"]

    few = admin.post(
        f"{path}/stock-transfers", {"from_store_id": a, "to_store_id": b, "quantity": 2}
    )
    brought = admin.post(
        f"{path}/stock-transfers", {"from_store_id": b, "to_store_id": a, "quantity": 5}
    )

    assert refused(few) == (409, "stock_promised") and few.json["units_left"] == 1
    assert brought.json == {"units_left_from": 1, "units_left_to": 6}
    stock = admin.get(f"{path}/stock").json
    assert [
        tuple(row.values()) for row in sorted(stock["stores"], key=lambda row: row["code"])
    ] == [
        ("A", "A店", a, 6, 2, 8),
        ("B", "B店", b, 1, 0, 1),
    ]
    assert (stock["stocked"], stock["units_left"], stock["drift"]) == (9, 7, 0)
    moves = admin.get(f"{path}/store-moves").json["items"]
    assert [(row["store_id"], row["quantity"], row["reason"]) for row in moves] == [
        (b, -5, "transfer"),
        (a, 5, "transfer"),
        (b, 6, "purchase"),
        (a, 3, "purchase"),
    ]
    assert admin.get("/admin/ledger/verification").json["mismatches"] == []


def test_where_one_stock_serves_all_every_store_shows_it(as_shopper, a_reward, stores):
    shopper = as_shopper("one")
    cups, parcels = a_reward(units=7), a_reward(units=7, kind="delivery")

    seen = shopper.get(f"/rewards/{cups.id}/stores").json["items"]

    assert [(row["name"], row["units_left"]) for row in seen] == [("A店", 7), ("B店", 7)]
    assert shopper.get(f"/rewards/{parcels.id}/stores").json["items"] == []


@pytest.mark.covers("K9")
def test_an_admin_says_where_units_go_and_changes_how_they_lie_only_without_any(
    admin, cup, a_reward, stores
):
    plain = a_reward(units=1).id
    move = {"quantity": 1, "reason": "count"}
    nowhere = admin.post(f"/admin/rewards/{cup}/stock-moves", move)
    there = admin.post(f"/admin/rewards/{plain}/stock-moves", {**move, "store_id": stores["A"]})
    tag = {"If-Match": admin.get(f"/admin/rewards/{cup}").headers["ETag"]}
    other = admin.patch(f"/admin/rewards/{cup}", {"stock_by_store": False}, headers=tag)
    parcel = admin.post("/admin/rewards", {**CUP, "kind": "delivery"})

    assert (refused(nowhere), refused(there)) == ((409, "store_needed"), (409, "one_stock"))
    assert refused(other) == (409, "stock_fixed")
    assert refused(parcel) == (400, "malformed")
    assert "stock_by_store" in parcel.json["errors"]
