"""Channels: the first that brought a member stays, each counts what it brought, a store's gives a gift."""

from datetime import date

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from mall import channels, clock, merges, touches
from mall.errors import Malformed, NameTaken, NotFound
from models import Account, Channel, GivenBundle, Member
from tests.makers import a_key
from tests.mall.books import DAY, by_hand, count, one, said, wrong
from tests.mall.referral_books import a_bundle, town

__all__ = ["town"]


@pytest.fixture
def gift(town):
    """A store's code that gives ten points at once."""
    a_bundle("store-gift", town.now, points=10)
    town.channel("store-a", "store", store_id=town.store, bundle_code="store-gift")


def channel_of(member):
    return one(Member.channel_code, Member.id == member)


def line(town, code):
    today = clock.business_day(town.now)
    (found,) = [each for each in channels.report(today - DAY, today) if each["code"] == code]
    return found


# where somebody came from


@pytest.mark.covers("A11", "F4")
def test_the_channel_that_was_touched_first_is_the_members(town):
    town.channel("poster"), town.channel("flyer")
    mark = touches.mark(touches.DEVICE, "a-new-device")
    for code in ("poster", "flyer", "poster"):
        town.scan(code, mark)
        town.later(minutes=1)

    member = town.join(device="a-new-device", channel_code="flyer")

    assert channel_of(member) == "poster"


@pytest.mark.covers("A11")
def test_a_members_channel_never_changes_whoever_asks(town):
    member = town.join("one", channel_code="poster")
    town.log_in("one", channel_code="flyer")
    blank = town.join()

    for value in ("flyer", None):
        with pytest.raises(DatabaseError):
            by_hand(
                sa.update(Member).where(Member.channel_code == "poster").values(channel_code=value)
            )
    by_hand(sa.update(Member).where(Member.id == blank).values(channel_code="flyer"))

    assert (channel_of(member), channel_of(blank)) == ("poster", "flyer")


@pytest.mark.covers("A11", "A4")
def test_members_who_become_one_keep_the_channel_of_the_one_who_is_left(town):
    target, source = town.join(channel_code="poster"), town.join(channel_code="flyer")

    key = a_key(route="merge")
    merges.merge(target, source, "同一人", actor="staff:1", key=key, now=town.now)

    assert channel_of(target) == "poster"


# what each brought


@pytest.mark.covers("F4", "A11")
def test_a_channel_counts_scans_joins_and_first_purchases_with_their_cost(town):
    town.channel("poster", cost_fen=9_000), town.channel("flyer")
    for visitor in ("one", "one", "two", "three", "four"):
        town.scan("poster", visitor)
    members = [town.join(channel_code="poster") for _ in range(3)]
    town.join(channel_code="unknown")
    town.buy(members[0]), town.buy(members[0])
    town.refund(town.buy(members[1]))

    found = line(town, "poster")

    counts = {name: found[name] for name in ("scans", "joins", "first_purchases")}
    assert counts == {"scans": 4, "joins": 3, "first_purchases": 1}
    assert (found["cost_per_join_fen"], found["cost_per_purchase_fen"]) == (3_000, 9_000)
    assert line(town, "flyer")["joins"] == line(town, "flyer")["scans"] == 0
    assert (line(town, "unknown")["joins"], line(town, "unknown")["kind"]) == (1, None)


def test_days_outside_the_report_are_not_in_it(town):
    town.channel("poster")
    town.scan("poster", "one")
    town.join(channel_code="poster")

    town.later(days=2)

    assert (line(town, "poster")["scans"], line(town, "poster")["joins"]) == (0, 0)


def test_a_code_that_is_none_or_not_open_is_not_scanned(town):
    today = clock.business_day(town.now)
    town.channel("over", ends_on=today - DAY), town.channel("later", starts_on=today + DAY)
    town.channel("today", starts_on=today, ends_on=today)

    for code in ("nobody", "over", "later"):
        with pytest.raises(NotFound):
            town.scan(code, "one")
    town.scan("today", "one")

    assert line(town, "today")["scans"] == 1


# a store's gift


