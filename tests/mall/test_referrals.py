"""Referrals: one inviter for life, one level, and points only after a real purchase and the hold."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import clock, jobs, purchases, reactions, referrals
from mall.events import Purchased
from mall.purchases import Receipt
from models import Account, EventReaction, LedgerEntry, Member, PendingGrant, Referral, db
from tests.makers import invitations_pay
from tests.mall.books import DAY, MOMENT, balance, by_hand, count, entries, one, rows, wrong
from tests.mall.together import together

HOLD = 7 * DAY


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def a_friend(a_member, now):
    """Somebody who joined by another's invitation."""

    def make(inviter):
        friend = a_member()
        assert referrals.bind(friend, code_of(inviter), now=now)
        return friend

    return make


@pytest.fixture
def buys(stores, now):
    """Somebody buys for a hundred yuan, and the worker hears of it."""
    numbers = iter(range(1000))

    def buy(member, *, at=now):
        receipt = Receipt(stores["A"], f"r-{next(numbers)}", member, 10_000, at)
        purchases.record_receipts([receipt], now=at)
        while reactions.drain(now=at):
            pass

    return buy


def code_of(member):
    return one(Member.invite_code, Member.id == member)


def state(friend):
    return rows(Referral.state, Referral.inviter_id, where=[Referral.invitee_id == friend])


def pending(member):
    return one(Account.pending_points, Account.member_id == member)


# who brought whom


def test_a_newcomer_is_bound_to_who_invited(a_member, now):
    inviter, friend = a_member(), a_member()

    assert referrals.bind(friend, f" {code_of(inviter).lower()} ", now=now)

    assert state(friend) == [("joined", inviter)]


@pytest.mark.covers("F1")
def test_nobody_invites_themselves_and_nobodys_code_brings_nothing(a_member, now):
    member = a_member()

    assert not referrals.bind(member, code_of(member), now=now)
    assert not referrals.bind(member, "NOBODY22", now=now)

    assert count(Referral) == 0


@pytest.mark.covers("F1")
def test_a_second_inviter_comes_too_late(a_member, a_friend, now):
    first, second = a_member(), a_member()
    friend = a_friend(first)

    assert not referrals.bind(friend, code_of(second), now=now)

    assert state(friend) == [("joined", first)]


def test_two_inviters_at_once_are_one(app, a_member, now):
    codes, friend = [code_of(a_member()) for _ in range(8)], a_member()

    outcomes = together(app, [lambda c=c: referrals.bind(friend, c, now=now) for c in codes])

    assert outcomes.count(True) == 1 and count(Referral) == 1


def test_the_database_itself_refuses_who_invites_themselves(a_member, now):
    member = a_member()

    with pytest.raises(IntegrityError):
        by_hand(
            sa.insert(Referral).values(
                invitee_id=member,
                inviter_id=member,
                state="joined",
                reason="",
                points=0,
                joined_at=now,
            )
        )


# what it pays


@pytest.mark.covers("F1")
def test_only_a_purchase_qualifies_and_only_the_end_of_the_hold_pays(a_member, a_friend, buys, now):
    inviter = a_member()
    friend = a_friend(inviter)
    assert referrals.reward_due(now=now + 99 * DAY) == 0 and balance(inviter) == 0

    buys(friend)
    assert state(friend) == [("qualified", inviter)]
    assert (pending(inviter), pending(friend)) == (100, 50)
    assert referrals.reward_due(now=now + HOLD - MOMENT) == 0

    assert referrals.reward_due(now=now + HOLD) == 2
    assert referrals.reward_due(now=now + HOLD) == 0
    assert state(friend) == [("rewarded", inviter)]
    assert one(Referral.rewarded_at) == now + HOLD
    assert entries(inviter) == [("referral", 100, 100)]
    assert entries(friend) == [("purchase", 100, 100), ("referral_welcome", 50, 150)]
    assert (pending(inviter), pending(friend)) == (0, 0)
    assert wrong() == []


