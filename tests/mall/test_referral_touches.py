"""Links opened before joining: the last valid one within the window wins, and is told."""

import pytest
import sqlalchemy as sa

from mall import referrals, touches
from mall.errors import NotFound
from models import Account, Referral, Touch
from tests.makers import a_key, invitations_pay
from tests.mall.books import DAY, MOMENT, by_hand, count, one, rows
from tests.mall.referral_books import code_of, state, town

__all__ = ["town"]
DEVICE = "a-new-device"


def mark():
    return touches.mark(touches.DEVICE, DEVICE)


def inviter_of(friend):
    return rows(Referral.inviter_id, Referral.source, where=[Referral.invitee_id == friend])


@pytest.mark.covers("F3")
def test_the_link_opened_last_brings_the_friend(town):
    first, second = town.join(), town.join()
    for inviter in (first, second, first):
        town.touch(inviter, mark())
        town.later(days=1)

    friend = town.join(device=DEVICE)

    assert inviter_of(friend) == [(first, "touch")] and count(Touch) == 2


@pytest.mark.covers("F3")
def test_a_code_that_is_brought_along_is_the_last_touch(town):
    first, second = town.join(), town.join()
    town.touch(first, mark())

    friend = town.join(by=second, device=DEVICE)

    assert inviter_of(friend) == [(second, "code")]


@pytest.mark.covers("F3")
@pytest.mark.parametrize("bad", ["NOBODY22", "closed"])
def test_a_code_that_is_not_valid_leaves_the_last_valid_link(town, bad):
    first, closed = town.join(), town.join()
    town.touch(first, mark())
    town.later(days=1)
    town.touch(closed, mark())
    by_hand(sa.update(Account).where(Account.member_id == closed).values(state="closed"))

    code = code_of(closed) if bad == "closed" else bad
    told = town.log_in(invite_code=code, device=DEVICE)

    assert told["invitation"]["reason"] == "bound"
    assert inviter_of(told["member"]["id"]) == [(first, "touch")]


@pytest.mark.covers("F3")
@pytest.mark.parametrize(("late", "bound"), [(-MOMENT, True), (0 * MOMENT, True), (MOMENT, False)])
def test_a_link_counts_so_many_days_and_not_a_moment_longer(town, late, bound):
    invitations_pay(attribution_days=3)
    inviter = town.join()
    town.touch(inviter, mark())

    town.now += 3 * DAY + late
    friend = town.join(device=DEVICE)

    assert (state(friend) is not None) is bound


@pytest.mark.covers("F3")
def test_a_link_opened_again_counts_from_then_on(town):
    invitations_pay(attribution_days=3)
    inviter = town.join()
    for _ in range(2):
        town.touch(inviter, mark())
        town.later(days=2)

    assert inviter_of(town.join(device=DEVICE)) == [(inviter, "touch")]


@pytest.mark.covers("F3")
def test_who_wechat_says_they_are_is_known_again_without_a_device(town):
    inviter = town.join()
    town.touch(inviter, touches.mark(touches.OPENID, "wxtown:o-somebody"))

    friend = town.log_in("somebody")["member"]["id"]

    assert inviter_of(friend) == [(inviter, "touch")]


@pytest.mark.covers("F3", "F1")
def test_an_old_member_who_opens_a_link_is_nobodys_friend(town):
    inviter, member = town.join(), town.join("old", device=DEVICE)

    town.touch(inviter, mark())
    town.log_in("old", device=DEVICE)

    assert state(member) is None


def test_a_link_of_nobody_is_not_noted(town):
    with pytest.raises(NotFound):
        referrals.touch("NOBODY22", [mark()], key=a_key(None, None), now=town.now)

    assert count(Touch) == 0


# what is told at log-in


@pytest.mark.covers("F1")
def test_what_came_of_a_code_is_told_in_both_languages_with_the_next_step(town):
    inviter = town.log_in("inviter")["member"]["id"]
    told = {
        "bound": town.log_in("friend", by=inviter),
        "unknown_code": town.log_in("other", invite_code="NOBODY22"),
        "own_code": town.log_in("inviter", by=inviter),
        "already_member": town.log_in("friend", by=inviter),
        None: town.log_in("nobody"),
    }

    invitations = {reason: answer["invitation"] for reason, answer in told.items()}
    assert invitations.pop(None) is None
    assert {reason: each["reason"] for reason, each in invitations.items()} == {
        reason: reason for reason in invitations
    }
    assert [each["state"] for each in invitations.values()] == ["bound", *["refused"] * 3]
    for each in invitations.values():
        assert all(each[name] for name in ("says", "says_en", "next_step", "next_step_en"))
    assert [answer["joined"] for answer in told.values()] == [True, True, False, False, True]


@pytest.mark.covers("F1")
def test_a_member_without_a_referrer_gets_none_later(town):
    inviter = town.join()
    town.log_in("early")

    told = town.log_in("early", by=inviter)

    assert told["invitation"]["reason"] == "already_member" and count(Referral) == 0
    assert one(Account.member_id, Account.member_id == inviter) == inviter
