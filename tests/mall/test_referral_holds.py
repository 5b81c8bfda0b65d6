"""What looks like fraud waits for a look: one person twice, rings, crowds of one device."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import jobs, merges, phones, referrals
from mall.errors import AlreadyReviewed, NotFound
from models import Account, Member, PendingGrant, Referral, Sighting, Touch
from tests.makers import a_key, invitations_pay
from tests.mall.books import by_hand, count, one, rows, wrong
from tests.mall.referral_books import code_of, paid, pending, state, town
from tests.mall.together import together

__all__ = ["town"]
DEVICE = "device-of-a-fraud"


def rich(**changes):
    invitations_pay(join=(5, 3), purchase=(100, 50), **changes)


# who is the same person


@pytest.mark.covers("F9")
def test_a_friend_on_the_inviters_own_device_is_held(town):
    rich()
    inviter = town.join(device="the-same-device")

    friend = town.join(by=inviter, device="the-same-device")
    town.buy(friend)
    town.later(days=30)
    town.work()

    assert state(friend) == ("held", "", ["self_device"])
    assert paid(inviter) == paid(friend) == pending(inviter) == 0


@pytest.mark.covers("F9")
def test_a_device_the_inviter_uses_only_later_is_seen_before_anything_is_paid(town):
    inviter = town.join("inviter")
    friend = town.join(by=inviter, device="the-same-device")
    town.buy(friend)
    assert state(friend)[0] == "qualified"

    town.log_in("inviter", device="the-same-device")
    town.later(days=7)
    town.work()

    assert state(friend) == ("held", "", ["self_device"]) and paid(inviter) == 0


@pytest.mark.covers("F9")
def test_the_inviters_phone_in_another_spelling_is_theirs(town):
    inviter = town.join()
    friend = town.join(by=inviter)
    by_hand(sa.update(Member).where(Member.id == inviter).values(**phones.columns("8613800000001")))
    by_hand(sa.update(Member).where(Member.id == friend).values(**phones.columns("13800000001")))

    town.buy(friend)

    assert state(friend) == ("held", "", ["self_phone"]) and pending(inviter) == 0


@pytest.mark.covers("F9")
def test_a_ring_is_held_where_it_closes(town):
    first = town.join(device="device-of-the-first")
    second = town.join(by=first, device="device-of-second")

    third = town.join(by=second, device="device-of-the-first")

    assert state(second)[0] == "joined" and state(third) == ("held", "", ["ring"])


@pytest.mark.covers("F9", "F1")
def test_inviter_and_friend_who_become_one_are_refused_and_nothing_is_paid(town):
    invitations_pay(join=(5, 3))
    invitations_pay(join={"pending_days": 7})
    inviter = town.join()
    friend = town.join(by=inviter)
    town.buy(friend)
    assert pending(inviter) == 105

    key = a_key(route="merge")
    merges.merge(inviter, friend, "同一人", actor="staff:1", key=key, now=town.now)
    town.later(days=30)
    town.work()

    assert state(friend)[:2] == ("refused", "merged")
    assert (paid(inviter), pending(inviter), wrong()) == (0, 0, [])


# crowds


@pytest.mark.covers("F9")
def test_twenty_joins_from_one_device_are_held_and_not_paid(town):
    rich()
    invitations_pay(join={"pending_days": 1})
    inviter = town.join()

    friends = [town.join(by=inviter, device=DEVICE) for _ in range(20)]
    for friend in friends:
        town.buy(friend)
    town.later(days=30)
    town.work()

    assert {state(friend)[0] for friend in friends} == {"held"}
    assert all("device" in state(friend)[2] for friend in friends)
    assert paid(inviter) == pending(inviter) == sum(paid(friend) for friend in friends) == 0
    assert wrong() == []


@pytest.mark.covers("F9")
def test_twenty_joins_from_one_device_at_once_are_held_all_the_same(app, town):
    inviter = town.join()

    together(app, [lambda: town.log_in(by=inviter, device=DEVICE)] * 20)
    town.work()

    assert count(Referral) == 20
    held = referrals.listed("held", None).with_only_columns(Referral.invitee_id)
    assert len(rows(*held.selected_columns, where=[held.whereclause])) == 20


def test_as_many_as_the_rule_allows_are_not_held(town):
    rich()
    inviter = town.join()

    friends = [town.join(by=inviter, device=DEVICE) for _ in range(2)]
    town.later(days=1, seconds=1)
    late = town.join(by=inviter, device=DEVICE)

    assert {state(friend)[0] for friend in [*friends, late]} == {"joined"}


@pytest.mark.covers("F9")
@pytest.mark.parametrize(
    ("limit", "more", "reason"),
    [
        ("address_joins_per_hour", {"address": "192.0.2.7"}, "address"),
        ("inviter_joins_per_hour", {}, "inviter"),
    ],
)
def test_many_joins_in_an_hour_from_one_address_or_by_one_inviter_are_held(
    town, limit, more, reason
):
    invitations_pay(holds={limit: 3})
    inviter = town.join()

    friends = [town.join(by=inviter, **more) for _ in range(3)]
    assert {state(friend)[0] for friend in friends} == {"joined"}
    friends.append(town.join(by=inviter, **more))
    town.later(hours=1, seconds=1)
    late = town.join(by=inviter, **more)

    assert [state(friend) for friend in friends] == [("held", "", [reason])] * 4
    assert state(late)[0] == "joined"


@pytest.mark.covers("F9")
def test_what_the_first_of_a_crowd_were_promised_is_withdrawn_with_the_crowd(town):
    rich()
    invitations_pay(join={"pending_days": 5})
    inviter = town.join()
    friends = [town.join(by=inviter, device=DEVICE) for _ in range(2)]
    assert pending(inviter) == 10

    town.join(by=inviter, device=DEVICE)

    assert pending(inviter) == sum(pending(friend) for friend in friends) == 0
    assert {one_state for (one_state,) in rows(PendingGrant.state)} == {"voided"}


def test_a_crowd_held_a_moment_ago_is_not_paid_by_a_worker_that_comes_late(town):
    rich()
    invitations_pay(join={"pending_days": 1})
    inviter = town.join()
    friend = town.join(by=inviter, device=DEVICE)
    by_hand(
        sa.update(Referral)
        .where(Referral.invitee_id == friend)
        .values(held_at=town.now, holds=["device"])
    )

    town.later(days=2)
    referrals.reward_due(now=town.now)

    assert (paid(inviter), pending(inviter)) == (0, 0)


def test_who_is_held_by_a_neighbour_in_the_same_round_is_not_paid_in_it(town):
    """The second's day has three joins in it, the first's only two."""
    rich()
    invitations_pay(join={"pending_days": 3})
    inviter = town.join()
    first = town.join(by=inviter, device=DEVICE)
    town.later(hours=20)
    town.join(by=inviter, device=DEVICE)
    town.later(hours=20)
    town.log_in(by=inviter, device=DEVICE)  # of whom the worker has not heard

    town.later(days=3)
    referrals.reward_due(now=town.now)

    assert state(first) == ("held", "", ["device"]) and paid(first) == paid(inviter) == 0


# the review


@pytest.mark.covers("F9")
def test_who_is_approved_is_paid_as_if_they_had_never_been_held(town):
    rich()
    inviter = town.join(device="the-same-device")
    friend = town.join(by=inviter, device="the-same-device")
    town.buy(friend)
    town.later(days=3)

    seen = town.review(friend, approved=True)
    assert (seen["state"], seen["review_note"]) == ("qualified", "看过了")
    assert (paid(inviter), pending(inviter)) == (5, 100)
    town.later(days=4)
    town.work()

    assert (paid(inviter), paid(friend), state(friend)[0]) == (105, 53, "rewarded")
    assert wrong() == []


@pytest.mark.covers("F9")
def test_who_is_refused_is_never_paid(town):
    rich()
    inviter = town.join(device="the-same-device")
    friend = town.join(by=inviter, device="the-same-device")

    assert town.review(friend, approved=False)["state"] == "refused"
    town.buy(friend)
    town.later(days=30)
    town.work()

    assert state(friend)[:2] == ("refused", "refused") and paid(inviter) == paid(friend) == 0


def test_who_is_refused_before_the_worker_came_by_keeps_no_promise(town):
    rich()
    invitations_pay(join={"pending_days": 1})
    inviter = town.join()
    friend = town.join(by=inviter)
    town.buy(friend)
    by_hand(sa.update(Referral).values(held_at=town.now, holds=["device"]))

    town.review(friend, approved=False)
    town.later(days=30)
    town.work()

    assert (pending(inviter), paid(inviter), paid(friend)) == (0, 0, 0)


@pytest.mark.covers("F9")
def test_a_referral_is_decided_once_and_only_where_it_waits(town):
    inviter = town.join(device="the-same-device")
    held, free = town.join(by=inviter, device="the-same-device"), town.join(by=inviter)
    town.review(held, approved=True)

    with pytest.raises(AlreadyReviewed):
        town.review(held, approved=False)
    for nobody in (free, 999):
        with pytest.raises(NotFound):
            town.review(nobody, approved=True)

    assert state(held)[0] == "joined"


def test_two_who_decide_at_once_are_one(app, town):
    rich()
    inviter = town.join(device="the-same-device")
    friend = town.join(by=inviter, device="the-same-device")

    outcomes = together(app, [lambda: town.review(friend, approved=True)] * 4)

    assert sum(isinstance(each, AlreadyReviewed) for each in outcomes) == 3
    assert paid(inviter) == 5 and wrong() == []


def test_who_was_approved_is_not_held_by_a_later_crowd(town):
    invitations_pay(holds={"device_joins_per_day": 1})
    inviter = town.join()
    first, second = (town.join(by=inviter, device=DEVICE) for _ in range(2))
    assert state(first)[0] == state(second)[0] == "held"

    town.review(first, approved=True)
    town.join(by=inviter, device=DEVICE)

    assert state(first)[0] == "joined" and state(second)[0] == "held"


# what is kept


@pytest.mark.covers("F9")
def test_devices_and_addresses_are_kept_as_marks_and_forgotten(app, town):
    inviter = town.join(device="a-device-of-mine", address="192.0.2.7")
    town.touch(inviter, "visitor")
    kept = rows(Sighting.kind, Sighting.mark, order=Sighting.kind)
    assert [kind for kind, _ in kept] == ["address", "device"]
    assert not {"a-device-of-mine", "192.0.2.7"} & {mark for _, mark in kept}

    early = referrals.forget_marks(now=town.now + timedelta(days=30))
    late = referrals.forget_marks(now=town.now + timedelta(days=30, seconds=1))

    assert (early, late) == (0, 3) and count(Sighting) == count(Touch) == 0
    assert jobs.JOBS["forget-marks"][0]() == 0


def test_devices_go_along_when_members_become_one(town):
    source = town.join(device="the-same-device")
    target = town.join(device="the-other-device")
    friend = town.join(by=target, device="the-same-device")
    assert state(friend)[0] == "joined"

    key = a_key(route="merge")
    merges.merge(target, source, "同一人", actor="staff:1", key=key, now=town.now)
    town.buy(friend)

    assert state(friend)[2] == ["self_device"]
    assert count(Sighting, Sighting.member_id == source) == 0


def test_a_hold_costs_the_friend_nothing_else(town):
    inviter = town.join(device="the-same-device")
    friend = town.join(by=inviter, device="the-same-device")

    town.buy(friend)

    assert one(Account.balance_points, Account.member_id == friend) == 100
    assert code_of(friend) != code_of(inviter)