def test_a_second_purchase_pays_nothing_more(a_member, a_friend, buys, now):
    inviter = a_member()
    friend = a_friend(inviter)
    for _ in range(3):
        buys(friend)
    referrals.reward_due(now=now + HOLD)
    buys(friend, at=now + HOLD)
    referrals.reward_due(now=now + 2 * HOLD)

    assert balance(inviter) == 100 and count(PendingGrant) == 2


def test_a_friends_friend_pays_the_friend_alone(a_member, a_friend, buys, now):
    grandparent = a_member()
    parent = a_friend(grandparent)
    child = a_friend(parent)

    buys(child)
    referrals.reward_due(now=now + HOLD)

    assert (balance(grandparent), balance(parent)) == (0, 100)
    assert state(parent) == [("joined", grandparent)]


def test_a_purchase_of_somebody_nobody_invited_pays_nobody(a_member, buys):
    buys(a_member())

    assert count(PendingGrant) == 0


@pytest.mark.parametrize(("inviters", "friends"), [(0, 50), (100, 0), (0, 0)])
def test_a_shop_may_pay_one_side_or_none(a_member, a_friend, buys, now, inviters, friends):
    invitations_pay(purchase=(inviters, friends))
    inviter = a_member()
    friend = a_friend(inviter)

    buys(friend)
    referrals.reward_due(now=now + HOLD)

    assert (balance(inviter), balance(friend)) == (inviters, 100 + friends)
    assert wrong() == []


def test_a_shop_without_a_hold_pays_with_the_next_round(app, a_member, a_friend, buys):
    invitations_pay(purchase={"pending_days": 0})
    inviter = a_member()

    buys(a_friend(inviter))
    jobs.drain_events()

    assert balance(inviter) == 100


def test_what_was_promised_stays_as_it_was_promised(a_member, a_friend, buys, now):
    inviter = a_member()
    buys(a_friend(inviter))
    invitations_pay(purchase=(1, 1))

    referrals.reward_due(now=now + HOLD)

    assert balance(inviter) == 100


# at once


def test_two_purchases_told_at_once_qualify_once(app, a_member, a_friend, stores, now):
    friend = a_friend(a_member())
    receipt = Receipt(stores["A"], "r-1", friend, 10_000, now)
    (bought,) = purchases.record_receipts([receipt], now=now)
    fact = Purchased(friend, bought.id, 10_000)

    assert together(app, [lambda: referrals.settle_by_fact(fact, now=now)] * 8) == [None] * 8

    assert count(PendingGrant) == 2
    assert wrong() == []


@pytest.mark.covers("F1")
def test_what_is_due_is_granted_once_by_several_workers(app, a_member, a_friend, buys, now):
    inviter = a_member()
    for _ in range(3):
        buys(a_friend(inviter))

    granted = together(app, [lambda: referrals.reward_due(now=now + HOLD)] * 6)

    assert sum(granted) == 6, granted
    assert balance(inviter) == 300
    assert count(LedgerEntry, LedgerEntry.kind == "referral") == 3
    assert wrong() == []


def test_one_purchase_drained_by_several_workers_is_told_once(app, a_member, a_friend, stores, now):
    friend = a_friend(a_member())
    purchases.record_receipts([Receipt(stores["A"], "r-1", friend, 10_000, now)], now=now)

    together(app, [lambda: reactions.drain(now=now)] * 6)
    db.session.rollback()

    assert count(PendingGrant) == 2 and count(EventReaction) == 2


@pytest.mark.covers("F1")
def test_a_referral_keeps_the_version_it_was_made_under(a_member, a_friend, buys, now):
    version = invitations_pay(purchase={"pending_days": 0})
    friend = a_friend(a_member())
    invitations_pay(purchase=(80, 0))
    buys(friend)
    referrals.reward_due(now=now)

    columns = (LedgerEntry.kind, LedgerEntry.delta_points, LedgerEntry.rule_version)
    paid = rows(*columns, LedgerEntry.rule)

    named = (version, f"邀请有礼@{version}")
    assert ("referral", 100, *named) in paid and ("referral_welcome", 50, *named) in paid
