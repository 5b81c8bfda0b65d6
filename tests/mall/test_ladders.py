"""Ladders: a new version pays from the moment it is published; what was paid keeps its own."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from mall import checkins
from mall.errors import ChangedMeanwhile, NotFound
from models import CheckIn, CheckInLadder, CheckInRule, LedgerEntry
from tests.makers import a_key
from tests.mall.books import DAY, by_hand, count, rows, said, wrong
from tests.mall.together import together

MARCH = datetime(2027, 3, 1, 4, tzinfo=UTC)
OTHER = [{"points": 1, "bonus_points": 0}, {"points": 2, "bonus_points": 7}]


@pytest.fixture
def publish(hired):
    def make(items):
        route = "POST /api/v1/admin/checkin-rules"
        key = a_key(route=route)
        return said(checkins.publish(items, staff_id=hired["admin"], key=key, now=MARCH))

    return make


def sign_in(member, day):
    moment = MARCH + day * DAY
    return said(checkins.check_in(member, key=a_key(member, None), now=moment))


@pytest.mark.covers("D2")
def test_a_new_ladder_pays_from_the_next_day_on_and_the_streak_goes_on(a_member, publish):
    member = a_member()
    before = [sign_in(member, day) for day in (0, 1)]

    publish(OTHER)
    after = [sign_in(member, day) for day in (2, 3)]

    assert [each["points_awarded"] for each in before + after] == [5, 5, 1, 2]
    assert [each["streak_days"] for each in before + after] == [1, 2, 3, 4]
    assert [each["bonus_points"] for each in after] == [0, 7]
    assert after[0]["next_bonus"] == {"in_days": 1, "points": 7}
    assert wrong() == []


def test_entries_and_days_name_the_version_that_paid_them(a_member, publish):
    member = a_member()
    sign_in(member, 0)
    publish(OTHER)
    sign_in(member, 1)

    named = rows(LedgerEntry.rule, order=LedgerEntry.seq)
    assert named == [("连签第1天 v1",), ("连签第2天 v2",), ("连签第2天 v2",)]
    assert rows(CheckIn.ladder_version, order=CheckIn.day) == [(1,), (2,)]


def test_old_versions_stay_and_can_be_seen(publish, hired):
    made = publish(OTHER)

    first, newest = checkins.rules_of(1), checkins.rules_of()

    assert (first["version"], len(first["items"]), first["items"][6]["bonus_points"]) == (1, 7, 50)
    assert newest == made
    assert (made["version"], made["published_by"]) == (2, hired["admin"])
    assert [each["streak_day"] for each in made["items"]] == [1, 2]
    with pytest.raises(NotFound):
        checkins.rules_of(3)


def test_an_empty_ladder_pays_nothing_and_signs_in_all_the_same(a_member, publish):
    publish([])

    answer = sign_in(a_member(), 0)

    assert (answer["points_awarded"], answer["next_bonus"], answer["streak_days"]) == (0, None, 1)
    assert count(LedgerEntry) == 0


def test_a_shop_that_never_had_a_ladder_signs_in_too(a_member):
    by_hand(sa.delete(CheckInRule))
    by_hand(sa.delete(CheckInLadder))

    assert sign_in(a_member(), 0)["points_awarded"] == 0
    assert checkins.rules_of()["items"] == [] and checkins.in_force().version == 0


def test_of_ladders_published_at_once_each_has_a_version_of_its_own(app, publish):
    outcomes = together(app, [lambda: publish(OTHER)] * 8)

    made = [each["version"] for each in outcomes if isinstance(each, dict)]
    refused = [each for each in outcomes if not isinstance(each, dict)]
    assert sorted(made) == list(range(2, 2 + len(made))) and made
    assert {type(each) for each in refused} <= {ChangedMeanwhile}
    assert count(CheckInRule) == 7 + 2 * len(made)
