"""What invitations pay: at joining, at the first purchase, on the ladder, up to the caps, once."""

import pytest
import sqlalchemy as sa

from mall import merges, purchases, referrals
from mall.errors import Malformed, RulePublished
from mall.purchases import Receipt
from mall.referrals import settling
from models import (
    Account,
    GivenBundle,
    LedgerEntry,
    PendingGrant,
    Referral,
    ReferralRule,
    ReferralStep,
    db,
)
from tests.makers import a_key, invitations_pay
from tests.mall.books import DAY, by_hand, count, one, rows, said, wrong
from tests.mall.referral_books import a_bundle, code_of, paid, pending, state, town
from tests.mall.together import together

__all__ = ["town"]


# joining


@pytest.mark.covers("F1")
def test_joining_pays_both_after_its_days_and_the_purchase_besides(town):
    invitations_pay(join=(5, 3))
    invitations_pay(join={"pending_days": 2}, purchase=(100, 50))
    inviter = town.join()

    friend = town.join(by=inviter)
    assert (pending(inviter), pending(friend), paid(inviter)) == (5, 3, 0)
    town.later(days=2)
    town.work()
    assert (paid(inviter), paid(friend), state(friend)[0]) == (5, 3, "joined")
    town.buy(friend)
    assert (pending(inviter), pending(friend)) == (100, 50)
    town.later(days=7)
    town.work()

    assert (paid(inviter), paid(friend), state(friend)[0]) == (105, 53, "rewarded")
    assert (pending(inviter), pending(friend), wrong()) == (0, 0, [])


@pytest.mark.covers("F1")
def test_where_only_joining_is_paid_for_a_referral_ends_with_it(town):
    invitations_pay(join=(5, 0), purchase=(0, 0))
    inviter = town.join()

    friend = town.join(by=inviter)
    town.buy(friend)

    assert (paid(inviter), state(friend)[0]) == (5, "rewarded")
    assert one(Referral.points) == 5 and count(PendingGrant) == 1


def test_a_purchase_that_is_paid_for_before_joining_ends_both(town):
    invitations_pay(join=(5, 0))
    invitations_pay(join={"pending_days": 30}, purchase=(100, 0))
    inviter = town.join()
    friend = town.join(by=inviter)

    town.buy(friend)
    town.later(days=7)
    town.work()
    assert (paid(inviter), pending(inviter), state(friend)[0]) == (100, 5, "rewarded")
    town.later(days=30)
    town.work()

    assert (paid(inviter), pending(inviter)) == (105, 0) and wrong() == []


@pytest.mark.covers("F1")
def test_bundles_are_given_with_the_points(town):
    a_bundle("inviting", town.now, points=7)
    a_bundle("invited", town.now, growth_value=9)
    sides = {
        "inviter": {"points": 1, "bundle": "inviting"},
        "friend": {"points": 0, "bundle": "invited"},
    }
    invitations_pay(join={**sides, "pending_days": 0}, purchase=sides)
    inviter = town.join()

    friend = town.join(by=inviter)
    assert count(GivenBundle) == 2 and one(Account.growth_value, Account.member_id == friend) == 9
    town.buy(friend)
    assert count(GivenBundle) == 2
    town.later(days=7)
    town.work()

    assert paid(inviter) == 2 and count(GivenBundle) == 4
    assert one(sa.func.sum(LedgerEntry.delta_points), LedgerEntry.kind == "bundle") == 14
    assert wrong() == []


def test_a_bundle_that_ran_out_is_told_and_keeps_nothing_else_back(town, a_reward):
    item = {"reward_id": a_reward(units=0).id, "quantity": 1}
    a_bundle("cup", town.now, rewards=[item])
    gain = {"points": 0, "bundle": "cup"}
    invitations_pay(purchase={"inviter": gain, "pending_days": 0})
    inviter = town.join()
    friend = town.join(by=inviter)

    town.buy(friend)

    assert state(friend)[:2] == ("rewarded", "gift_missing")
    assert paid(friend) == 50 and count(GivenBundle) == 0


# the first purchase


