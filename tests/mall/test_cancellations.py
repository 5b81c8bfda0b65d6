"""A trade taken back: points, units, limit and voucher, all of them once or none."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, gates, jobs, limits, points, redemptions, rewards, vouchers
from mall.errors import (
    AlreadyCancelled,
    AlreadyUsed,
    NotFound,
    SoldOut,
    VoucherExpired,
    VoucherVoid,
)
from mall.events import RedemptionCancelled
from mall.guards import stock
from mall.idempotency import Answer, Replayed
from models import Account, Event, LedgerEntry, Lot, Redemption, Reward, Voucher, db
from tests.makers import a_key
from tests.mall.books import (
    DAY,
    ask,
    balance,
    by_hand,
    clerk,
    count,
    entries,
    gate,
    give,
    lots,
    one,
    rows,
    said,
    taken,
    units_left,
    wrong,
)
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def a_trade(a_member, a_reward, now):
    """Somebody's redemption of two units at ten points, a gate standing open; (member, reward, id)."""

    def make(member=None, *, at=now, **columns):
        member = member or a_member(points=100)
        fields = {"price_points": 10, "units": 5, "per_member_limit": 4, **columns}
        reward = a_reward(**fields).id
        gates.rebuild(reward)
        address = {"name": "李"} if columns.get("kind") == "delivery" else None
        request = ask(member, reward, 2, address=address)
        return member, reward, said(redemptions.redeem(request, now=at))["id"]

    return make


@pytest.fixture
def cancel(now):
    def take_back(member, trade, *, key=None, at=now):
        return redemptions.cancel(member, trade, key=key or a_key(member), now=at)

    return take_back


def test_a_cancellation_puts_everything_back(a_trade, cancel):
    """PEERS 6: cancelling returned neither points nor stock."""
    member, reward, trade = a_trade()

    answer = cancel(member, trade)

    assert answer.status == 200
    assert said(answer) == {
        "id": trade,
        "state": "cancelled",
        "points_returned": 20,
        "balance_after": 100,
        "grace_days": 7,
    }
    assert entries(member)[1:] == [("redeem", -20, 80), ("cancel", 20, 100)]
    assert [points_left for points_left, _ in lots(member)] == [100]
    assert (one(Redemption.state), one(Voucher.state)) == ("cancelled", "void")
    assert (units_left(reward), taken(member, reward), gate(reward)) == (5, 0, (5, 0))
    assert rows(Event.payload, where=[Event.kind == "redemption_cancelled"]) == [
        (
            {
                "redemption_id": trade,
                "reward_id": reward,
                "quantity": 2,
                "period": "ever",
                "epoch": one(Reward.epoch, Reward.id == reward),
            },
        )
    ]
    assert wrong() == []


def test_points_return_to_the_very_lots_they_came_from(a_member, a_trade, cancel, now):
    member, soon, late = a_member(), now + DAY, now + 9 * DAY
    give(member, 15, "soon", expires_at=soon, now=now)
    give(member, 50, "late", expires_at=late, now=now)
    *_, trade = a_trade(member)
    assert lots(member) == [(0, soon), (45, late)]

    cancel(member, trade)

    assert lots(member) == [(15, soon), (50, late)]


def test_points_whose_lot_has_died_return_with_the_shops_grace(a_trade, cancel, tune, now):
    tune("give_back_grace_days", 3)
    member, _, trade = a_trade(voucher_lasts_days=300)
    later = now + 20 * DAY
    by_hand(sa.update(Lot).values(expires_at=now + DAY))
    points.expire_due(now=later)

    answer = cancel(member, trade, at=later)

    assert said(answer)["grace_days"] == 3
    assert lots(member) == [(20, later + timedelta(days=3))]
    assert wrong() == []


def test_taking_back_again_and_again_does_not_keep_points_alive(a_trade, cancel, now):
    """A trade of one point must not carry a whole lot over its end."""
    member, *_, trade = a_trade()
    end = now + DAY
    by_hand(sa.update(Lot).values(expires_at=end))

    cancel(member, trade)

    assert lots(member) == [(100, end)]


def test_a_gift_for_no_points_is_taken_back_too(a_member, a_trade, cancel):
    member, reward, trade = a_trade(a_member(), price_points=0)

    assert said(cancel(member, trade))["balance_after"] == 0

    assert entries(member) == [] and units_left(reward) == 5 and wrong() == []


def test_a_parcel_not_yet_sent_is_taken_back(a_trade, cancel):
    member, reward, trade = a_trade(kind="delivery")

    assert cancel(member, trade).status == 200

    assert count(Voucher) == 0 and units_left(reward) == 5


def test_what_was_taken_back_can_be_had_by_the_next(a_member, a_trade, cancel, now):
    member, reward, trade = a_trade(units=2)
    other = a_member(points=20)
    with pytest.raises(SoldOut):
        redemptions.redeem(ask(other, reward, 2), now=now)

    cancel(member, trade)

    assert redemptions.redeem(ask(other, reward, 2), now=now).status == 201


def test_what_was_taken_back_does_not_count_towards_the_limit(a_trade, cancel, now):
    member, reward, trade = a_trade(units=9, per_member_limit=2)

    cancel(member, trade)

    assert redemptions.redeem(ask(member, reward, 2), now=now).status == 201


# refused


def test_taking_back_twice_is_refused(a_trade, cancel):
    member, reward, trade = a_trade()
    cancel(member, trade)

    with pytest.raises(AlreadyCancelled):
        cancel(member, trade)

    assert balance(member) == 100 and units_left(reward) == 5 and wrong() == []


