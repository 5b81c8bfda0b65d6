"""Bundles: whole or not at all, once for one cause, and taken back as far as they are there."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import benefits, bundles, clock, jobs, merges, points, vouchers
from mall.atomic import atomic
from mall.bundles import Gift
from mall.errors import Malformed
from mall.guards import stock
from models import (
    Account,
    Bundle,
    GivenBundle,
    GrowthEntry,
    LedgerEntry,
    Redemption,
    TierChange,
    Voucher,
    db,
)
from tests.makers import a_key
from tests.mall.books import (
    balance,
    by_hand,
    clerk,
    count,
    entries,
    gate,
    one,
    rows,
    said,
    spend,
    taken,
    units_left,
    wrong,
)
from tests.mall.together import together

WELCOME = "welcome"


@pytest.fixture
def a_bundle(hired):
    def make(code=WELCOME, **parts):
        values = {"code": code, "name": "新人礼", "points": 0, "growth_value": 0}
        values |= {"rewards": [], "benefits": []}
        who = hired["admin"]
        key = a_key(route="bundles")
        return said(bundles.publish({**values, **parts}, staff_id=who, key=key, now=clock.now()))

    return make


def give(*gifts):
    now = clock.now()
    with atomic():
        book = points.open_book([gift.member_id for gift in gifts], now=now)
        given = bundles.give_many(gifts, book=book, now=now)
        book.write()
    return [each.state for each in given]


def take_back(ref_id, member):
    now = clock.now()
    with atomic():
        book = points.open_book([member], now=now, lots=True)
        back = bundles.take_back("test", ref_id, book=book, now=now)
        book.write()
    return back


def gift(member, ref_id="1", code=WELCOME):
    return Gift(member, code, "test", ref_id)


def contents(*rewards, quantity=1):
    return [{"reward_id": each, "quantity": quantity} for each in rewards]


@pytest.mark.covers("H1")
def test_all_parts_are_given_together(a_member, a_shelf, a_bundle):
    member, cup, towel = a_member(), a_shelf(units=5), a_shelf(units=5)
    a_bundle(points=30, growth_value=1000, rewards=contents(cup, towel, quantity=2))

    assert give(gift(member)) == ["given"]

    assert balance(member) == 30 and entries(member) == [("bundle", 30, 30)]
    assert one(LedgerEntry.rule) == "新人礼@1" and one(LedgerEntry.reason) == "新人礼"
    assert (one(GrowthEntry.delta_value), one(TierChange.tier_after)) == (1000, "silver")
    assert [units_left(each) for each in (cup, towel)] == [3, 3]
    assert rows(Redemption.points_paid, Redemption.quantity) == [(0, 2), (0, 2)]
    assert count(Voucher, Voucher.state == "issued") == 2 and wrong() == []


def test_the_gates_hear_of_units_that_were_given_once(a_member, a_shelf, a_bundle):
    reward = a_shelf(units=5)
    a_bundle(rewards=contents(reward))

    give(gift(a_member()))
    before = gate(reward)
    jobs.drain_events()

    assert before == gate(reward) == (4, 0)


def test_a_gate_that_was_not_told_hears_it_from_the_worker(
    a_member, a_shelf, a_bundle, monkeypatch
):
    reward = a_shelf(units=5)
    a_bundle(rewards=contents(reward))
    with monkeypatch.context() as patch:
        patch.setattr("mall.bundles.units._tell_gates", lambda _: None)
        give(gift(a_member()))
    jobs.keep_gates()
    jobs.keep_gates()
    assert gate(reward) == (5, 0), "left alone while it is on its way"

    jobs.drain_events()

    assert gate(reward) == (4, 0)


def test_one_cause_gives_once(a_member, a_bundle):
    member = a_member()
    a_bundle(points=30)

    assert give(gift(member), gift(member)) == ["given", "known"]
    assert give(gift(member), gift(member, "2")) == ["known", "given"]

    assert balance(member) == 60 and count(GivenBundle) == 2


def test_many_who_give_for_one_cause_at_once_give_once(app, a_member, a_shelf, a_bundle):
    member, reward = a_member(), a_shelf(units=5)
    a_bundle(points=30, rewards=contents(reward))

    states = together(app, [lambda: give(gift(member))] * 8)

    assert sorted(states) == [["given"]] + [["known"]] * 7
    assert balance(member) == 30 and units_left(reward) == 4 and wrong() == []


def test_where_a_reward_is_missing_nothing_is_given(a_member, a_shelf, a_bundle):
    member, cup, last = a_member(), a_shelf(units=5), a_shelf(units=1)
    a_bundle(points=30, growth_value=9, rewards=contents(cup, last))

    states = give(gift(member, "1"), gift(member, "2"))

    assert states == ["given", "sold_out"]
    assert (balance(member), units_left(cup), units_left(last)) == (30, 4, 0)
    assert count(GivenBundle) == 1 and wrong() == []


def test_what_was_sold_out_can_be_given_later_for_the_same_cause(a_member, a_reward, a_bundle):
    member, reward = a_member(), a_reward(units=0)
    a_bundle(rewards=contents(reward.id))
    assert give(gift(member)) == ["sold_out"]

    move = {"quantity": 1, "reason": "purchase", "note": "", "unit_cost_fen": None}
    from mall import rewards

    rewards.move_stock(reward.id, move, staff_id=1, key=a_key(), now=clock.now())

    assert give(gift(member)) == ["given"]


def test_a_gift_counts_towards_no_limit(a_member, a_shelf, a_bundle, redeem):
    member, reward = a_member(points=9), a_shelf(units=5, per_member_limit=1)
    a_bundle(rewards=contents(reward))

    give(gift(member, "1"), gift(member, "2"))

    assert redeem(member, reward).status == 201 and taken(member, reward) == 3 and wrong() == []


def test_nobody_who_left_and_nothing_that_is_not_there_is_given(a_member, a_bundle):
    left = a_member()
    by_hand(sa.update(Account).where(Account.member_id == left).values(state="closed"))
    a_bundle(points=30)

    assert give(gift(left)) == ["closed"]
    assert give(gift(a_member(), code="nothing")) == ["absent"]
    assert give() == []


def test_a_new_version_is_given_from_then_on(a_member, a_bundle):
    first, second = a_member(), a_member()
    a_bundle(points=30)
    give(gift(first, "1"))

    assert a_bundle(points=50)["version"] == 2
    give(gift(second, "2"))

    assert (balance(first), balance(second)) == (30, 50)
    assert rows(LedgerEntry.rule_version, order=LedgerEntry.id) == [(1,), (2,)]
    assert take_back("1", first).points == 30


def test_what_nobody_could_be_given_is_no_bundle(a_bundle, a_reward):
    sent = a_reward(kind="delivery").id
    cup = a_reward().id
    for parts in (
        {},
        {"rewards": contents(sent)},
        {"rewards": contents(10**9)},
        {"rewards": contents(cup, cup)},
    ):
        with pytest.raises(Malformed):
            a_bundle(**parts)

    assert count(Bundle) == 0


def test_a_voucher_of_a_gift_is_handed_over_like_any_other(a_member, a_shelf, a_bundle, hired):
    reward = a_shelf(units=1)
    a_bundle(rewards=contents(reward))
    give(gift(a_member()))
    voucher = db.session.scalars(sa.select(Voucher)).one()
    code = vouchers.code_of(voucher)

    used = vouchers.use(code, clerk=clerk(hired["clerk-a"]), key=a_key(), now=clock.now())

    assert used.status == 200 and one(Redemption.state) == "used" and wrong() == []


# taken back


def test_what_is_taken_back_leaves_no_trace_but_its_own_rows(a_member, a_shelf, a_bundle):
    member, reward = a_member(points=7), a_shelf(units=5)
    a_bundle(points=30, growth_value=9, rewards=contents(reward, quantity=2))
    give(gift(member))

    back = take_back("1", member)
    jobs.drain_events()

    assert (back.points, back.debt_points, back.growth_value, back.units) == (30, 0, 9, 2)
    assert balance(member) == 7 and units_left(reward) == 5 and gate(reward) == (5, 0)
    assert one(Account.growth_value) == 0 and taken(member, reward) == 0
    assert one(Voucher.state) == "void" and one(Redemption.state) == "cancelled"
    assert one(GivenBundle.state) == "taken_back" and wrong() == []


def test_it_is_taken_back_once(a_member, a_bundle):
    member = a_member()
    a_bundle(points=30)
    give(gift(member))

    assert take_back("1", member).points == 30
    assert take_back("1", member) is None and take_back("2", member) is None
    assert give(gift(member)) == ["known"], "its cause has had its effect"


def test_points_that_are_spent_are_owed_and_a_used_voucher_stays(
    a_member, a_shelf, a_bundle, hired
):
    member, cup, towel = a_member(), a_shelf(units=5), a_shelf(units=5)
    a_bundle(points=30, rewards=contents(cup, towel))
    give(gift(member))
    spend(member, 20, "spent")
    first = db.session.scalars(sa.select(Voucher).order_by(Voucher.id)).first()
    code = vouchers.code_of(first)
    vouchers.use(code, clerk=clerk(hired["clerk-a"]), key=a_key(), now=clock.now())

    back = take_back("1", member)

    assert (back.points, back.debt_points, back.units, back.units_used) == (10, 20, 1, 1)
    assert one(Account.debt_points) == 20 and wrong() == []
    assert {state for (state,) in rows(Voucher.state)} == {"used", "void"}


def test_a_voucher_that_has_expired_stays_expired(a_member, a_shelf, a_bundle):
    member, reward = a_member(), a_shelf(units=5, voucher_lasts_days=1)
    a_bundle(rewards=contents(reward))
    give(gift(member))
    by_hand(sa.update(Voucher).values(expires_at=clock.now() - timedelta(seconds=1)))

    back = take_back("1", member)

    assert (back.units, back.units_used) == (0, 1) and units_left(reward) == 4 and wrong() == []


def test_gates_without_redis_are_right_later(a_member, a_shelf, a_bundle, dead_redis):
    reward = a_shelf(units=5)
    a_bundle(rewards=contents(reward))
    dead_redis.die()
    give(gift(a_member()))
    dead_redis.live()

    jobs.drain_events()

    assert gate(reward) == (4, 0) and stock.look(reward).leases == 0


# benefits


TRIAL = {"code": "trial", "name": "试用", "uses": 3, "period": "ever"}


def uses_left(member):
    return [each["uses_left"] for each in benefits.usable(member, now=clock.now())]


@pytest.mark.covers("H1")
def test_uses_of_benefits_are_given_with_the_rest_and_go_back_as_far_as_they_are_left(
    a_member, a_bundle, hired
):
    member = a_member()
    a_bundle(points=5, benefits=[TRIAL])
    give(gift(member))
    given = uses_left(member)
    who, key = clerk(hired["clerk-a"]), a_key(route="use")
    benefits.use("trial", member, clerk=who, key=key, now=clock.now())

    back = take_back("1", member)

    assert given == [3] and (back.uses, uses_left(member)) == (2, [0]) and wrong() == []
    assert take_back("1", member) is None and uses_left(member) == [0]


def test_where_one_unit_is_missing_no_benefit_is_given_either(a_member, a_bundle, a_shelf):
    member, shelf = a_member(), a_shelf(units=1)
    a_bundle(rewards=contents(shelf, quantity=2), benefits=[TRIAL])

    assert give(gift(member)) == ["sold_out"] and uses_left(member) == []


def test_benefits_that_went_along_with_a_merge_are_taken_back_where_they_are(a_member, a_bundle):
    old, new = a_member(), a_member()
    a_bundle(benefits=[TRIAL])
    give(gift(old))
    key = a_key(route="merge")
    merges.merge(new, old, "同一人", actor="staff:1", key=key, now=clock.now())

    back = take_back("1", new)

    assert back.uses == 3 and uses_left(new) == [0] and wrong() == []


def test_a_bundle_names_each_benefit_once(a_bundle):
    with pytest.raises(Malformed):
        a_bundle(benefits=[TRIAL, TRIAL])