@pytest.mark.covers("F1")
def test_a_purchase_below_the_minimum_does_not_count_and_the_next_may(town):
    invitations_pay(purchase={"min_amount_fen": 10_000})
    inviter = town.join()
    friend = town.join(by=inviter)

    town.buy(friend, 9_999)
    assert state(friend)[0] == "joined" and pending(inviter) == 0
    town.buy(friend, 10_000)

    assert state(friend)[0] == "qualified" and pending(inviter) == 100


def test_what_was_bought_before_joining_is_no_first_purchase(town):
    inviter, friend = town.join(), town.join()
    town.buy(friend)
    town.later(days=1)

    referrals.bind(friend, code_of(inviter), now=town.now)
    town.work()
    assert state(friend)[0] == "joined"
    town.buy(friend)

    assert state(friend)[0] == "qualified"


@pytest.mark.covers("F1")
def test_a_whole_refund_in_the_window_takes_the_promise_and_the_next_purchase_counts(town):
    inviter = town.join()
    friend = town.join(by=inviter)
    first = town.buy(friend)
    town.later(days=5)

    town.refund(first)
    assert state(friend)[:2] == ("joined", "refunded")
    assert (pending(inviter), pending(friend)) == (0, 0)
    town.later(days=5)
    town.work()
    assert paid(inviter) == 0
    town.buy(friend)
    town.later(days=6)
    town.work()
    assert paid(inviter) == 0 and pending(inviter) == 100
    town.later(days=1)
    town.work()

    assert (paid(inviter), paid(friend), state(friend)) == (100, 50, ("rewarded", "", []))
    assert wrong() == []


@pytest.mark.covers("F1")
def test_a_refund_in_the_last_moment_that_nobody_was_told_of_yet_counts(town):
    inviter = town.join()
    friend = town.join(by=inviter)
    first = town.buy(friend)
    town.later(days=7, microseconds=-1)

    town.work = lambda: None  # the worker is down
    town.refund(first)
    town.later(days=1)
    referrals.reward_due(now=town.now)

    assert paid(inviter) == 0 and state(friend)[:2] == ("joined", "refunded")


def test_a_refund_that_leaves_the_minimum_changes_nothing_and_one_below_it_does(town):
    invitations_pay(purchase={"min_amount_fen": 5_000})
    inviter = town.join()
    friend = town.join(by=inviter)
    first = town.buy(friend, 10_000)

    town.refund(first, 5_000)
    assert state(friend)[0] == "qualified"
    town.refund(first, 1)

    assert state(friend)[:2] == ("joined", "refunded") and pending(inviter) == 0


@pytest.mark.covers("F1")
def test_an_undone_refund_counts_the_purchase_again_from_its_own_day(town):
    inviter = town.join()
    friend = town.join(by=inviter)
    first = town.buy(friend)
    town.later(days=3)

    back = town.refund(first)
    town.undo("refund", back)
    assert state(friend)[:2] == ("qualified", "") and pending(inviter) == 100
    town.later(days=4)
    town.work()

    assert paid(inviter) == 100 and count(PendingGrant) == 2 and wrong() == []


def test_an_undone_purchase_makes_room_for_a_later_one(town):
    inviter = town.join()
    friend = town.join(by=inviter)
    first = town.buy(friend)
    town.later(days=2)
    second = town.buy(friend)
    assert one(Referral.purchase_id) == first

    town.undo("purchase", first)

    assert one(Referral.purchase_id) == second and state(friend)[0] == "qualified"
    assert one(Referral.due_at) == town.now + 7 * DAY and pending(inviter) == 100


@pytest.mark.covers("F1")
def test_after_the_window_a_refund_takes_nothing_and_nothing_is_paid_again(town):
    inviter = town.join()
    friend = town.join(by=inviter)
    first = town.buy(friend)
    town.later(days=7)
    town.work()

    town.refund(first)
    town.buy(friend)
    town.later(days=30)
    town.work()

    assert (paid(inviter), paid(friend), state(friend)[0]) == (100, 50, "rewarded")


# the ladder


