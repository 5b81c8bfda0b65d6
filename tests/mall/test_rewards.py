"""Rewards: what is on the shelf, changed by one at a time, and stock that adds up."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import clock, redemptions, rewards
from mall.errors import (
    ChangedMeanwhile,
    KindFixed,
    Malformed,
    NotDelivered,
    NotFound,
    SoldOut,
    StockPromised,
    TooManyUnits,
)
from mall.idempotency import Answer, Replayed
from models import Redemption, Reward, StockMove, Voucher
from tests.makers import a_key
from tests.mall.books import ask, by_hand, count, gate, one, rows, said, units_left, wrong
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def move(hired, now):
    """Move a reward's stock by hand."""

    def by(reward, quantity, key=None, reason="count"):
        fields = {"quantity": quantity, "reason": reason, "note": "盘点", "unit_cost_fen": 250}
        who, key = hired["admin"], key or a_key(None, None)
        return rewards.move_stock(reward, fields, staff_id=who, key=key, now=now)

    return by


def test_a_new_reward_needs_a_title_a_kind_and_a_price(app, now):
    values = {"title": "茶杯", "kind": "pickup", "price_points": 100}

    answer = rewards.shelve(values, key=a_key(None, None), now=now)

    shown = said(answer)
    assert answer.status == 201 and shown["id"] == one(Reward.id)
    assert (shown["published"], shown["hot"], shown["units_left"]) == (True, False, 0)
    assert shown["opens_at"] is shown["per_member_limit"] is None
    assert shown["stock_state"] == "sold_out" and "epoch" not in shown
    assert shown["limit_period"] == "ever"
    assert shown["created_at"] == clock.rfc3339(now)


@pytest.mark.parametrize(
    "wrong_one",
    [
        {"price_points": -1},
        {"price_fen": -1},
        {"kind": "gold"},
        {"per_member_limit": 0},
        {"limit_period": "year"},
        {"units_left": -1},
        {"units_left": 1},
        {"units_promised": 1},
    ],
    ids=str,
)
def test_the_database_itself_refuses_a_reward_that_can_not_be(app, now, wrong_one):
    values = {"title": "茶杯", "kind": "pickup", "price_points": 100, **wrong_one}

    with pytest.raises(IntegrityError):
        rewards.add(values, now=now)


def test_a_reward_that_does_not_exist_is_not_found(app):
    with pytest.raises(NotFound):
        rewards.find(404)
    with pytest.raises(NotFound):
        rewards.change(404, {"title": "?"}, version=1)


def test_of_two_admins_who_saw_one_version_the_second_is_told(app, a_reward):
    reward = a_reward().id

    outcomes = together(
        app, [lambda n=n: rewards.change(reward, {"sort": n}, version=1).id for n in range(6)]
    )

    assert outcomes.count(reward) == 1
    losers = [each for each in outcomes if isinstance(each, ChangedMeanwhile)]
    assert len(losers) == 5 and {each.details["version"] for each in losers} == {2}


def test_the_kind_may_change_until_the_first_redemption_and_never_after(a_member, a_reward, now):
    """What was granted with a voucher would else be sent as a parcel too."""
    reward, member = a_reward().id, a_member(points=100)
    for version, kind in enumerate(("delivery", "pickup"), start=1):
        rewards.change(reward, {"kind": kind}, version=version)
    trade = said(redemptions.redeem(ask(member, reward), now=now))["id"]

    with pytest.raises(KindFixed):
        rewards.change(reward, {"kind": "delivery", "sort": 9}, version=3)
    redemptions.cancel(member, trade, key=a_key(member), now=now)
    with pytest.raises(KindFixed):
        rewards.change(reward, {"kind": "delivery"}, version=3)
    with pytest.raises(ChangedMeanwhile):
        rewards.change(reward, {"kind": "delivery"}, version=2)
    rewards.change(reward, {"kind": "pickup", "sort": 1}, version=3)

    assert rows(Reward.kind, Reward.sort, Reward.version) == [("pickup", 1, 4)]


def test_a_kind_changed_while_shoppers_come_never_leaves_both_a_voucher_and_a_parcel(
    app, a_member, a_reward, now
):
    reward = a_reward(price_points=1).id
    members = [a_member(points=1) for _ in range(6)]
    works = [lambda m=m: redemptions.redeem(ask(m, reward), now=now) for m in members]

    outcomes = together(
        app, [*works, lambda: rewards.change(reward, {"kind": "virtual"}, version=1)]
    )

    assert sum(isinstance(each, Answer) for each in outcomes) == 6
    assert rows(Voucher.redemption_id, order=Voucher.redemption_id) == rows(
        Redemption.id, order=Redemption.id
    )
    for (trade,) in rows(Redemption.id):
        parcel = {"carrier": "顺丰", "tracking_no": "SF1"}
        with pytest.raises(NotDelivered):
            redemptions.ship(trade, parcel, key=a_key(None, None), now=now)


def test_a_change_renews_the_gate(a_reward):
    reward = a_reward().id
    epoch = one(Reward.epoch)

    rewards.change(reward, {"per_member_limit": 3}, version=1)

    assert rows(Reward.epoch, Reward.version) == [(epoch + 1, 2)]


