"""Tasks that friends do: WeChat forbids paying for a share, so only what the friend does counts."""

import pytest
import sqlalchemy as sa

from mall import referrals
from models import Member, TaskMark
from tests.mall.books import balance, by_hand, count, one, wrong
from tests.mall.task_books import MONDAY, claims, later, shop, step

__all__ = ["shop"]


@pytest.fixture
def a_friend(a_member, shop):
    """Somebody who came by a member's invitation."""

    def make(inviter, at=MONDAY):
        friend = a_member()
        by_hand(sa.update(Member).where(Member.id == friend).values(joined_at=at))
        referrals.bind(friend, one(Member.invite_code, Member.id == inviter), now=at)
        shop.drain(at)
        return friend

    return make


@pytest.mark.covers("D5")
def test_a_share_pays_only_when_the_friend_acts_and_once(a_member, a_friend, shop):
    member = a_member()
    task = shop.task("share", step("friend_acted"), automatic=True)

    friend = a_friend(member)
    joined = shop.seen(member, task)
    shop.sign(friend)
    acted = shop.seen(member, task)
    shop.sign(friend, at=later(1))
    shop.buy(friend, 10, at=later(1))

    assert (joined, acted) == (("todo", 0, 1), ("claimed", 1, 1))
    assert (claims(member), balance(member), count(TaskMark)) == (["claimed"], 10, 1)


@pytest.mark.covers("D5")
def test_a_friend_who_joined_counts_once_for_who_invited_them(a_member, a_friend, shop):
    member, other = a_member(), a_member()
    task = shop.task("invite", step("friend_joined", 2))

    a_friend(member)
    shop.drain(later(1))
    first = shop.seen(member, task)
    a_friend(member)

    assert (first, shop.seen(member, task)) == (("todo", 1, 2), ("claimable", 2, 2))
    assert shop.seen(other, task) == ("todo", 0, 2)


@pytest.mark.covers("D5")
def test_a_friends_receipt_that_is_given_back_no_longer_counts(a_member, a_friend, shop):
    member = a_member()
    task = shop.task("bring", step("friend_bought"), automatic=True)
    friend = a_friend(member)
    receipt = shop.buy(friend, 10)
    paid = balance(member)

    shop.refund(receipt)

    assert (paid, balance(member)) == (10, 0)
    assert (shop.seen(member, task), claims(member)) == (("todo", 0, 1), ["taken_back"])
    assert wrong() == []


def test_a_member_nobody_invited_counts_for_nobody(a_member, shop):
    member = a_member()
    task = shop.task("bring", step("friend_bought"))

    shop.buy(a_member(), 10)

    assert shop.seen(member, task) == ("todo", 0, 1) and count(TaskMark) == 0


def test_two_friends_who_turn_out_to_be_one_count_as_one(a_member, a_friend, shop):
    member = a_member()
    task = shop.task("bring", step("friend_bought", 2))
    friends = [a_friend(member), a_friend(member)]
    for friend in friends:
        shop.buy(friend, 10)
    before = shop.seen(member, task)

    shop.merge(*friends, at=later(1))

    assert before == ("claimable", 2, 2)
    assert shop.seen(member, task, at=later(1)) == ("todo", 1, 2)


def test_a_friend_who_goes_on_as_another_member_counts_once(a_member, a_friend, shop):
    member, other = a_member(), a_member()
    task = shop.task("bring", step("friend_acted", 2))
    friend = a_friend(member)
    by_hand(sa.update(Member).where(Member.id == other).values(joined_at=later(1)))
    shop.sign(friend)

    shop.merge(other, friend, at=later(1))
    shop.sign(other, at=later(2))

    assert shop.seen(member, task, at=later(2)) == ("todo", 1, 2)