def test_taking_back_twice_is_refused_while_more_of_the_reward_is_held(a_trade, cancel, now):
    member, reward, trade = a_trade()
    redemptions.redeem(ask(member, reward, 2), now=now)
    cancel(member, trade)

    with pytest.raises(AlreadyCancelled):
        cancel(member, trade)

    assert taken(member, reward) == 2 and balance(member) == 80 and wrong() == []


def test_taking_back_twice_with_one_key_tells_the_first_answer(a_trade, cancel):
    member, _, trade = a_trade()
    key = a_key(member, route="POST /cancellation")
    first = cancel(member, trade, key=key)

    with pytest.raises(Replayed) as twin:
        cancel(member, trade, key=key)

    assert twin.value.answer.body == first.body and balance(member) == 100


def test_what_was_fetched_can_not_be_taken_back(a_trade, cancel, hired, now):
    member, reward, trade = a_trade()
    code = vouchers.code_of(db.session.get(Voucher, one(Voucher.id)))
    vouchers.use(code, clerk=clerk(hired["clerk-a"]), key=a_key(), now=now)

    with pytest.raises(AlreadyUsed):
        cancel(member, trade)

    assert balance(member) == 80 and units_left(reward) == 3 and taken(member, reward) == 2
    assert wrong() == []


def test_what_was_taken_back_can_not_be_fetched(a_trade, cancel, hired, now):
    member, _, trade = a_trade()
    code = vouchers.code_of(db.session.get(Voucher, one(Voucher.id)))
    cancel(member, trade)

    with pytest.raises(VoucherVoid):
        vouchers.use(code, clerk=clerk(hired["clerk-a"]), key=a_key(), now=now)

    assert wrong() == []


def test_what_was_sent_can_not_be_taken_back(a_trade, cancel, now):
    member, _, trade = a_trade(kind="delivery")
    parcel = {"carrier": "顺丰", "tracking_no": "SF1"}
    redemptions.ship(trade, parcel, key=a_key(), now=now)

    with pytest.raises(AlreadyUsed):
        cancel(member, trade)

    assert balance(member) == 80


def test_a_voucher_that_has_expired_is_not_taken_back(a_trade, cancel, now):
    member, reward, trade = a_trade(voucher_lasts_days=1)

    with pytest.raises(VoucherExpired):
        cancel(member, trade, at=now + 3 * DAY)

    assert balance(member) == 80 and units_left(reward) == 3 and wrong() == []


def test_somebody_elses_trade_is_not_found(a_member, a_trade, cancel):
    """PEERS 2, 8, 36: an order found by its number alone, whoever asks."""
    member, _, trade = a_trade()

    with pytest.raises(NotFound):
        cancel(a_member(), trade)
    with pytest.raises(NotFound):
        cancel(member, trade + 1)

    assert balance(member) == 80 and one(Redemption.state) == "issued"


# at once


def test_twenty_cancellations_at_once_take_back_once(app, a_trade, cancel):
    member, reward, trade = a_trade()

    outcomes = together(app, [lambda: cancel(member, trade, key=a_key(member))] * 20)

    kinds = sorted(type(each).__name__ for each in outcomes)
    assert kinds == ["AlreadyCancelled"] * 19 + ["Answer"]
    assert balance(member) == 100 and units_left(reward) == 5
    assert taken(member, reward) == 0 and gate(reward) == (5, 0)
    assert wrong() == []


def test_of_fetching_and_taking_back_at_once_one_wins(app, a_trade, cancel, hired, now):
    member, reward, trade = a_trade()
    code = vouchers.code_of(db.session.get(Voucher, one(Voucher.id)))

    def fetch():
        return vouchers.use(code, clerk=clerk(hired["clerk-a"]), key=a_key(), now=now)

    works = [fetch, lambda: cancel(member, trade, key=a_key(member))] * 4
    outcomes = together(app, works)

    assert sum(isinstance(each, Answer) for each in outcomes) == 1
    fate = one(Redemption.state)
    assert (fate, balance(member), units_left(reward)) in [("used", 80, 3), ("cancelled", 100, 5)]
    assert wrong() == []


def test_a_gate_told_twice_counts_once(a_trade, cancel):
    member, reward, trade = a_trade()
    cancel(member, trade)
    assert gate(reward) == (5, 0)

    redemptions.tell_gate(RedemptionCancelled(member, trade, reward, 2))
    jobs.drain_events()

    assert gate(reward) == (5, 0)


def test_units_are_not_returned_to_a_gate_that_is_gone(a_trade, cancel):
    member, reward, trade = a_trade()
    stock.client().flushall()

    cancel(member, trade)

    assert gate(reward) is None
    gates.rebuild(reward)
    assert gate(reward) == (5, 0)


def test_a_cancelled_trades_entry_names_who_and_what_for(a_trade, cancel):
    member, _, trade = a_trade()
    cancel(member, trade)

    entry = LedgerEntry
    columns = (entry.ref_kind, entry.ref_id, entry.actor)
    assert rows(*columns, where=[entry.kind == "cancel"]) == [
        ("redemption", str(trade), f"member:{member}")
    ]


def test_a_frozen_member_may_take_back(a_trade, cancel):
    member, _, trade = a_trade()
    by_hand(sa.update(Account).values(state="frozen"))

    assert said(cancel(member, trade))["balance_after"] == 100


def test_more_units_than_were_promised_never_come_back(a_trade):
    _, reward, _ = a_trade()

    with pytest.raises(AssertionError):
        rewards.put_back(reward, 3)

    assert units_left(reward) == 3


def test_limits_of_another_period_are_left_alone(a_trade, app):
    member, reward, _ = a_trade()

    limits.give_back(member, reward, "2026-11", 2)

    assert taken(member, reward) == 2
