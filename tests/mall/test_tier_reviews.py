"""Reviews: who keeps a tier when the window ends, who has grace, who falls how far; and grants."""

from importlib import import_module

import pytest
import sqlalchemy as sa

from mall import tiers
from mall.errors import GrantEnded, GrantInThePast, NotFound, UnknownTier
from models import Account, TierGrant, TierStanding
from tests.makers import a_key
from tests.mall.books import MOMENT, by_hand, count, one, rows, said, wrong
from tests.mall.tier_books import changes, day, days, shop, tier
from tests.mall.together import together

__all__ = ["shop"]
JAN = day("2027-01-10")
ROLLING = {"window_kind": "rolling", "window_days": 30}
END = day("2027-02-10", 0)  # the first moment after thirty whole days


@pytest.fixture
def rolling(shop):
    shop.rules(at=JAN, **ROLLING)
    shop.review(JAN)
    return shop


@pytest.mark.covers("B5")
@pytest.mark.parametrize(
    ("policy", "bought_yuan", "expected"),
    [
        ("one_step", 0, "silver"),
        ("one_step", 4999, "silver"),
        ("one_step", 5000, "gold"),
        ("recompute", 0, "base"),
        ("recompute", 999, "base"),
        ("recompute", 1000, "silver"),
        ("recompute", 5000, "gold"),
    ],
)
def test_members_go_where_the_policy_puts_them(a_member, shop, policy, bought_yuan, expected):
    member = a_member()
    shop.rules(at=JAN, review_policy=policy, **ROLLING)
    shop.buy(member, 5000, at=JAN)
    if bought_yuan:
        shop.buy(member, bought_yuan, at=JAN + days(30))

    shop.review(END - MOMENT)
    before = tier(member)
    shop.review(END)

    assert (before, tier(member)) == ("gold", expected)
    assert len(changes(member)) == (1 if expected == "gold" else 2) and wrong() == []


def test_what_raised_somebody_does_not_keep_them_too(a_member, rolling):
    """The window to keep a tier starts on the day after the one on which it was reached."""
    member = a_member()
    rolling.buy(member, 1000, at=JAN)
    rolling.buy(member, 999, at=JAN + days(1))

    rolling.review(END)

    assert tier(member) == "base"


@pytest.mark.covers("B5")
@pytest.mark.parametrize(("in_grace", "expected"), [(0, "base"), (999, "base"), (1000, "silver")])
def test_who_is_short_has_the_days_of_grace(a_member, shop, in_grace, expected):
    member = a_member()
    shop.rules(at=JAN, grace_days=7, **ROLLING)
    shop.buy(member, 1000, at=JAN)
    shop.review(END)
    assert tier(member) == "silver" and one(TierStanding.grace_ends_at) == END + days(7)
    if in_grace:
        shop.buy(member, in_grace, at=END + days(6))

    shop.review(END + days(7) - MOMENT)
    before = tier(member)
    shop.review(END + days(7))

    assert (before, tier(member)) == ("silver", expected)
    assert one(TierStanding.grace_ends_at) is None


@pytest.mark.covers("B5")
def test_a_calendar_year_is_reviewed_at_its_end_and_each_year_again(a_member, shop):
    member = a_member()
    shop.rules(at=JAN, window_kind="year")
    shop.buy(member, 1000, at=day("2027-12-31", 23))

    shop.review(day("2028-01-01", 0))
    first = tier(member)
    assert one(TierStanding.review_at) == day("2029-01-01", 0)
    shop.review(day("2029-01-01", 0))

    assert (first, tier(member)) == ("silver", "base")
    assert one(TierStanding.review_at) is None, "nobody reviews the base"


def test_windows_follow_one_another_without_a_gap_or_a_day_twice(a_member, rolling):
    member = a_member()
    rolling.buy(member, 1000, at=JAN)
    rolling.buy(member, 1000, at=JAN + days(30))
    rolling.review(END)
    assert one(TierStanding.review_at) == END + days(30)

    rolling.buy(member, 1000, at=END)
    rolling.review(END + days(30))

    assert tier(member) == "silver"
    rolling.review(END + days(60))
    assert tier(member) == "base"


def test_a_review_that_runs_late_decides_as_it_would_have_in_time(a_member, rolling):
    members = {name: a_member() for name in ("in_time", "late")}
    for member in members.values():
        rolling.buy(member, 5000, at=JAN)

    rolling.buy(members["in_time"], 1000, at=END - MOMENT)
    rolling.buy(members["late"], 1000, at=END)
    rolling.review(END + days(40))  # a second review is due by then too

    first, second = ("gold", "silver", "review"), ("silver", "base", "review")
    assert changes(members["in_time"])[1:] == [first, second]
    assert changes(members["late"])[1:] == [first], "what came later kept the next window"


def test_what_came_after_the_window_raises_again_and_does_not_keep(a_member, rolling):
    member = a_member()
    rolling.buy(member, 5000, at=JAN)
    rolling.buy(member, 5000, at=END)  # the job is late

    rolling.review(END + days(1))

    assert changes(member)[1:] == [("gold", "silver", "review"), ("silver", "gold", "growth")]
    assert rolling.review(END + days(1)) == 0