@pytest.mark.parametrize(
    ("units", "state"), [(0, "sold_out"), (1, "low"), (5, "low"), (6, "plenty")]
)
def test_the_shelf_says_how_much_is_left_in_words(a_reward, units, state):
    assert rewards.stock_state(units, low_units=5) == state


# stock


@pytest.mark.covers("E3")
def test_each_move_of_stock_is_kept_with_what_was_left_after_it(a_reward, hired, move, now):
    reward = a_reward(units=5).id

    assert said(move(reward, 3))["units_left"] == 8
    answer = said(move(reward, -8))

    assert answer["units_left"] == 0
    assert answer["move"] == {
        "id": one(sa.func.max(StockMove.id)),
        "quantity": -8,
        "reason": "count",
        "note": "盘点",
        "unit_cost_fen": 250,
        "store_id": None,
        "created_at": clock.rfc3339(now),
    }
    moves = rows(StockMove.quantity, StockMove.units_left_after, order=StockMove.id)
    assert moves == [(5, 5), (3, 8), (-8, 0)]
    assert set(rows(StockMove.staff_id)) == {(hired["admin"],)}
    assert wrong() == []


def test_what_is_promised_can_not_be_taken_out(a_member, a_reward, move, now):
    reward = a_reward(units=5).id
    redemptions.redeem(ask(a_member(points=300), reward, 3), now=now)

    with pytest.raises(StockPromised) as refusal:
        move(reward, -3)
    move(reward, -2)

    assert refusal.value.details == {"units_left": 2}
    assert rows(Reward.units_left, Reward.units_promised, Reward.units_stocked) == [(0, 3, 3)]
    assert count(StockMove) == 2 and wrong() == []


def test_stock_of_a_reward_that_does_not_exist_is_not_moved(move):
    with pytest.raises(NotFound):
        move(404, 1)


def test_there_is_a_most_that_a_reward_can_hold(a_reward, move):
    reward = a_reward(units=rewards.MAX_UNITS - 1).id
    move(reward, 1)

    with pytest.raises(TooManyUnits) as refusal:
        move(reward, 1)

    assert refusal.value.details == {"limit": rewards.MAX_UNITS}
    assert units_left(reward) == rewards.MAX_UNITS


def test_a_window_that_closes_before_it_opens_is_refused(a_reward, now):
    reward = a_reward(opens_at=now).id

    for closes_at in (now, now - timedelta(days=1)):
        with pytest.raises(Malformed):
            rewards.change(reward, {"closes_at": closes_at}, version=1)

    assert rows(Reward.closes_at, Reward.version) == [(None, 1)]


def test_one_delivery_told_twice_is_stocked_once(a_reward, move):
    reward, key = a_reward(units=5).id, a_key(route="POST /stock-moves")
    first = move(reward, 3, key)

    with pytest.raises(Replayed) as twin:
        move(reward, 3, key)

    assert twin.value.answer.body == first.body and units_left(reward) == 8


def test_stock_moved_while_shoppers_come_adds_up(app, a_member, a_reward, move, now):
    reward = a_reward(price_points=1, units=3).id
    members = [a_member(points=1) for _ in range(10)]
    works = [lambda m=m: redemptions.redeem(ask(m, reward), now=now) for m in members]
    works += [lambda: move(reward, 2), lambda: move(reward, -1)]

    outcomes = together(app, works)

    granted = sum(isinstance(each, Answer) for each in outcomes[:10])
    moved = 2 * isinstance(outcomes[10], Answer) - isinstance(outcomes[11], Answer)
    assert units_left(reward) == 3 + moved - granted >= 0
    assert wrong() == []


def test_units_are_taken_only_where_enough_are_left_and_shown(a_reward):
    """PEERS 3, 27: stock without a condition on the row itself."""
    few, hidden = a_reward(units=2).id, a_reward(units=9, published=False).id
    rewards.take_many({few: 2})

    for reward, error in ((few, SoldOut), (hidden, NotFound), (404, NotFound)):
        with pytest.raises(error):
            rewards.take_many({reward: 1})

    assert rows(Reward.units_left, Reward.units_promised, order=Reward.id) == [(0, 2), (9, 0)]


def test_units_of_several_rewards_are_taken_all_or_none(a_reward):
    many, none = a_reward(units=9).id, a_reward(units=0).id

    with pytest.raises(SoldOut):
        rewards.take_many({many: 1, none: 1})

    assert units_left(many) == 9


def test_stock_set_by_hand_reaches_the_gate_with_the_next_shopper(a_member, a_reward, move, now):
    reward = a_reward(units=1).id
    redemptions.redeem(ask(a_member(points=100), reward), now=now)
    move(reward, 4)

    redemptions.redeem(ask(a_member(points=100), reward), now=now + timedelta(seconds=1))

    assert gate(reward) == (3, 0)


def test_more_promised_than_stocked_can_not_be_written(a_reward):
    a_reward(units=1)

    with pytest.raises(IntegrityError):
        by_hand(sa.update(Reward).values(units_promised=2))