@pytest.mark.covers("F2")
def test_each_step_of_the_ladder_is_paid_once_for_life(town):
    steps = [{"friends": 1, "points": 10, "bundle": ""}, {"friends": 3, "points": 30, "bundle": ""}]
    invitations_pay(purchase={"pending_days": 0}, ladder=steps)
    inviter = town.join()

    earned = []
    for _ in range(4):
        town.buy(town.join(by=inviter))
        earned.append(paid(inviter))
    invitations_pay(ladder=[{**step, "points": 500} for step in steps])
    town.buy(town.join(by=inviter))

    assert earned == [110, 210, 340, 440] and paid(inviter) == 540
    assert rows(ReferralStep.friends, order=ReferralStep.friends) == [(1,), (3,)]
    assert wrong() == []


@pytest.mark.covers("F2")
def test_a_friends_friend_is_on_nobodys_ladder_but_the_friends(town):
    steps = [{"friends": 2, "points": 10, "bundle": ""}]
    invitations_pay(purchase={"pending_days": 0}, ladder=steps)
    elder = town.join()
    friend = town.join(by=elder)

    town.buy(friend)
    town.buy(town.join(by=friend))

    assert (paid(elder), paid(friend)) == (100, 50 + 100) and count(ReferralStep) == 0


@pytest.mark.covers("F2")
def test_a_step_may_be_a_bundle(town):
    a_bundle("cup", town.now, points=77)
    step = {"friends": 1, "points": 0, "bundle": "cup"}
    invitations_pay(purchase={"pending_days": 0}, ladder=[step])
    inviter = town.join()

    town.buy(town.join(by=inviter))

    assert one(Account.balance_points, Account.member_id == inviter) == 177


@pytest.mark.covers("F2", "A4")
def test_members_who_become_one_keep_the_steps_of_both(town):
    steps = [{"friends": 1, "points": 10, "bundle": ""}, {"friends": 2, "points": 20, "bundle": ""}]
    invitations_pay(purchase={"pending_days": 0}, ladder=steps)
    source, target = town.join(), town.join()
    for inviter in (source, target):
        town.buy(town.join(by=inviter))

    key = a_key(route="merge")
    merges.merge(target, source, "同一人", actor="staff:1", key=key, now=town.now)
    town.buy(town.join(by=target))

    steps_paid = rows(LedgerEntry.delta_points, where=[LedgerEntry.kind == "referral_step"])
    assert steps_paid == [(10,), (10,), (20,)] and wrong() == []


@pytest.mark.covers("F2", "A4")
def test_a_step_that_one_of_two_was_given_is_not_given_to_both(town):
    step = {"friends": 1, "points": 10, "bundle": ""}
    invitations_pay(purchase={"pending_days": 0}, ladder=[step])
    source, target = town.join(), town.join()
    town.buy(town.join(by=source))

    key = a_key(route="merge")
    merges.merge(target, source, "同一人", actor="staff:1", key=key, now=town.now)
    town.buy(town.join(by=target))

    assert count(LedgerEntry, LedgerEntry.kind == "referral_step") == 1


# caps


@pytest.mark.covers("F1")
def test_caps_of_a_day_and_for_life_are_the_inviters_and_friends_are_still_paid(town):
    invitations_pay(purchase={"pending_days": 0}, caps={"per_day": 2, "for_life": 3})
    inviter = town.join()

    friends = [town.join(by=inviter) for _ in range(3)]
    for friend in friends:
        town.buy(friend)
    town.later(days=1)
    more = [town.join(by=inviter) for _ in range(2)]
    for friend in more:
        town.buy(friend)

    told = [state(friend)[:2] for friend in [*friends, *more]]
    full, none = ("rewarded", ""), ["rewarded"]
    assert told == [full, full, (*none, "capped_day"), full, (*none, "capped_life")]
    assert paid(inviter) == 300 and [paid(friend) for friend in more] == [50, 50]


def test_a_friend_whose_purchase_came_back_makes_room_under_the_cap(town):
    invitations_pay(caps={"per_day": 1, "for_life": None})
    inviter = town.join()
    one_friend, other = town.join(by=inviter), town.join(by=inviter)
    first = town.buy(one_friend)

    town.refund(first)
    town.buy(other)
    town.buy(one_friend)

    assert [state(each)[1] for each in (other, one_friend)] == ["", "capped_day"]
    assert pending(inviter) == 100


