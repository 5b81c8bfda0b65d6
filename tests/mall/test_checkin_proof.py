"""The ledger's proof reads streaks and milestones too, and names what was spoilt."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from mall import checkins, ledger
from tests.makers import a_key
from tests.mall.books import DAY, by_hand, wrong

MARCH = datetime(2028, 2, 24, 4, tzinfo=UTC)


@pytest.fixture
def a_week(a_member):
    """Seven days over the 29th of February, and one after a gap."""
    member = a_member()
    for n in (*range(7), 9):
        checkins.check_in(member, key=a_key(member, None), now=MARCH + n * DAY)
    assert wrong() == []
    return member


@pytest.mark.parametrize(
    ("checks", "how"),
    [
        (
            {"streaks_follow_from_the_day_before"},
            "UPDATE checkins SET streak_days = streak_days + 1 WHERE day = '2028-02-29'",
        ),
        (
            {"streaks_follow_from_the_day_before"},
            "UPDATE checkins SET streak_days = 8 WHERE day = '2028-03-04'",
        ),
        (
            {"streaks_follow_from_the_day_before"},
            "DELETE FROM checkins WHERE day = '2028-02-29'",
        ),
        (
            {"streaks_follow_from_the_day_before"},
            "UPDATE checkins SET day = '2028-03-02' WHERE day = '2028-03-04'",
        ),
        ({"milestones_are_what_was_granted"}, "UPDATE milestones_paid SET points = points + 1"),
        ({"milestones_are_what_was_granted"}, "DELETE FROM milestones_paid"),
    ],
)
def test_the_proof_names_a_streak_or_a_milestone_that_was_spoilt(a_week, checks, how):
    by_hand(sa.text(how))

    found = ledger.verify()

    assert {each["check"] for each in found["mismatches"]} == checks
    assert {each["id"] for each in found["mismatches"]} == {a_week}
    assert found["checked"]["checkins"] in (7, 8)
