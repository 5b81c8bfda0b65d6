"""Friends who count towards tasks: not while they wait for a look, and once whoever they become."""

import pytest
import sqlalchemy as sa

from mall import merges, referrals
from models import Member, Referral
from tests.makers import a_key
from tests.mall.books import by_hand, said
from tests.mall.task_books import MON, SUN, a_step, claims, paid, shop

__all__ = ["shop"]


def merge(into, source, at):
    key = a_key(route="merge")
    merges.merge(into, source, "同一人", actor="staff:1", key=key, now=at)


def test_two_friends_who_turn_out_to_be_one_count_as_one(a_member, shop):
    inviter, friend, other = a_member(), a_member(), a_member()
    shop.publish(a_step("friend_bought", 2))
    for each in (friend, other):
        shop.befriend(inviter, each, at=SUN)
        shop.buy(each, at=SUN)
    before = shop.seen(inviter, SUN)

    merge(friend, other, MON)
    shop.drain(MON)

    assert (before, shop.seen(inviter, MON)) == ((2, 2, "claimable"), (1, 2, "todo"))


def test_a_friend_who_goes_on_as_another_member_counts_once(a_member, shop):
    inviter, friend, other = a_member(), a_member(), a_member()
    shop.publish(a_step("friend_acted", 2))
    shop.befriend(inviter, friend, at=SUN)
    by_hand(sa.update(Member).where(Member.id == other).values(joined_at=MON))
    shop.check_in(friend, at=SUN)

    merge(other, friend, MON)
    shop.check_in(other, at=MON)

    assert shop.seen(inviter, MON) == (1, 2, "todo")


@pytest.mark.covers("D5", "F9")
@pytest.mark.parametrize("approved", [True, False])
def test_a_friend_who_is_held_counts_when_somebody_has_looked(a_member, shop, approved):
    inviter, friend = a_member(), a_member()
    shop.publish(a_step("friend_bought"), automatic=True)
    shop.befriend(inviter, friend, at=SUN)
    by_hand(sa.update(Referral).values(held_at=SUN, holds=["device"]))
    shop.buy(friend, at=SUN)
    held = paid(inviter), claims(inviter)

    who = {"staff_id": shop.admin, "key": a_key(route="review")}
    said(referrals.review(friend, approved=approved, reason="看过", **who, now=MON))
    shop.drain(MON)

    assert held == ([], [])
    assert (paid(inviter), claims(inviter)) == (([10], ["claimed"]) if approved else ([], []))
