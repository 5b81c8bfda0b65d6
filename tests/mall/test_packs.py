"""Packs that come by themselves: for a newcomer once, for a birthday once a year."""

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from mall import bundles, clock, jobs, members, packs
from models import Account, GivenBundle, Member
from tests.makers import a_key
from tests.mall.books import balance, by_hand, count, rows, wrong
from tests.mall.together import together

TODAY = date(2027, 3, 10)


def noon(day):
    return datetime(day.year, day.month, day.day, 4, tzinfo=UTC)


@pytest.fixture
def a_bundle(hired):
    def make(code, points, **parts):
        values = {
            "code": code,
            "name": "礼包",
            "points": points,
            "growth_value": 0,
            "rewards": [],
            "benefits": [],
        }
        who = hired["admin"]
        bundles.publish({**values, **parts}, staff_id=who, key=a_key(route=code), now=clock.now())

    return make


@pytest.fixture
def born(a_member):
    def make(birthday, **columns):
        member = a_member()
        values = {"birthday": birthday, "joined_at": datetime(2020, 1, 1, tzinfo=UTC), **columns}
        by_hand(sa.update(Member).where(Member.id == member).values(**values))
        return member

    return make


def give(day):
    return jobs._until_done(lambda: packs.birthdays(now=noon(day)))


# newcomers


@pytest.mark.covers("H1")
def test_a_newcomer_is_given_the_pack_once(a_member, a_bundle, tune):
    a_bundle("welcome", 30)
    tune("welcome_bundle", "welcome")
    member = a_member()

    jobs.drain_events()
    jobs.drain_events()

    assert balance(member) == 30 and rows(GivenBundle.ref_kind) == [("welcome",)]
    assert wrong() == []


def test_a_shop_without_a_pack_gives_none_and_whoever_is_imported_is_no_newcomer(
    app, a_member, a_bundle, tune
):
    before = a_member()
    jobs.drain_events()
    a_bundle("welcome", 30)
    tune("welcome_bundle", "welcome")
    person = {"external_id": "E1"}
    imported = members.join_many([person], tier_code="base", now=clock.now())

    jobs.drain_events()

    assert [balance(each) for each in (before, *imported.values())] == [0, 0]


# birthdays


@pytest.mark.covers("H2")
def test_a_birthday_brings_its_pack_once_a_year(born, a_bundle, tune):
    a_bundle("birthday", 50)
    tune("birthday_bundles", {"": "birthday"})
    member, other = born(date(1990, 3, 10)), born(date(1990, 3, 11))

    given = [give(TODAY), give(TODAY), give(TODAY.replace(year=2028))]

    assert given == [1, 0, 1] and (balance(member), balance(other)) == (100, 0)
    assert wrong() == []


@pytest.mark.covers("H2")
def test_another_birthday_does_not_earn_twice_a_year(born, a_bundle, tune):
    a_bundle("birthday", 50)
    tune("birthday_bundles", {"": "birthday"})
    member = born(date(1990, 3, 10))
    give(TODAY)

    by_hand(sa.update(Member).values(birthday=date(1990, 3, 12)))

    assert give(TODAY + timedelta(days=2)) == 0 and balance(member) == 50


@pytest.mark.covers("H2")
def test_a_tier_has_a_pack_of_its_own(born, a_bundle, tune):
    a_bundle("birthday", 50)
    a_bundle("golden", 500)
    tune("birthday_bundles", {"gold": "golden", "silver": "birthday"})
    gold, silver, base = (born(date(1990, 3, 10)) for _ in range(3))
    for member, tier in ((gold, "gold"), (silver, "silver")):
        by_hand(sa.update(Account).where(Account.member_id == member).values(tier_code=tier))

    give(TODAY)

    assert [balance(each) for each in (gold, silver, base)] == [500, 50, 0]


@pytest.mark.parametrize(
    ("span", "on", "given"),
    [
        ("day", date(2027, 3, 9), 0),
        ("day", date(2027, 3, 17), 1),
        ("day", date(2027, 3, 18), 0),
        ("week", date(2027, 3, 8), 1),
        ("week", date(2027, 3, 7), 0),
        ("month", date(2027, 3, 1), 1),
        ("month", date(2027, 2, 28), 0),
    ],
)
def test_the_window_opens_as_the_shop_says_and_a_late_worker_catches_up(
    born, a_bundle, tune, span, on, given
):
    a_bundle("birthday", 50)
    tune("birthday_bundles", {"": "birthday"})
    tune("birthday_window", span)
    born(date(1990, 3, 10))

    assert give(on) == given


def test_who_joined_after_the_birthday_waits_for_the_next(born, a_bundle, tune):
    a_bundle("birthday", 50)
    tune("birthday_bundles", {"": "birthday"})
    born(date(1990, 3, 10), joined_at=noon(TODAY + timedelta(days=1)))

    assert give(TODAY + timedelta(days=2)) == 0
    assert give(TODAY.replace(year=2028)) == 1


def test_what_is_sold_out_comes_once_it_is_there(born, a_bundle, tune, a_reward, hired):
    from mall import rewards

    reward = a_reward(units=0)
    a_bundle("birthday", 0, rewards=[{"reward_id": reward.id, "quantity": 1}])
    tune("birthday_bundles", {"": "birthday"})
    born(date(1990, 3, 10))
    assert give(TODAY) == 0

    move = {"quantity": 1, "reason": "purchase", "note": "", "unit_cost_fen": None}
    who = hired["admin"]
    rewards.move_stock(reward.id, move, staff_id=who, key=a_key(), now=clock.now())

    assert give(TODAY + timedelta(days=1)) == 1 and wrong() == []


def test_many_are_given_in_batches_and_by_several_workers_once(
    app, born, a_bundle, tune, monkeypatch
):
    monkeypatch.setattr(packs, "GIVEN_AT_ONCE", 2)
    monkeypatch.setattr(packs, "READ_AT_ONCE", 3)
    a_bundle("birthday", 50)
    tune("birthday_bundles", {"": "birthday"})
    everybody = [born(date(1990, 3, 10)) for _ in range(7)]

    together(app, [lambda: give(TODAY)] * 3)

    assert [balance(each) for each in everybody] == [50] * 7
    assert count(GivenBundle) == 7 and wrong() == []