@pytest.mark.covers("F5")
def test_who_joins_by_a_stores_code_gets_its_gift_at_once_and_once(town, gift):
    told = town.log_in("somebody", channel_code="store-a")
    again = town.log_in("somebody", channel_code="store-a")

    member = told["member"]["id"]
    assert told["gift"] == {"state": "given", "name": "store-gift", "points": 10, "units": 0}
    assert again["gift"] is None and channel_of(member) == "store-a"
    assert one(Account.balance_points, Account.member_id == member) == 10
    assert wrong() == []


@pytest.mark.covers("F5")
def test_the_gift_is_the_stores_whose_code_it_is_whatever_brought_the_member(town, gift):
    town.channel("poster")
    town.scan("poster", touches.mark(touches.DEVICE, "a-new-device"))

    told = town.log_in(device="a-new-device", channel_code="store-a")

    assert told["gift"]["points"] == 10 and channel_of(told["member"]["id"]) == "poster"


@pytest.mark.covers("F5", "A4")
def test_after_a_merge_nobody_is_given_the_gift_again(town, gift):
    target = town.join("target", channel_code="store-a")
    source = town.join("source", channel_code="store-a")

    key = a_key(route="merge")
    merges.merge(target, source, "同一人", actor="staff:1", key=key, now=town.now)
    again = [town.log_in(name, channel_code="store-a") for name in ("source", "target")]

    assert [(each["joined"], each["gift"]) for each in again] == [(False, None)] * 2
    assert {each["member"]["id"] for each in again} == {target}
    assert count(GivenBundle) == 2 and wrong() == []


@pytest.mark.covers("F5")
def test_a_member_whose_account_took_anothers_gift_has_had_it(town, gift):
    """The gift's cause goes along with its member, so that the same cause gives nothing more."""
    source, target = town.join(channel_code="store-a"), town.join()

    key = a_key(route="merge")
    merges.merge(target, source, "同一人", actor="staff:1", key=key, now=town.now)

    assert channels.welcome(target, "store-a", now=town.now)["state"] == "known"
    assert one(Account.balance_points, Account.member_id == target) == 10


def test_a_gift_that_ran_out_is_told_and_keeps_nobody_out(town, a_reward):
    a_bundle("cup", town.now, rewards=[{"reward_id": a_reward(units=1).id, "quantity": 1}])
    town.channel("store-a", "store", store_id=town.store, bundle_code="cup")

    told = [town.log_in(channel_code="store-a") for _ in range(2)]

    assert [each["gift"]["state"] for each in told] == ["given", "sold_out"]
    assert [each["joined"] for each in told] == [True, True] and wrong() == []


def test_a_stores_code_out_of_its_period_gives_nothing(town, gift):
    by_hand(sa.update(Channel).values(ends_on=clock.business_day(town.now) - DAY))

    assert town.log_in(channel_code="store-a")["gift"] is None


# what an admin writes


@pytest.mark.parametrize(
    "wrong_values",
    [
        {"kind": "store"},
        {"kind": "store", "store_id": 999},
        {"kind": "online", "store_id": 1},
        {"bundle_code": "store-gift"},
        {"kind": "store", "store_id": 1, "bundle_code": "nothing"},
        {"starts_on": "2026-01-02", "ends_on": "2026-01-01"},
    ],
)
def test_a_channel_that_can_not_be_is_refused(town, gift, wrong_values):
    days = ("starts_on", "ends_on")
    values = {k: date.fromisoformat(v) if k in days else v for k, v in wrong_values.items()}

    with pytest.raises(Malformed):
        town.channel("bad", **values)

    assert count(Channel) == 1


@pytest.mark.covers("F4")
def test_a_channel_changes_but_for_its_code(town, hired):
    town.channel("poster", cost_fen=5)
    with pytest.raises(NameTaken):
        town.channel("poster")
    channel = one(Channel.id)
    how = {"staff_id": hired["admin"], "key": a_key(route="channel"), "now": town.now}

    told = said(channels.change(channel, {"cost_fen": 7, "owner": "小李"}, **how))

    assert (told["code"], told["cost_fen"], told["owner"]) == ("poster", 7, "小李")
    with pytest.raises(NotFound):
        channels.change(999, {}, **{**how, "key": a_key(route="channel")})
