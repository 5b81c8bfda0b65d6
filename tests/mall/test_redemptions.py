"""Redemptions: granted with all that belongs to them, once for each key, and sent as parcels."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
import sqlalchemy as sa

from mall import addresses, clock, redemptions, vouchers
from mall.errors import AlreadyCancelled, KeyReused, NotDelivered, NotFound
from mall.guards import stock
from mall.guards.client import RedisError
from models import Account, Event, LedgerEntry, Redemption, Reward, Voucher, db
from tests.makers import a_key
from tests.mall.books import (
    balance,
    by_hand,
    count,
    entries,
    gate,
    one,
    rows,
    said,
    taken,
    trades,
    units_left,
    wrong,
)

ADDRESS = {"name": "李", "phone": "13800000000", "region": "上海", "detail": "人民路 1 号"}


# granted


@pytest.mark.covers("C3")
def test_a_redemption_takes_points_and_units_and_leaves_a_voucher(a_member, a_reward, redeem, now):
    """PEERS 23, 29: three of a reward cost three times its price, taken with the voucher or not at all."""
    member, reward = a_member(points=1000), a_reward(price_points=100, units=10, title="茶杯").id

    answer = redeem(member, reward, 3)

    trade, voucher = said(answer)["id"], one(Voucher.id)
    shown = vouchers.reveal(answer.body)
    assert answer.status == 201 and not answer.replayed
    assert {k: v for k, v in said(answer).items() if k != "voucher"} == {
        "id": trade,
        "reward_id": reward,
        "quantity": 3,
        "points_paid": 300,
        "state": "issued",
        "balance_after": 700,
    }
    assert said(answer)["voucher"]["code"].startswith("voucher-code:")
    assert vouchers.code_of(db.session.get(Voucher, voucher)).encode() in shown
    assert entries(member)[1:] == [("redeem", -300, 700)]
    assert one(LedgerEntry.reason, LedgerEntry.kind == "redeem") == "茶杯"
    assert rows(Voucher.quantity, Voucher.title, Voucher.state) == [(3, "茶杯", "issued")]
    assert rows(Event.member_id, Event.payload, where=[Event.kind == "redeemed"]) == [
        (member, {"redemption_id": trade, "reward_id": reward, "quantity": 3})
    ]
    assert (units_left(reward), taken(member, reward)) == (7, 3)
    assert gate(reward) == (7, 0)
    assert wrong() == []


@pytest.mark.parametrize(("kind", "has_code"), [("virtual", 1), ("coupon", 1), ("delivery", 0)])
def test_what_is_shipped_has_no_voucher_and_everything_else_has(
    a_member, a_reward, redeem, kind, has_code
):
    member, reward = a_member(points=100), a_reward(kind=kind).id

    address = None if has_code else ADDRESS

    answer = redeem(member, reward, address=address)

    assert count(Voucher) == has_code
    assert (said(answer)["voucher"] is None) == (not has_code)
    kept = one(Redemption.address)
    assert addresses.opened(kept) == address and (kept is None or list(kept) == ["sealed"])


def test_a_gift_for_no_points_leaves_no_entry(a_member, a_reward, redeem):
    member, reward = a_member(), a_reward(price_points=0, units=1).id

    assert said(redeem(member, reward))["balance_after"] == 0

    assert entries(member) == [] and units_left(reward) == 0
    assert wrong() == []


def test_a_voucher_of_a_chosen_store_is_bound_to_it(a_member, a_reward, redeem, stores):
    redeem(a_member(points=100), a_reward().id, store_id=stores["B"])

    assert one(Voucher.store_id) == one(Redemption.store_id) == stores["B"]


def test_growth_is_not_lowered_by_spending(a_member, a_reward, redeem):
    """PEERS 30: a level computed from the points that are left falls when a reward is redeemed."""
    member = a_member(points=1000)
    by_hand(sa.update(Account).values(growth_value=1000, tier_code="silver"))

    redeem(member, a_reward(price_points=1000).id)

    assert rows(Account.growth_value, Account.tier_code) == [(1000, "silver")]


# keys


@pytest.mark.parametrize("with_gate", [True, False], ids=["gate", "sql alone"])
def test_one_key_with_another_body_is_refused(a_member, a_reward, redeem, dead_redis, with_gate):
    member, reward = a_member(points=500), a_reward(per_member_limit=1).id
    if not with_gate:
        dead_redis.die()
    key = a_key(member)
    redeem(member, reward, key=key)

    with pytest.raises(KeyReused):
        redeem(member, reward, key=replace(key, fingerprint="another body"))

    assert trades() == 1 and balance(member) == 400 and wrong() == []


def test_one_key_asked_again_at_a_gate_that_is_sold_out_gets_its_answer(a_member, a_reward, redeem):
    member, reward = a_member(points=500), a_reward(units=1).id
    key = a_key(member)
    first = redeem(member, reward, key=key)

    again = redeem(member, reward, key=key)

    assert again.replayed and again.body == first.body and gate(reward) == (0, 0)


def test_a_redis_that_dies_before_the_lease_is_settled_costs_nothing(
    a_member, a_reward, redeem, monkeypatch
):
    member, reward = a_member(points=500), a_reward(units=5).id
    monkeypatch.setattr(stock, "settle", Mock(side_effect=RedisError("gone")))

    assert redeem(member, reward).status == 201

    assert gate(reward) == (4, 1) and units_left(reward) == 4 and wrong() == []


# parcels


@pytest.fixture
def ship(now):
    def send(trade, number="SF1", key=None):
        parcel = {"carrier": "顺丰", "tracking_no": number}
        return redemptions.ship(trade, parcel, key=key or a_key(None, None), now=now)

    return send


def test_a_parcel_is_sent_and_its_number_may_be_corrected(a_member, a_reward, redeem, ship, now):
    member, reward = a_member(points=100), a_reward(kind="delivery").id
    trade = said(redeem(member, reward, address=ADDRESS))["id"]

    shown = said(ship(trade))
    ship(trade, "SF2")

    assert (shown["state"], shown["tracking_no"], shown["address"]) == ("shipped", "SF1", ADDRESS)
    assert shown["shipped_at"] == clock.rfc3339(now)
    assert rows(Redemption.state, Redemption.carrier, Redemption.tracking_no) == [
        ("shipped", "顺丰", "SF2")
    ]
    assert wrong() == []


def test_what_has_a_voucher_is_never_sent_as_well_whatever_its_reward_has_become(
    a_member, a_reward, redeem, ship
):
    reward = a_reward().id
    trade = said(redeem(a_member(points=100), reward))["id"]
    by_hand(sa.update(Reward).values(kind="delivery"))

    with pytest.raises(NotDelivered):
        ship(trade)
    by_hand(sa.update(Redemption).values(address=ADDRESS))
    with pytest.raises(NotDelivered):
        ship(trade)

    assert rows(Redemption.state) == [("issued",)]


def test_a_parcel_leaves_whatever_its_reward_has_become_but_not_without_an_address(
    a_member, a_reward, redeem, ship
):
    reward = a_reward(kind="delivery").id
    member = a_member(points=200)
    trade, lost = (said(redeem(member, reward, address=ADDRESS))["id"] for _ in range(2))
    by_hand(sa.update(Reward).values(kind="pickup"))
    by_hand(sa.update(Redemption).where(Redemption.id == lost).values(address=None))

    ship(trade)
    with pytest.raises(NotDelivered):
        ship(lost)
    by_hand(sa.update(Redemption).where(Redemption.id == lost).values(address=sa.null()))
    with pytest.raises(NotDelivered):
        ship(lost)

    assert rows(Redemption.state, order=Redemption.id) == [("shipped",), ("issued",)]


def test_what_is_fetched_or_taken_back_or_nobodys_is_not_sent(
    a_member, a_reward, redeem, ship, now
):
    member = a_member(points=300)
    fetched = said(redeem(member, a_reward().id))["id"]
    taken_back = said(redeem(member, a_reward(kind="delivery").id, address=ADDRESS))["id"]
    redemptions.cancel(member, taken_back, key=a_key(member), now=now)

    for trade, error in ((fetched, NotDelivered), (taken_back, AlreadyCancelled), (404, NotFound)):
        with pytest.raises(error):
            ship(trade)

    assert count(Redemption, Redemption.state == "shipped") == 0