@pytest.mark.covers("F1")
def test_friends_who_buy_at_the_same_moment_do_not_slip_past_a_cap(app, town, stores):
    invitations_pay(caps={"per_day": 2, "for_life": None})
    inviter = town.join()
    friends = [town.join(by=inviter) for _ in range(6)]
    receipts = [Receipt(stores["A"], f"m{n}", who, 100, town.now) for n, who in enumerate(friends)]
    purchases.record_receipts(receipts, now=town.now)

    works = [lambda who=who: referrals.settle([who], now=town.now) for who in friends]
    assert together(app, works) == [0] * 6

    assert sorted(state(friend)[1] for friend in friends) == [""] * 2 + ["capped_day"] * 4
    assert pending(inviter) == 200 and wrong() == []


# what goes wrong


def test_a_referral_that_fails_does_not_hold_up_the_others(town, monkeypatch, caplog):
    inviter = town.join()
    broken, sound = town.join(by=inviter), town.join(by=inviter)
    for friend in (broken, sound):
        town.buy(friend)
    look = settling.look

    def fail(seen, terms, *, now):
        if broken in {referral.invitee_id for referral in seen}:
            raise RuntimeError("this one")
        return look(seen, terms, now=now)

    monkeypatch.setattr(settling, "look", fail)
    town.later(days=7)
    referrals.reward_due(now=town.now)

    assert state(sound)[0] == "rewarded" and f"the referral of {broken}" in caplog.text
    assert paid(sound) == 50


def test_what_was_promised_by_an_older_version_is_paid_as_it_was_promised(town):
    """Its rows name no purchase yet."""
    inviter = town.join()
    friend = town.join(by=inviter)
    bought = town.buy(friend)
    by_hand(sa.update(Referral).values(purchase_id=None))
    by_hand(sa.update(PendingGrant).values(points=77))
    by_hand(sa.update(Account).where(Account.pending_points > 0).values(pending_points=77))

    referrals.settle([friend], now=town.now)
    town.later(days=7)
    town.work()

    assert one(Referral.purchase_id) == bought
    assert (paid(inviter), paid(friend), state(friend)[0]) == (77, 77, "rewarded")


# closed accounts, rules


def test_a_closed_inviter_is_paid_nothing_and_holds_nobody_up(town):
    steps = [{"friends": 1, "points": 10, "bundle": ""}]
    invitations_pay(ladder=steps)
    inviter = town.join()
    friend = town.join(by=inviter)
    town.buy(friend)
    by_hand(sa.update(Account).where(Account.member_id == inviter).values(state="closed"))

    town.later(days=7)
    town.work()

    assert (paid(inviter), pending(inviter), paid(friend)) == (0, 0, 50)


def test_a_published_version_is_never_changed_and_an_older_draft_not_published(town, hired):
    def write(publish):
        terms = rows(ReferralRule.terms)[0][0]
        how = {"note": "", "publish": publish, "staff_id": hired["admin"]}
        key = a_key(route="rules")
        return said(referrals.write(terms, **how, key=key, now=town.now))

    draft, newer = write(False), write(True)
    assert (draft["state"], newer["state"], newer["version"]) == ("draft", "published", 3)
    key = a_key(route="publish")
    with pytest.raises(RulePublished):
        referrals.publish(draft["id"], staff_id=hired["admin"], key=key, now=town.now)
    with pytest.raises(sa.exc.DatabaseError):
        by_hand(sa.update(ReferralRule).where(ReferralRule.version == 3).values(note="x"))
    by_hand(sa.update(ReferralRule).where(ReferralRule.version == 2).values(note="x"))
    db.session.rollback()


@pytest.mark.parametrize(
    "changes",
    [
        {"ladder": [{"friends": n, "points": 1, "bundle": ""} for n in (3, 1)]},
        {"ladder": [{"friends": 1, "points": 1, "bundle": ""}] * 2},
        {"purchase": {"friend": {"points": 0, "bundle": "nothing"}}},
    ],
)
def test_rules_that_can_not_be_followed_are_refused(town, changes):
    with pytest.raises(Malformed):
        invitations_pay(**changes)

    assert count(ReferralRule) == 1