def test_reviewing_twice_or_by_many_at_once_changes_nothing_more(app, a_member, rolling):
    members = [a_member() for _ in range(5)]
    for member in members:
        rolling.buy(member, 5000, at=JAN)

    together(app, [lambda: rolling.review(END)] * 4)
    rolling.review(END)

    assert [tier(member) for member in members] == ["silver"] * 5
    assert all(len(changes(member)) == 2 for member in members) and wrong() == []


def test_a_review_goes_on_where_it_was_stopped(a_member, rolling, monkeypatch):
    monkeypatch.setattr(import_module("mall.tiers.review"), "REVIEWED_AT_ONCE", 2)
    members = [a_member() for _ in range(5)]
    for member in members:
        rolling.buy(member, 1000, at=JAN)

    tiers.review(now=END)  # and then the process is killed
    half = [tier(member) for member in members]
    rolling.review(END)

    assert half == ["base"] * 2 + ["silver"] * 3
    assert [tier(member) for member in members] == ["base"] * 5


def test_nobody_who_left_is_reviewed_again_and_again(a_member, rolling):
    member = a_member()
    rolling.buy(member, 1000, at=JAN)
    by_hand(sa.update(Account).values(state="closed"))

    assert rolling.review(END) == 1 and tier(member) == "silver"
    assert one(TierStanding.review_at) is None


def test_without_a_window_nobody_is_reviewed(a_member, shop):
    member = a_member()
    shop.buy(member, 1000, at=JAN)

    assert shop.review(JAN + days(3650)) == 0 and tier(member) == "silver"


# by hand


@pytest.mark.covers("B5")
def test_a_tier_for_life_is_never_lowered(a_member, rolling):
    member = a_member()
    rolling.buy(member, 1000, at=JAN)
    rolling.grant(member, "gold", at=JAN)

    rolling.review(END)
    rolling.review(END + days(3650))

    assert tier(member) == "gold"
    assert changes(member) == [("base", "silver", "growth"), ("silver", "gold", "grant")]


@pytest.mark.covers("B5", "A9")
def test_a_review_does_not_overwrite_a_grant_before_its_end(a_member, rolling):
    member = a_member()
    rolling.grant(member, "gold", END + days(5), at=JAN)

    rolling.review(END)
    rolling.review(END + days(5) - MOMENT)
    before = tier(member)
    rolling.review(END + days(5))

    assert (before, tier(member)) == ("gold", "base")
    assert changes(member) == [("base", "gold", "grant"), ("gold", "base", "grant")]
    assert rows(TierGrant.state, TierGrant.ended_at) == [("ended", END + days(5))]


def test_after_a_grant_its_member_has_what_was_earned_meanwhile(a_member, rolling):
    member = a_member()
    rolling.grant(member, "diamond", JAN + days(10), at=JAN)
    rolling.buy(member, 1000, at=JAN + days(5))
    assert tier(member) == "diamond"

    rolling.review(JAN + days(10))

    assert tier(member) == "silver"
    assert one(TierStanding.review_at) == day("2027-02-15", 0)


def test_a_lower_grant_takes_nothing_away(a_member, rolling):
    member = a_member()
    rolling.buy(member, 5000, at=JAN)
    rolling.grant(member, "silver", at=JAN)
    assert tier(member) == "gold" and len(changes(member)) == 1

    rolling.review(END)
    rolling.review(END + days(30))

    assert tier(member) == "silver"


def test_the_higher_of_two_grants_counts_and_then_the_other(a_member, rolling):
    member = a_member()
    rolling.grant(member, "gold", JAN + days(3), at=JAN)
    rolling.grant(member, "silver", JAN + days(5), at=JAN)

    seen = []
    for passed in (0, 3, 5):
        rolling.review(JAN + days(passed))
        seen.append(tier(member))

    assert seen == ["gold", "silver", "base"]


def test_a_grant_can_be_ended_before_its_time_once(a_member, shop):
    member = a_member()
    grant = shop.grant(member, "gold", JAN + days(9), at=JAN)

    def revoke():
        who = {"staff_id": shop.admin, "key": a_key(route="revoke")}
        return tiers.grants.revoke(grant["id"], **who, now=JAN)

    assert said(revoke())["state"] == "revoked" and tier(member) == "base"
    with pytest.raises(GrantEnded):
        revoke()
    assert shop.review(JAN + days(9)) == 0


def test_a_grant_of_nonsense_is_refused(a_member, shop):
    member = a_member()

    for refusal, who, code, until in (
        (GrantInThePast, member, "gold", JAN),
        (UnknownTier, member, "tin", None),
        (NotFound, 404, "gold", None),
    ):
        with pytest.raises(refusal):
            shop.grant(who, code, until, at=JAN)

    assert count(TierGrant) == 0 and tier(member) == "base"
