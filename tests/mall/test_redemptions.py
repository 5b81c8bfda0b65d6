"""Redemptions: granted or refused each by itself, and a refusal changes nothing at all."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import clock, gates, redemptions, rewards, vouchers
from mall.errors import (
    AddressNeeded,
    AlreadyCancelled,
    Closed,
    KeyReused,
    LimitReached,
    NotDelivered,
    NotEnoughPoints,
    NotFound,
    NotOpenYet,
    PaymentNeeded,
    SoldOut,
    TierTooLow,
)
from mall.guards import stock
from mall.guards.client import RedisError, client
from mall.idempotency import Answer
from models import (
    Account,
    Event,
    IdempotencyKey,
    LedgerEntry,
    Redemption,
    Reward,
    Voucher,
    db,
)
from tests.makers import a_key
from tests.mall.books import (
    DAY,
    MOMENT,
    ask,
    balance,
    by_hand,
    count,
    entries,
    gate,
    give,
    one,
    rows,
    said,
    spend,
    taken,
    trades,
    units_left,
    wrong,
)
from tests.mall.together import together

ADDRESS = {"name": "李", "phone": "13800000000", "region": "上海", "detail": "人民路 1 号"}


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def redeem(now):
    """Redeem for somebody; keys are new unless given."""

    def ask_for(member_id, reward_id, quantity=1, *, at=now, **more):
        return redemptions.redeem(ask(member_id, reward_id, quantity, **more), now=at)

    return ask_for


def traces(member, reward):
    """All that a redemption could leave behind."""
    return {
        "redemptions": trades(),
        "vouchers": count(Voucher),
        "limits": taken(member, reward),
        "keys": count(IdempotencyKey, IdempotencyKey.caller == gates.caller_of(member)),
        "facts": count(Event, Event.kind == "redeemed"),
        "balance": balance(member),
        "units": units_left(reward),
        "gate": gate(reward),
        "wrong": wrong(),
    }


def no_traces(points, reward, units):
    """What a refusal leaves: no row, no point, no unit, no lease, no key."""
    blank = dict.fromkeys(["redemptions", "vouchers", "limits", "keys", "facts"], 0)
    at_gate = None if gate(reward) is None else (units, 0)
    return {**blank, "balance": points, "units": units, "gate": at_gate, "wrong": []}


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
    assert said(answer)["voucher"]["code"] == f"voucher-code:{voucher}"
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

    answer = redeem(member, reward, address=ADDRESS)

    assert count(Voucher) == has_code
    assert (said(answer)["voucher"] is None) == (not has_code)
    assert one(Redemption.address) == ADDRESS


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


# refused


REFUSALS = [
    (NotEnoughPoints, {"price_points": 501}, {}, {"short_by": 1}),
    (SoldOut, {"units": 0}, {}, {}),
    (SoldOut, {"units": 1}, {"quantity": 2}, {}),
    (LimitReached, {"per_member_limit": 1}, {"quantity": 2}, {"limit": 1, "period": "ever"}),
    (Closed, {"published": False}, {}, {}),
    (TierTooLow, {"tier_min": "gold"}, {}, {"tier": "gold", "tier_name": "金卡会员"}),
    (PaymentNeeded, {"price_fen": 990}, {}, {"price_fen": 990}),
    (AddressNeeded, {"kind": "delivery"}, {}, {}),
    (NotFound, {}, {"store_id": 404}, {}),
]


@pytest.mark.parametrize(
    ("error", "columns", "wanted", "details"), REFUSALS, ids=lambda each: getattr(each, "code", "")
)
@pytest.mark.parametrize("with_gate", [True, False], ids=["gate", "sql alone"])
def test_a_refusal_says_why_and_leaves_no_trace(
    a_member, a_reward, redeem, dead_redis, error, columns, wanted, details, with_gate
):
    """PEERS 10, 14, 18: limits that are saved and never read, shortages that are only logged."""
    member, units = a_member(points=500), columns.get("units", 5)
    reward = a_reward(**{"units": units, **columns}).id
    if with_gate:
        gates.rebuild(reward)
    else:
        dead_redis.die()

    with pytest.raises(error) as refusal:
        redeem(member, reward, **wanted)

    dead_redis.live()
    assert refusal.value.details == details
    assert traces(member, reward) == no_traces(500, reward, units)


@pytest.mark.covers("E4")
def test_a_reward_can_be_had_from_the_moment_it_opens(a_member, a_reward, redeem, now):
    member, opens_at = a_member(points=500), now + DAY
    reward = a_reward(opens_at=opens_at, units=5).id

    with pytest.raises(NotOpenYet) as refusal:
        redeem(member, reward, at=opens_at - MOMENT)

    assert refusal.value.details == {"opens_at": clock.rfc3339(opens_at)}
    assert traces(member, reward) == no_traces(500, reward, 5)
    assert redeem(member, reward, at=opens_at).status == 201


@pytest.mark.covers("E4")
def test_a_reward_is_gone_from_the_moment_it_closes(a_member, a_reward, redeem, now):
    member, closes_at = a_member(points=500), now + DAY
    reward = a_reward(closes_at=closes_at, units=5).id

    with pytest.raises(Closed):
        redeem(member, reward, at=closes_at)

    assert traces(member, reward) == no_traces(500, reward, 5)
    assert redeem(member, reward, at=closes_at - MOMENT).status == 201


def test_a_reward_of_a_tier_is_for_that_tier_and_those_above(a_member, a_reward, redeem):
    reward = a_reward(tier_min="silver", price_points=0).id
    fates = {}
    for tier in ("base", "silver", "diamond"):
        member = a_member()
        by_hand(sa.update(Account).where(Account.member_id == member).values(tier_code=tier))
        try:
            fates[tier] = redeem(member, reward).status
        except TierTooLow as refusal:
            fates[tier] = refusal.sentence()

    assert fates == {"base": "银卡会员及以上会员专享", "silver": 201, "diamond": 201}


def test_a_reward_or_a_member_that_does_not_exist_is_not_found(a_member, a_reward, redeem):
    with pytest.raises(NotFound):
        redeem(a_member(points=100), 404)
    with pytest.raises(NotFound):
        redeem(404, a_reward().id)

    assert trades() == 0 and wrong() == []


def test_a_refusal_is_judged_anew_when_the_same_key_asks_again(a_member, a_reward, redeem, now):
    member, reward = a_member(points=80), a_reward(price_points=100, units=1).id
    key = a_key(member)
    with pytest.raises(NotEnoughPoints):
        redeem(member, reward, key=key)
    give(member, 20, "enough now", expires_at=None, now=now)

    assert redeem(member, reward, key=key).status == 201
    assert wrong() == []


def test_a_refused_payment_puts_the_unit_back_on_the_shelf(a_member, a_reward, redeem):
    member, reward = a_member(points=80), a_reward(price_points=100, units=1).id
    gates.rebuild(reward)

    with pytest.raises(NotEnoughPoints) as refusal:
        redeem(member, reward)

    assert refusal.value.details == {"short_by": 20}
    assert gate(reward) == (1, 0) and units_left(reward) == 1


@pytest.mark.parametrize("quantity", [0, -1, 100])
def test_the_database_itself_refuses_a_quantity_out_of_bounds(a_member, a_reward, redeem, quantity):
    """PEERS 1: a quantity below one that gives points instead of taking them."""
    redeem(a_member(points=500), a_reward().id)

    with pytest.raises(IntegrityError):
        by_hand(sa.update(Redemption).values(quantity=quantity))


@pytest.mark.parametrize("quantity", [0, -3, 100])
def test_a_quantity_out_of_bounds_is_never_traded(a_member, a_reward, redeem, quantity):
    """PEERS 1: below the edge, which refuses it first, nothing lets it through either."""
    member, reward = a_member(points=500), a_reward(units=5).id
    gates.rebuild(reward)

    with pytest.raises(AssertionError):
        redeem(member, reward, quantity)

    assert traces(member, reward) == no_traces(500, reward, 5)


# limits


@pytest.mark.covers("E4")
@pytest.mark.parametrize("with_gate", [True, False], ids=["gate", "sql alone"])
def test_a_limit_counts_units_over_all_of_a_members_redemptions(
    a_member, a_reward, redeem, dead_redis, with_gate
):
    """PEERS 18, 19: a limit that holds for one order only, or compares with > where >= is meant."""
    member, reward = a_member(points=9000), a_reward(per_member_limit=3, units=50).id
    if not with_gate:
        dead_redis.die()
    redeem(member, reward, 1)
    redeem(member, reward, 2)

    with pytest.raises(LimitReached):
        redeem(member, reward, 1)

    assert redeem(a_member(points=9000), reward, 3).status == 201
    assert taken(member, reward) == 3 and units_left(reward) == 44
    assert wrong() == []


@pytest.mark.parametrize("with_gate", [True, False], ids=["gate", "sql alone"])
def test_deleting_history_does_not_lift_a_limit(a_member, a_reward, redeem, dead_redis, with_gate):
    """PEERS 5: a count over orders that skips those the shopper deleted."""
    member, reward = a_member(points=9000), a_reward(per_member_limit=1).id
    redeem(member, reward)
    by_hand(sa.delete(Voucher))
    by_hand(sa.delete(Redemption))
    if with_gate:
        gates.rebuild(reward)
    else:
        dead_redis.die()

    with pytest.raises(LimitReached):
        redeem(member, reward)


def test_a_raised_limit_lets_more_through(a_member, a_reward, redeem):
    member, reward = a_member(points=9000), a_reward(per_member_limit=1).id
    redeem(member, reward)
    version = one(Reward.version, Reward.id == reward)

    rewards.change(reward, {"per_member_limit": 2}, version=version)

    assert redeem(member, reward).status == 201
    with pytest.raises(LimitReached):
        redeem(member, reward)


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


# many at once


def outcomes_of(requests, now):
    return [
        each.status if isinstance(each, Answer) else type(each)
        for each in redemptions.redeem_many(requests, now=now)
    ]


def test_a_batch_grants_and_refuses_each_request_by_itself(a_member, a_reward, now):
    cup, bag = a_reward(price_points=100, units=9).id, a_reward(price_points=50, units=9).id
    rare = a_reward(price_points=1, units=9, tier_min="gold").id
    once = a_reward(price_points=1, units=9, per_member_limit=1).id
    rich, poor = [a_member(points=1000) for _ in range(4)], a_member(points=10)
    requests = [
        ask(rich[0], cup, 2),
        ask(poor, cup),
        ask(rich[1], bag, 3),
        ask(rich[2], rare),
        ask(rich[3], once, 2),
        ask(a_member(points=5), 404),
    ]

    assert outcomes_of(requests, now) == [
        201,
        NotEnoughPoints,
        201,
        TierTooLow,
        LimitReached,
        NotFound,
    ]
    assert [balance(each) for each in [*rich, poor]] == [800, 850, 1000, 1000, 10]
    assert [gate(each) for each in (cup, bag, rare, once)] == [(7, 0), (6, 0), (9, 0), (9, 0)]
    assert wrong() == []


def test_those_refused_in_a_batch_may_ask_again_with_their_keys(a_member, a_reward, now):
    reward, poor = a_reward(price_points=100).id, a_member(points=10)
    requests = [ask(a_member(points=100), reward), ask(poor, reward)]
    assert outcomes_of(requests, now) == [201, NotEnoughPoints]
    give(poor, 90, "enough now", expires_at=None, now=now)

    again = redemptions.redeem_many(requests, now=now)

    assert [each.replayed for each in again] == [True, False]
    assert trades() == 2 and gate(reward) == (8, 0)


def test_a_batch_asked_twice_gets_the_very_same_bytes(a_member, a_reward, now):
    reward = a_reward(units=5).id
    requests = [ask(a_member(points=100), reward) for _ in range(3)]

    first = redemptions.redeem_many(requests, now=now)
    again = redemptions.redeem_many(requests, now=now)

    assert [each.body for each in again] == [each.body for each in first]
    assert [each.replayed for each in again] == [True] * 3
    assert trades() == 3 and gate(reward) == (2, 0)
    assert wrong() == []


def test_a_batch_that_the_gate_let_in_in_error_is_decided_one_by_one(a_member, a_reward, now):
    """PEERS 3, 27: stock that is read, reduced in memory and written back oversells."""
    reward = a_reward(price_points=10, units=2).id
    gates.rebuild(reward)
    client().hset(f"{{rw:{reward}}}:g", "avail", 5)
    members = [a_member(points=100) for _ in range(5)]

    found = outcomes_of([ask(member, reward) for member in members], now)

    assert found == [201, 201, SoldOut, SoldOut, SoldOut]
    assert [balance(member) for member in members] == [90, 90, 100, 100, 100]
    assert units_left(reward) == 0 and gate(reward) == (3, 0)
    assert wrong() == []


def test_one_request_that_breaks_does_not_fail_its_neighbours(a_member, a_reward, redeem, now):
    """A key whose row was lost can't pay twice all the same: the redemption knows it for ever."""
    reward, broken = a_reward(units=10).id, a_member(points=500)
    key = a_key(broken)
    redeem(broken, reward, key=key)
    by_hand(sa.delete(IdempotencyKey).where(IdempotencyKey.key == key.text))
    requests = [
        ask(a_member(points=100), reward),
        ask(broken, reward, key=key),
        ask(a_member(points=100), reward),
    ]

    assert outcomes_of(requests, now) == [201, IntegrityError, 201]
    assert trades() == 3 and balance(broken) == 400
    assert (units_left(reward), gate(reward)) == (7, (7, 0))
    assert wrong() == []


def test_a_batch_over_several_rewards_takes_each_rewards_own_units(a_member, a_reward, now):
    shelf = [a_reward(price_points=1, units=10).id for _ in range(3)]
    requests = [ask(a_member(points=10), shelf[n % 3], n % 4 + 1) for n in range(9)]

    assert outcomes_of(requests, now) == [201] * 9

    wanted = {
        reward: sum(r.quantity for r in requests if r.reward_id == reward) for reward in shelf
    }
    assert {reward: 10 - units_left(reward) for reward in shelf} == wanted
    assert wrong() == []


def test_no_requests_have_no_outcomes(app, now):
    assert redemptions.redeem_many([], now=now) == []


# stale readings


def test_a_members_row_read_before_the_lock_does_not_count(app, a_member, a_reward, now):
    """PEERS 33: the account is loaded, then locked, and the figures from before the lock are used."""
    member, reward = a_member(points=100), a_reward(price_points=100, units=5).id
    assert db.session.get(Account, member).balance_points == 100
    together(app, [lambda: spend(member, 100, "elsewhere")])

    with pytest.raises(NotEnoughPoints):
        redemptions.redeem(ask(member, reward), now=now)

    assert balance(member) == 0 and wrong() == []
