"""Outages: a day the shop was down breaks nobody's streak, however the repair is interrupted."""

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from mall import checkins, jobs
from mall.checkins import outages
from mall.errors import OutageKnown, OutageOutsideWindow
from mall.guards import streaks
from models import Account, CheckIn, LedgerEntry, Lot, Member, MilestonePaid, Outage
from tests.makers import a_key
from tests.mall.books import DAY, balance, by_hand, count, rows, said, wrong
from tests.mall.together import together

BONUS = 50
ROUTE = "POST /api/v1/admin/outages"


def day(number: int) -> date:
    return date(2027, 3, 1) + (number - 1) * DAY


def noon(number: int) -> datetime:
    return datetime(2027, 3, 1, 4, tzinfo=UTC) + (number - 1) * DAY


def sign_in(member: int, *numbers: int) -> None:
    for number in numbers:
        checkins.check_in(member, key=a_key(member, None), now=noon(number))


def streaks_of(member: int) -> list[int]:
    where = [CheckIn.member_id == member]
    return [streak for (streak,) in rows(CheckIn.streak_days, where=where, order=CheckIn.day)]


def kinds_of(member: int) -> dict[int, str]:
    found = rows(CheckIn.day, CheckIn.kind, where=[CheckIn.member_id == member])
    return {when.day: kind for when, kind in found if kind != "normal"}


def repair(on: int) -> int:
    return jobs._until_done(lambda: checkins.repair(now=noon(on) + outages.SETTLES))


@pytest.fixture
def declare(hired):
    def name(number: int, *, on: int) -> dict:
        key, staff_id = a_key(route=ROUTE), hired["admin"]
        return said(outages.declare(day(number), "断电", staff_id=staff_id, key=key, now=noon(on)))

    return name


def test_who_had_signed_the_day_before_is_marked_and_nobody_else(a_member, declare):
    broken, signed, away = a_member(), a_member(), a_member()
    sign_in(broken, 1, 2, 4, 5)
    sign_in(signed, 1, 2, 3, 4)
    sign_in(away, 1, 4)
    before = [balance(each) for each in (broken, signed, away)]

    named = declare(3, on=5)
    repair(on=5)

    assert (named["state"], named["members_marked"], named["day"]) == ("repairing", 0, "2027-03-03")
    assert streaks_of(broken) == [1, 2, 3, 4, 5] and kinds_of(broken) == {3: "outage"}
    assert streaks_of(signed) == [1, 2, 3, 4] and kinds_of(signed) == {}
    assert streaks_of(away) == [1, 1] and kinds_of(away) == {}
    assert [balance(each) for each in (broken, signed, away)] == before, "a mark pays nothing"
    assert rows(Outage.state, Outage.members_marked) == [("repaired", 1)]
    seen = checkins.calendar(broken, day(1), now=noon(5))
    assert {"day": "2027-03-03", "kind": "outage"} in seen["marks"] and seen["streak_days"] == 5
    assert seen["make_ups_left"] == 3
    assert wrong() == []


def test_who_made_the_day_up_before_it_was_named_gets_the_price_back(a_member, declare):
    member = a_member(points=100)
    by_hand(sa.update(Member).values(joined_at=datetime(2020, 1, 1, tzinfo=UTC)))
    sign_in(member, 1, 2, 4)
    before = balance(member)
    lots = rows(Lot.id, Lot.points_left, Lot.expires_at, order=Lot.id)
    checkins.make_up(member, day(3), key=a_key(member), now=noon(4))

    declare(3, on=5)
    repair(on=5)
    repair(on=5)

    assert balance(member) == before
    assert rows(Lot.id, Lot.points_left, Lot.expires_at, order=Lot.id) == lots
    assert kinds_of(member) == {3: "outage"} and streaks_of(member) == [1, 2, 3, 4]
    assert checkins.calendar(member, day(1), now=noon(5))["make_ups_left"] == 3
    assert rows(Outage.state, Outage.members_marked) == [("repaired", 1)]
    assert wrong() == []


def test_what_cost_nothing_is_not_given_back(a_member, declare, tune):
    tune("make_up_price_points", 0)
    member = a_member(points=100)
    by_hand(sa.update(Member).values(joined_at=datetime(2020, 1, 1, tzinfo=UTC)))
    sign_in(member, 2)
    before = balance(member)
    checkins.make_up(member, day(3), key=a_key(member), now=noon(4))

    declare(3, on=5)
    repair(on=5)

    assert (balance(member), kinds_of(member)) == (before, {3: "outage"}) and wrong() == []


def test_who_began_a_run_with_a_day_made_up_paid_for_it_whatever_was_down(a_member, declare):
    """Named first, the outage would have given them no mark: they had not signed the day before."""
    member = a_member(points=100)
    by_hand(sa.update(Member).values(joined_at=datetime(2020, 1, 1, tzinfo=UTC)))
    checkins.make_up(member, day(3), key=a_key(member), now=noon(4))

    declare(3, on=5)
    repair(on=5)

    assert (balance(member), kinds_of(member)) == (80, {3: "make_up"}) and wrong() == []


def test_the_seventh_day_that_the_repair_reaches_is_paid_once(a_member, declare):
    member = a_member()
    sign_in(member, 1, 2, 3, 5, 6, 7, 8)

    declare(4, on=8)
    repair(on=8)
    repair(on=8)

    assert rows(MilestonePaid.level, MilestonePaid.paid_day) == [(7, day(7))]
    bonus = rows(LedgerEntry.delta_points, LedgerEntry.actor, order=LedgerEntry.id)[-1]
    assert bonus == (BONUS, "system")
    assert wrong() == []


