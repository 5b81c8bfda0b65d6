"""What a member has and what they bought, as their own page and the console show it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock
from models import GrowthEntry, LedgerEntry, Lot, Purchase, Voucher
from tests.makers import grant
from tests.mall.books import by_hand, one

DAY = timedelta(days=1)


@pytest.fixture
def bought(as_shopper, as_staff):
    """A shopper with receipts of two stores, one of them undone; and who may look."""
    shopper, admin = as_shopper("buyer"), as_staff("admin")
    tills = {"A": as_staff("clerk-a"), "B": as_staff("clerk-b")}
    for store, number in (("A", "R1"), ("B", "R2"), ("A", "R3")):
        receipt = {"member_id": shopper.id, "receipt_no": number, "amount_fen": 10_000}
        tills[store].post("/clerk/purchases", receipt)
    last = tills["A"].get("/clerk/actions").json["items"][0]["id"]
    tills["A"].post(f"/clerk/actions/{last}/undo", {"reason": "录错"})
    return shopper, admin


@pytest.mark.covers("A5")
def test_assets_are_what_the_ledgers_add_up_to(bought, a_reward, redeem):
    shopper, admin = bought
    grant(shopper.id, 40, expires_at=clock.now() + 10 * DAY)
    redeem(shopper, a_reward(price_points=30))
    dead = sa.select(sa.func.max(Lot.id)).scalar_subquery()
    by_hand(sa.update(Lot).where(Lot.id == dead).values(expires_at=clock.now() - DAY))

    seen = shopper.get("/me/assets").json

    mine = LedgerEntry.member_id == shopper.id
    assert seen["points"]["available"] + 10 == one(sa.func.sum(LedgerEntry.delta_points), mine)
    lots = one(
        sa.func.sum(Lot.points_left), Lot.member_id == shopper.id, Lot.expires_at > clock.now()
    )
    assert seen["points"]["available"] == lots == 200
    assert sum(each["points"] for each in seen["points"]["expiring"]) == lots
    growth = one(sa.func.sum(GrowthEntry.delta_value), GrowthEntry.member_id == shopper.id)
    assert (seen["growth"]["value"], seen["growth"]["to_next"]) == (growth, 1_000 - growth)
    assert seen["vouchers"] == {"usable": one(sa.func.count(Voucher.id)), "units": 1}
    assert admin.get(f"/admin/members/{shopper.id}").json["assets"] == seen


@pytest.mark.covers("A6")
def test_receipts_are_listed_by_channel_store_and_day(bought, stores):
    shopper, admin = bought
    long_ago = clock.now() - 40 * DAY
    by_hand(sa.update(Purchase).where(Purchase.receipt_no == "R2").values(paid_at=long_ago))
    today, then = (clock.business_day(each).isoformat() for each in (clock.now(), long_ago))

    def numbers(who, path):
        return [each["receipt_no"] for each in who.get(path).json["items"]]

    assert numbers(shopper, "/me/purchases") == ["R2", "R1"]
    assert numbers(shopper, f"/me/purchases?store_id={stores['B']}") == ["R2"]
    assert numbers(shopper, f"/me/purchases?day={today}") == ["R1"]
    assert numbers(shopper, f"/me/purchases?day={then}&channel=till") == ["R2"]
    assert numbers(shopper, "/me/purchases?channel=import") == []
    assert numbers(admin, f"/admin/purchases?member_id={shopper.id}") == ["R3", "R2", "R1"]
    states = [each["state"] for each in admin.get("/admin/purchases").json["items"]]
    assert states == ["undone", "recorded", "recorded"]


@pytest.mark.covers("A6")
def test_nobody_sees_what_another_bought(bought, as_shopper):
    assert as_shopper("stranger").get("/me/purchases").json["items"] == []
