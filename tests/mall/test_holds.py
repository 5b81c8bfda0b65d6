"""Holds: points set aside can't be spent nor expire, and leave the hold once."""

from datetime import timedelta

import pytest

from mall import clock, holds
from mall.errors import HoldEnded, NotEnoughPoints, NotFound
from models import Account, Hold
from tests.makers import a_key
from tests.mall.books import DAY, balance, count, give, lots, one, rows, said, spend, wrong
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


def hold(member, amount, now, lasts=DAY, key=None):
    return holds.hold(
        member,
        amount,
        reason="争议",
        lasts=lasts,
        actor="staff:1",
        key=key or a_key(route="hold"),
        now=now,
    )


def end(how, hold_id, now):
    return how(hold_id, actor="staff:1", key=a_key(route="end"), now=now)


def held(member):
    return one(Account.held_points, Account.member_id == member)


@pytest.fixture
def member(a_member, now):
    """Somebody with 30 points for a day and 70 for ten."""
    made = a_member()
    give(made, 30, "short", expires_at=now + DAY, now=now)
    give(made, 70, "long", expires_at=now + 10 * DAY, now=now)
    return made


@pytest.mark.covers("C7")
def test_held_points_are_out_of_reach(member, now):
    answer = said(hold(member, 80, now))

    with pytest.raises(NotEnoughPoints) as refusal:
        spend(member, 21, "too many")

    assert (answer["state"], answer["points"]) == ("held", 80)
    assert refusal.value.details == {"short_by": 1}
    assert (balance(member), held(member)) == (20, 80) and wrong() == []


def test_no_more_is_held_than_can_be_spent(member, now):
    with pytest.raises(NotEnoughPoints):
        hold(member, 101, now)

    assert count(Hold) == 0 and held(member) == 0


@pytest.mark.covers("C7")
def test_a_voided_hold_gives_back_to_the_very_lots(member, now):
    hold_id = said(hold(member, 50, now))["id"]

    end(holds.void, hold_id, now)

    assert lots(member) == [(30, now + DAY), (70, now + 10 * DAY)]
    assert (balance(member), held(member)) == (100, 0) and wrong() == []


def test_a_posted_hold_is_gone_for_good(member, now):
    hold_id = said(hold(member, 50, now))["id"]

    end(holds.post, hold_id, now)

    assert (balance(member), held(member)) == (50, 0) and wrong() == []


def test_held_points_do_not_expire_and_come_back_with_grace(member, now):
    hold_id = said(hold(member, 30, now, lasts=5 * DAY))["id"]
    later = now + 2 * DAY

    end(holds.void, hold_id, later)

    assert lots(member)[0] == (30, later + timedelta(days=7)) and wrong() == []


@pytest.mark.parametrize("first", [holds.post, holds.void])
@pytest.mark.parametrize("second", [holds.post, holds.void])
def test_a_hold_ends_once(member, now, first, second):
    hold_id = said(hold(member, 50, now))["id"]
    end(first, hold_id, now)
    before = balance(member)

    with pytest.raises(HoldEnded):
        end(second, hold_id, now)

    assert (balance(member), held(member)) == (before, 0) and wrong() == []


def test_of_many_who_end_a_hold_together_one_does(app, member, now):
    hold_id = said(hold(member, 50, now))["id"]

    answers = together(
        app,
        [lambda: end(holds.void, hold_id, now)] * 4 + [lambda: end(holds.post, hold_id, now)] * 4,
    )

    assert sum(isinstance(each, HoldEnded) for each in answers) == 7, answers
    state = one(Hold.state)
    assert balance(member) == (100 if state == "voided" else 50)
    assert held(member) == 0 and wrong() == []


def test_a_hold_ends_by_itself_when_its_time_is_over(member, now):
    hold_id = said(hold(member, 50, now, lasts=DAY))["id"]

    early, late = holds.expire_due(now=now + DAY / 2), holds.expire_due(now=now + DAY)
    again = holds.expire_due(now=now + DAY)

    assert (early, late, again) == (0, 1, 0)
    assert rows(Hold.state, Hold.ended_by) == [("expired", "system")]
    assert held(member) == 0 and wrong() == []
    with pytest.raises(HoldEnded):
        end(holds.post, hold_id, now)


def test_a_hold_past_its_time_can_not_be_posted_though_nobody_has_ended_it(member, now):
    hold_id = said(hold(member, 50, now, lasts=DAY))["id"]

    with pytest.raises(HoldEnded):
        end(holds.post, hold_id, now + DAY)

    assert held(member) == 50 and wrong() == []


def test_nobodys_hold_is_not_found(app, now):
    for how in (holds.post, holds.void):
        with pytest.raises(NotFound):
            end(how, 1, now)
