"""Stock by store: each store hands over its own units, and all of them add up to the reward's."""

import random

import pytest
import sqlalchemy as sa

from mall import bundles, clock, gates, redemptions, rewards, vouchers
from mall.bundles import Gift
from mall.errors import (
    Malformed,
    NotFound,
    OneStock,
    SoldOut,
    StockFixed,
    StockPromised,
    StoreNeeded,
    TooManyUnits,
)
from mall.idempotency import Answer
from mall.redemptions.door import enter_many
from mall.redemptions.redeem import commit_many
from models import Redemption, Reward, StockMove, StoreMove, StoreStock, Voucher, db
from tests.makers import a_key
from tests.mall.books import (
    ask,
    balance,
    book_of,
    by_hand,
    clerk,
    count,
    gate,
    one,
    rows,
    said,
    units_left,
    wrong,
)
from tests.mall.together import together

SHELF = (StoreStock.units_stocked, StoreStock.units_left, StoreStock.units_promised)


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def move(hired, now):
    """Move units of a reward, at a store where one is given."""

    def by(reward, quantity, store_id=None, *, reason="purchase"):
        fields = {"quantity": quantity, "reason": reason, "note": "", "unit_cost_fen": None}
        stamp = {"staff_id": hired["admin"], "key": a_key(), "now": now}
        return said(rewards.move_stock(reward, fields, store_id=store_id, **stamp))

    return by


@pytest.fixture
def bring(hired, now):
    """Bring units from a store to another."""

    def by(reward, quantity, start, end):
        fields = {"from_store_id": start, "to_store_id": end, "quantity": quantity, "note": ""}
        stamp = {"staff_id": hired["admin"], "key": a_key(), "now": now}
        return said(rewards.transfer_stock(reward, fields, **stamp))

    return by


@pytest.fixture
def a_shelf(a_reward, move, stores):
    """A reward for ten points with units in stores A and B; answers its id."""

    def make(a=0, b=0, **columns):
        fields = {"price_points": 10, "stock_by_store": True, **columns}
        reward = a_reward(units=0, **fields).id
        for name, units in (("A", a), ("B", b)):
            if units:
                move(reward, units, stores[name])
        return reward

    return make


def at(reward, store_id):
    """What a store has of a reward: stocked, left, promised."""
    place = (StoreStock.reward_id == reward, StoreStock.store_id == store_id)
    (found,) = rows(*SHELF, where=place)
    return found


@pytest.mark.covers("K9")
def test_a_unit_is_taken_from_the_store_that_was_chosen(a_shelf, a_member, stores, now):
    reward = a_shelf(a=3, b=2)

    answer = redemptions.redeem(ask(a_member(points=20), reward, 2, store_id=stores["B"]), now=now)

    assert answer.status == 201
    assert at(reward, stores["A"]) == (3, 3, 0) and at(reward, stores["B"]) == (2, 0, 2)
    assert units_left(reward) == 3 and gate(reward) == (3, 0)
    assert one(Voucher.store_id) == stores["B"]
    assert wrong() == []


@pytest.mark.covers("K9")
def test_a_store_that_has_none_refuses_though_another_has_some(a_shelf, a_member, stores, now):
    reward, member = a_shelf(a=1, b=9), a_member(points=100)
    refused = {}
    for store, quantity in (("A", 2), ("B", 10)):
        with pytest.raises(SoldOut) as refusal:
            redemptions.redeem(ask(member, reward, quantity, store_id=stores[store]), now=now)
        refused[store] = refusal.value

    assert refused["A"].details == {"units_left": 1, "store_id": stores["A"], "store": "A店"}
    assert refused["A"].sentence() == "A店库存不足，仅剩 1 件"
    assert refused["A"].sentence("en") == "Only 1 left at A店."
    assert refused["B"].details["units_left"] == 9
    assert balance(member) == 100 and units_left(reward) == 10 and gate(reward) is None


def test_a_store_that_never_had_any_is_sold_out(a_shelf, a_member, stores, now):
    reward = a_shelf(a=5)

    with pytest.raises(SoldOut) as refusal:
        redemptions.redeem(ask(a_member(points=100), reward, store_id=stores["B"]), now=now)

    assert refusal.value.sentence() == "B店已兑完"


@pytest.mark.covers("K9")
def test_whoever_names_no_store_is_asked_for_one(a_shelf, a_member, now):
    reward, member = a_shelf(a=5), a_member(points=100)

    with pytest.raises(StoreNeeded):
        redemptions.redeem(ask(member, reward), now=now)
    with pytest.raises(NotFound):
        redemptions.redeem(ask(member, reward, store_id=404), now=now)

    assert gate(reward) is None and balance(member) == 100


