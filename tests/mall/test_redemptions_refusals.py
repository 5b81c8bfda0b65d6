"""Refused redemptions: each says why, and changes nothing at all."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import clock, gates, redemptions, rewards
from mall.errors import (
    AddressNeeded,
    AddressNotNeeded,
    Closed,
    LimitReached,
    NotEnoughPoints,
    NotFound,
    NotOpenYet,
    PaymentNeeded,
    SoldOut,
    TierTooLow,
)
from models import Account, Event, IdempotencyKey, Redemption, Reward, Voucher, db
from tests.makers import a_key
from tests.mall.books import (
    DAY,
    MOMENT,
    ask,
    balance,
    by_hand,
    count,
    gate,
    give,
    one,
    spend,
    taken,
    trades,
    units_left,
    wrong,
)
from tests.mall.together import together


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


# refused


REFUSALS = [
    (NotEnoughPoints, {"price_points": 501}, {}, {"short_by": 1}),
    (SoldOut, {"units": 0}, {}, {"units_left": 0}),
    (SoldOut, {"units": 49, "price_points": 5}, {"quantity": 99}, {"units_left": 49}),
    (LimitReached, {"per_member_limit": 1}, {"quantity": 2}, {"limit": 1, "period": "ever"}),
    (NotFound, {"published": False}, {}, {}),
    (TierTooLow, {"tier_min": "gold"}, {}, {"tier": "gold", "tier_name": "金卡会员"}),
    (PaymentNeeded, {"price_fen": 990}, {}, {"price_fen": 990}),
    (AddressNeeded, {"kind": "delivery"}, {}, {}),
    (AddressNotNeeded, {"kind": "pickup"}, {"address": {"name": "李"}}, {}),
    (AddressNotNeeded, {"kind": "virtual"}, {"address": {"name": "李"}}, {}),
    (AddressNotNeeded, {"kind": "coupon"}, {"address": {"name": "李"}}, {}),
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


# stale readings


def test_a_members_row_read_before_the_lock_does_not_count(app, a_member, a_reward, now):
    """PEERS 33: the account is loaded, then locked, and the figures from before the lock are used."""
    member, reward = a_member(points=100), a_reward(price_points=100, units=5).id
    assert db.session.get(Account, member).balance_points == 100
    together(app, [lambda: spend(member, 100, "elsewhere")])

    with pytest.raises(NotEnoughPoints):
        redemptions.redeem(ask(member, reward), now=now)

    assert balance(member) == 0 and wrong() == []