def test_days_of_outage_in_a_row_are_bridged_in_whatever_order_they_are_named(a_member, declare):
    member = a_member()
    sign_in(member, 1, 2, 6)

    for number in (5, 3, 4):
        declare(number, on=6)
        repair(on=6)

    assert streaks_of(member) == [1, 2, 3, 4, 5, 6]
    assert kinds_of(member) == {3: "outage", 4: "outage", 5: "outage"}
    assert rows(Outage.members_marked) == [(1,)] * 3
    assert wrong() == []


def test_a_day_made_up_before_an_outage_goes_on_through_it(a_member, declare, tune):
    member = a_member(points=100)
    by_hand(sa.update(Member).values(joined_at=datetime(2020, 1, 1, tzinfo=UTC)))
    sign_in(member, 1, 4)
    declare(3, on=4)
    repair(on=4)

    answer = said(checkins.make_up(member, day(2), key=a_key(member), now=noon(4)))

    assert answer["streak_days"] == 4
    assert kinds_of(member) == {2: "make_up", 3: "outage"}
    assert rows(Outage.members_marked) == [(1,)]
    assert wrong() == []


def test_the_repair_may_die_after_any_batch_and_goes_on_where_it_was(
    a_member, declare, monkeypatch
):
    monkeypatch.setattr(outages, "MENDED_AT_ONCE", 2)
    members = [a_member() for _ in range(5)]
    for member in members:
        sign_in(member, 1, 3)
    declare(2, on=3)
    now, advance = noon(3) + outages.SETTLES, outages._advance

    done = [checkins.repair(now=now)]
    monkeypatch.setattr(outages, "_advance", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        checkins.repair(now=now)
    assert count(CheckIn, CheckIn.kind == "outage") == 2, "a batch stands whole or not at all"
    monkeypatch.setattr(outages, "_advance", advance)
    done += [checkins.repair(now=now) for _ in range(3)]

    assert done == [1, 1, 1, 0]
    assert [streaks_of(member) for member in members] == [[1, 2, 3]] * 5
    assert rows(Outage.state, Outage.members_marked) == [("repaired", 5)]
    assert wrong() == []


def test_two_workers_at_once_mark_everybody_once(app, a_member, declare, monkeypatch):
    monkeypatch.setattr(outages, "MENDED_AT_ONCE", 3)
    members = [a_member() for _ in range(10)]
    for member in members:
        sign_in(member, *range(1, 7), 8)
    declare(7, on=8)

    together(app, [lambda: repair(on=8)] * 4)

    assert [streaks_of(member) for member in members] == [list(range(1, 9))] * 10
    assert count(MilestonePaid) == 10 and rows(Outage.members_marked) == [(10,)]
    assert wrong() == []


def test_signing_in_and_repairing_at_once_count_on_from_each_other(app, a_member, declare):
    members = [a_member() for _ in range(6)]
    for member in members:
        sign_in(member, 1, 3)
    declare(2, on=4)
    works = [lambda member=member: sign_in(member, 4) for member in members]

    together(app, [*works, lambda: repair(on=4)])

    assert [streaks_of(member) for member in members] == [[1, 2, 3, 4]] * 6
    assert wrong() == []


def test_the_repair_waits_until_requests_of_that_day_have_ended(a_member, declare):
    member = a_member()
    sign_in(member, 1, 3)
    declare(2, on=3)

    assert checkins.repair(now=noon(3) + outages.SETTLES - timedelta(seconds=1)) == 0
    assert checkins.repair(now=noon(3) + outages.SETTLES) == 1
    assert streaks_of(member) == [1, 2, 3]


def test_a_closed_account_is_left_alone_and_holds_up_nobody(a_member, declare):
    closed, member = a_member(), a_member()
    for each in (closed, member):
        sign_in(each, *range(1, 7))
    by_hand(sa.update(Account).where(Account.member_id == closed).values(state="closed"))

    declare(7, on=8)
    repair(on=8)

    assert (kinds_of(closed), kinds_of(member)) == ({}, {7: "outage"})
    assert rows(Outage.state) == [("repaired",)]


def test_a_year_that_redis_knew_is_asked_of_sql_again(a_member, declare):
    member = a_member()
    sign_in(member, 1, 3)
    checkins.calendar(member, day(1), now=noon(3))
    declare(2, on=3)

    repair(on=3)

    assert streaks.days_of(member, 2027) is None


def test_only_past_days_of_the_last_month_can_be_named_and_each_once(declare):
    for number in (20, 21, 20 - 32):
        with pytest.raises(OutageOutsideWindow) as refused:
            declare(number, on=20)
    assert refused.value.details == {"earliest_day": "2027-02-17", "latest_day": "2027-03-19"}

    declare(19, on=20)
    declare(20 - 31, on=20)
    with pytest.raises(OutageKnown):
        declare(19, on=20)

    assert count(Outage) == 2


def test_the_row_says_who_named_it_and_when(declare, hired):
    declare(19, on=20)

    found = rows(Outage.declared_by, Outage.declared_at, Outage.note, Outage.day)
    assert found == [(hired["admin"], noon(20), "断电", day(19))]