@pytest.mark.covers("K9")
def test_a_trade_taken_back_returns_the_unit_to_its_store(a_shelf, a_member, stores, now):
    reward, member = a_shelf(a=1, b=1), a_member(points=10)
    trade = said(redemptions.redeem(ask(member, reward, store_id=stores["A"]), now=now))["id"]

    redemptions.cancel(member, trade, key=a_key(member), now=now)

    assert at(reward, stores["A"]) == (1, 1, 0) and at(reward, stores["B"]) == (1, 1, 0)
    assert units_left(reward) == 2 and gate(reward) == (2, 0) and wrong() == []


def test_a_store_that_only_hands_over_gets_no_unit_back(a_reward, a_member, stores, now):
    reward, member = a_reward(price_points=10, units=3).id, a_member(points=10)
    trade = said(redemptions.redeem(ask(member, reward, store_id=stores["A"]), now=now))["id"]

    redemptions.cancel(member, trade, key=a_key(member), now=now)

    assert units_left(reward) == 3 and count(StoreStock) == 0 and wrong() == []


@pytest.mark.covers("K9")
def test_a_crowd_takes_no_more_of_a_store_than_it_has(app, a_shelf, a_member, stores):
    reward = a_shelf(a=3, b=4)
    wanted = [("A", 9), ("B", 9)]
    requests = [
        ask(a_member(points=10), reward, store_id=stores[name])
        for name, crowd in wanted
        for _ in range(crowd)
    ]
    random.Random(7).shuffle(requests)

    answers = together(
        app, [lambda request=each: redemptions.redeem_together(request) for each in requests]
    )
    assert {type(each) for each in answers} <= {Answer, SoldOut}
    assert granted(a := stores["A"]) <= 3 and granted(b := stores["B"]) <= 4 and wrong() == []

    later = redemptions.redeem_many(requests, now=clock.now())  # what was held in the crowd is free

    assert {type(each) for each in later} <= {Answer, SoldOut}
    assert (granted(a), granted(b)) == (3, 4)
    assert units_left(reward) == 0 and gate(reward) == (0, 0) and wrong() == []


def granted(store_id):
    return count(Redemption, Redemption.store_id == store_id)


@pytest.mark.covers("K9")
def test_in_a_batch_the_last_unit_of_a_store_goes_to_one(a_shelf, a_reward, a_member, stores, now):
    shelf, plain = a_shelf(a=1, b=1), a_reward(price_points=10, units=5).id
    a, b = stores["A"], stores["B"]
    requests = [
        ask(a_member(points=10), shelf, store_id=a),
        ask(a_member(points=10), shelf, store_id=a),
        ask(a_member(points=10), plain),
        ask(a_member(points=10), shelf, store_id=b),
    ]
    gates.rebuild(shelf)

    outcomes = redemptions.redeem_many(requests, now=now)

    assert [isinstance(each, Answer) for each in outcomes] == [True, False, True, True]
    assert gate(shelf) == (0, 0) and gate(plain) == (4, 0) and wrong() == []


@pytest.mark.covers("K9")
def test_of_two_who_were_let_in_for_a_stores_last_unit_one_has_it(a_shelf, a_member, stores, now):
    reward, a = a_shelf(a=1, b=5), stores["A"]
    requests = [ask(a_member(points=10), reward, store_id=a) for _ in range(2)]
    tickets = [ticket for each in requests for ticket in enter_many([each], now=now)]

    first, second = commit_many(tickets, now=now)

    assert isinstance(first, Answer) and isinstance(second, SoldOut)
    assert second.details == {"units_left": 0, "store_id": a, "store": "A店"}
    assert at(reward, a) == (1, 0, 1) and gate(reward) == (5, 0) and wrong() == []


@pytest.mark.covers("K9")
def test_a_repeat_is_answered_though_its_store_is_empty_by_now(a_shelf, a_member, stores, now):
    reward, member = a_shelf(a=1), a_member(points=10)
    request = ask(member, reward, store_id=stores["A"])
    first = redemptions.redeem(request, now=now)

    again = redemptions.redeem(request, now=now)

    assert again.replayed and again.body == first.body and count(Redemption) == 1


# stock by hand


@pytest.mark.covers("K9")
def test_units_come_to_a_store_and_leave_it_but_never_those_promised(
    a_shelf, a_member, move, stores, now
):
    reward, a = a_shelf(a=5), stores["A"]
    redemptions.redeem(ask(a_member(points=20), reward, 2, store_id=a), now=now)

    moved = move(reward, -3, a, reason="damage")
    with pytest.raises(StockPromised) as refusal:
        move(reward, -1, a, reason="count")

    assert refusal.value.details == {"units_left": 0}
    assert moved["units_left"] == 0 and moved["move"]["store_id"] == a
    assert at(reward, a) == (2, 0, 2) and wrong() == []
    noted = rows(StoreMove.quantity, StoreMove.reason, StoreMove.units_left_after)
    assert noted == [(5, "purchase", 5), (-3, "damage", 0)]
    assert rows(StockMove.quantity) == [(5,), (-3,)]


@pytest.mark.covers("K9")
def test_units_go_from_one_store_to_another_and_the_sum_stays(
    a_shelf, a_member, bring, stores, now
):
    reward, a, b = a_shelf(a=5, b=1), stores["A"], stores["B"]
    redemptions.redeem(ask(a_member(points=20), reward, 2, store_id=a), now=now)

    brought = bring(reward, 3, a, b)
    with pytest.raises(StockPromised):
        bring(reward, 1, a, b)

    assert brought == {"units_left_from": 0, "units_left_to": 4}
    assert at(reward, a) == (2, 0, 2) and at(reward, b) == (4, 4, 0)
    assert units_left(reward) == 4 and count(StockMove) == 2 and wrong() == []


@pytest.mark.parametrize("end", ["A", "nowhere"])
def test_units_are_brought_to_another_store_that_there_is(a_shelf, bring, stores, end):
    reward = a_shelf(a=5)

    with pytest.raises((Malformed, NotFound)):
        bring(reward, 1, stores["A"], stores.get(end, 404))

    assert at(reward, stores["A"]) == (5, 5, 0) and wrong() == []


def test_units_say_where_they_go_just_where_stores_have_them(
    a_shelf, a_reward, move, bring, stores
):
    by_store, plain = a_shelf(a=1), a_reward(units=1).id

    with pytest.raises(StoreNeeded):
        move(by_store, 1)
    with pytest.raises(OneStock):
        move(plain, 1, stores["A"])
    with pytest.raises(OneStock):
        bring(plain, 1, stores["A"], stores["B"])
    with pytest.raises(NotFound):
        move(by_store, 1, 404)

    assert units_left(by_store) == units_left(plain) == 1 and wrong() == []


def test_a_store_holds_no_more_than_a_reward_may(a_shelf, move, stores):
    reward = a_shelf(a=5)

    with pytest.raises(TooManyUnits):
        move(reward, rewards.MAX_UNITS, stores["B"])

    assert units_left(reward) == 5 and wrong() == []


# how a reward is stocked


def change(reward, values):
    return rewards.change(reward, values, version=one(Reward.version, Reward.id == reward))


@pytest.mark.covers("K9")
def test_how_a_reward_is_stocked_is_fixed_while_it_has_units(a_shelf, a_reward, move, stores):
    by_store, plain = a_shelf(a=2), a_reward(units=2).id
    for reward, wish in ((by_store, False), (plain, True)):
        with pytest.raises(StockFixed):
            change(reward, {"stock_by_store": wish})
        change(reward, {"stock_by_store": not wish, "title": "还是老样子"})

    move(by_store, -2, stores["A"], reason="return")
    move(plain, -2, reason="return")

    assert not change(by_store, {"stock_by_store": False}).stock_by_store
    assert change(plain, {"stock_by_store": True}).stock_by_store
    move(by_store, 7)
    move(plain, 7, stores["B"])
    assert wrong() == []


def test_a_store_that_once_had_units_of_its_own_gets_none_of_the_malls(
    a_shelf, a_member, move, stores, now
):
    reward, member, a = a_shelf(a=1), a_member(points=10), stores["A"]
    move(reward, -1, a)
    change(reward, {"stock_by_store": False})
    move(reward, 1)
    trade = said(redemptions.redeem(ask(member, reward, store_id=a), now=now))["id"]

    redemptions.cancel(member, trade, key=a_key(member), now=now)

    assert at(reward, a) == (0, 0, 0) and units_left(reward) == 1 and wrong() == []


@pytest.mark.parametrize("kind", ["delivery", "virtual", "coupon"])
def test_only_what_is_fetched_is_stocked_by_store(a_reward, kind):
    reward = a_reward(units=0, kind=kind).id

    with pytest.raises(Malformed):
        change(reward, {"stock_by_store": True})
    with pytest.raises(Malformed):
        a_reward(units=0, kind=kind, stock_by_store=True)

    assert not one(Reward.stock_by_store, Reward.id == reward)


@pytest.mark.covers("K9")
def test_whoever_was_let_in_takes_nothing_from_a_shelf_that_was_set_up_since(
    a_reward, a_member, stores, move, now
):
    reward, member = a_reward(units=1, price_points=10).id, a_member(points=10)
    tickets = enter_many([ask(member, reward)], now=now)
    move(reward, -1)
    change(reward, {"stock_by_store": True})
    move(reward, 1, stores["A"])

    (outcome,) = commit_many(tickets, now=now)

    assert isinstance(outcome, StoreNeeded)
    assert at(reward, stores["A"]) == (1, 1, 0) and balance(member) == 10 and wrong() == []


@pytest.mark.covers("K9")
def test_a_gift_takes_nothing_that_lies_in_stores(a_shelf, a_reward, a_member, stores, now, hired):
    plain = a_reward(units=0).id
    parts = {"points": 0, "growth_value": 0, "benefits": []}
    values = {"code": "cup", "name": "杯子", **parts}
    stamp = {"staff_id": hired["admin"], "now": now}

    def publish(reward):
        items = [{"reward_id": reward, "quantity": 1}]
        return bundles.publish({**values, "rewards": items}, key=a_key(), **stamp)

    with pytest.raises(Malformed):
        publish(a_shelf(a=1))
    publish(plain)
    change(plain, {"stock_by_store": True})
    rewards.move_stock(
        plain,
        {"quantity": 4, "reason": "purchase", "note": "", "unit_cost_fen": None},
        store_id=stores["A"],
        key=a_key(),
        **stamp,
    )
    member = a_member()
    with book_of(member) as book:
        (given,) = bundles.give_many([Gift(member, "cup", "test", "1")], book=book, now=now)

    assert given.state == "sold_out" and units_left(plain) == 4 and wrong() == []


# handing over


@pytest.fixture
def use(hired, now):
    def hand_over(trade, who):
        voucher = one(Voucher.id, Voucher.redemption_id == trade)
        code = vouchers.code_of(db.session.get(Voucher, voucher))
        return vouchers.use(code, clerk=clerk(hired[who]), key=a_key(), now=now)

    return hand_over


@pytest.mark.covers("K9")
def test_a_shop_may_allow_its_stores_to_hand_over_for_each_other(
    a_reward, a_member, stores, use, tune, now
):
    reward = a_reward(price_points=10).id
    trades = [
        said(redemptions.redeem(ask(a_member(points=10), reward, store_id=stores["B"]), now=now))
        for _ in range(2)
    ]
    with pytest.raises(NotFound):
        use(trades[0]["id"], "clerk-a")

    tune("vouchers_at_any_store", True)

    assert said(use(trades[0]["id"], "clerk-a"))["voucher"]["used_store"] == "A店"
    assert use(trades[1]["id"], "clerk-b").status == 200


@pytest.mark.covers("K9")
def test_a_stores_own_units_are_had_at_that_store_alone(a_shelf, a_member, stores, use, tune, now):
    tune("vouchers_at_any_store", True)
    wish = ask(a_member(points=10), a_shelf(a=1, b=1), store_id=stores["B"])
    trade = said(redemptions.redeem(wish, now=now))["id"]

    with pytest.raises(NotFound):
        use(trade, "clerk-a")

    assert use(trade, "clerk-b").status == 200 and wrong() == []


# the proof


@pytest.mark.covers("C7", "K9")
@pytest.mark.parametrize(
    ("checks", "how"),
    [
        (
            {"stores_moved_what_they_have", "stores_add_up_to_the_reward"},
            "UPDATE store_stocks SET units_stocked = units_stocked + 1,"
            " units_left = units_left + 1 WHERE units_left = 2",
        ),
        (
            {"stores_moved_what_they_have", "stores_promised_what_is_fetched_there"},
            "UPDATE store_stocks SET units_stocked = units_stocked + 1,"
            " units_promised = units_promised + 1 WHERE units_left = 2",
        ),
        (
            {"stores_promised_what_is_fetched_there"},
            "UPDATE redemptions SET store_id = NULL",
        ),
        (
            {"stores_add_up_to_the_reward", "stock_is_moves"},
            "UPDATE rewards SET units_left = units_left + 1, units_stocked = units_stocked + 1",
        ),
    ],
    ids=lambda given: given[:70] if isinstance(given, str) else "",
)
def test_the_proof_names_a_store_that_was_spoilt(a_shelf, a_member, stores, now, checks, how):
    reward = a_shelf(a=2, b=2)
    redemptions.redeem(ask(a_member(points=10), reward, store_id=stores["B"]), now=now)
    assert wrong() == []

    by_hand(sa.text(how))

    found = wrong()
    assert {each["check"] for each in found} == checks
    assert {(each["subject"], each["id"]) for each in found} == {("reward", reward)}
